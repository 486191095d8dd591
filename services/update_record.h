// UpdateRecord: how far a rolling update of the cluster has come, so that the next call goes on where one
// stopped, on whichever node is master then. Each node keeps a copy in <root>/spool/update_system.json; the
// one with the highest `sequence` counts. Used by the job update_system. Thread-safety: the node operations
// run on any thread.
#pragma once

#include <string>

#include "base/file_system.h"
#include "cluster/node_control.h"

namespace confd::services {

// Registers
//   update_record.read  {}        -> {record}: {} when there is none
//   update_record.write {record}  -> null; Code::conflict when the stored one has a higher `sequence`
// REQUIRES: none of them is registered yet. `control` and `files` outlive all calls.
void register_update_record_operations(cluster::NodeControl& control, base::FileSystem& files,
                                       const std::string& root_directory);

}  // namespace confd::services
