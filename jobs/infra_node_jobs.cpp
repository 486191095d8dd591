// Jobs that make and remove nodes together with their machines (spec/jobs/infra.yaml): infra_instances_add,
// infra_instances_remove. EXAConf changes first, then the machine: a machine that runs finds itself in it.
#include <algorithm>

#include "base/text.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_clones.h"
#include "jobs/node_rules.h"
#include "jobs/node_waiting.h"
#include "jobs/platform_rules.h"

namespace confd::jobs {
namespace {

using services::PlatformAction;

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm", "exadbadm"};

std::string section_of(int id) {
  return "Node : " + std::to_string(id);
}

// --- infra_instances_add ---

constexpr Param kAddParams[] = {
    {.name = "nid",
     .types = kInt,
     .help = "node whose configuration is copied",
     .completion = Completion::node},
    {.name = "num_nodes", .types = kInt, .help = "how many nodes to make"},
};
constexpr Param kAddOptions[] = {
    {.name = "node_platform_config",
     .types = kDict,
     .help = "what the provider is to apply to the new nodes"},
    {.name = "metadata", .types = kDict, .help = "further keys and values for the provider"},
    {.name = "disks",
     .types = kList,
     .help = "disks of the new nodes: structs as node_list shows them, or names of disks of the node",
     .default_text = "those of the node"},
    {.name = "cloud_zone", .help = "region or zone, for the provider"},
    {.name = "is_workernode",
     .types = kBool,
     .help = "the nodes belong to a cluster other than MAIN; told to the provider",
     .default_text = "false"},
    {.name = "timeout",
     .types = kInt,
     .help = "seconds until the nodes must be online, at least 1, at most 604800",
     .default_text = "1800"},
};
constexpr std::string_view kAddExamples[] = {
    R"({"nid": 11, "num_nodes": 1, "cloud_zone": "eu-central-1", "disks": ["disk1"], "is_workernode": true})",
    R"({"nid": 11, "num_nodes": 2})"};

std::vector<Lock> lock_add(const base::Struct& params) {
  return node_locks(params, "nid");
}

void check_add(JobContext& context) {
  timeout_of(context);
  platform_for(context, PlatformAction::add_nodes);
  planned_clones(context);
  if (context.services().join_check) or_throw(context.services().join_check());
}

// {address, tokens}: how each of the new nodes proves to the master that it may come in.
base::Value join_of(JobContext& context, const std::vector<int>& nodes) {
  base::Struct tokens;
  for (const int id : nodes) tokens.append(std::to_string(id), or_throw(context.services().join_token(id)));
  const exaconf::Config& config = context.config();
  const std::string& address = config.nodes().at(context.services().nodes.own_node()).private_ip;
  return base::Struct{{"address", address}, {"tokens", std::move(tokens)}};
}

std::optional<base::Value> infra_instances_add(JobContext& context) {
  const auto deadline = context.services().clock.steady_now() + timeout_of(context);
  std::vector<int> ids;
  for (const NewNode& node : planned_clones(context)) {
    write_node(context, node);  // suspended until it is there
    ids.push_back(node.id);
  }
  context.progress(nodes_text(ids) + ": entered in EXAConf");
  context.publish_now();
  try {
    base::Struct request =
        given(context, {"node_platform_config", "metadata", "cloud_zone", "is_workernode"});
    request.set("nodes", described_nodes(context.config(), ids));
    request.set("source", context.number("nid"));
    if (context.services().join_token) request.set("join", join_of(context, ids));
    context.progress(nodes_text(ids) + ": being made");
    ask_platform(context, platform_for(context, PlatformAction::add_nodes), PlatformAction::add_nodes,
                 request, left_until(context, deadline));
    const auto seen = wait_for_nodes(context, ids, true, "online", deadline);
    if (!seen.missing.empty())
      throw JobError{base::Code::timeout, nodes_text(seen.missing) + " did not come online in time"};
  } catch (const JobError& error) {
    throw JobError{error.code, error.text + "; " + nodes_text(ids) +
                                   " stayed in EXAConf, suspended: start them with infra_instances_start, or "
                                   "take them away with infra_instances_remove"};
  }
  base::Array added;
  for (const int id : ids) {
    or_throw(context.transaction().unset(section_of(id), "State"));
    added.emplace_back(id);
  }
  return added;
}

// --- infra_instances_remove ---

constexpr Param kNids[] = {
    {.name = "nids", .types = kList, .help = "node ids", .completion = Completion::node},
};
constexpr Param kRemoveOptions[] = {
    {.name = "metadata", .types = kDict, .help = "further keys and values for the provider"},
    {.name = "timeout",
     .types = kInt,
     .help = "seconds until the nodes must be gone, at least 1, at most 604800",
     .default_text = "1800"},
};
constexpr std::string_view kRemoveExamples[] = {R"({"nids": [11, 12], "timeout": 2000})"};

std::vector<Lock> lock_nids(const base::Struct& params) {
  return node_locks(params, "nids");
}

void check_remove(JobContext& context) {
  const std::vector<int> leaving = known_nodes(context, "nids");
  timeout_of(context);
  platform_for(context, PlatformAction::remove_nodes);
  check_not_this_node(context, leaving, "removed");
  for (const int id : leaving)
    if (const auto users = users_of(context.config(), id); !users.empty())
      throw JobError{base::Code::busy, "node " + std::to_string(id) + " can't be removed: it is used by " +
                                           base::join(users, ", ") + "; take it out of these first"};
  check_somebody_stays(context.config(), leaving, "removed");
  check_majority_stays(context, leaving, "removed", true);
}

// A managed store takes the node's member out by itself once the node is not in EXAConf any more. The member
// runs until then: else the store would count one that is gone.
void wait_until_store_is_without(JobContext& context, int id, base::SteadyTime deadline) {
  const auto is_member = [&] {
    const std::vector<int> members = context.services().members.store_members();
    return std::find(members.begin(), members.end(), id) != members.end();
  };
  if (!is_member()) return;
  context.progress("node " + std::to_string(id) + ": its part of the store is taken out");
  if (!wait_until(
          context, [&] { return !is_member(); }, deadline))
    throw JobError{base::Code::timeout,
                   "node " + std::to_string(id) +
                       " is not in EXAConf any more, but the store still counts on it; "
                       "its machine was left running, see infra_overview_get and the log of confd"};
}

// One after the other, those that are down first: the store keeps its majority at each step.
std::optional<base::Value> infra_instances_remove(JobContext& context) {
  check_remove(context);  // who lives may have changed since
  const auto deadline = context.services().clock.steady_now() + timeout_of(context);
  std::vector<int> leaving = known_nodes(context, "nids");
  const auto live = live_nodes(context);
  std::stable_partition(leaving.begin(), leaving.end(), [&](int id) { return !live.contains(id); });
  for (std::size_t i = 0; i < leaving.size(); ++i) {
    const int id = leaving[i];
    context.progress("node " + std::to_string(id) + ": taken out of EXAConf",
                     static_cast<int>(i * 100 / leaving.size()));
    base::Struct request = given(context, {"metadata"});
    request.set("nodes", described_nodes(context.config(), {id}));
    or_throw(context.transaction().remove_section(section_of(id)));
    context.publish_now();
    wait_until_store_is_without(context, id, deadline);
    request.set("timeout", left_until(context, deadline).count() / 1000 + 1);
    try {
      ask_platform(context, platform_for(context, PlatformAction::remove_nodes), PlatformAction::remove_nodes,
                   request, left_until(context, deadline));
    } catch (const JobError& error) {
      throw JobError{error.code, error.text + "; node " + std::to_string(id) +
                                     " is not in EXAConf any more, its machine may be there still: see "
                                     "infra_overview_get"};
    }
  }
  return std::nullopt;
}

constexpr JobDescriptor kInfraNodeJobs[] = {
    {.name = "infra_instances_add",
     .help = "Make further nodes with their machines, copied from an existing node",
     .long_help =
         "Ids go on from the highest one, addresses from the highest one in the node's networks. The "
         "nodes are entered in EXAConf, suspended, then made by the platform provider; when they are "
         "online they are resumed and the job returns. When that fails they stay, suspended.",
     .kind = JobKind::modify,
     .mandatory = kAddParams,
     .optional = kAddOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kAddExamples,
     .returns = "list of the ids of the new nodes",
     .locks = &lock_add,
     .check = &check_add,
     .execute = &infra_instances_add,
     .publishes_early = true},
    {.name = "infra_instances_remove",
     .help = "Remove nodes with their machines",
     .long_help =
         "One after the other: out of EXAConf, then its machine, with all that is on it. Refused for the "
         "master, for nodes that a volume or database uses, and when no more than half of the nodes "
         "that stay in service would be alive. Suspended nodes may be removed.",
     .kind = JobKind::modify,
     .mandatory = kNids,
     .optional = kRemoveOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kRemoveExamples,
     .locks = &lock_nids,
     .check = &check_remove,
     .execute = &infra_instances_remove,
     .publishes_early = true},
};

}  // namespace

std::span<const JobDescriptor> infra_node_jobs() {
  return kInfraNodeJobs;
}

}  // namespace confd::jobs
