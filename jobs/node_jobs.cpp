// Jobs of the family `node` that read (spec/jobs/node.yaml), and conn_get_remote_nid (spec/jobs/other.yaml).
#include <chrono>
#include <set>

#include "exaconf/views.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"

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
// from devices and mapping, is not shown by the original. In place: this is among the most frequent calls.
std::optional<base::Value> node_list(JobContext& context) {
  base::Value view = exaconf::nodes_view(context.config());
  for (auto& [id, settings] : view.as_struct())
    settings.as_struct().remove_if([](base::Struct::Member& member) {
      auto& [name, value] = member;
      if (name == "disks")
        for (auto& [disk, parts] : value.as_struct()) parts.as_struct().erase("mapped_devices");
      return name == "state" || is_empty(value);
    });
  return view;
}

// --- node_state, node_info ---

// Nothing when the node does not answer, which is no reason to say nothing of the others. What it answers
// wrongly still fails the job.
std::optional<base::Value> ask(JobContext& context, int node, std::string_view operation) {
  try {
    return context.run(node, operation);
  } catch (const JobError& error) {
    if (error.code != base::Code::node_unreachable && error.code != base::Code::timeout &&
        error.code != base::Code::unknown_outcome)
      throw;
    context.warn("node " + std::to_string(node) + " did not answer: " + error.text);
    return std::nullopt;
  }
}

std::string state_of(const exaconf::Node& node, const std::set<int>& live) {
  if (is_suspended(node)) return node.state;
  return live.contains(node.id) ? "online" : "offline";
}

std::string boot_time_of(const base::Value& seconds) {
  return base::format_ctime(base::WallTime(std::chrono::seconds(seconds.as_int())));
}

std::optional<base::Value> node_state(JobContext& context) {
  const std::set<int> live = live_nodes(context);
  base::Struct states;
  base::Struct booted;
  for (const auto& [id, node] : context.config().nodes()) {
    const std::string name = std::to_string(id);
    states.append(name, state_of(node, live));
    if (!live.contains(id)) continue;
    if (const auto answer = ask(context, id, "node.boot_time"))
      booted.append(name, boot_time_of(*answer->find("boot_time")));
  }
  states.append("booted", std::move(booted));
  return states;
}

constexpr Param kNodeId[] = {
    {.name = "nid", .types = kInt, .help = "node id", .completion = Completion::node},
};
constexpr std::string_view kNodeInfoExamples[] = {R"({"nid": 11})"};

std::optional<base::Value> node_info(JobContext& context) {
  const exaconf::Node& node = known_node(context.config(), context.number("nid"));
  const std::set<int> live = live_nodes(context);
  base::Struct info{{"id", std::to_string(node.id)}, {"name", node.name}, {"state", state_of(node, live)}};
  const auto report = live.contains(node.id) ? ask(context, node.id, "node.report") : std::nullopt;
  if (!report) return info;
  for (const auto& [name, value] : report->as_struct()) {
    if (name == "boot_time") {
      info.append("booted", boot_time_of(value));
    } else {
      info.append(name, value);
    }
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
         "bytes), disk (struct: path, total, free, available, in bytes) and confd_version; of a node that "
         "does not answer only id, name and state",
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
     .returns = "struct: node id (as text) to `online`, `offline` or `suspended`, and `booted`, a struct "
                "from node id "
                "to boot time, without nodes that do not answer",
     .execute = &node_state},
};

}  // namespace

std::span<const JobDescriptor> node_jobs() {
  return kNodeJobs;
}

}  // namespace confd::jobs
