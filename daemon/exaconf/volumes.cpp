// Commands on volumes, remote volumes and the storage settings.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "daemon/exaconf/command.h"
#include "exaconf/secrets.h"

namespace confd::exaconf_program {
namespace {

using exaconf::Section;
using Kind = Option::Kind;

constexpr std::int64_t kMost = 1'000'000'000;

// EXAVolume, ObjectVolume and RemoteVolume share one name space (spec §5).
void check_volume_name(const Edit& edit, const std::string& name) {
  (void)checked_name("volume", name);
  for (const char* kind : {"EXAVolume", "ObjectVolume", "RemoteVolume"})
    if (edit.find(kind, name))
      throw Failure("a volume '" + name + "' exists ([" + kind + " : " + name + "])");
}

void check_disk(const exaconf::Config& config, const std::string& disk, const std::string& nodes) {
  for (const std::string& id : base::split_list(nodes)) {
    const auto& disks = config.section("Node", id)->sections;
    if (std::none_of(disks.begin(), disks.end(),
                     [&](const Section& s) { return exaconf::same_heading(s.name, "Disk : " + disk); }))
      throw Failure("node '" + id + "' has no disk '" + disk + "'");
  }
}

void check_counts(std::int64_t masters, std::int64_t redundancy, const std::string& nodes) {
  const auto count = static_cast<std::int64_t>(base::split_list(nodes).size());
  if (masters > count)
    throw Failure(std::to_string(masters) + " master nodes, but the volume has " + std::to_string(count) +
                  " nodes");
  if (redundancy > count)
    throw Failure("redundancy " + std::to_string(redundancy) + " needs as many nodes, but the volume has " +
                  std::to_string(count));
}

std::string labels(const Arguments& arguments) {
  return base::join(base::split_list(arguments.get("labels")), ", ");
}

// No database keeps its data in the volume.
void check_volume_unused(const exaconf::Config& config, const std::string& name) {
  for (const std::string& database : config.ids("DB")) {
    const Section& section = *config.section("DB", database);
    for (const char* key :
         {"DataVolume", "CloudDataVolume", "SnapshotVolume", "CloudDataVolumeSync", "SnapshotVolumeSync"})
      if (section.value_or(key, "") == name)
        throw Failure("volume '" + name + "' is " + key + " of database '" + database +
                      "'; --force removes it nevertheless");
  }
}

constexpr Option kAddVolume[] = {
    {'n', "name", "name of the volume", true},
    {'t', "type", "data or archive", true},
    {'s', "size", "usable size, such as '4 GiB'", true},
    {'d', "disk", "disk that every node of the volume has", true},
    {'r', "redundancy", "number of copies", true},
    {'N', "nodes", "comma list of node ids, nodes for redundancy alone last", true},
    {'o', "owner", "UID:GID", true},
    {'m', "num-master-nodes", "number of master nodes; default: all"},
    {'p', "perm", "permissions; default rwx"},
    {'l', "labels", "comma list"},
    {'B', "block-size", "default 4 KiB (archive 64 KiB)"},
    {'S', "stripe-size", "default 256 KiB (archive 64 KiB)"},
};
void add_volume(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  check_volume_name(edit, name);
  const std::string type = base::to_lower(arguments.get("type"));
  if (type != "data" && type != "archive") throw Failure("type '" + type + "' is neither data nor archive");
  const bool archive = type == "archive";
  const std::string nodes = checked_nodes(edit.config(), arguments.get("nodes"));
  check_disk(edit.config(), arguments.get("disk"), nodes);
  const auto count = static_cast<std::int64_t>(base::split_list(nodes).size());
  const std::int64_t masters = arguments.integer("num-master-nodes", 1, kMost).value_or(count);
  const std::int64_t redundancy = *arguments.integer("redundancy", 1, kMost);
  check_counts(masters, redundancy, nodes);
  const std::uint64_t block = arguments.size("block-size").value_or(archive ? 64 << 10 : 4 << 10);
  const std::uint64_t stripe = arguments.size("stripe-size").value_or(archive ? 64 << 10 : 256 << 10);
  if (stripe % block != 0) throw Failure("the stripe size must be a multiple of the block size");
  const std::string permissions = arguments.get_or("perm", "rwx");
  if (permissions.empty() || permissions.find_first_not_of("rwx-") != std::string::npos)
    throw Failure("permissions '" + permissions + "' are not made of r, w, x and -");

  const std::string section = "EXAVolume : " + name;
  edit.add(section, "A volume");
  edit.set(section, "Type", type);
  edit.set(section, "Size", exaconf::format_size(*arguments.size("size")));
  edit.set(section, "Disk", arguments.get("disk"));
  edit.set(section, "Nodes", nodes);
  edit.set(section, "NumMasterNodes", std::to_string(masters));
  edit.set(section, "Redundancy", std::to_string(redundancy));
  edit.set(section, "BlockSize", exaconf::format_size(block));
  edit.set(section, "StripeSize", exaconf::format_size(stripe));
  edit.set(section, "Owner", checked_owner(edit.config(), arguments.get("owner")));
  edit.set(section, "Permissions", permissions);
  if (arguments.has("labels")) edit.set(section, "Labels", labels(arguments));
  edit.set(section, "Shared", "True");
  edit.set(section, "Priority", "10");
}

constexpr Option kModifyVolume[] = {
    {'n', "name", "name of the volume", true},
    {'o', "owner", "UID:GID"},
    {'s', "size", "usable size"},
    {'d', "disk", "disk that every node of the volume has"},
    {'N', "nodes", "comma list of node ids"},
    {'m', "num-master-nodes", "number of master nodes"},
    {'r', "redundancy", "number of copies"},
    {'l', "labels", "comma list"},
};
void modify_volume(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  const Section before = edit.require("EXAVolume", name, "volume");
  const std::string section = "EXAVolume : " + name;
  const std::string nodes = arguments.has("nodes") ? checked_nodes(edit.config(), arguments.get("nodes"))
                                                   : before.value_or("Nodes", "");
  const auto old_nodes = static_cast<std::int64_t>(base::split_list(nodes).size());
  const std::int64_t masters =
      arguments.integer("num-master-nodes", 1, kMost)
          .value_or(base::parse_int(before.value_or("NumMasterNodes", "")).value_or(old_nodes));
  const std::int64_t redundancy =
      arguments.integer("redundancy", 1, kMost)
          .value_or(base::parse_int(before.value_or("Redundancy", "")).value_or(1));
  if (arguments.has("disk") || arguments.has("nodes"))
    check_disk(edit.config(), arguments.get_or("disk", before.value_or("Disk", "")), nodes);
  check_counts(masters, redundancy, nodes);
  if (arguments.has("owner"))
    edit.set(section, "Owner", checked_owner(edit.config(), arguments.get("owner")));
  if (const auto size = arguments.size("size")) edit.set(section, "Size", exaconf::format_size(*size));
  if (arguments.has("disk")) edit.set(section, "Disk", arguments.get("disk"));
  if (arguments.has("nodes")) edit.set(section, "Nodes", nodes);
  if (arguments.has("num-master-nodes")) edit.set(section, "NumMasterNodes", std::to_string(masters));
  if (arguments.has("redundancy")) edit.set(section, "Redundancy", std::to_string(redundancy));
  if (arguments.has("labels")) edit.set(section, "Labels", labels(arguments));
}

constexpr Option kRemoveVolume[] = {
    {'n', "name", "name of the volume", true},
    {'f', "force", "even when a database uses it", false, Kind::flag},
};
void remove_kind(Edit& edit, const Arguments& arguments, const std::string& kind, const char* what) {
  const std::string& name = arguments.get("name");
  (void)edit.require(kind, name, what);
  if (!arguments.has("force")) check_volume_unused(edit.config(), name);
  edit.remove(kind + " : " + name);
}
void remove_volume(Edit& edit, const Arguments& arguments) {
  remove_kind(edit, arguments, "EXAVolume", "volume");
}
void remove_remote_volume(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  const std::string* logs = edit.config().get("Logging", "RemoteLogRotationVolume");
  if (!arguments.has("force") && logs && *logs == name)
    throw Failure("remote volume '" + name + "' takes the logs ([Logging]); --force removes it nevertheless");
  remove_kind(edit, arguments, "RemoteVolume", "remote volume");
}

constexpr Option kAddRemoteVolume[] = {
    {'n', "name", "name of the volume", true},
    {'t', "type", "s3, azure, gs, ftp, sftp, smb, webdav, webhdfs or file", true},
    {'u', "url", "where it is", true},
    {'o', "owner", "UID:GID; default 500:500"},
    {'i', "id", "number from 10000 on; default: the highest + 1"},
    {'U', "username", "login there"},
    {'P', "passwd", "password there"},
    {'f', "options", "comma list such as cleanvolume,noverifypeer,timeout=60"},
    {'l', "labels", "comma list"},
};
std::int64_t remote_volume_id(const Edit& edit, const Arguments& arguments) {
  std::int64_t highest = 10000;
  const auto wanted = arguments.integer("id", 10000, kMost);
  for (const std::string& name : edit.config().ids("RemoteVolume")) {
    const auto id = base::parse_int(edit.config().section("RemoteVolume", name)->value_or("ID", ""));
    if (!id) continue;
    if (wanted == id) throw Failure("ID " + std::to_string(*id) + " is that of remote volume '" + name + "'");
    highest = std::max(highest, *id);
  }
  return wanted.value_or(highest + 1);
}
void add_remote_volume(Edit& edit, const Arguments& arguments) {
  constexpr std::array<std::string_view, 9> kTypes = {"s3",  "azure",  "gs",      "ftp", "sftp",
                                                      "smb", "webdav", "webhdfs", "file"};
  const std::string& name = arguments.get("name");
  check_volume_name(edit, name);
  const std::string type = base::to_lower(arguments.get("type"));
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
    throw Failure("type '" + type + "' is none of s3, azure, gs, ftp, sftp, smb, webdav, webhdfs, file");
  if (arguments.get("url").empty()) throw UsageError("--url is empty");
  const std::string section = "RemoteVolume : " + name;
  edit.add(section, "A remote volume");
  edit.set(section, "Type", type);
  edit.set(section, "ID", std::to_string(remote_volume_id(edit, arguments)));
  edit.set(section, "URL", arguments.get("url"));
  edit.set(section, "Owner", checked_owner(edit.config(), arguments.get_or("owner", "500:500")));
  if (arguments.has("username")) edit.set(section, "Username", arguments.get("username"));
  if (arguments.has("passwd"))
    edit.set(section, "Passwd", exaconf::encode_base64_password(arguments.get("passwd")));
  if (arguments.has("labels")) edit.set(section, "Labels", labels(arguments));
  if (arguments.has("options")) edit.set(section, "Options", arguments.get("options"));
}

constexpr Option kStorage[] = {
    {'r', "bg-rec-enabled", "True or False: restore redundancy in the background"},
    {'l', "bg-rec-limit", "MiB/s for that; 0 = automatic"},
    {'t', "space-warn-threshold", "percent of a node's space that give a warning"},
};
void set_storage_conf(Edit& edit, const Arguments& arguments) {
  const auto enabled = arguments.boolean("bg-rec-enabled");
  const auto limit = arguments.integer("bg-rec-limit", 0, kMost);
  const auto threshold = arguments.integer("space-warn-threshold", 1, 100);
  if (!enabled && !limit && !threshold) throw UsageError("nothing to set");
  if (!edit.config().section("EXAStorage")) edit.add("EXAStorage", "Storage of the cluster");
  if (enabled) edit.set("EXAStorage", "BgRecEnabled", exaconf::format_bool(*enabled));
  if (limit) edit.set("EXAStorage", "BgRecLimit", *limit > 0 ? std::to_string(*limit) : "");
  if (threshold) edit.set("EXAStorage", "SpaceWarnThreshold", std::to_string(*threshold));
}

constexpr Command kCommands[] = {
    {"add-volume", "Add a volume", kAddVolume, &add_volume},
    {"modify-volume", "Change a volume", kModifyVolume, &modify_volume},
    {"remove-volume", "Remove a volume that no database uses", kRemoveVolume, &remove_volume},
    {"add-remote-volume", "Add a remote volume", kAddRemoteVolume, &add_remote_volume},
    {"remove-remote-volume", "Remove a remote volume", kRemoveVolume, &remove_remote_volume},
    {"set-storage-conf", "Change the settings of the storage", kStorage, &set_storage_conf},
};

}  // namespace

std::span<const Command> volume_commands() {
  return kCommands;
}

}  // namespace confd::exaconf_program
