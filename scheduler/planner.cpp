#include "scheduler/planner.h"

namespace confd::scheduler {
namespace {

std::string describe(const jobs::Lock& lock) {
  static constexpr std::string_view kLevels[] = {"node",     "device",  "volume",
                                                 "database", "service", "account"};
  return std::string(kLevels[static_cast<std::size_t>(lock.level)]) + ":" + lock.name;
}

}  // namespace

std::string lock_text(const jobs::Lock& lock) {
  return describe(lock) + (lock.shared ? " (shared)" : "");
}

Plan plan(std::span<const QueuedJob> queue, const Running& running, const PlannerLimits& limits) {
  Plan result;
  std::size_t reads = running.reads;
  std::size_t modifies = running.modifies;
  // Locks held, and locks that an earlier waiting job wants: later ones must not overtake it.
  std::vector<Running::Held> taken = running.held;

  for (std::size_t index = 0; index < queue.size(); ++index) {
    const QueuedJob& job = queue[index];
    const bool is_read = job.kind == jobs::JobKind::read;
    std::size_t& count = is_read ? reads : modifies;
    const std::size_t limit = is_read ? limits.reads : limits.modifies;

    const Running::Held* obstacle = nullptr;
    for (const jobs::Lock& wanted : job.locks) {
      for (const Running::Held& held : taken)
        if (jobs::in_conflict(wanted, held.lock)) {
          obstacle = &held;
          break;
        }
      if (obstacle) break;
    }
    if (obstacle) {
      result.waiting.push_back(
          {index, obstacle->by,
           "waited for " + describe(obstacle->lock) + " held by " + obstacle->by.text()});
    } else if (count >= limit) {
      result.waiting.push_back({index,
                                {},
                                "waited: " + std::to_string(limit) + (is_read ? " read" : " modify") +
                                    " jobs ran already, which is the limit"});
    } else {
      ++count;
      result.start.push_back(index);
    }
    for (const jobs::Lock& lock : job.locks) taken.push_back({job.id, lock});
  }
  return result;
}

}  // namespace confd::scheduler
