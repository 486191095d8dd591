#include "daemon/remote_volumes.h"

#include "storage/remote_volume_probe.h"

namespace confd::daemon {

std::unique_ptr<storage::RemoteVolumeFiles> use_remote_volumes(const RemoteVolumeParts& parts) {
  storage::RcloneSettings rclone;
  rclone.folder = parts.root.rclone_configurations();
  rclone.spool = parts.root.rclone_spool();
  rclone.known_hosts = parts.root.remote_volumes() + "/known_hosts";
  storage::remove_left_files(parts.files, rclone);
  base::remove_torn_replacements(parts.files, parts.root.remote_volumes());
  storage::register_remote_volume_operations(parts.nodes, parts.files, parts.random, rclone);
  auto made = std::make_unique<storage::RemoteVolumeFiles>(
      parts.files, parts.root.remote_volumes(), rclone,
      [&log = parts.log](const std::string& text) { log.warn(text); });
  made->refresh(parts.store.current());
  return made;
}

}  // namespace confd::daemon
