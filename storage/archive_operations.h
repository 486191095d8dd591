// The node operations of archive segments, and the copies of this node behind them. `vid`, `index`, `level`
// and `path` in all; versions, sizes and notes are integers.
//
//   archive.find {path ("" = none)} -> {state ONLINE|RECOVERING, in_step, counter, digest, damaged,
//   free_bytes,
//       missed: [{node, note}], entry: {version, size, checksum ("" = removed)} or null}
//   archive.list {folder, after, most} -> {files: [{path, version, size}]}
//   archive.put (send) {path} -> {stage, size, checksum}
//   archive.commit {path, stage, version, without: [node]}    archive.remove {path, version, without: [node]}
//   archive.clear {version, without: [node]}      every file older than that is removed
//   archive.note {nodes: [node]}    archive.rejoin {node, note}
//   archive.get (fetch) {path, offset, version (0 = any)}    archive.manifest (fetch) {}
// All but the streams are repeatable. What they do: storage/archive_segment.h. Errors also: Code::not_found
// and Code::wrong_state when this node has no such archive segment or it is offline; Code::busy when it is
// full, with how full.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "cluster/node_control.h"
#include "storage/archive_segment.h"
#include "storage/node_storage.h"

namespace confd::storage {

// The archive segments of this node, opened at their first use. Thread-safety: any thread.
class ArchiveCopies {
 public:
  // All outlive this.
  ArchiveCopies(NodeStorage& storage, ArchiveSegment::Services services)
      : storage_(storage), services_(std::move(services)) {}

  struct Copy {
    LocalSegment place;
    ArchiveSegment* files = nullptr;  // as long as this object
  };
  base::Result<Copy> find(const SegmentId& id);
  NodeStorage& storage() { return storage_; }
  const ArchiveSegment::Services& services() const { return services_; }

 private:
  NodeStorage& storage_;
  const ArchiveSegment::Services services_;
  base::Mutex mutex_;
  std::map<std::string, std::unique_ptr<ArchiveSegment>> by_folder_ GUARDED_BY(mutex_);
};

// REQUIRES: none of them is registered yet. `copies` outlives all calls.
void register_archive_operations(cluster::NodeControl& control, ArchiveCopies& copies);

}  // namespace confd::storage
