// StorageKeeper: on the master, looks whether the nodes hold what EXAConf says of volumes, and starts the job
// storage_reconcile when they do not: at the start, after each revision, when a node comes or goes, every two
// seconds while a volume moves, and once a minute.
//
// A plan that was tried and is still the same is tried again after ten minutes only: what can't be done now
// (no space) is no reason for a job every second. Thread-safety: one thread of its own, which ends with this
// object.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "cluster/members.h"
#include "cluster/node_control.h"
#include "scheduler/scheduler.h"
#include "storage/archive_in_sync.h"

namespace confd::daemon {

class StorageKeeper {
 public:
  // All of it outlives this.
  StorageKeeper(scheduler::Scheduler& scheduler, cluster::Members& members, cluster::NodeControl& nodes,
                base::Log& log);
  ~StorageKeeper();

  // One look, and what comes of it, for that long at most: a node that is alone does it before it answers
  // anybody, so that the volumes of a new EXAConf have their space from the first call on. REQUIRES: before
  // begin().
  void look_first(std::chrono::seconds at_most);
  void begin();

 private:
  void run(const std::stop_token& stop);
  void look(const std::stop_token& stop, std::chrono::seconds at_most);
  void reconcile(const std::stop_token& stop, std::chrono::seconds at_most);
  bool is_due();

  scheduler::Scheduler& scheduler_;
  cluster::Members& members_;
  cluster::NodeControl& nodes_;
  base::Log& log_;
  // The thread's own.
  std::uint64_t seen_config_ = 0;
  std::vector<int> seen_live_;
  std::chrono::steady_clock::time_point looked_, tried_;
  std::string tried_plan_;
  bool is_moving_ = false;                          // a volume, at the last look
  std::optional<storage::LeftoverMarks> leftover_;  // with several nodes
  std::jthread thread_;
};

}  // namespace confd::daemon
