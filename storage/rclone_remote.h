// RcloneRemote: what a remote volume is for rclone (its manual: rclone.org/docs, and each provider's page):
// sections of a configuration file, the path behind "remote:", switches and environment. The table is in
// docs/storage-remote.md. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/remote_volume.h"

namespace confd::storage {

struct RcloneSetting {
  std::string name;
  std::string value;
  bool obscured = false;  // rclone wants this password as `rclone obscure` writes it
};

struct RcloneRemote {
  // One for each host of the volume; the first that answers is used.
  std::vector<std::vector<RcloneSetting>> sections;
  std::string root;                      // "bucket/folder"; of type file and sftp: absolute
  std::vector<std::string> flags;        // of every call
  std::vector<std::string> environment;  // besides base::plain_environment()
  bool whole_objects = false;  // an object is there whole or not at all: no temporary name is needed
  bool wants_root = false;     // the folder must be there: nobody makes it (a mount point)
  std::chrono::seconds timeout{30};
  std::chrono::seconds transfer_timeout{120};
  bool resumes = true;
};

// `known_hosts`: a file with host keys of SFTP servers, which are then checked against it; empty: none.
// Errors: Code::bad_parameter, Code::unsupported.
base::Result<RcloneRemote> rclone_remote(const RemoteVolume& volume, const std::string& known_hosts = {});

// One section of an rclone configuration; obscured values are in place. Error: Code::bad_parameter for a
// value that the format can't hold.
base::Result<std::string> rclone_section(std::string_view name, const std::vector<RcloneSetting>& settings);

}  // namespace confd::storage
