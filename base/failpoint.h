// CONFD_FAILPOINT("name"): a place where tests/kill end the process with SIGKILL, around every write that a
// promise hangs on.
//
// CONFD_FAILPOINT_KILL=name:count in the environment kills at the count-th pass (1 = first) of that name;
// without it a failpoint is one test of a constant. They are in every build, so that what is tested is what
// is shipped. Thread-safety: any thread.
#pragma once

namespace confd::base {
extern const bool kFailpointsArmed;
void pass_failpoint(const char* name);
}  // namespace confd::base

#define CONFD_FAILPOINT(name) \
  (::confd::base::kFailpointsArmed ? ::confd::base::pass_failpoint(name) : static_cast<void>(0))
