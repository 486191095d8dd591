// Scheduler::Job: a job while it lives in memory. Private to the scheduler's sources.
#pragma once

#include <functional>
#include <stop_token>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"

namespace confd::scheduler {

// Members are written under Scheduler::mutex_. The thread that has the job in hand (the submitter's, the
// journal's, a worker, the publisher's) is the only writer of `record` and may read it without the lock;
// others copy it under the lock. After end() nobody writes it any more: the job file's writer and everybody
// who asks share it as it is.
struct Scheduler::Job {
  struct Waiter {
    std::function<void(base::Result<bool>)> done;
    std::multimap<base::SteadyTime, Deadline>::iterator deadline;
  };

  const jobs::JobDescriptor* descriptor = nullptr;
  auth::IdentityPtr caller;
  base::Struct params;  // checked, unmasked
  std::vector<jobs::Lock> locks;
  JobRecord record;
  bool waited = false;    // the caller of job_exec gets the result; nobody else knows the id
  bool declined = false;  // never got into the queue
  bool running = false;   // counted in running_
  bool end_put = false;   // its end goes to the board with its revision
  // How far the journal has it. Nobody is shown more of a journaled job: a crash would take it back.
  Stage recorded = Stage::submitted;
  std::stop_source stop;
  std::vector<std::string> stop_asked_by;  // since the last look of settle()
  std::function<void(RecordPtr)> ended;
  std::vector<Waiter> waiters;
};

}  // namespace confd::scheduler
