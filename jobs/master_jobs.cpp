// Jobs about who is master (spec/jobs/other.yaml): master_change, affinity_reset.
#include <algorithm>
#include <optional>

#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kAdmins[] = {"root", "exaadm"};
constexpr std::string_view kNoParams[] = {"{}"};

// --- master_change ---

constexpr Param kMasterChangeParams[] = {
    {.name = "nids", .types = kList, .help = "ids of the candidates", .completion = Completion::node},
};
constexpr std::string_view kMasterChangeExamples[] = {R"({"nids": [11, 12, 13]})"};

// "No other job is run until it is done" (spec): a job still running here would be cut off by the change.
std::vector<Lock> lock_everything(const base::Struct&) {
  return {{LockLevel::node, "*"},     {LockLevel::device, "*"},  {LockLevel::volume, "*"},
          {LockLevel::database, "*"}, {LockLevel::service, "*"}, {LockLevel::account, "*"}};
}

// The candidate that goes first: alive, lowest Affinity, then lowest id; never the present master. Nothing:
// the master is the only candidate.
std::optional<int> chosen_master(JobContext& context) {
  const exaconf::Config& config = context.config();
  const std::vector<int> candidates = known_nodes(context, "nids");
  for (const int id : candidates)
    if (is_suspended(known_node(config, id)))
      throw JobError{base::Code::wrong_state,
                     "node " + std::to_string(id) +
                         " can't become master: it is suspended; resume it with node_resume first"};
  if (candidates.size() == 1 && is_master(context, candidates.front())) return std::nullopt;
  if (!context.services().members.is_cluster())
    throw JobError{base::Code::unsupported,
                   "there is no other master to choose: EXAConf is kept on this node alone (`cluster: store: "
                   "local`)"};
  const auto live = live_nodes(context);
  const exaconf::Node* chosen = nullptr;
  for (const int id : candidates) {
    const exaconf::Node& node = known_node(config, id);
    if (is_master(context, id) || !live.contains(id)) continue;
    if (chosen == nullptr || std::pair(node.affinity, id) < std::pair(chosen->affinity, chosen->id))
      chosen = &node;
  }
  if (chosen == nullptr)
    throw JobError{base::Code::node_unreachable, "none of the candidates but the master is alive (" +
                                                     nodes_text(candidates) +
                                                     "), so none can become master; see node_state"};
  return chosen->id;
}

void check_master_change(JobContext& context) {
  chosen_master(context);
}

std::optional<base::Value> master_change(JobContext& context) {
  if (const auto node = chosen_master(context)) {
    or_throw(context.services().members.hand_over(*node));
  } else {
    context.warn(nodes_text(known_nodes(context, "nids")) + " is master already");
  }
  return std::nullopt;
}

// --- affinity_reset ---

std::vector<Lock> lock_node_set(const base::Struct&) {
  return {node_set_lock()};
}

// The node that should be master once each Affinity is the node's id.
std::optional<int> first_in_turn(JobContext& context) {
  const auto live = live_nodes(context);
  for (const auto& [id, node] : context.config().nodes())
    if (live.contains(id) && !is_suspended(node)) return id;
  return std::nullopt;
}

std::optional<base::Value> affinity_reset(JobContext& context) {
  for (const auto& [id, node] : context.config().nodes())
    if (node.affinity != id)
      or_throw(context.transaction().set("Node : " + std::to_string(id), "Affinity", std::to_string(id)));
  const auto first = first_in_turn(context);
  const bool own_is_master = is_master(context, context.services().nodes.own_node());
  if (!first || is_master(context, *first) || !own_is_master) return std::nullopt;
  // A node that gave up mastership publishes nothing more, so the new affinities go first.
  if (context.has_transaction()) {
    context.warn("node " + std::to_string(*first) +
                 " should be master now: run affinity_reset again, or master_change, to hand over");
  } else {
    or_throw(context.services().members.hand_over(*first));
  }
  return std::nullopt;
}

constexpr JobDescriptor kMasterJobs[] = {
    {.name = "affinity_reset",
     .help = "Reset node affinities and re-elect a master if needed",
     .long_help = "Each node's affinity becomes its id. When that changes nothing and the master is not the "
                  "first in turn (alive, in service, lowest affinity), it hands over to the node that is.",
     .kind = JobKind::modify,
     .groups = kAdmins,
     .examples = kNoParams,
     .locks = &lock_node_set,
     .execute = &affinity_reset},
    {.name = "master_change",
     .help = "Pick a new master among given nodes",
     .long_help = "Of the candidates that are alive the one with the lowest affinity is chosen; the present "
                  "master is not, unless it is the only candidate, which changes nothing. Waits for all "
                  "other modify jobs, which wait for it.",
     .kind = JobKind::modify,
     .mandatory = kMasterChangeParams,
     .groups = kAdmins,
     .examples = kMasterChangeExamples,
     .locks = &lock_everything,
     .check = &check_master_change,
     .execute = &master_change},
};

}  // namespace

std::span<const JobDescriptor> master_jobs() {
  return kMasterJobs;
}

}  // namespace confd::jobs
