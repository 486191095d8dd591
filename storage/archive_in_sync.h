// Which copies of an archive segment are current, as the cluster has agreed (cluster/sync_record.h). Notes in
// manifests tell it as long as the copies that have them can be asked; the record tells it when they can't:
// a copy that missed an acknowledged change has a mark there from before the acknowledgement. Used by
// archive_peers and Recovery.
//
// While all copies say that they are in sync, the record is neither read nor written. A cluster without one
// (`store: local`) has one node, and each segment one copy. docs/storage-archive.md has the argument.
// Thread-safety: pure functions, but for the calls of the record.
#pragma once

#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cluster/sync_record.h"
#include "storage/archive_peers.h"
#include "storage/volume.h"

namespace confd::storage {

// As the record names it.
std::string segment_name(const SegmentKey& id);

// Do copies that can't be trusted without the record say that they are in sync?
bool needs_record(const std::vector<PeerCopy>& copies);
// What the record says now, into the copies, and judges them. When it can't be read none is in sync.
void apply_marks(std::vector<PeerCopy>& copies, const base::Result<cluster::SyncRecord::Marks>& marks);
base::Result<cluster::SyncRecord::Marks> read_marks(cluster::SyncRecord& record, const SegmentKey& id,
                                                    const std::stop_token& stop);
// Of all segments.
base::Result<std::map<std::string, cluster::SyncRecord::Marks>> read_all_marks(cluster::SyncRecord& record,
                                                                               const std::stop_token& stop);

// All copies but those of `have` (indexes) missed a change that these have: agrees on it, before it is
// acknowledged. Error: it must not be; Code::wrong_state when those that have it are not current.
base::Status leave_behind(cluster::SyncRecord* record, const std::vector<PeerCopy>& copies,
                          const std::set<std::size_t>& have, const std::stop_token& stop);

// The way back of a copy that is compared with the others: what was agreed when it began.
class ReturnOfCopy {
 public:
  // `record`: nullptr: there is none. Tells the record that the copy on `node` compares itself from now on.
  ReturnOfCopy(cluster::SyncRecord* record, const SegmentKey& id, int node, const std::stop_token& stop);

  // Marks copies, which were asked before or after.
  void apply(std::vector<PeerCopy>& copies) const;
  // The copy has all that every reached one has. Does that make it current?
  bool is_enough(const std::vector<PeerCopy>& copies) const;
  // Then: takes the mark away. Error: Code::busy when it missed something more meanwhile.
  base::Status end(const std::stop_token& stop) const;

 private:
  cluster::SyncRecord* const record_;
  const SegmentKey id_;
  const int node_;
  const base::Result<cluster::SyncRecord::Marks> marks_;
};

// Takes marks away of copies that are no more: their volume is deleted, or they lie elsewhere. The master
// does it. A mark goes when the copy is missing in EXAConf for a minute: a revision that is just coming may
// have it. Thread-safety: one thread at a time.
class LeftoverMarks {
 public:
  explicit LeftoverMarks(cluster::SyncRecord& record) : record_(record) {}
  // `volumes`: of the EXAConf in force now.
  void look(const std::vector<Volume>& volumes, base::SteadyTime now, const std::stop_token& stop);

 private:
  struct Seen {
    std::int64_t position = 0;
    base::SteadyTime since;
  };
  cluster::SyncRecord& record_;
  std::map<std::pair<std::string, int>, Seen> seen_;  // segment, node
};

}  // namespace confd::storage
