#include "base/clock.h"

#include <ctime>
#include <limits>

#include "base/utc_text.h"

namespace confd::base {
namespace {

class SystemClock : public Clock {
 public:
  WallTime now() const override { return std::chrono::system_clock::now(); }
  SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

std::string_view utc_text(WallTime time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  std::time_t seconds = micros / 1'000'000;
  long fraction = micros % 1'000'000;
  if (fraction < 0) {
    fraction += 1'000'000;
    --seconds;
  }
  // gmtime_r costs a microsecond; the second rarely changes between two calls of a thread.
  thread_local std::time_t last = std::numeric_limits<std::time_t>::min();
  thread_local char text[48];
  thread_local std::size_t size = 0;
  if (seconds != last) {
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    size = std::strftime(text, 40, "%Y-%m-%dT%H:%M:%S.", &tm) + 7;
    text[size - 1] = 'Z';
    last = seconds;
  }
  char* const digits = text + size - 7;
  for (int i = 5; i >= 0; --i, fraction /= 10) digits[i] = static_cast<char>('0' + fraction % 10);
  return {text, size};
}

void append_utc(std::string& out, WallTime time) {
  out += utc_text(time);
}

std::string format_utc(WallTime time) {
  return std::string(utc_text(time));
}

std::string format_ctime(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  // Callers ask for the same moment, when the node booted, again and again.
  thread_local std::time_t last = std::numeric_limits<std::time_t>::min();
  thread_local std::string text;
  if (seconds != last) {
    std::tm tm{};
    localtime_r(&seconds, &tm);
    char made[64];
    text.assign(made, std::strftime(made, sizeof made, "%a %b %e %H:%M:%S %Y", &tm));
    last = seconds;
  }
  return text;
}

}  // namespace confd::base
