// RemoteVolumeFiles: etc/remote_volumes/<user>.<uid>.conf, one file for each user who owns remote volumes
// (spec/storage-behaviour.md §9): an rclone configuration with a section for each of them, so that whoever
// may read it (mode 0600) can look into the volumes with rclone itself:
//
//   rclone --config /exa/etc/remote_volumes/root.0.conf lsf r0001:
//
// Made from EXAConf on every node, by a thread of its own, after each revision that changes them. A file is
// replaced whole; after a crash the next start makes all of them again. Thread-safety: any thread.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <thread>

#include "base/file_system.h"
#include "base/mutex.h"
#include "exaconf/config.h"
#include "storage/rclone.h"

namespace confd::storage {

// "<user>.<uid>.conf"; a uid without a user is named by its number alone.
std::string remote_volume_file(const exaconf::Config& config, std::int64_t uid);

class RemoteVolumeFiles {
 public:
  RemoteVolumeFiles(base::FileSystem& files, std::string folder, RcloneSettings settings,
                    std::function<void(const std::string&)> on_problem);
  ~RemoteVolumeFiles();

  // Returns at once; the newest revision counts.
  void refresh(exaconf::ConfigPtr config) EXCLUDES(mutex_);

 private:
  // Names of the files and what they are made from.
  using Plan = std::map<std::string, std::string>;
  void work(const std::stop_token& stop) EXCLUDES(mutex_);
  void write_all(const exaconf::Config& config, const std::stop_token& stop);
  base::Result<std::string> text_of(const exaconf::Config& config, std::int64_t uid,
                                    const std::stop_token& stop);

  base::FileSystem& files_;
  const std::string folder_;
  const RcloneSettings settings_;
  const std::function<void(const std::string&)> on_problem_;
  base::Mutex mutex_;
  base::CondVar changed_;
  exaconf::ConfigPtr next_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  Plan written_;  // the thread's own
  std::stop_source stop_;
  std::thread thread_;
};

}  // namespace confd::storage
