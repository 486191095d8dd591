// Recovery: keeps the copies of archive segments on this node equal to the others. A copy that was away, is
// new, or that this process has not looked at since it started, is compared with all others it can reach;
// what is newer there comes here, and then the copy is ONLINE. A copy that learns that it missed something
// becomes RECOVERING first. Each copy only pulls, so that no two nodes write to the same one.
//
// A copy may call itself complete when it has what all reached copies have, and one of these is in sync or
// every copy not reached is known to have been left behind (docs/storage-archive.md has the argument).
// Copying honours BgRecLimit (MiB/s, 0 or empty = automatic), BgRecEnabled of the node, else of [EXAStorage],
// the priority of volumes, their IntIO and ForcedRedundancy. A suspended node does nothing.
// Thread-safety: round() from one thread at a time, all else from any.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "cluster/sync_record.h"
#include "storage/archive_operations.h"
#include "storage/archive_peers.h"
#include "storage/recovery_limits.h"

namespace confd::storage {

// "Recovery state for node 'n22': 250.60 GiB left | ETF 6m" (spec/storage-behaviour.md §7).
std::string recovery_line(const std::string& node, std::uint64_t bytes_left, double bytes_per_second);

class Recovery {
 public:
  struct Services {
    base::Clock& clock;
    std::function<exaconf::ConfigPtr()> config;
    base::Log* log = nullptr;
    // Until then or the stop; real time when empty.
    std::function<void(base::SteadyTime until, std::stop_token stop)> wait = {};
  };
  struct Left {
    std::uint64_t files = 0, bytes = 0;
  };
  // All of it outlives this.
  Recovery(ArchiveLink& link, ArchiveCopies& copies, Services services);

  // A round every few seconds, until this ends.
  void begin();
  // The last round has ended when this returns.
  void end() { thread_ = {}; }
  // Looks at every archive segment of this node once.
  void round(std::stop_token stop);
  // What is yet to come to the copies of this node, those with nothing left out.
  std::map<SegmentId, Left> left() const;
  // No copying for this volume until restart(); a copy under way ends with its file undone.
  void stop(std::uint64_t vid);
  void restart(std::uint64_t vid);
  // The copies of the volume on this node become RECOVERING; every file of theirs is read and compared with
  // its checksum, and what is missing or wrong comes from the others. Ends a stop().
  base::Status restore(std::uint64_t vid, std::stop_token stop);
  // Measures what this node sustains, now; the automatic limit follows from it until the next time. Done
  // before large recoveries as well, at most once an hour. Errors: Code::busy when it is being done, or no
  // segment has room; Code::wrong_state without archive segments.
  base::Result<Calibration> calibrate(std::stop_token stop);
  // Bytes per second that apply without a BgRecLimit; 0: not measured yet, none.
  std::uint64_t automatic_limit() const;

 private:
  struct Wanted {
    ArchiveEntry entry;
    std::vector<CopyPlace> sources;
  };
  struct Plan {
    std::map<std::string, Wanted> wanted;
    std::map<int, std::uint64_t> seen;  // node -> its note about this copy
    std::vector<PeerCopy> copies;       // of the segment, this one too
    Left left() const;
  };
  base::Status recover(const LocalSegment& segment, std::stop_token stop);
  base::Result<Plan> compare(const ArchiveCopies::Copy& mine, std::vector<PeerCopy> copies,
                             const std::stop_token& stop);
  base::Status copy(const ArchiveCopies::Copy& mine, const Plan& plan, std::stop_token stop);
  base::Status pull(const ArchiveCopies::Copy& mine, const std::string& path, const Wanted& wanted,
                    std::stop_token stop);
  base::Status pass(std::uint64_t bytes, const SegmentId& id, const std::stop_token& stop);
  base::Status may_copy(std::uint64_t vid) const;
  std::uint64_t rate() const;  // bytes per second; 0: no limit
  std::size_t at_once() const;
  std::vector<LocalSegment> in_order() const;
  base::Result<std::string> calibration_folder(const std::stop_token& stop);
  void calibrate_when_due(const std::stop_token& stop);
  void note_left(const SegmentId& id, Left left);
  void tell();

  ArchiveLink& link_;
  ArchiveCopies& copies_;
  const Services services_;
  // What was agreed at the beginning of the round, as far as it could be asked.
  std::map<std::string, cluster::SyncRecord::Marks> marks_;
  base::Mutex pace_mutex_;
  base::SteadyTime due_ GUARDED_BY(pace_mutex_);                   // when the next bytes may come
  std::optional<base::SteadyTime> since_ GUARDED_BY(pace_mutex_);  // of the copying under way
  std::uint64_t passed_ GUARDED_BY(pace_mutex_) = 0;               // since then
  std::optional<base::SteadyTime> told_ GUARDED_BY(pace_mutex_);
  mutable base::Mutex mutex_;
  std::map<SegmentId, Left> left_ GUARDED_BY(mutex_);
  std::set<std::uint64_t> stopped_ GUARDED_BY(mutex_);
  std::set<SegmentId> to_verify_ GUARDED_BY(mutex_);
  std::uint64_t automatic_ GUARDED_BY(mutex_) = 0;
  std::optional<base::SteadyTime> calibrated_ GUARDED_BY(mutex_);
  bool calibrating_ GUARDED_BY(mutex_) = false;
  std::map<SegmentId, std::string> said_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

//   recovery.left {} -> {segments: [{vid, index, level, files, bytes}]}
//   recovery.stop {vid}   recovery.restart {vid}   recovery.restore {vid}
//   recovery.calibrate {} -> {bytes, bytes_per_second, limit, source (node, or null: the disk alone)}
// All repeatable. REQUIRES: none of them is registered yet. `recovery` outlives all calls.
void register_recovery_operations(cluster::NodeControl& control, Recovery& recovery);

}  // namespace confd::storage
