// Waiting until nodes are there, or gone: for the waiting jobs themselves and for those that start and stop
// nodes. Thread-safety: the job's thread; they throw JobError (stopped by job_stop, bad parameters).
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "jobs/context.h"

namespace confd::jobs {

// The parameter `timeout`, 1800 s when it is not given; 1 to 604800.
std::chrono::seconds timeout_of(JobContext& context);

struct NodesReached {
  std::vector<int> reached, missing;
};
// Waits until all of the nodes are alive (or none is), at most until the deadline. `state`: the word for
// progress, "ready".
NodesReached wait_for_nodes(JobContext& context, const std::vector<int>& nodes, bool alive,
                            std::string_view state, base::SteadyTime deadline);

// At least 1 ms.
std::chrono::milliseconds left_until(JobContext& context, base::SteadyTime deadline);
// True as soon as `holds` does; false when it does not by the deadline.
bool wait_until(JobContext& context, const std::function<bool()>& holds, base::SteadyTime deadline);

}  // namespace confd::jobs
