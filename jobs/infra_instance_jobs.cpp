// Jobs that start, stop and change the machines of nodes (spec/jobs/infra.yaml, node.yaml):
// infra_instances_start, infra_instances_stop, infra_instances_update, nodes_terminate.
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/node_waiting.h"
#include "jobs/platform_rules.h"

namespace confd::jobs {
namespace {

using services::PlatformAction;

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kInfraAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kNodeAdmins[] = {"root", "exaadm"};

constexpr Param kNids[] = {
    {.name = "nids", .types = kList, .help = "node ids", .completion = Completion::node},
};
constexpr Param kTimeout[] = {
    {.name = "timeout",
     .types = kInt,
     .help = "seconds until the nodes must be down, at least 1, at most 604800",
     .default_text = "1800"},
};
constexpr std::string_view kStartExamples[] = {R"({"nids": [11, 12]})"};
constexpr std::string_view kStopExamples[] = {R"({"nids": [11, 12], "timeout": 2000})"};
constexpr std::string_view kTerminateExamples[] = {R"({"nids": [12, 13]})"};

std::vector<Lock> lock_nids(const base::Struct& params) {
  return node_locks(params, "nids");
}

base::SteadyTime deadline_of(JobContext& context) {
  return context.services().clock.steady_now() + timeout_of(context);
}

// Throws Code::timeout naming those that did not make it.
void await(JobContext& context, const std::vector<int>& nodes, bool alive, base::SteadyTime deadline) {
  const auto seen = wait_for_nodes(context, nodes, alive, alive ? "online" : "offline", deadline);
  if (!seen.missing.empty())
    throw JobError{
        base::Code::timeout,
        nodes_text(seen.missing) +
            (alive ? " did not come online in time; see infra_overview_get and the log of confd there"
                   : " still answered at the timeout; see infra_overview_get")};
}

// --- infra_instances_start ---

void check_start(JobContext& context) {
  known_nodes(context, "nids");
  platform_for(context, PlatformAction::start_nodes);
}

// "Starting a suspended node resumes it" (spec/jobs/node.yaml, node_resume).
std::optional<base::Value> infra_instances_start(JobContext& context) {
  const auto deadline = deadline_of(context);
  const auto live = live_nodes(context);
  std::vector<int> down;
  for (const int id : known_nodes(context, "nids")) {
    if (live.contains(id)) {
      context.warn("node " + std::to_string(id) + " runs already");
    } else {
      down.push_back(id);
    }
  }
  if (down.empty()) return std::nullopt;
  ask_platform(context, platform_for(context, PlatformAction::start_nodes), PlatformAction::start_nodes,
               base::Struct{{"nodes", described_nodes(context.config(), down)}},
               left_until(context, deadline));
  await(context, down, true, deadline);
  for (const int id : down)
    if (is_suspended(known_node(context.config(), id)))
      or_throw(context.transaction().unset("Node : " + std::to_string(id), "State"));
  return std::nullopt;
}

// --- infra_instances_stop, nodes_terminate ---

void check_down(JobContext& context, PlatformAction action, std::string_view verb) {
  const std::vector<int> nodes = known_nodes(context, "nids");
  timeout_of(context);
  platform_for(context, action);
  check_not_this_node(context, nodes, verb);
  check_majority_stays(context, nodes, verb);
}

void take_down(JobContext& context, PlatformAction action, std::string_view verb) {
  check_down(context, action, verb);  // who lives may have changed since
  const auto deadline = deadline_of(context);
  const std::vector<int> nodes = known_nodes(context, "nids");
  const base::Struct request{{"nodes", described_nodes(context.config(), nodes)},
                             {"timeout", timeout_of(context).count()}};
  ask_platform(context, platform_for(context, action), action, request, left_until(context, deadline));
  await(context, nodes, false, deadline);
}

void check_stop(JobContext& context) {
  check_down(context, PlatformAction::stop_nodes, "stopped");
}

std::optional<base::Value> infra_instances_stop(JobContext& context) {
  take_down(context, PlatformAction::stop_nodes, "stopped");
  return std::nullopt;
}

void check_terminate(JobContext& context) {
  check_down(context, PlatformAction::terminate_nodes, "terminated");
}

std::optional<base::Value> nodes_terminate(JobContext& context) {
  take_down(context, PlatformAction::terminate_nodes, "terminated");
  return std::nullopt;
}

// --- infra_instances_update ---

constexpr Param kUpdateParams[] = {
    {.name = "node_platform_config", .types = kDict, .help = "what the provider is to apply to the nodes"},
    {.name = "nids", .types = kList, .help = "node ids", .completion = Completion::node},
};
constexpr Param kMetadata[] = {
    {.name = "metadata", .types = kDict, .help = "further keys and values for the provider"},
};
constexpr Alias kConfigAlias[] = {{"node_platform_config", "node_platfrom_config"}};
constexpr std::string_view kUpdateExamples[] = {
    R"({"node_platform_config": {"InstanceType": "r5d.xlarge"}, "nids": [12], "metadata": {"Option1": "Value1"}})"};

void check_update(JobContext& context) {
  const std::vector<int> nodes = known_nodes(context, "nids");
  platform_for(context, PlatformAction::update_nodes);
  check_not_this_node(context, nodes, "changed");
  check_all_online(context, nodes);
}

// One after the other: each may boot anew, and the cluster goes on meanwhile.
std::optional<base::Value> infra_instances_update(JobContext& context) {
  const auto deadline = deadline_of(context);
  const std::vector<int> nodes = known_nodes(context, "nids");
  const auto live_before = live_nodes(context);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    context.progress("node " + std::to_string(nodes[i]), static_cast<int>(i * 100 / nodes.size()));
    check_all_online(context, {nodes[i]});
    base::Struct request = given(context, {"node_platform_config", "metadata"});
    request.set("nodes", described_nodes(context.config(), {nodes[i]}));
    ask_platform(context, platform_for(context, PlatformAction::update_nodes), PlatformAction::update_nodes,
                 request, left_until(context, deadline));
    if (live_before.contains(nodes[i])) await(context, {nodes[i]}, true, deadline);
  }
  return std::nullopt;
}

constexpr JobDescriptor kInfraInstanceJobs[] = {
    {.name = "infra_instances_start",
     .help = "Start the machines of nodes",
     .long_help = "Returns when the nodes are online, after 1800 s at most. A node that runs already is left "
                  "alone; a suspended one that is started is resumed.",
     .kind = JobKind::modify,
     .mandatory = kNids,
     .users = kRootUser,
     .groups = kInfraAdmins,
     .examples = kStartExamples,
     .locks = &lock_nids,
     .check = &check_start,
     .execute = &infra_instances_start},
    {.name = "infra_instances_stop",
     .help = "Stop the machines of nodes",
     .long_help =
         "Returns when they are down. Refused for the master, and when no more than half of the nodes "
         "in service would be left alive: suspend nodes first.",
     .kind = JobKind::modify,
     .mandatory = kNids,
     .optional = kTimeout,
     .users = kRootUser,
     .groups = kInfraAdmins,
     .examples = kStopExamples,
     .locks = &lock_nids,
     .check = &check_stop,
     .execute = &infra_instances_stop},
    {.name = "infra_instances_update",
     .help = "Apply a platform configuration to the machines of nodes",
     .long_help =
         "One node after the other; the next when the one before is online again (if it was). Refused "
         "for the master.",
     .kind = JobKind::modify,
     .mandatory = kUpdateParams,
     .optional = kMetadata,
     .aliases = kConfigAlias,
     .users = kRootUser,
     .groups = kInfraAdmins,
     .examples = kUpdateExamples,
     .locks = &lock_nids,
     .check = &check_update,
     .execute = &infra_instances_update},
    {.name = "nodes_terminate",
     .help = "Stop all processes of the cluster on nodes, leaving their machines up",
     .long_help = "Done by the platform provider; returns when the nodes are offline, after 1800 s at most. "
                  "Refused for the master, and when no more than half of the nodes in service would be left "
                  "alive.",
     .kind = JobKind::modify,
     .mandatory = kNids,
     .groups = kNodeAdmins,
     .examples = kTerminateExamples,
     .locks = &lock_nids,
     .check = &check_terminate,
     .execute = &nodes_terminate},
};

}  // namespace

std::span<const JobDescriptor> infra_instance_jobs() {
  return kInfraInstanceJobs;
}

}  // namespace confd::jobs
