// ArchiveService: what a node does for archive volumes, put together: its copies of segments with their node
// operations, the way to those of other nodes, and the recovery of its own. The daemon has one.
// Thread-safety: as its parts; made and begun by one thread.
#pragma once

#include "storage/archive_link.h"
#include "storage/archive_operations.h"
#include "storage/recovery.h"

namespace confd::storage {

class ArchiveService {
 public:
  // All outlive this. Registers archive.* and recovery.* at `control`.
  ArchiveService(cluster::NodeControl& control, NodeStorage& storage, base::FileSystem& files,
                 base::Random& random, Recovery::Services services);

  ArchiveLink& link() { return link_; }
  Recovery& recovery() { return recovery_; }

 private:
  ArchiveCopies copies_;
  NodeArchiveLink link_;
  Recovery recovery_;
};

}  // namespace confd::storage
