// WorkerPool: threads that run one task at a time, made when they are first needed. One thread at a time is
// on its way out of sleep, and wakes the next when there is more to do than it can take: a burst of short
// tasks costs two wake-ups, not one each, and a long task holds nobody up. Thread-safety: any thread.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace confd::scheduler {

class WorkerPool {
 public:
  explicit WorkerPool(std::size_t threads) : most_(threads) {}
  ~WorkerPool();  // runs what is queued, then joins

  // Tasks start in order; one waits when all threads are busy.
  void post(std::function<void()> task) EXCLUDES(mutex_);

 private:
  void run();
  bool wants_another() REQUIRES_LOCK(mutex_);

  const std::size_t most_;
  base::Mutex mutex_;
  base::CondVar wake_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::size_t idle_ GUARDED_BY(mutex_) = 0;
  bool waking_ GUARDED_BY(mutex_) = false;  // one of the idle was woken and did not run yet
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace confd::scheduler
