#include "base/mutex.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

using confd::base::CondVar;
using confd::base::Mutex;
using confd::base::MutexLock;
using Clock = std::chrono::steady_clock;

TEST_CASE("a wait keeps to the deadline it began with, whatever becomes of the variable") {
  Mutex mutex;
  CondVar wake;
  const Clock::time_point until = Clock::now() + std::chrono::milliseconds(200);
  Clock::time_point deadline = until;
  std::thread other;
  std::cv_status status = std::cv_status::no_timeout;
  {
    MutexLock lock(mutex);
    other = std::thread([&] {
      MutexLock inside(mutex);  // while the first one waits
      deadline += std::chrono::hours(1);
    });
    while (Clock::now() < until) status = wake.wait_until(mutex, deadline);
  }
  other.join();
  CHECK(status == std::cv_status::timeout);
  CHECK(deadline > until);
}
