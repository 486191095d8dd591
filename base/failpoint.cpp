#include "base/failpoint.h"

#ifdef CONFD_FAILPOINTS
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace confd::base {

void failpoint(const char* name) {
  static const std::string wanted = [] {
    const char* text = std::getenv("CONFD_FAILPOINT_KILL");
    return std::string(text ? text : "");
  }();
  if (wanted.empty()) return;
  const std::size_t colon = wanted.rfind(':');
  if (wanted.compare(0, colon, name) != 0) return;
  static std::atomic<long> passes{0};
  static const long count =
      colon == std::string::npos ? 1 : std::strtol(wanted.c_str() + colon + 1, nullptr, 10);
  if (++passes >= count) ::kill(::getpid(), SIGKILL);
}

}  // namespace confd::base
#endif
