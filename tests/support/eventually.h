// Waiting for what other threads do, with a deadline instead of a sleep. Thread-safety: as said at each.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>

#include "base/mutex.h"

namespace confd::test {

inline constexpr std::chrono::seconds kDeadline{30};

// True as soon as `holds` does; false when it does not by the deadline. For conditions that nobody announces.
inline bool eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

// What a callback brings, once; from any thread to one that waits. Copies share it.
template <class T>
class Answer {
 public:
  auto callback() const {
    return [state = state_](T value) {
      base::MutexLock lock(state->mutex);
      state->value.emplace(std::move(value));
      state->came.notify_all();
    };
  }
  bool has_come() const {
    base::MutexLock lock(state_->mutex);
    return state_->value.has_value();
  }
  // Fails the test at the deadline.
  T get() const {
    const auto until = std::chrono::steady_clock::now() + kDeadline;
    base::MutexLock lock(state_->mutex);
    while (!state_->value && std::chrono::steady_clock::now() < until)
      state_->came.wait_until(state_->mutex, until);
    if (!state_->value) FAIL("no answer came");
    return *state_->value;
  }

 private:
  struct State {
    base::Mutex mutex;
    base::CondVar came;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A gate that a test opens by hand; all who pass wait for it until the deadline.
class Gate {
 public:
  void open() {
    base::MutexLock lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  // False at the deadline, or when `stop` says so.
  bool pass(const std::function<bool()>& stop = [] { return false; }) {
    const auto until = std::chrono::steady_clock::now() + kDeadline;
    base::MutexLock lock(mutex_);
    ++came_;
    opened_.notify_all();
    while (!is_open_ && !stop() && std::chrono::steady_clock::now() < until)
      opened_.wait_until(mutex_, std::chrono::steady_clock::now() + std::chrono::milliseconds(5));
    return is_open_;
  }
  int came() const {
    base::MutexLock lock(mutex_);
    return came_;
  }

 private:
  mutable base::Mutex mutex_;
  base::CondVar opened_;
  bool is_open_ = false;
  int came_ = 0;
};

}  // namespace confd::test
