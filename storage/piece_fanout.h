// PieceFanout: one stream of pieces for several takers, each at its own pace up to a few pieces apart. A
// taker that takes nothing for too long is left behind; the others go on. Thread-safety: one giver, one
// thread for each taker.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"

namespace confd::storage {

class PieceFanout {
 public:
  using Time = std::chrono::steady_clock::time_point;
  PieceFanout(std::size_t takers, std::chrono::milliseconds patience, Time deadline, std::stop_token stop);

  // The giver's. False: nobody takes any more.
  bool give(std::string piece);
  // Ok: that was all; an Error reaches the takers that have not ended.
  void end(base::Status why);

  // The taker's: empty at the end.
  base::Result<std::string> take(std::size_t taker);
  void leave(std::size_t taker);
  // Stops what the taker does when it is left behind.
  std::stop_token stop_of(std::size_t taker) const { return takers_[taker].stop.get_token(); }

 private:
  struct Taker {
    std::deque<std::shared_ptr<std::string>> queue;
    bool gone = false;
    std::stop_source stop;
  };
  const std::chrono::milliseconds patience_;
  const Time deadline_;
  const std::stop_token stop_;
  base::Mutex mutex_;
  base::CondVar moved_;
  std::vector<Taker> takers_;  // guarded by mutex_ but for `stop`
  bool ended_ GUARDED_BY(mutex_) = false;
  base::Status why_ GUARDED_BY(mutex_);
  const std::stop_callback<std::function<void()>> on_stop_;
};

}  // namespace confd::storage
