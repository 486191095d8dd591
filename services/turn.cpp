#include "services/turn.h"

#include <chrono>

namespace confd::services {

using base::Code;
using base::Error;
using base::Status;

Status Turn::take(const PlatformLimits& limits) {
  const auto until = std::chrono::steady_clock::now() + limits.timeout;
  const std::stop_callback wake(limits.stop, [this] {
    base::MutexLock lock(mutex_);
    free_.notify_all();
  });
  base::MutexLock lock(mutex_);
  while (taken_) {
    if (limits.stop.stop_requested()) return Error{Code::stopped, "the job was stopped by job_stop"};
    if (free_.wait_until(mutex_, until) == std::cv_status::timeout && taken_)
      return Error{Code::timeout, "another action of the platform did not end in time"};
  }
  taken_ = true;
  return {};
}

void Turn::give_up() {
  base::MutexLock lock(mutex_);
  taken_ = false;
  free_.notify_all();
}

}  // namespace confd::services
