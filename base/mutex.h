// Mutex, MutexLock, CondVar with clang's thread-safety annotations: members say which lock guards them, and
// `cmake --preset thread-safety` refuses code that forgets it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define CONFD_TSA(x) __attribute__((x))
#else
#define CONFD_TSA(x)
#endif
#define CAPABILITY(x) CONFD_TSA(capability(x))
#define SCOPED_CAPABILITY CONFD_TSA(scoped_lockable)
#define GUARDED_BY(x) CONFD_TSA(guarded_by(x))
#define REQUIRES_LOCK(...) CONFD_TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) CONFD_TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) CONFD_TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...) CONFD_TSA(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS CONFD_TSA(no_thread_safety_analysis)

namespace confd::base {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds the mutex for its life; unlock()/lock() release it for a while, for work that must not be done under
// it.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  void unlock() RELEASE() {
    held_ = false;
    mutex_.unlock();
  }
  void lock() ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// Waits always have a deadline or are woken by stop(): call wait_until, or wait in a loop whose condition
// includes "stopping".
class CondVar {
 public:
  void wait(Mutex& mutex) REQUIRES_LOCK(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();  // the caller goes on holding it
  }
  // `when` is a copy: it is looked at again after the wait, and whatever the mutex guards may be gone then.
  template <class TimePoint>
  std::cv_status wait_until(Mutex& mutex, TimePoint when) REQUIRES_LOCK(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_until(lock, when);
    lock.release();
    return status;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  // Not condition_variable_any: its inner mutex costs two more switches of thread for each wake-up.
  std::condition_variable condition_;
};

}  // namespace confd::base
