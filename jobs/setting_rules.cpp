#include "jobs/setting_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/text.h"

namespace confd::jobs {
namespace {

// What is wrong with a value: "must be ..."; nothing when it is right. `text` may be rewritten to the form
// that EXAConf uses.
using Check = std::optional<std::string> (*)(std::string& text, const exaconf::Config& config);

struct Rule {
  std::string_view section;
  std::string_view key;
  Check check;
};

std::optional<std::string> between(const std::string& text, std::int64_t low, std::int64_t high) {
  const auto number = base::parse_int(text);
  if (number && *number >= low && *number <= high) return std::nullopt;
  return "must be a number between " + std::to_string(low) + " and " + std::to_string(high);
}

std::optional<std::string> port(std::string& text, const exaconf::Config&) {
  return between(text, 1, 65535);
}

std::optional<std::string> percent(std::string& text, const exaconf::Config&) {
  return between(text, 0, 100);
}

std::optional<std::string> positive(std::string& text, const exaconf::Config&) {
  return between(text, 1, 1000000);
}

std::optional<std::string> boolean(std::string& text, const exaconf::Config&) {
  static constexpr std::string_view kTrue[] = {"true", "yes", "on", "1"};
  static constexpr std::string_view kFalse[] = {"false", "no", "off", "0"};
  const std::string word = base::to_lower(text);
  if (std::find(std::begin(kTrue), std::end(kTrue), word) != std::end(kTrue))
    text = "True";
  else if (std::find(std::begin(kFalse), std::end(kFalse), word) != std::end(kFalse))
    text = "False";
  else
    return "must be true or false";
  return std::nullopt;
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (const std::string& label : base::split(name, '.')) {
    const bool shaped = !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
                        std::all_of(label.begin(), label.end(), [](unsigned char c) {
                          return std::isalnum(c) != 0 || c == '-' || c == '_';
                        });
    if (!shaped) return false;
  }
  return true;
}

std::optional<std::string> domain(std::string& text, const exaconf::Config&) {
  if (is_host_name(text)) return std::nullopt;
  return "must be a host name such as exacluster.local";
}

std::optional<std::string> domains(std::string& text, const exaconf::Config&) {
  for (const std::string& name : base::split_list(text))
    if (!is_host_name(name)) return "'" + name + "' is no domain name";
  return std::nullopt;
}

std::optional<std::string> addresses(std::string& text, const exaconf::Config&) {
  for (const std::string& address : base::split_list(text)) {
    unsigned char buffer[16];
    if (::inet_pton(AF_INET, address.c_str(), buffer) != 1 &&
        ::inet_pton(AF_INET6, address.c_str(), buffer) != 1)
      return "'" + address + "' is no IP address";
  }
  return std::nullopt;
}

std::optional<std::string> networks(std::string& text, const exaconf::Config&) {
  bool has_private = false;
  for (const std::string& network : base::split_list(text)) {
    if (network != "private" && network != "public")
      return "'" + network + "' is no network: private and public are";
    has_private = has_private || network == "private";
  }
  if (!has_private) return "must contain private";
  return std::nullopt;
}

std::optional<std::string> hugepages(std::string& text, const exaconf::Config&) {
  const std::string word = base::to_lower(text);
  const auto number = base::parse_int(word);
  if (word != "auto" && word != "host" && !(number && *number >= 0))
    return "must be 'auto', 'host' or a count (0 = none)";
  text = word;
  return std::nullopt;
}

std::optional<std::string> issue_tracker(std::string& text, const exaconf::Config&) {
  for (const std::string_view tracker : {"Jira", "Salesforce"})
    if (base::equals_ignoring_case(text, tracker)) {
      text = tracker;
      return std::nullopt;
    }
  return "must be Jira or Salesforce";
}

std::optional<std::string> any_text(std::string&, const exaconf::Config&) {
  return std::nullopt;
}

std::optional<std::string> rotation_types(std::string& text, const exaconf::Config&) {
  for (const std::string& type : base::split_list(text))
    if (type != "local" && type != "remote") return "'" + type + "' is none of local, remote";
  return std::nullopt;
}

std::optional<std::string> remote_volume(std::string& text, const exaconf::Config& config) {
  if (text.empty() || text == "None") return std::nullopt;
  const std::vector<std::string> volumes = config.ids("RemoteVolume");
  if (std::find(volumes.begin(), volumes.end(), text) != volumes.end()) return std::nullopt;
  return "remote volume '" + text + "' does not exist";
}

constexpr Rule kRules[] = {
    {"Global", "SSHPort", &port},
    {"Global", "XMLRPCPort", &port},
    {"Global", "WebUIBackendPort", &port},
    {"Global", "WebUIDomain", &domain},
    {"Global", "EnableLoadBalancer", &boolean},
    {"Global", "Networks", &networks},
    {"Global", "NameServers", &addresses},
    {"Global", "SearchDomains", &domains},
    {"Global", "LicenseRAWMEMWarnThreshold", &percent},
    {"Global", "Hugepages", &hugepages},
    {"Global", "IssueTracker", &issue_tracker},
    {"Global", "StorageConnectionThreads", &positive},
    {"Global", "StorageMaxConnections", &positive},
    {"Global", "ExaMonitorUserName", &any_text},
    {"Global", "ExaMonitorUserPassword", &any_text},
    {"Logging", "LogRotationTypes", &rotation_types},
    {"Logging", "RemoteLogRotationVolume", &remote_volume},
    {"Logging", "RemoteLogRotationPrefix", &any_text},
};

const Rule* find_rule(std::string_view section, std::string_view key) {
  for (const Rule& rule : kRules)
    if (rule.section == section && rule.key == key) return &rule;
  return nullptr;
}

base::Error refused(std::string_view section, std::string_view key, const std::string& why) {
  return {base::Code::bad_parameter, "parameter 'changes': " + std::string(section) +
                                         (key.empty() ? "" : ".") + std::string(key) + " " + why};
}

// A scalar, or a list of scalars joined with commas, as text; nothing for other values.
std::optional<std::string> to_text(const base::Value& value, bool inside_list = false) {
  switch (value.type()) {
    case base::Value::Type::string:
      if (inside_list && value.as_string().find(',') != std::string::npos) return std::nullopt;
      return std::string(base::trim(value.as_string()));
    case base::Value::Type::integer:
      return std::to_string(value.as_int());
    case base::Value::Type::boolean:
      return value.as_bool() ? "True" : "False";
    case base::Value::Type::array: {
      if (inside_list) return std::nullopt;
      std::vector<std::string> items;
      for (const base::Value& item : value.as_array()) {
        auto text = to_text(item, true);
        if (!text) return std::nullopt;
        items.push_back(std::move(*text));
      }
      return base::join(items, ", ");
    }
    default:
      return std::nullopt;
  }
}

constexpr std::size_t kLongestValue = 4096;

bool is_one_line(std::string_view text) {
  return text.size() <= kLongestValue &&
         std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20; });
}

}  // namespace

base::Result<std::vector<SettingChange>> checked_changes(const base::Struct& changes,
                                                         const exaconf::Config& config) {
  std::vector<SettingChange> checked;
  for (const auto& [section, keys] : changes) {
    if (!keys.is_struct())
      return refused(section, {}, "must be a struct of keys and values, such as {Global: {Hugepages: auto}}");
    for (const auto& [key, value] : keys.as_struct()) {
      const Rule* rule = find_rule(section, key);
      if (rule == nullptr)
        return refused(section, key, "can't be changed; " + changeable_settings() + " can");
      auto text = to_text(value);
      if (!text || !is_one_line(*text))
        return refused(section, key,
                       "must be one line of text (4 KiB at most), a number, a boolean or a list of these");
      if (auto problem = rule->check(*text, config)) return refused(section, key, *problem);
      if (config.section(section) == nullptr)
        return base::Error{base::Code::not_found, "EXAConf has no section [" + section + "]"};
      checked.push_back({section, key, std::move(*text)});
    }
  }
  if (checked.empty())
    return base::Error{base::Code::bad_parameter, "parameter 'changes': names no setting to change"};
  return checked;
}

std::string changeable_settings() {
  std::string text;
  std::string_view section;
  for (const Rule& rule : kRules) {
    if (rule.section != section)
      text += (text.empty() ? "" : "; ") + std::string(rule.section) + ": " + std::string(rule.key);
    else
      text += ", " + std::string(rule.key);
    section = rule.section;
  }
  return text;
}

}  // namespace confd::jobs
