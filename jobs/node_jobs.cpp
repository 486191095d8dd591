// Jobs of the family `node` (spec/jobs/node.yaml), and conn_get_remote_nid (spec/jobs/other.yaml).
#include "exaconf/views.h"
#include "jobs/context.h"
#include "jobs/families.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm"};
constexpr std::string_view kConnectionGroups[] = {"root", "exastoradm", "exaadm"};
constexpr std::string_view kNoParams[] = {"{}"};

// --- node_list ---

bool is_empty(const base::Value& value) {
  return (value.is_string() && value.as_string().empty()) || (value.is_array() && value.as_array().empty());
}

// Settings without a value are left out, states belong to node_state, and mapped_devices, which is derived
// from devices and mapping, is not shown by the original. Moves: this is among the most frequent calls.
std::optional<base::Value> node_list(JobContext& context) {
  base::Value view = exaconf::nodes_view(context.config());
  for (auto& [id, settings] : view.as_struct()) {
    base::Struct node;
    node.reserve(settings.as_struct().size());
    for (auto& [name, value] : settings.as_struct()) {
      if (name == "state" || is_empty(value)) continue;
      if (name == "disks")
        for (auto& [disk, parts] : value.as_struct()) parts.as_struct().erase("mapped_devices");
      node.append(std::move(name), std::move(value));
    }
    settings = std::move(node);
  }
  return view;
}

// --- node_state, node_info ---

// The state is what is known: what EXAConf says, and for the rest what the node itself answers. A node that
// does not answer fails the job, since being out of reach is not being offline.
std::optional<base::Value> node_state(JobContext& context) {
  base::Struct states;
  base::Struct booted;
  for (const auto& [id, node] : context.config().nodes()) {
    const std::string name = std::to_string(id);
    if (node.state == "suspended" && id != context.services().nodes.own_node()) {
      states.append(name, node.state);
      continue;
    }
    const base::Value answer = context.run(id, "node.boot_time");
    const base::WallTime since{std::chrono::seconds(answer.find("boot_time")->as_int())};
    states.append(name, node.state == "suspended" ? "suspended" : "online");
    booted.append(name, base::format_ctime(since));
  }
  states.append("booted", std::move(booted));
  return states;
}

constexpr Param kNodeId[] = {
    {.name = "nid", .types = kInt, .help = "node id", .completion = Completion::node},
};
constexpr std::string_view kNodeInfoExamples[] = {R"({"nid": 11})"};

std::optional<base::Value> node_info(JobContext& context) {
  const std::int64_t nid = context.number("nid");
  const auto& nodes = context.config().nodes();
  const auto it = nid < 0 || nid > 2147483647 ? nodes.end() : nodes.find(static_cast<int>(nid));
  if (it == nodes.end())
    throw JobError{base::Code::not_found, "node " + std::to_string(nid) + " does not exist; see node_list"};
  const exaconf::Node& node = it->second;
  const base::Value report = context.run(node.id, "node.report");
  base::Struct info{{"id", std::to_string(node.id)},
                    {"name", node.name},
                    {"state", node.state == "suspended" ? "suspended" : "online"}};
  for (const auto& [name, value] : report.as_struct()) {
    if (name != "boot_time") {
      info.append(name, value);
      continue;
    }
    info.append("booted", base::format_ctime(base::WallTime(std::chrono::seconds(value.as_int()))));
  }
  return info;
}

// --- conn_get_remote_nid ---

std::optional<base::Value> conn_get_remote_nid(JobContext& context) {
  return base::Value(context.services().nodes.own_node());
}

constexpr JobDescriptor kNodeJobs[] = {
    {.name = "conn_get_remote_nid",
     .help = "Id of the node that carries out the call",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kConnectionGroups,
     .examples = kNoParams,
     .returns = "integer",
     .execute = &conn_get_remote_nid},
    {.name = "node_info",
     .help = "Load, memory, kernel and disk space of one node",
     .kind = JobKind::read,
     .mandatory = kNodeId,
     .groups = kAdmins,
     .examples = kNodeInfoExamples,
     .returns =
         "struct with id, name, state, hostname, platform, kernel, booted, uptime (seconds), cores, load "
         "(list: 1, 5, 15 minutes), memory (struct: total, free, available, swap_total, swap_free, in "
         "bytes), disk (struct: path, total, free, available, in bytes) and confd_version",
     .execute = &node_info},
    {.name = "node_list",
     .help = "Nodes of the current configuration",
     .long_help = "Shows the configuration only; states are shown by `node_state`.",
     .kind = JobKind::read,
     .groups = kAdmins,
     .examples = kNoParams,
     .returns = "struct by node id (as text), each a struct with id, name, uuid, private_ip, private_net and "
                "the other settings of the node that have a value",
     .execute = &node_list},
    {.name = "node_state",
     .help = "States of all nodes",
     .kind = JobKind::read,
     .groups = kAdmins,
     .examples = kNoParams,
     .returns =
         "struct: node id (as text) to `online` or `suspended`, and `booted`, a struct from node id to "
         "boot time",
     .execute = &node_state},
};

}  // namespace

std::span<const JobDescriptor> node_jobs() {
  return kNodeJobs;
}

}  // namespace confd::jobs
