#include "scheduler/worker_pool.h"

#include <system_error>

namespace confd::scheduler {

using base::MutexLock;

WorkerPool::~WorkerPool() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void WorkerPool::post(std::function<void()> task) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
    if (idle_ < tasks_.size() && threads_.size() < most_ && !stopping_) {
      try {
        threads_.emplace_back([this] { run(); });
      } catch (const std::system_error&) {
        if (threads_.empty()) throw;  // else those there are do it, later
      }
    }
    wake = wants_another();
  }
  if (wake) wake_.notify_one();
}

bool WorkerPool::wants_another() {
  if (waking_ || idle_ == 0 || tasks_.empty()) return false;
  waking_ = true;
  return true;
}

void WorkerPool::run() {
  MutexLock lock(mutex_);
  for (;;) {
    ++idle_;
    while (tasks_.empty() && !stopping_) {
      wake_.wait(mutex_);
      waking_ = false;
    }
    --idle_;
    if (tasks_.empty()) return;
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    const bool wake = wants_another();
    lock.unlock();
    if (wake) wake_.notify_one();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace confd::scheduler
