#include "jobs/lock.h"

namespace confd::jobs {

bool in_conflict(const Lock& a, const Lock& b) {
  if (a.level != b.level || (a.shared && b.shared)) return false;
  return a.name == b.name || a.name == "*" || b.name == "*";
}

}  // namespace confd::jobs
