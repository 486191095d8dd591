#include "storage/remote_volume.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;

namespace {

Error bad(const std::string& why) {
  return {Code::bad_parameter, "the options of the volume: " + why};
}

constexpr std::pair<std::string_view, bool RemoteOptions::*> kFlags[] = {
    {"cleanvolume", &RemoteOptions::clean_volume}, {"nocompression", &RemoteOptions::no_compression},
    {"verbose", &RemoteOptions::verbose},          {"noverifypeer", &RemoteOptions::no_verify_peer},
    {"noresume", &RemoteOptions::no_resume},       {"forcessl", &RemoteOptions::force_tls},
    {"earlytls", &RemoteOptions::early_tls},
};
constexpr std::pair<std::string_view, std::string RemoteOptions::*> kTexts[] = {
    {"user", &RemoteOptions::user},         {"delegation_token", &RemoteOptions::delegation_token},
    {"proxy", &RemoteOptions::proxy},       {"scheme", &RemoteOptions::scheme},
    {"endpoint", &RemoteOptions::endpoint},
};
// They name the type, as was needed before there was vol_type.
constexpr std::array<std::string_view, 3> kTypes = {"webdav", "webhdfs", "s3"};

constexpr std::int64_t kLongestTimeout = 24 * 3600;

base::Status check(const RemoteOptions& options) {
  if (!options.scheme.empty() && options.scheme != "http" && options.scheme != "https")
    return bad("scheme= must be http or https");
  if (!options.proxy.empty() && !options.proxy.starts_with("http://") &&
      !options.proxy.starts_with("https://"))
    return bad("proxy= must be http://HOST:PORT");
  return {};
}

}  // namespace

Result<RemoteOptions> parse_remote_options(std::string_view text) {
  RemoteOptions options;
  for (const std::string& option : base::split_list(text)) {
    const std::size_t sign = option.find('=');
    const std::string name(base::trim(std::string_view(option).substr(0, sign)));
    const bool has_value = sign != std::string::npos;
    const std::string value(has_value ? base::trim(std::string_view(option).substr(sign + 1)) : "");
    const auto flag = std::find_if(std::begin(kFlags), std::end(kFlags),
                                   [&](const auto& each) { return each.first == name; });
    const auto named = std::find_if(std::begin(kTexts), std::end(kTexts),
                                    [&](const auto& each) { return each.first == name; });
    if (flag != std::end(kFlags)) {
      if (has_value) return bad("'" + name + "' takes no value");
      options.*(flag->second) = true;
    } else if (named != std::end(kTexts)) {
      if (value.empty()) return bad("'" + name + "' needs a value: " + name + "=VALUE");
      options.*(named->second) = value;
    } else if (name == "timeout") {
      const auto seconds = base::parse_int(value);
      if (!seconds || *seconds < 1 || *seconds > kLongestTimeout)
        return bad("timeout= must be a number of seconds from 1 to 86400, not '" + value + "'");
      options.timeout = options.transfer_timeout = std::chrono::seconds(*seconds);
    } else if (std::find(kTypes.begin(), kTypes.end(), name) == kTypes.end()) {
      options.ignored.push_back(name);
    }
  }
  if (base::Status fine = check(options); !fine) return fine.error();
  return options;
}

std::string clear_password(std::string_view stored) {
  const auto decoded = base::base64_decode(stored);
  return decoded ? *decoded : std::string(stored);
}

Result<RemoteVolume> find_remote_volume(const exaconf::Config& config, std::string_view name) {
  const exaconf::Section* section = config.section("RemoteVolume", name);
  if (section == nullptr)
    return Error{Code::not_found,
                 "remote volume '" + std::string(name) + "' does not exist; see remote_volume_list"};
  const std::string heading = "EXAConf, [" + section->name + "]: ";
  RemoteVolume volume;
  volume.name = name;
  const auto type = parse_remote_type(section->value_or("Type", ""));
  if (!type) return Error{Code::invalid_config, heading + "Type: " + type.error().text};
  volume.type = *type;
  volume.id = base::parse_int(section->value_or("ID", "")).value_or(0);
  volume.url = section->value_or("URL", "");
  if (volume.url.empty()) return Error{Code::invalid_config, heading + "URL is missing"};
  volume.owner = exaconf::parse_owner(section->value_or("Owner", "")).value_or(exaconf::Owner());
  volume.username = section->value_or("Username", "");
  volume.password = clear_password(section->value_or("Passwd", ""));
  volume.labels = base::split_list(section->value_or("Labels", ""));
  volume.options = section->value_or("Options", "");
  return volume;
}

base::Struct to_params(const RemoteVolume& volume) {
  return {{"name", volume.name},         {"type", remote_type_name(volume.type)},
          {"url", volume.url},           {"username", volume.username},
          {"password", volume.password}, {"options", volume.options}};
}

Result<RemoteVolume> remote_volume_of(const base::Struct& params) {
  RemoteVolume volume;
  const std::pair<const char*, std::string*> texts[] = {{"name", &volume.name},
                                                        {"url", &volume.url},
                                                        {"username", &volume.username},
                                                        {"password", &volume.password},
                                                        {"options", &volume.options}};
  for (const auto& [name, text] : texts) {
    const base::Value* value = params.find(name);
    if (value == nullptr || !value->is_string())
      return Error{Code::bad_parameter, std::string("a remote volume needs a text ") + name};
    *text = value->as_string();
  }
  const base::Value* type = params.find("type");
  if (type == nullptr || !type->is_string())
    return Error{Code::bad_parameter, "a remote volume needs a type"};
  const auto known = parse_remote_type(type->as_string());
  if (!known) return known.error();
  volume.type = *known;
  return volume;
}

}  // namespace confd::storage
