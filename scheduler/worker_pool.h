// WorkerPool: threads that run one task at a time, made when they are first needed. Thread-safety: any
// thread.
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

  const std::size_t most_;
  base::Mutex mutex_;
  base::CondVar wake_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::size_t idle_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace confd::scheduler
