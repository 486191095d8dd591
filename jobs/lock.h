// Locks of jobs: node < device < volume < database < account < config; names sorted inside a level (design.md
// §4).
//
// The config level is the publisher's own and never named here. Thread-safety: a plain value.
#pragma once

#include <compare>
#include <string>

namespace confd::jobs {

enum class LockLevel { node, device, volume, database, service, account };

struct Lock {
  LockLevel level = LockLevel::node;
  std::string name;     // "alice"; "*" = all of that level
  bool shared = false;  // readers of the same thing may run together
  friend auto operator<=>(const Lock&, const Lock&) = default;
};

// True when the two cannot be held at once by two jobs.
bool in_conflict(const Lock& a, const Lock& b);

}  // namespace confd::jobs
