#include "exaconf/config.h"

#include <algorithm>
#include <atomic>

#include "base/text.h"
#include "exaconf/validator.h"
#include "exaconf/value_types.h"

namespace confd::exaconf {
namespace {

base::Error invalid(const std::vector<Problem>& problems) {
  return {base::Code::invalid_config, "EXAConf: " + render_problems(problems)};
}

Group read_group(const Section& section) {
  return {section.name, base::parse_int(section.value_or("ID", "")).value_or(-1)};
}

User read_user(const Section& section) {
  User user;
  user.name = section.name;
  user.id = base::parse_int(section.value_or("ID", "")).value_or(-1);
  user.group = section.value_or("Group", "");
  if (const std::string* groups = section.find("AdditionalGroups"); groups && !is_unset(*groups))
    user.additional_groups = base::split_list(*groups);
  if (const std::string* keys = section.find("AuthorizedKeys"); keys && !is_unset(*keys))
    user.authorized_keys = base::split_list(*keys);
  user.login_enabled = parse_bool(section.value_or("LoginEnabled", "")).value_or(false);
  user.passwd = section.value_or("Passwd", "");
  return user;
}

Node read_node(const Section& section, int id) {
  Node node;
  node.id = id;
  node.name = section.value_or("Name", "");
  if (const auto net = parse_network(section.value_or("PrivateNet", ""), id)) {
    node.private_net = format_network(*net);
    node.private_ip = net->address;
  }
  if (const auto net = parse_network(section.value_or("PublicNet", ""), id)) {
    node.public_net = format_network(*net);
    node.public_ip = net->address;
  }
  node.uuid = section.value_or("UUID", "");
  if (const std::string* state = section.find("State"); state && !is_unset(*state))
    node.state = base::to_lower(*state);
  node.affinity = static_cast<int>(base::parse_int(section.value_or("Affinity", "")).value_or(id));
  return node;
}

}  // namespace

Config::Config()
    : serial_([] {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
      }()) {}

base::Result<std::shared_ptr<const Config>> Config::load(std::string_view text) {
  Document::Parsed parsed = Document::parse_collecting(text);
  if (!parsed.problems.empty()) return invalid(parsed.problems);
  // The documented text stands alone: operators look for it.
  if (integrity_of(parsed.document) == Integrity::differs)
    return base::Error{base::Code::invalid_config, integrity_problem(parsed.document).text};
  return from_document(std::move(parsed.document));
}

base::Result<std::shared_ptr<const Config>> Config::from_document(Document document) {
  if (const auto problems = validate(document); !problems.empty()) return invalid(problems);
  const std::shared_ptr<Config> config(new Config);
  config->document_ = std::move(document);
  const Document& read = config->document_;
  config->text_ = read.text();
  const Section& global = *read.root.section("Global");
  config->revision_ = base::parse_int(global.value_or("Revision", "")).value_or(0);
  config->checksum_ = global.value_or("Checksum", "NONE");
  if (const Section* groups = read.root.section("Groups"))
    for (const Section& group : groups->sections) config->groups_.emplace(group.name, read_group(group));
  if (const Section* users = read.root.section("Users"))
    for (const Section& user : users->sections) config->users_.emplace(user.name, read_user(user));
  for (const Section& section : read.root.sections) {
    if (section.name.find(':') == std::string::npos) continue;
    const Heading heading = section.heading();
    if (heading.kind != "Node") continue;
    if (const auto id = base::parse_int(heading.id))
      config->nodes_.emplace(static_cast<int>(*id), read_node(section, static_cast<int>(*id)));
  }
  return std::shared_ptr<const Config>(config);
}

const std::string* Config::get(std::string_view section_name, std::string_view key) const {
  const Section* found = document_.find(section_name);
  return found ? found->find(key) : nullptr;
}

const User* Config::user(std::string_view name) const {
  const auto at = users_.find(name);
  return at == users_.end() ? nullptr : &at->second;
}

const User* Config::user_by_id(std::int64_t id) const {
  const auto at =
      std::find_if(users_.begin(), users_.end(), [&](const auto& u) { return u.second.id == id; });
  return at == users_.end() ? nullptr : &at->second;
}

const Group* Config::group(std::string_view name) const {
  const auto at = groups_.find(name);
  return at == groups_.end() ? nullptr : &at->second;
}

const Group* Config::group_by_id(std::int64_t id) const {
  const auto at =
      std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g.second.id == id; });
  return at == groups_.end() ? nullptr : &at->second;
}

std::vector<std::string> Config::groups_of(std::string_view user_name) const {
  const User* found = user(user_name);
  if (!found) return {};
  std::vector<std::string> names;
  if (!found->group.empty()) names.push_back(found->group);
  for (const std::string& name : found->additional_groups)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

std::vector<std::string> Config::ids(std::string_view kind) const {
  std::vector<std::string> found;
  for (const Section& section : document_.root.sections) {
    if (!section.name.starts_with(kind.substr(0, 1)) && !section.name.starts_with(' ')) continue;
    const Heading heading = section.heading();
    if (heading.kind == kind && !heading.id.empty()) found.push_back(heading.id);
  }
  return found;
}

const Section* Config::section(std::string_view kind, std::string_view id) const {
  if (id.empty()) return document_.root.section(kind);
  return document_.find(heading_name(kind, id));
}

int Config::xmlrpc_port() const {
  const std::string* port = get("Global", "XMLRPCPort");
  return port && !is_unset(*port) ? static_cast<int>(base::parse_int(*port).value_or(443)) : 443;
}

}  // namespace confd::exaconf
