#include "scheduler/planner.h"

#include <array>
#include <functional>
#include <string_view>
#include <unordered_map>

namespace confd::scheduler {
namespace {

constexpr std::string_view kLevels[] = {"node", "device", "volume", "database", "service", "account"};

std::string describe(const jobs::Lock& lock) {
  return std::string(kLevels[static_cast<std::size_t>(lock.level)]) + ":" + lock.name;
}

struct Claim {
  JobId by;
  const jobs::Lock* lock;
};

// Locks that are held, and locks that an earlier waiting job wants: later ones must not overtake it. Same
// answers as jobs::in_conflict() with each of them; by name, because a queue may be thousands of jobs long.
class Claims {
 public:
  void add(JobId by, const jobs::Lock& lock) {
    Level& level = levels_[static_cast<std::size_t>(lock.level)];
    const Claim claim{by, &lock};
    (lock.name == "*" ? level.all : level.by_name[lock.name]).take(claim);
    level.any.take(claim);
  }

  // The one in the way, or nullptr.
  const Claim* against(const jobs::Lock& wanted) const {
    const Level& level = levels_[static_cast<std::size_t>(wanted.level)];
    if (wanted.name == "*") return level.any.against(wanted);
    if (const Claim* claim = level.all.against(wanted)) return claim;
    const auto it = level.by_name.find(wanted.name);
    return it == level.by_name.end() ? nullptr : it->second.against(wanted);
  }

 private:
  // The first claims on one name: one of each kind is enough to know whether a wanted lock conflicts.
  struct Name {
    Claim exclusive{{}, nullptr};
    Claim shared{{}, nullptr};
    void take(const Claim& claim) {
      Claim& mine = claim.lock->shared ? shared : exclusive;
      if (!mine.lock) mine = claim;
    }
    const Claim* against(const jobs::Lock& wanted) const {
      if (exclusive.lock) return &exclusive;
      return shared.lock && !wanted.shared ? &shared : nullptr;
    }
  };
  struct Level {
    std::unordered_map<std::string_view, Name> by_name;
    Name all;  // "*"
    Name any;  // whatever the name
  };
  std::array<Level, std::size(kLevels)> levels_;
};

}  // namespace

std::string lock_text(const jobs::Lock& lock) {
  return describe(lock) + (lock.shared ? " (shared)" : "");
}

Plan plan(std::span<const QueuedJob> queue, const Running& running, const PlannerLimits& limits) {
  Plan result;
  std::size_t reads = running.reads;
  std::size_t modifies = running.modifies;
  Claims claims;
  for (const Running::Held& held : running.held) claims.add(held.by, held.lock);

  for (std::size_t index = 0; index < queue.size(); ++index) {
    const QueuedJob& job = queue[index];
    const bool is_read = job.kind == jobs::JobKind::read;
    std::size_t& count = is_read ? reads : modifies;
    const std::size_t limit = is_read ? limits.reads : limits.modifies;
    if (count >= limit) {
      // Nothing more of this kind starts in this round: what it wants need not be noted.
      if (!job.explained)
        result.waiting.push_back({index,
                                  {},
                                  "waited: " + std::to_string(limit) + (is_read ? " read" : " modify") +
                                      " jobs ran already, which is the limit"});
      continue;
    }
    const Claim* obstacle = nullptr;
    for (const jobs::Lock& wanted : job.locks)
      if ((obstacle = claims.against(wanted))) break;
    if (!obstacle) {
      ++count;
      result.start.push_back(index);
    } else if (!job.explained) {
      result.waiting.push_back(
          {index, obstacle->by,
           "waited for " + describe(*obstacle->lock) + " held by " + obstacle->by.text()});
    }
    for (const jobs::Lock& lock : job.locks) claims.add(job.id, lock);
  }
  return result;
}

}  // namespace confd::scheduler
