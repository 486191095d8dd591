#include "base/clock.h"

#include <ctime>
#include <limits>

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

void append_utc(std::string& out, WallTime time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  std::time_t seconds = micros / 1'000'000;
  long fraction = micros % 1'000'000;
  if (fraction < 0) {
    fraction += 1'000'000;
    --seconds;
  }
  // gmtime_r costs a microsecond; the second rarely changes between two calls of a thread.
  thread_local std::time_t last = std::numeric_limits<std::time_t>::min();
  thread_local std::string text;
  if (seconds != last) {
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    char prefix[40];
    text.assign(prefix, std::strftime(prefix, sizeof prefix, "%Y-%m-%dT%H:%M:%S.", &tm));
    text += "000000Z";
    last = seconds;
  }
  char* const digits = text.data() + text.size() - 7;
  for (int i = 5; i >= 0; --i, fraction /= 10) digits[i] = static_cast<char>('0' + fraction % 10);
  out += text;
}

std::string format_utc(WallTime time) {
  std::string text;
  append_utc(text, time);
  return text;
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
