// Nodes copied from another one: ids and addresses that follow the highest ones, disks and settings of the
// source. For node_clone_batch and infra_instances_add. Thread-safety: the job's thread; throws JobError.
#pragma once

#include <vector>

#include "jobs/context.h"
#include "jobs/new_node.h"

namespace confd::jobs {

// By the parameters `nid`, `num_nodes` and (optional) `disks`. Throws Code::bad_parameter, not_found,
// wrong_state (no room in the network), unsupported (EXAConf on one node only).
std::vector<NewNode> planned_clones(JobContext& context);

}  // namespace confd::jobs
