// A clock that tests move by hand.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace confd::test {

class FakeClock : public base::Clock {
 public:
  base::WallTime now() const override {
    return base::WallTime(std::chrono::seconds(1'600'000'000)) + elapsed();
  }
  base::SteadyTime steady_now() const override { return base::SteadyTime(std::chrono::hours(1)) + elapsed(); }
  void advance(std::chrono::nanoseconds by) { elapsed_ += by.count(); }

 private:
  std::chrono::nanoseconds elapsed() const { return std::chrono::nanoseconds(elapsed_.load()); }
  std::atomic<std::int64_t> elapsed_{0};
};

}  // namespace confd::test
