// Rules that the jobs of nodes share: which nodes a parameter names, who is in service, which locks are
// taken. For node_*_jobs and master_jobs. Facts: spec/jobs/node.yaml, spec/storage-behaviour.md §7; what is
// ours: docs/jobs-decisions.md.
//
// Thread-safety: pure functions; they throw JobError.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "exaconf/config.h"
#include "jobs/context.h"
#include "jobs/lock.h"

namespace confd::jobs {

// Throws Code::not_found.
const exaconf::Node& known_node(const exaconf::Config& config, std::int64_t id);
// The nodes a parameter names, one id or a list of them, each once, in the order given. Throws
// Code::bad_parameter (no ids, empty list), Code::not_found.
std::vector<int> known_nodes(JobContext& context, std::string_view parameter);

bool is_suspended(const exaconf::Node& node);
// This node carries out the job, so it is alive whatever the store says of it.
std::set<int> live_nodes(JobContext& context);
bool is_master(JobContext& context, int node);
// Throws Code::wrong_state when none of the nodes is in service without `leaving`.
void check_somebody_stays(const exaconf::Config& config, const std::vector<int>& leaving,
                          std::string_view verb);

// The volumes and databases whose Nodes list the node: "volume 'data1'".
std::vector<std::string> users_of(const exaconf::Config& config, int id);
// Throws Code::wrong_state when more than half of the nodes in service are not left alive: nothing could be
// changed any more, not even to undo it. `removed`: they stop being nodes at all.
void check_majority_stays(JobContext& context, const std::vector<int>& leaving, std::string_view verb,
                          bool removed = false);

// For what takes one node down at a time: throws Code::wrong_state when a node in service is offline, but
// for these.
void check_all_online(JobContext& context, const std::vector<int>& but = {});

// "node 12", "nodes 12, 13"
std::string nodes_text(const std::vector<int>& nodes);
[[noreturn]] void refuse_parameter(std::string_view parameter, const std::string& why);

// Who changes which nodes there are, their names, addresses or who is in service holds the set alone.
Lock node_set_lock();
Lock node_lock(std::int64_t id);
// The set, and each node that params[parameter] names (an id, or a list of ids or of structs with `nid`).
std::vector<Lock> node_locks(const base::Struct& params, std::string_view parameter);

}  // namespace confd::jobs
