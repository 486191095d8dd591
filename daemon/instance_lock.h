// InstanceLock: one confd per root, be it the daemon or a command that must not run beside it. The lock ends
// with the process, however that ends. Thread-safety: one thread at a time.
#pragma once

#include <string>

#include "base/result.h"

namespace confd::daemon {

class InstanceLock {
 public:
  InstanceLock() = default;
  ~InstanceLock();
  InstanceLock(const InstanceLock&) = delete;
  InstanceLock& operator=(const InstanceLock&) = delete;

  // Error: Code::busy when another confd holds it.
  base::Status take(const std::string& path);

 private:
  int fd_ = -1;
};

}  // namespace confd::daemon
