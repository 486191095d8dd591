// confd --fsck: the offline check of a node's storage (storage/check.h, docs/storage-devices.md). Used by
// main, with no confd running on the root. Thread-safety: the main thread, in a process of its own.
#pragma once

#include <iosfwd>

#include "base/file_system.h"
#include "base/result.h"
#include "daemon/options.h"

namespace confd::daemon {

// True when there is no problem (left). Error: it could not be checked.
base::Result<bool> check_node_storage(const Options& options, base::FileSystem& files, std::ostream& out);

}  // namespace confd::daemon
