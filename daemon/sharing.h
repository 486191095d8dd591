// Sharing: what lets each node of a cluster tell of the jobs of all and take edits by hand: the hooks with
// which a scheduler keeps the cluster's board of jobs, and the node operations with which one node asks
// another for its own
// ("job.find", "job.stop"), or the master to take an edit by hand ("exaconf.edit"). Thread-safety: any
// thread.
#pragma once

#include <functional>

#include "cluster/node_control.h"
#include "daemon/membership.h"
#include "scheduler/scheduler.h"

namespace confd::daemon {

// Sets `board`, `find_elsewhere` and `stop_elsewhere`. All arguments outlive the scheduler.
void share_jobs(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes,
                base::Clock& clock);
// Sets `run_elsewhere`: jobs that wait while this node hands mastership over run at the new master
// ("job.run").
void share_work(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes);
// Sets `propose`: an edit of EXAConf by hand goes to the master.
void share_edits(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes);
// Declared on all nodes; `scheduler` outlives the server.
void register_job_operations(cluster::NodeControl& nodes, scheduler::Scheduler& scheduler);

}  // namespace confd::daemon
