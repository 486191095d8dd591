// Job sharing: what lets each node of a cluster tell of the jobs of all: the hooks with which a scheduler
// keeps the cluster's board of jobs, and the node operations with which one node asks another for its own
// ("job.find", "job.stop"). Thread-safety: any thread.
#pragma once

#include <functional>

#include "cluster/node_control.h"
#include "daemon/membership.h"
#include "scheduler/scheduler.h"

namespace confd::daemon {

// Sets `board`, `find_elsewhere` and `stop_elsewhere`. All arguments outlive the scheduler.
void share_jobs(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes,
                base::Clock& clock);
// Declared on all nodes; `scheduler` outlives the server.
void register_job_operations(cluster::NodeControl& nodes, scheduler::Scheduler& scheduler);

}  // namespace confd::daemon
