// Commands on nodes, their disks and devices.
#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "daemon/exaconf/command.h"
#include "exaconf/secrets.h"

namespace confd::exaconf_program {
namespace {

using exaconf::Section;
using Kind = Option::Kind;

constexpr Option kNode{'n', "node-id", "id of the node", true};
constexpr Option kDisk{'D', "disk", "name of the disk", true};

std::string node_section(const std::string& id) {
  return "Node : " + id;
}
std::string disk_section(const std::string& id, const std::string& disk) {
  return node_section(id) + "/Disk : " + disk;
}

const Section& require_node(Edit& edit, const Arguments& arguments) {
  return edit.require("Node", arguments.get("node-id"), "node");
}

const Section& require_disk(Edit& edit, const Arguments& arguments) {
  const std::string& disk = arguments.get("disk");
  for (const Section& section : require_node(edit, arguments).sections)
    if (exaconf::same_heading(section.name, "Disk : " + disk)) return section;
  throw Failure("node '" + arguments.get("node-id") + "' has no disk '" + disk + "'");
}

std::string checked_net(const std::string& text, int node_id) {
  const auto net = exaconf::parse_network(text, node_id);
  if (!net) throw Failure("'" + text + "' is not an address with a prefix such as 10.0.0.11/24");
  return exaconf::format_network(*net);
}

bool has_public_network(const exaconf::Config& config) {
  const std::string* networks = config.get("Global", "Networks");
  const auto names = base::split_list(networks ? *networks : "");
  return std::find(names.begin(), names.end(), "public") != names.end();
}

bool is_docker(const exaconf::Config& config) {
  const std::string* platform = config.get("Global", "Platform");
  return platform && base::equals_ignoring_case(*platform, "docker");
}

// What a new node of a Docker cluster exposes: database and BucketFS ports, moved by the node's id.
std::string exposed_ports(const exaconf::Config& config, int id) {
  exaconf::PairList pairs;
  const auto add = [&](const char* kind, const char* key) {
    for (const std::string& name : config.ids(kind)) {
      const auto port = base::parse_int(config.section(kind, name)->value_or(key, ""));
      if (port && *port > 0) pairs.emplace_back(std::to_string(*port), std::to_string(*port + id));
    }
  };
  add("DB", "Port");
  add("BucketFS", "HttpPort");
  add("BucketFS", "HttpsPort");
  return exaconf::format_pair_list(pairs);
}

constexpr Option kAddNode[] = {
    {'p', "priv-net", "private address and prefix, such as 10.0.0.12/24; x stands for the node id", true},
    {'P', "pub-net", "public address and prefix"},
    {'n', "node-id", "id of the node; default: the highest + 1"},
};
void add_node(Edit& edit, const Arguments& arguments) {
  const auto& nodes = edit.config().nodes();
  const int next = nodes.empty() ? 11 : std::max(11, nodes.rbegin()->first + 1);
  const int id = static_cast<int>(arguments.integer("node-id", 10, 999'999).value_or(next));
  if (nodes.contains(id)) throw Failure("node '" + std::to_string(id) + "' exists");
  if (has_public_network(edit.config()) && !arguments.has("pub-net"))
    throw Failure("the cluster has a public network: --pub-net is needed");
  const std::string number = std::to_string(id);
  const std::string section = node_section(number);
  edit.add(section);
  edit.set(section, "PrivateNet", checked_net(arguments.get("priv-net"), id));
  edit.set(section, "PublicNet", arguments.has("pub-net") ? checked_net(arguments.get("pub-net"), id) : "");
  edit.set(section, "Name", "n" + number);
  edit.set(section, "Affinity", number);
  edit.set(section, "UUID", exaconf::new_node_uuid(base::system_random()));
  if (is_docker(edit.config())) {
    edit.set(section, "DockerVolume", "n" + number);
    edit.set(section, "ExposedPorts", exposed_ports(edit.config(), id));
  }
  edit.say("added node " + number);
}

constexpr Option kModifyNode[] = {
    kNode,
    {'p', "priv-net", "new private address and prefix"},
    {'P', "pub-net", "new public address and prefix"},
    {'i', "priv-ip", "new private address, the prefix stays"},
    {'I', "pub-ip", "new public address, the prefix stays"},
};
void modify_net(Edit& edit, const Arguments& arguments, const char* key, const char* net, const char* ip) {
  if (arguments.has(net) && arguments.has(ip))
    throw UsageError("--" + std::string(net) + " and --" + ip + " can't be used together");
  const std::string& id = arguments.get("node-id");
  const int number = static_cast<int>(base::parse_int(id).value_or(0));
  if (arguments.has(net)) edit.set(node_section(id), key, checked_net(arguments.get(net), number));
  if (!arguments.has(ip)) return;
  const auto old = exaconf::parse_network(require_node(edit, arguments).value_or(key, ""), number);
  if (!old) throw Failure("node '" + id + "' has no " + key + " whose prefix could stay: use --" + net);
  auto address = exaconf::parse_network(arguments.get(ip), number);
  if (!address || arguments.get(ip).find('/') != std::string::npos)
    throw Failure("'" + arguments.get(ip) + "' is not an address");
  if (address->is_ipv6 != old->is_ipv6)
    throw Failure("'" + arguments.get(ip) + "' is of the other address family: use --" + net);
  address->prefix = old->prefix;
  edit.set(node_section(id), key, exaconf::format_network(*address));
}
void modify_node(Edit& edit, const Arguments& arguments) {
  (void)require_node(edit, arguments);
  modify_net(edit, arguments, "PrivateNet", "priv-net", "priv-ip");
  modify_net(edit, arguments, "PublicNet", "pub-net", "pub-ip");
}

constexpr Option kRemoveNode[] = {
    kNode, {'f', "force", "even when a volume or database uses it", false, Kind::flag}};
void remove_node(Edit& edit, const Arguments& arguments) {
  (void)require_node(edit, arguments);
  const std::string& id = arguments.get("node-id");
  const auto number = base::parse_int(id);
  if (!arguments.has("force")) {
    for (const char* kind : {"EXAVolume", "DB"})
      for (const std::string& name : edit.config().ids(kind)) {
        const auto nodes = exaconf::parse_node_list(edit.config().section(kind, name)->value_or("Nodes", ""));
        if (nodes && number && std::find(nodes->begin(), nodes->end(), *number) != nodes->end())
          throw Failure("node '" + id + "' is used by " + (kind[0] == 'D' ? "database '" : "volume '") +
                        name + "'; --force removes it nevertheless");
      }
  }
  edit.remove(node_section(id));
  edit.say("removed node " + id);
}

constexpr Option kAddDisk[] = {
    kNode,
    kDisk,
    {'c', "component", "exastorage, db or swap (default exastorage)"},
    {'d', "devices", "comma list of devices, such as dev.1,dev.2"},
    {'r', "drives", "comma list of drive ids"},
    {'O', "overwrite-existing", "replace a disk of that name", false, Kind::flag},
};
void add_node_disk(Edit& edit, const Arguments& arguments) {
  const std::string& id = arguments.get("node-id");
  const std::string disk = checked_name("disk", arguments.get("disk"));
  const std::string component = arguments.get_or("component", "exastorage");
  if (component != "exastorage" && component != "db" && component != "swap")
    throw Failure("component '" + component + "' is none of exastorage, db, swap");
  for (const Section& section : require_node(edit, arguments).sections) {
    if (!exaconf::same_heading(section.name, "Disk : " + disk)) continue;
    if (!arguments.has("overwrite-existing"))
      throw Failure("node '" + id + "' has a disk '" + disk + "'; --overwrite-existing replaces it");
    edit.remove(disk_section(id, disk));
    break;
  }
  const std::string section = disk_section(id, disk);
  edit.add(section);
  edit.set(section, "Component", component);
  edit.set(section, "Devices", base::join(base::split_list(arguments.get_or("devices", "")), ", "));
  if (arguments.has("drives"))
    edit.set(section, "Drives", base::join(base::split_list(arguments.get("drives")), ", "));
}

constexpr Option kRemoveDisk[] = {kNode, kDisk};
void remove_node_disk(Edit& edit, const Arguments& arguments) {
  (void)require_disk(edit, arguments);
  const std::string& id = arguments.get("node-id");
  const auto number = base::parse_int(id);
  for (const std::string& name : edit.config().ids("EXAVolume")) {
    const Section& volume = *edit.config().section("EXAVolume", name);
    const auto nodes = exaconf::parse_node_list(volume.value_or("Nodes", ""));
    const bool here = nodes && number && std::find(nodes->begin(), nodes->end(), *number) != nodes->end();
    if (here && volume.value_or("Disk", "") == arguments.get("disk"))
      throw Failure("disk '" + arguments.get("disk") + "' is used by volume '" + name + "'");
  }
  edit.remove(disk_section(id, arguments.get("disk")));
}

constexpr Option kAddDevice[] = {
    kNode,
    kDisk,
    {'d', "device", "name of the device, such as dev.2", true},
    {'p', "path", "folder on the host that holds it (Docker; written to Mapping)"},
};
void add_node_device(Edit& edit, const Arguments& arguments) {
  const Section& disk = require_disk(edit, arguments);
  const std::string device = base::join(base::split_list(arguments.get("device")), ", ");
  if (device.empty()) throw UsageError("--device is empty");
  const std::string section = disk_section(arguments.get("node-id"), arguments.get("disk"));
  auto devices = base::split_list(disk.value_or("Devices", ""));
  auto mapping = disk.value_or("Mapping", "");
  devices.push_back(device);
  edit.set(section, "Devices", base::join(devices, ", "));
  if (arguments.has("path"))
    edit.set(section, "Mapping",
             (mapping.empty() ? "" : mapping + ", ") + device + ":" + arguments.get("path"));
}

constexpr Option kRemoveDevice[] = {kNode, kDisk, {'d', "device", "name of the device", true}};
void remove_node_device(Edit& edit, const Arguments& arguments) {
  const Section& disk = require_disk(edit, arguments);
  const std::string& device = arguments.get("device");
  const std::string section = disk_section(arguments.get("node-id"), arguments.get("disk"));
  auto devices = base::split_list(disk.value_or("Devices", ""));
  auto mapping = exaconf::parse_pair_list(disk.value_or("Mapping", "")).value_or(exaconf::PairList{});
  const bool mapped = disk.find("Mapping") != nullptr;
  if (std::erase(devices, device) == 0)
    throw Failure("disk '" + arguments.get("disk") + "' has no device '" + device + "'");
  std::erase_if(mapping, [&](const auto& pair) { return pair.first == device; });
  edit.set(section, "Devices", base::join(devices, ", "));
  if (mapped) edit.set(section, "Mapping", exaconf::format_pair_list(mapping));
}

constexpr Command kCommands[] = {
    {"add-node", "Add a node", kAddNode, &add_node},
    {"modify-node", "Change the addresses of a node", kModifyNode, &modify_node},
    {"remove-node", "Remove a node that nothing uses", kRemoveNode, &remove_node},
    {"add-node-disk", "Add a disk to a node", kAddDisk, &add_node_disk},
    {"remove-node-disk", "Remove a disk that no volume uses", kRemoveDisk, &remove_node_disk},
    {"add-node-device", "Add a device to a disk of a node", kAddDevice, &add_node_device},
    {"remove-node-device", "Remove a device from a disk of a node", kRemoveDevice, &remove_node_device},
};

}  // namespace

std::span<const Command> node_commands() {
  return kCommands;
}

}  // namespace confd::exaconf_program
