#include "jobs/new_node.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/text.h"
#include "exaconf/secrets.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

constexpr int kFirstId = 11;  // 0 to 10 are reserved (spec/exaconf.md §7 "node id")
constexpr int kLastId = 1'000'000;
constexpr std::size_t kLongestName = 63;
constexpr std::string_view kComponents[] = {"exastorage", "db", "swap"};

[[noreturn]] void refuse(const std::string& why) {
  throw JobError{base::Code::bad_parameter, why};
}

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  return !text.empty() && text.size() <= kLongestName && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
         });
}

bool is_uuid(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
         });
}

// Items of a list in EXAConf are joined by commas, and '#' begins a comment.
std::string list_text(const std::string& what, const base::Value& value) {
  if (!value.is_array()) refuse(what + " must be a list of texts");
  std::vector<std::string> items;
  for (const base::Value& item : value.as_array()) {
    if (!item.is_string() || base::trim(item.as_string()).empty() ||
        item.as_string().find_first_of(",#\"'\n") != std::string::npos)
      refuse(what + ": each item must be a text without commas, '#', quotes and line breaks");
    items.emplace_back(base::trim(item.as_string()));
  }
  return base::join(items, ", ");
}

NewDisk disk_from(const base::Struct& given) {
  NewDisk disk;
  const base::Value* name = given.find("name");
  if (name == nullptr || !name->is_string() || !is_name(name->as_string()))
    refuse("parameter 'disks': a disk needs a name such as disk1");
  disk.name = name->as_string();
  const std::string what = "parameter 'disks': disk '" + disk.name + "': ";
  std::string component = "exastorage";
  Settings rest;
  for (const auto& [key, value] : given) {
    if (key == "component") {
      if (!value.is_string() || std::find(std::begin(kComponents), std::end(kComponents),
                                          value.as_string()) == std::end(kComponents))
        refuse(what + "component must be exastorage, db or swap");
      component = value.as_string();
    } else if (key == "devices") {
      rest.emplace_back("Devices", list_text(what + "devices", value));
    } else if (key == "drives") {
      rest.emplace_back("Drives", list_text(what + "drives", value));
    } else if (key == "mapping") {
      rest.emplace_back("Mapping", list_text(what + "mapping", value));
    } else if (key == "direct_io" || key == "ephemeral") {
      if (!value.is_bool()) refuse(what + key + " must be true or false");
      // Both are written only when they are not the default.
      if (key == "direct_io" && !value.as_bool()) rest.emplace_back("DirectIO", "False");
      if (key == "ephemeral" && value.as_bool()) rest.emplace_back("Ephemeral", "True");
    } else if (key != "name") {
      refuse(what + "'" + key +
             "' is not known; name, component, devices, drives, mapping, direct_io and ephemeral are");
    }
  }
  if (given.find("devices") == nullptr && given.find("drives") == nullptr)
    refuse(what + "devices or drives must be given");
  disk.settings.emplace_back("Component", component);
  disk.settings.insert(disk.settings.end(), rest.begin(), rest.end());
  return disk;
}

Settings settings_of(const exaconf::Section& section) {
  Settings settings;
  for (const exaconf::Entry& entry : section.entries) settings.emplace_back(entry.key, entry.value);
  return settings;
}

// As on the other nodes: the same container ports, each on the host at its number plus the node id
// (spec/exaconf.md §8 ExposedPorts).
std::string exposed_ports(const exaconf::Config& config, int id) {
  for (const auto& [other, node] : config.nodes()) {
    const exaconf::Section* section = config.section("Node", std::to_string(other));
    const auto pairs =
        section == nullptr ? std::nullopt : exaconf::parse_pair_list(section->value_or("ExposedPorts", ""));
    if (!pairs || pairs->empty()) continue;
    exaconf::PairList own;
    for (const auto& [inside, outside] : *pairs)
      if (const auto port = base::parse_int(inside); port && *port + id <= 65535)
        own.emplace_back(inside, std::to_string(*port + id));
    return exaconf::format_pair_list(own);
  }
  return {};
}

}  // namespace

std::vector<NewDisk> default_disks() {
  return {{"disk1", {{"Component", "exastorage"}, {"Devices", "dev.1"}}}};
}

std::vector<NewDisk> disks_of(const exaconf::Section& node) {
  std::vector<NewDisk> disks;
  for (const exaconf::Section& section : node.sections)
    if (section.heading().kind == "Disk") disks.push_back({section.heading().id, settings_of(section)});
  return disks;
}

std::vector<NewDisk> given_disks(const base::Array& items, const exaconf::Section& source) {
  std::vector<NewDisk> disks;
  const std::vector<NewDisk> known = disks_of(source);
  for (const base::Value& item : items) {
    if (item.is_struct()) {
      disks.push_back(disk_from(item.as_struct()));
    } else {
      const auto it = std::find_if(known.begin(), known.end(), [&](const NewDisk& disk) {
        return item.is_string() && disk.name == item.as_string();
      });
      if (it == known.end())
        refuse(
            "parameter 'disks': each item must be a disk as node_list shows it, or the name of a disk of [" +
            source.name + "]");
      disks.push_back(*it);
    }
    for (std::size_t i = 0; i + 1 < disks.size(); ++i)
      if (disks[i].name == disks.back().name)
        refuse("parameter 'disks': there are two disks '" + disks.back().name + "'");
  }
  return disks;
}

void check_cluster(JobContext& context) {
  if (!context.services().members.is_cluster())
    throw JobError{base::Code::unsupported,
                   "nodes can't be added: EXAConf is kept on this node alone (`cluster: store: local`); name "
                   "another store in etc/confd.yaml and start confd again"};
}

NodeRoll::NodeRoll(const exaconf::Config& config) : ids_{kFirstId - 1} {
  const std::string* networks = config.get("Global", "Networks");
  for (const std::string& network : base::split_list(networks == nullptr ? "" : *networks))
    if (network == "public") needs_public_ = true;
  for (const auto& [id, node] : config.nodes()) {
    ids_.insert(id);
    names_.insert(node.name);
    uuids_.insert(node.uuid);
    for (const NetKind kind : {NetKind::private_net, NetKind::public_net})
      if (const auto net = net_of(node, kind)) addresses_.note(*net, "node " + std::to_string(id));
  }
}

void NodeRoll::add(const NewNode& node) {
  const std::string id = std::to_string(node.id);
  if (node.id < kFirstId || node.id > kLastId)
    refuse("node id " + id + ": ids are between " + std::to_string(kFirstId) + " and " +
           std::to_string(kLastId));
  if (!ids_.insert(node.id).second)
    throw JobError{base::Code::exists, "node " + id + " exists already; see node_list"};
  if (!is_name(node.name))
    refuse("node " + id + ": '" + node.name +
           "' is no name: a letter, then letters, digits, '.', '_' or '-' are allowed, 63 in all");
  if (!names_.insert(node.name).second)
    throw JobError{base::Code::exists,
                   "node " + id + ": the name '" + node.name + "' is taken; see node_list"};
  if (!node.uuid.empty() && !is_uuid(node.uuid))
    refuse("node " + id + ": the UUID must be 40 upper-case hex digits");
  if (!node.uuid.empty() && !uuids_.insert(node.uuid).second)
    throw JobError{base::Code::exists, "node " + id + ": the UUID " + node.uuid + " is taken; see node_list"};
  if (needs_public_ && !node.public_net)
    refuse("node " + id + ": a public address is needed, since Networks in [Global] lists public");
  addresses_.add(node.private_net, "node " + id);
  if (node.public_net) addresses_.add(*node.public_net, "node " + id);
}

void write_node(JobContext& context, const NewNode& node) {
  const exaconf::Config& config = context.config();
  const std::string id = std::to_string(node.id);
  const std::string section = "Node : " + id;
  exaconf::Transaction& edits = context.transaction();
  or_throw(edits.add_section(section, {""}));
  const auto set = [&](std::string_view key, std::string_view value) {
    or_throw(edits.set(section, key, value));
  };
  set("PrivateNet", format_network(node.private_net));
  set("PublicNet", node.public_net ? format_network(*node.public_net) : "");
  set("Name", node.name);
  set("Affinity", id);
  set("UUID", node.uuid.empty() ? exaconf::new_node_uuid(context.services().random) : node.uuid);
  const std::string* platform = config.get("Global", "Platform");
  if (platform != nullptr && base::equals_ignoring_case(*platform, "docker")) {
    set("DockerVolume", "n" + id);
    if (const std::string ports = exposed_ports(config, node.id); !ports.empty()) set("ExposedPorts", ports);
  }
  for (const auto& [key, value] : node.settings) set(key, value);
  if (!node.offline) set("State", "suspended");
  for (const NewDisk& disk : node.disks) {
    const std::string inner = section + "/Disk : " + disk.name;
    or_throw(edits.add_section(inner));
    for (const auto& [key, value] : disk.settings) or_throw(edits.set(inner, key, value));
  }
}

}  // namespace confd::jobs
