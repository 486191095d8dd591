// Reconciliation: what has to be done so that the nodes hold what EXAConf says: volumes that have no space
// yet, space that belongs to no volume, segments of another size, copies that are missing, moves that are
// complete. A pure function; the job storage_reconcile does it, and holds the lock of all volumes meanwhile.
//
// Why nothing is freed that a job just allocated: every job that allocates holds that lock until EXAConf
// names what it allocated (docs/storage-volumes.md). Thread-safety: pure functions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "storage/layout.h"
#include "storage/states.h"
#include "storage/volume.h"

namespace confd::storage {

struct Reconciliation {
  struct Place {
    int node = 0;
    SegmentKey id;
    std::uint64_t blocks = 0;
  };
  std::vector<std::string> to_make;    // volumes without an ID whose nodes are all online
  std::vector<Place> to_free;          // belong to no volume, or to one that lies elsewhere
  std::vector<Place> to_resize;        // to `blocks`
  std::vector<Place> to_fill;          // missing copies, to be allocated as RECOVERING
  std::vector<std::string> to_settle;  // volumes with a segment that has moved
  std::vector<std::string> to_forget;  // volumes with cleared conditions whose causes are gone

  bool empty() const;
  // One line; equal for equal plans.
  std::string text() const;
};

// While a volume's section is wrong nothing is freed: its segments could be those.
Reconciliation reconciliation(const Volumes& volumes, const NodeStatuses& nodes);

// The placement when all moves that are complete have ended.
Placement settled(const Volume& volume, const NodeStatuses& nodes);
// Of its cleared conditions those that are still not met.
std::vector<std::string> still_cleared(const Volume& volume, const NodeStatuses& nodes);

}  // namespace confd::storage
