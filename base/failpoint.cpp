#include "base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace confd::base {

const bool kFailpointsArmed = std::getenv("CONFD_FAILPOINT_KILL") != nullptr;

void pass_failpoint(const char* name) {
  static const std::string wanted = std::getenv("CONFD_FAILPOINT_KILL");
  static const std::size_t colon = wanted.rfind(':');
  static const long count =
      colon == std::string::npos ? 1 : std::strtol(wanted.c_str() + colon + 1, nullptr, 10);
  static std::atomic<long> passes{0};
  if (wanted.compare(0, colon, name) != 0) return;
  if (++passes == count) ::kill(::getpid(), SIGKILL);
}

}  // namespace confd::base
