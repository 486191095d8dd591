// Turn: lets actions that change something run one after the other, for as long as they take; who waits for
// his turn can be stopped, and does not wait for ever. Thread-safety: any thread.
#pragma once

#include "base/mutex.h"
#include "base/result.h"
#include "services/platform.h"

namespace confd::services {

class Turn {
 public:
  // Errors: Code::timeout, Code::stopped; it is then not this caller's turn.
  base::Status take(const PlatformLimits& limits) EXCLUDES(mutex_);
  void give_up() EXCLUDES(mutex_);

 private:
  base::Mutex mutex_;
  base::CondVar free_;
  bool taken_ GUARDED_BY(mutex_) = false;
};

}  // namespace confd::services
