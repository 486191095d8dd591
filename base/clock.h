// Clock: the time, injected so that tests move it by hand (tests/support/fake_clock.h).
// Thread-safety: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace confd::base {

using WallTime = std::chrono::system_clock::time_point;
using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime now() const = 0;
  virtual SteadyTime steady_now() const = 0;
};

// The operating system's clocks.
Clock& system_clock();

// 2026-11-21T23:45:49.123456Z; always UTC, microseconds.
std::string format_utc(WallTime time);
// The same at the end of `out`.
void append_utc(std::string& out, WallTime time);
// "Tue Jul  7 14:14:07 2020", local time, as ctime(3) without its newline.
std::string format_ctime(WallTime time);

}  // namespace confd::base
