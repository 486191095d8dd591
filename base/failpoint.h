// CONFD_FAILPOINT("name"): a place where tests/kill end the process with SIGKILL. Compiled in only with
// -DCONFD_FAILPOINTS=ON; a release program has none.
//
// CONFD_FAILPOINT_KILL=name:count in the environment kills at the count-th pass (1 = first) of that name.
#pragma once

#ifdef CONFD_FAILPOINTS
namespace confd::base {
void failpoint(const char* name);
}
#define CONFD_FAILPOINT(name) ::confd::base::failpoint(name)
#else
#define CONFD_FAILPOINT(name) static_cast<void>(0)
#endif
