// Jobs of the family `node` that wait (spec/jobs/node.yaml): node_wait_ready, node_wait_offline.
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/node_waiting.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kAdmins[] = {"root", "exaadm"};

constexpr Param kWaitParams[] = {
    {.name = "nids", .types = kList, .help = "ids of the nodes to wait for", .completion = Completion::node},
};
constexpr Param kWaitOptions[] = {
    {.name = "timeout",
     .types = kInt,
     .help = "seconds to wait, at least 1, at most 604800",
     .default_text = "1800"},
};
constexpr std::string_view kWaitExamples[] = {R"({"nids": [12, 13]})"};

void check_wait(JobContext& context) {
  known_nodes(context, "nids");
  timeout_of(context);
}

// Those of the nodes that made it in time, as a list of ids.
base::Value wait_for(JobContext& context, bool alive, const std::string& state) {
  const auto deadline = context.services().clock.steady_now() + timeout_of(context);
  const NodesReached nodes = wait_for_nodes(context, known_nodes(context, "nids"), alive, state, deadline);
  if (!nodes.missing.empty()) context.warn(nodes_text(nodes.missing) + ": not " + state + " in time");
  base::Array reached;
  for (const int id : nodes.reached) reached.emplace_back(id);
  return reached;
}

std::optional<base::Value> node_wait_ready(JobContext& context) {
  return wait_for(context, true, "ready");
}

std::optional<base::Value> node_wait_offline(JobContext& context) {
  return wait_for(context, false, "offline");
}

constexpr JobDescriptor kNodeWaitJobs[] = {
    {.name = "node_wait_offline",
     .help = "Wait until nodes have shut down",
     .long_help = "A node is offline when its lease in the cluster's store has ended, up to 3 s after its "
                  "confd.",
     .kind = JobKind::read,
     .mandatory = kWaitParams,
     .optional = kWaitOptions,
     .groups = kAdmins,
     .examples = kWaitExamples,
     .returns = "list of the ids of the nodes that are offline, maybe empty after the timeout",
     .check = &check_wait,
     .execute = &node_wait_offline},
    {.name = "node_wait_ready",
     .help = "Wait until nodes have booted and accept ConfD jobs",
     .kind = JobKind::read,
     .mandatory = kWaitParams,
     .optional = kWaitOptions,
     .groups = kAdmins,
     .examples = kWaitExamples,
     .returns = "list of the ids of the nodes that are ready, maybe empty after the timeout",
     .check = &check_wait,
     .execute = &node_wait_ready},
};

}  // namespace

std::span<const JobDescriptor> node_wait_jobs() {
  return kNodeWaitJobs;
}

}  // namespace confd::jobs
