// The probe of a remote volume: is it reached from this node, and can it be read and written? And the node
// operation that asks another node.
//
//   remote_volume.probe {volume: {name, type, url, username, password, options}, write: bool}
//     -> {state: Online | Unmounted | Connection problem, reason: why not}
//
// Thread-safety: any thread.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/random.h"
#include "cluster/node_control.h"
#include "storage/rclone.h"
#include "storage/remote_volume.h"

namespace confd::storage {

// States as the interface shows them (spec/jobs/remote_volume.yaml).
inline constexpr std::string_view kOnline = "Online";
// The server answers, but has no such bucket, share or folder; or this node can't use remote volumes.
inline constexpr std::string_view kUnmounted = "Unmounted";
// No answer, no connection, or a refusal.
inline constexpr std::string_view kConnectionProblem = "Connection problem";

struct RemoteProbe {
  std::string state;
  std::string reason;  // empty when Online
};

// With `write` a small file of its own is written, read back, compared and removed; else the place is listed.
// Takes as long as the volume's timeout and some seconds, a minute and a half at most. Error: Code::stopped.
base::Result<RemoteProbe> probe_remote_volume(base::FileSystem& files, base::Random& random,
                                              const RcloneSettings& settings, const RemoteVolume& volume,
                                              bool write, const std::stop_token& stop);

void register_remote_volume_operations(cluster::NodeControl& nodes, base::FileSystem& files,
                                       base::Random& random, const RcloneSettings& settings);

}  // namespace confd::storage
