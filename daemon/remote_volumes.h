// What a node needs for remote volumes: its node operations, and the files of their owners. Used by App.
// Thread-safety: called once, before the daemon serves.
#pragma once

#include <memory>

#include "base/file_system.h"
#include "base/log.h"
#include "base/random.h"
#include "cluster/node_control.h"
#include "daemon/root.h"
#include "exaconf/store.h"
#include "storage/remote_volume_files.h"

namespace confd::daemon {

struct RemoteVolumeParts {
  base::FileSystem& files;
  base::Random& random;
  const Root& root;
  cluster::NodeControl& nodes;
  exaconf::Store& store;
  base::Log& log;
};

// Everything in `parts` outlives the result, which is told of each new revision.
std::unique_ptr<storage::RemoteVolumeFiles> use_remote_volumes(const RemoteVolumeParts& parts);

}  // namespace confd::daemon
