// confd --recover-store and --forget-store: the ways out when more than half of the managed store's members
// are lost for good (docs/cluster.md, "Managed members"). Used by main, with no confd running on the root.
//
// --recover-store makes this node's member the only one of the store: from its data, or, when that is gone,
// a new store. The newer of the store's EXAConf and the file's is in force afterwards. --forget-store sets a
// node's data of the store aside, so that its member is added anew: on all other nodes, before they start.
// Thread-safety: the main thread, in a process of their own.
#pragma once

#include <iosfwd>

#include "base/file_system.h"
#include "base/result.h"
#include "daemon/options.h"

namespace confd::daemon {

base::Status recover_store(const Options& options, base::FileSystem& files, std::ostream& out);
base::Status forget_store(const Options& options, base::FileSystem& files, std::ostream& out);

}  // namespace confd::daemon
