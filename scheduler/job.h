// Scheduler::Job: a job while it lives in memory. Private to the scheduler's sources.
#pragma once

#include <functional>
#include <stop_token>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"

namespace confd::scheduler {

// The members that change (record, waiters) are written under Scheduler::mutex_. The thread that has the job
// in hand (the worker, later the publisher's) is the only writer of `record` and may read it without the
// lock.
struct Scheduler::Job {
  const jobs::JobDescriptor* descriptor = nullptr;
  auth::Identity caller;
  base::Struct params;  // checked, unmasked
  std::vector<jobs::Lock> locks;
  JobRecord record;
  bool waited = false;  // the caller of job_exec gets the result; nobody else knows the id
  bool stop_requested = false;
  std::stop_source stop;
  std::function<void(RecordPtr)> ended;
  std::vector<std::pair<std::uint64_t, std::function<void(base::Result<bool>)>>> waiters;
};

}  // namespace confd::scheduler
