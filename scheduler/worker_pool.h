// WorkerPool: threads that run one task at a time, made when they are first needed. One thread at a time is
// on its way out of sleep, and wakes the next when there is more to do than it can take: a burst of short
// tasks costs two wake-ups, not one each, and a long task holds nobody up.
//
// For short tasks more threads at work than processors only get into each other's way: a thread that lost its
// processor in the middle of a task waits until all the others have had theirs. So `at_once` threads work,
// and one more stands by: when those have taken nothing new for kPatience although something waits, their
// tasks wait for something themselves, and it steps in. Thread-safety: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace confd::scheduler {

class WorkerPool {
 public:
  static constexpr std::chrono::milliseconds kPatience{2};

  // At most `threads`; of them `at_once` without a wait.
  explicit WorkerPool(std::size_t threads) : WorkerPool(threads, threads) {}
  WorkerPool(std::size_t threads, std::size_t at_once) : most_(threads), at_once_(at_once) {}
  ~WorkerPool();  // runs what is queued, then joins

  // Tasks start in order; one waits when all threads are busy.
  void post(std::function<void()> task) EXCLUDES(mutex_);

 private:
  // A thread's place to sleep. The one that fell asleep last is woken first: what it needs is still in the
  // cache.
  struct Bed {
    base::CondVar wake;
    bool woken = false;
  };
  void run(Bed& bed);
  Bed* call_help() REQUIRES_LOCK(mutex_);
  bool may_work() REQUIRES_LOCK(mutex_);

  const std::size_t most_;
  const std::size_t at_once_;
  base::Mutex mutex_;
  base::CondVar stand_by_;  // the one that stands by, at the end
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Bed>> beds_ GUARDED_BY(mutex_);  // one a thread
  std::vector<Bed*> idle_ GUARDED_BY(mutex_);                  // asleep until they are woken
  std::size_t working_ GUARDED_BY(mutex_) = 0;                 // in a task
  bool waking_ GUARDED_BY(mutex_) = false;                     // one was woken or made and did not run yet
  bool standing_by_ GUARDED_BY(mutex_) = false;
  std::uint64_t taken_ GUARDED_BY(mutex_) = 0;  // tasks, since the start
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

// Processors this process may use.
std::size_t usable_processors();

}  // namespace confd::scheduler
