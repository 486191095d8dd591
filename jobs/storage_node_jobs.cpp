// Jobs of storage nodes: st_node_list, st_node_get_link_speed, st_get_partition_id, st_node_suspend,
// st_node_resume, st_node_set_bg_recovery, st_node_set_bg_recovery_limit, st_node_set_space_warn_threshold
// (spec/jobs/storage.yaml).
#include <unistd.h>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"
#include "jobs/volume_view.h"

namespace confd::jobs {

using base::Code;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};
constexpr std::string_view kDatabaseAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kNoParams[] = {"{}"};
constexpr std::string_view kNidExamples[] = {R"({"nid": 11})"};
constexpr std::int64_t kMostMebibytes = 1'000'000;

constexpr Param kNid[] = {
    {.name = "nid", .types = kInt, .help = "node id", .completion = Completion::node},
};

std::string node_section(int id) {
  return "Node : " + std::to_string(id);
}

// A setting of the node, else that of [EXAStorage], else nothing.
std::string storage_setting(const exaconf::Config& config, int node, std::string_view key) {
  if (const std::string* own = config.get(node_section(node), key);
      own != nullptr && !exaconf::is_unset(*own))
    return *own;
  const std::string* global = config.get("EXAStorage", key);
  return global == nullptr || exaconf::is_unset(*global) ? std::string() : *global;
}

bool bg_recovery_enabled(const exaconf::Config& config, int node) {
  return exaconf::parse_bool(storage_setting(config, node, "BgRecEnabled")).value_or(true);
}

std::int64_t number_setting(const exaconf::Config& config, int node, std::string_view key,
                            std::int64_t otherwise) {
  return base::parse_int(storage_setting(config, node, key)).value_or(otherwise);
}

// --- st_node_list ---

// Devices of a node that does not tell: what EXAConf says of them.
base::Array configured_devices(const exaconf::Config& config, int node) {
  base::Array devices;
  for (const exaconf::Section& section : config.section("Node", std::to_string(node))->sections) {
    const exaconf::Heading heading = section.heading();
    if (heading.kind != "Disk" || section.value_or("Component", "exastorage") != "exastorage") continue;
    for (const std::string& name : base::split_list(section.value_or("Devices", "")))
      devices.push_back(base::Struct{{"name", name}, {"type", heading.id}, {"state", "OFFLINE"}});
  }
  return devices;
}

// Disks of which `threshold` percent or more are taken, as the node's own warnings say it; 0 = nobody wants
// to know.
base::Array full_disks(const storage::NodeReport& report, std::int64_t threshold) {
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> disks;  // all, free
  for (const storage::DeviceReport& device : report.devices) {
    auto& [all, free] = disks[device.disk];
    all += device.data_bytes();
    free += device.free_bytes();
  }
  base::Array full;
  for (const auto& [name, bytes] : disks) {
    const auto& [all, free] = bytes;
    const double used = all == 0 ? 0 : 100.0 * static_cast<double>(all - free) / static_cast<double>(all);
    if (threshold > 0 && used >= static_cast<double>(threshold)) full.emplace_back(name);
  }
  return full;
}

std::optional<base::Value> st_node_list(JobContext& context) {
  const auto now = look_at_storage(context);
  const exaconf::Config& config = context.config();
  base::Struct list;
  for (const auto& [id, status] : now->nodes) {
    const std::int64_t threshold = number_setting(config, id, "SpaceWarnThreshold", 90);
    base::Struct free_space;
    base::Array devices, warnings;
    if (status.report != nullptr) {
      std::map<std::string, std::uint64_t> free;
      for (const storage::DeviceReport& device : status.report->devices) {
        free[device.disk] += device.state == "ONLINE" ? device.free_bytes() : 0;
        devices.push_back(device_value(device, static_cast<int>(devices.size())));
      }
      for (const auto& [disk, bytes] : free) free_space.append(disk, exaconf::format_size(bytes));
      warnings = full_disks(*status.report, threshold);
    } else {
      devices = configured_devices(config, id);
    }
    base::Struct node{{"name", config.nodes().at(id).name},
                      {"nid", status.number},
                      {"phys_nid", id},
                      {"state", base::Value()},
                      {"hdd_free_space", std::move(free_space)},
                      {"hdds", std::move(devices)},
                      {"bg_recovery_enabled", bg_recovery_enabled(config, id)},
                      {"bg_rec_limit", number_setting(config, id, "BgRecLimit", 0)},
                      {"auto_bg_rec_limit", status.report == nullptr ? 0 : status.report->auto_bg_rec_limit},
                      {"space_warn_threshold", threshold},
                      {"space_warnings", std::move(warnings)}};
    std::string state(storage::text_of(status.state));
    for (char& c : state) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    node.set("state", std::move(state));
    list.append(std::to_string(status.number), std::move(node));
  }
  return list;
}

// --- st_node_get_link_speed, st_get_partition_id ---

void check_nid(JobContext& context) {
  known_node(context.config(), context.number("nid"));
}

std::optional<base::Value> st_node_get_link_speed(JobContext& context) {
  const exaconf::Node& node = known_node(context.config(), context.number("nid"));
  base::Array addresses;
  for (const std::string& address : {node.private_ip, node.public_ip})
    if (!address.empty()) addresses.emplace_back(address);
  const base::Struct params{{"addresses", std::move(addresses)}};
  return *context.run(node.id, "storage.link_speed", params).find("speed");
}

// Storage is part of confd here, and what the cluster OS calls a partition is a group of processes.
std::optional<base::Value> st_get_partition_id(JobContext&) {
  return base::Value(static_cast<std::int64_t>(::getpgrp()));
}

// --- st_node_suspend, st_node_resume ---

std::vector<Lock> lock_nid(const base::Struct& params) {
  std::vector<Lock> locks = node_locks(params, "nid");
  locks.push_back({LockLevel::volume, "*"});
  return locks;
}

std::vector<Lock> lock_node(const base::Struct& params) {
  return node_locks(params, "node");
}

void check_st_node_suspend(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  if (storage::is_storage_suspended(context.config(), node))
    throw JobError{Code::wrong_state, "the storage of node " + std::to_string(node) +
                                          " is suspended already; st_node_resume ends it"};
}

std::optional<base::Value> st_node_suspend(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  const auto now = look_at_storage(context);
  check_nodes_online(*now, {node}, "the storage can't be suspended");
  or_throw(context.transaction().set(node_section(node), "StorageState", "suspended"));
  return std::nullopt;
}

void check_st_node_resume(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  if (!storage::is_storage_suspended(context.config(), node))
    throw JobError{Code::wrong_state,
                   "the storage of node " + std::to_string(node) + " is not suspended; see st_node_list"};
}

std::optional<base::Value> st_node_resume(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  or_throw(context.transaction().unset(node_section(node), "StorageState"));
  return std::nullopt;
}

// --- st_node_set_bg_recovery ---

constexpr Param kBgRecoveryParams[] = {
    {.name = "node", .types = kInt, .help = "node id", .completion = Completion::node},
    {.name = "enabled", .types = kBool, .help = "on or off"},
};
constexpr std::string_view kBgRecoveryExamples[] = {R"({"node": 11, "enabled": true})"};

void check_node(JobContext& context) {
  known_node(context.config(), context.number("node"));
}

std::optional<base::Value> st_node_set_bg_recovery(JobContext& context) {
  const int node = known_node(context.config(), context.number("node")).id;
  or_throw(context.transaction().set(node_section(node), "BgRecEnabled",
                                     exaconf::format_bool(context.flag_or("enabled", true))));
  return std::nullopt;
}

// --- st_node_set_bg_recovery_limit ---

constexpr Param kLimitParams[] = {
    {.name = "limit", .types = kInt, .help = "MiB/s; 0 = automatic"},
    {.name = "nid", .types = kInt | kString, .help = "node id, or all_nodes", .completion = Completion::node},
};
// The published example passes `threshold`.
constexpr Alias kLimitAliases[] = {{"limit", "threshold"}};
constexpr std::string_view kLimitExamples[] = {R"({"nid": 11, "limit": 0})",
                                               R"({"nid": "all_nodes", "limit": 100})"};

// Nothing: all nodes.
std::optional<int> node_or_all(JobContext& context) {
  const base::Value& given = *context.param("nid");
  if (given.is_string() && given.as_string() == "all_nodes") return std::nullopt;
  const auto id =
      given.is_int() ? std::optional(given.as_int()) : base::parse_int(base::trim(given.as_string()));
  if (!id) refuse_parameter("nid", "'" + given.as_string() + "' is neither a node id nor all_nodes");
  return known_node(context.config(), *id).id;
}

std::vector<Lock> lock_all_nodes(const base::Struct&) {
  return {{LockLevel::node, "*"}};
}

void check_st_node_set_bg_recovery_limit(JobContext& context) {
  node_or_all(context);
  ranged(context, "limit", 0, kMostMebibytes);
}

std::optional<base::Value> st_node_set_bg_recovery_limit(JobContext& context) {
  const std::int64_t limit = ranged(context, "limit", 0, kMostMebibytes);
  exaconf::Transaction& edits = context.transaction();
  if (const auto node = node_or_all(context)) {
    or_throw(edits.set(node_section(*node), "BgRecLimit", std::to_string(limit)));
    return std::nullopt;
  }
  if (context.config().section("EXAStorage") == nullptr)
    or_throw(edits.add_section("EXAStorage", {"", "# Storage of the cluster"}));
  or_throw(edits.set("EXAStorage", "BgRecLimit", limit == 0 ? "" : std::to_string(limit)));
  for (const auto& [id, node] : context.config().nodes())
    or_throw(edits.unset(node_section(id), "BgRecLimit"));
  return std::nullopt;
}

// --- st_node_set_space_warn_threshold ---

constexpr Param kThresholdParams[] = {
    {.name = "node", .types = kInt, .help = "node id", .completion = Completion::node},
    {.name = "threshold", .types = kInt, .help = "percent of space used, 0 to 100; 0 = off"},
};
constexpr std::string_view kThresholdExamples[] = {R"({"node": 11, "threshold": 100})"};

void check_st_node_set_space_warn_threshold(JobContext& context) {
  known_node(context.config(), context.number("node"));
  ranged(context, "threshold", 0, 100);
}

std::optional<base::Value> st_node_set_space_warn_threshold(JobContext& context) {
  const int node = known_node(context.config(), context.number("node")).id;
  or_throw(context.transaction().set(node_section(node), "SpaceWarnThreshold",
                                     std::to_string(ranged(context, "threshold", 0, 100))));
  return std::nullopt;
}

constexpr JobDescriptor kStorageNodeJobs[] = {
    {.name = "st_get_partition_id",
     .help = "Id of the group of processes that storage runs in",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNoParams,
     .returns = "integer: the process group of confd on the node that answers",
     .execute = &st_get_partition_id},
    {.name = "st_node_get_link_speed",
     .help = "Speed of a node's network link",
     .long_help = "The slowest one counts. Interfaces that do not tell, such as loopback, are an error.",
     .kind = JobKind::read,
     .mandatory = kNid,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNidExamples,
     .returns = "integer, in MBit/s",
     .check = &check_nid,
     .execute = &st_node_get_link_speed},
    {.name = "st_node_list",
     .help = "Describe all storage nodes",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNoParams,
     .returns = "struct by storage node number (as text, from 0), each a struct with name, nid, phys_nid, "
                "state (`ONLINE`, `OFFLINE`, `SUSPENDED`), hdd_free_space (struct by disk), hdds (list of "
                "devices as in `st_device_info`), bg_recovery_enabled, bg_rec_limit (MiB/s, 0 = automatic), "
                "auto_bg_rec_limit (MiB/s that was "
                "measured, 0 = not yet), "
                "space_warn_threshold and space_warnings (list of disks beyond it)",
     .execute = &st_node_list},
    {.name = "st_node_resume",
     .help = "Bring a suspended storage node back",
     .kind = JobKind::modify,
     .mandatory = kNid,
     .groups = kDatabaseAdmins,
     .examples = kNidExamples,
     .locks = &lock_nid,
     .check = &check_st_node_resume,
     .execute = &st_node_resume,
     .config_only = true},
    {.name = "st_node_set_bg_recovery",
     .help = "Switch background recovery of a node on or off",
     .kind = JobKind::modify,
     .mandatory = kBgRecoveryParams,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kBgRecoveryExamples,
     .locks = &lock_node,
     .check = &check_node,
     .execute = &st_node_set_bg_recovery,
     .config_only = true},
    {.name = "st_node_set_bg_recovery_limit",
     .help = "Cap the background recovery throughput of a node",
     .long_help = "With `all_nodes` it goes to [EXAStorage], and the nodes' own limits are removed.",
     .kind = JobKind::modify,
     .mandatory = kLimitParams,
     .aliases = kLimitAliases,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kLimitExamples,
     .locks = &lock_all_nodes,
     .check = &check_st_node_set_bg_recovery_limit,
     .execute = &st_node_set_bg_recovery_limit,
     .config_only = true},
    {.name = "st_node_set_space_warn_threshold",
     .help = "Set the usage of a node's disks that gives a warning",
     .kind = JobKind::modify,
     .mandatory = kThresholdParams,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kThresholdExamples,
     .locks = &lock_node,
     .check = &check_st_node_set_space_warn_threshold,
     .execute = &st_node_set_space_warn_threshold,
     .config_only = true},
    {.name = "st_node_suspend",
     .help = "Suspend the storage of a node",
     .long_help =
         "It does no I/O and takes no new volumes; every volume with a segment on it is locked until "
         "`st_node_resume`.",
     .kind = JobKind::modify,
     .mandatory = kNid,
     .groups = kDatabaseAdmins,
     .examples = kNidExamples,
     .locks = &lock_nid,
     .check = &check_st_node_suspend,
     .execute = &st_node_suspend},
};

}  // namespace

std::span<const JobDescriptor> storage_node_jobs() {
  return kStorageNodeJobs;
}

}  // namespace confd::jobs
