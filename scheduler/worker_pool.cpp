#include "scheduler/worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <system_error>

namespace confd::scheduler {

using base::MutexLock;

WorkerPool::~WorkerPool() {
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    for (const std::unique_ptr<Bed>& bed : beds_) bed->wake.notify_one();
  }
  stand_by_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void WorkerPool::post(std::function<void()> task) {
  Bed* bed = nullptr;
  {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
    bed = call_help();
  }
  if (bed) bed->wake.notify_one();
}

// For what is queued: wakes a thread, which the caller notifies, or makes one.
WorkerPool::Bed* WorkerPool::call_help() {
  if (waking_ || tasks_.empty() || (working_ >= at_once_ && standing_by_)) return nullptr;
  if (!idle_.empty()) {
    waking_ = true;
    Bed* bed = idle_.back();
    idle_.pop_back();
    bed->woken = true;
    return bed;
  }
  if (threads_.size() >= most_ || stopping_) return nullptr;
  try {
    beds_.push_back(std::make_unique<Bed>());
    threads_.emplace_back([this, mine = beds_.back().get()] { run(*mine); });
    waking_ = true;
  } catch (const std::system_error&) {
    beds_.pop_back();
    if (threads_.empty()) throw;  // else those there are do it, later
  }
  return nullptr;
}

// False: go to sleep. May wait a moment as the one that stands by.
bool WorkerPool::may_work() {
  while (!tasks_.empty()) {
    if (working_ < at_once_ || stopping_) return true;
    if (standing_by_) return false;
    standing_by_ = true;
    const std::uint64_t before = taken_;
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!stopping_ && std::chrono::steady_clock::now() < until) stand_by_.wait_until(mutex_, until);
    standing_by_ = false;
    if (taken_ == before && !tasks_.empty()) return true;
  }
  return false;
}

void WorkerPool::run(Bed& bed) {
  MutexLock lock(mutex_);
  waking_ = false;
  for (;;) {
    while (!may_work()) {
      if (stopping_ && tasks_.empty()) return;
      bed.woken = false;
      idle_.push_back(&bed);
      while (!bed.woken && !stopping_) bed.wake.wait(mutex_);
      if (bed.woken)
        waking_ = false;
      else
        std::erase(idle_, &bed);
    }
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    ++taken_;
    ++working_;
    Bed* const next = call_help();
    lock.unlock();
    if (next) next->wake.notify_one();
    task();
    task = nullptr;
    lock.lock();
    --working_;
  }
}

std::size_t usable_processors() {
  cpu_set_t processors;
  if (::sched_getaffinity(0, sizeof processors, &processors) == 0)
    return static_cast<std::size_t>(std::max(CPU_COUNT(&processors), 1));
  return std::max(std::thread::hardware_concurrency(), 1U);
}

}  // namespace confd::scheduler
