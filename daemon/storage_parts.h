// StorageParts: a node's devices with what lies on them, and its share of the archive volumes, put together
// for App. Thread-safety: made once, before the daemon serves.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/random.h"
#include "cluster/node_control.h"
#include "daemon/root.h"
#include "exaconf/store.h"
#include "storage/archive_service.h"
#include "storage/node_storage.h"

namespace confd::daemon {

struct StorageParts {
  std::unique_ptr<storage::NodeStorage> storage;
  std::unique_ptr<storage::ArchiveService> archives;  // ends before the storage
};

struct StorageNeeds {  // all of it outlives the parts
  const Root& root;
  base::FileSystem& files;
  base::Clock& clock;
  base::Random& random;
  base::Log& log;
  cluster::NodeControl& nodes;
  exaconf::Store& store;
};

// Takes the devices into use and registers the node operations.
base::Result<StorageParts> make_storage(const StorageNeeds& needs);

}  // namespace confd::daemon
