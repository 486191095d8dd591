// The planner: which queued jobs may start now. A pure function of queue, held locks and limits; the
// scheduler is a thin shell around it.
//
// Jobs start in order of submission. A job whose lock is held waits, and holds back later jobs that want a
// conflicting lock (no overtaking on the same thing, so nobody starves); others pass. Read jobs take no
// locks, have their own limit, and never wait for modify jobs. Costs time in proportion to the length of the
// queue. Thread-safety: pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "jobs/descriptor.h"
#include "jobs/lock.h"
#include "scheduler/job_id.h"

namespace confd::scheduler {

struct QueuedJob {
  JobId id;
  jobs::JobKind kind = jobs::JobKind::read;
  std::span<const jobs::Lock> locks;
  bool explained = false;  // why it waits is known already: no need to say it again
};

struct Running {
  std::size_t reads = 0;
  std::size_t modifies = 0;
  struct Held {
    JobId by;
    jobs::Lock lock;
  };
  std::vector<Held> held;
};

struct PlannerLimits {
  std::size_t reads = 16;
  std::size_t modifies = 16;
};

struct Plan {
  struct Waiting {
    std::size_t index;   // into the queue
    JobId for_job;       // who holds the lock, or wants it and came first; {} = a limit
    std::string reason;  // "waited for account:alice held by 11.4"
  };
  std::vector<std::size_t> start;  // indices into the queue, in order
  std::vector<Waiting> waiting;    // those not explained yet
};

// "account:alice", "database:DB1 (shared)".
std::string lock_text(const jobs::Lock& lock);

Plan plan(std::span<const QueuedJob> queue, const Running& running, const PlannerLimits& limits);

}  // namespace confd::scheduler
