// Rclone: runs Debian's rclone (1.60) for one remote volume: its configuration file, its calls, what their
// failures mean. Used by RcloneStore, the probe and the files in etc/remote_volumes.
//
// Secrets are in the configuration file (mode 0600, gone with this object) or go to rclone's standard input;
// they are in no argument, and masked in what rclone says. Thread-safety: any thread.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/program.h"
#include "base/random.h"
#include "base/result.h"
#include "storage/rclone_remote.h"

namespace confd::storage {

struct RcloneSettings {
  std::string program = "/usr/bin/rclone";
  std::string folder;       // of configurations, 0700: <root>/run/rclone
  std::string spool;        // where rclone keeps what it can't stream, 0700: <root>/spool/rclone
  std::string known_hosts;  // <root>/etc/remote_volumes/known_hosts; used when it is there
};

class Rclone {
 public:
  struct Limits {
    std::chrono::milliseconds timeout{std::chrono::seconds(30)};
    std::stop_token stop = {};
    std::size_t output = 1u << 20;
  };
  struct Call {
    std::vector<std::string> arguments;
    base::ProgramStreams streams = {};
  };

  // Writes the configuration. With several hosts it also looks for the first that answers. Errors: those of
  // rclone_remote(), Code::unsupported when rclone is not installed, Code::timeout, Code::stopped,
  // Code::io_error.
  static base::Result<std::unique_ptr<Rclone>> open(base::FileSystem& files, base::Random& random,
                                                    const RcloneSettings& settings,
                                                    const RemoteVolume& volume, const Limits& limits);
  ~Rclone();
  Rclone(const Rclone&) = delete;
  Rclone& operator=(const Rclone&) = delete;

  const RcloneRemote& remote() const { return remote_; }
  // "volume:bucket/folder/db/id_1": what calls name.
  std::string place(const std::string& path) const;

  // Errors: Code::not_found (folder or file), Code::timeout, Code::stopped, Code::io_error, each with
  // rclone's reason and the volume's name.
  base::Result<base::ProgramEnd> run(const Call& call, const Limits& limits) const;

 private:
  Rclone(base::FileSystem& files, RemoteVolume volume, RcloneRemote remote, const RcloneSettings& settings,
         std::string configuration);
  base::Status find_host(const Limits& limits);
  base::Error failure(const base::ProgramEnd& end, const Limits& limits) const;

  base::FileSystem& files_;
  const RemoteVolume volume_;
  const RcloneRemote remote_;
  const std::string program_;
  const std::string spool_;
  const std::string configuration_;  // path
  std::size_t host_ = 0;
};

// The settings with their passwords as rclone wants them. Errors as above.
base::Result<std::vector<RcloneSetting>> with_obscured(const std::string& program,
                                                       std::vector<RcloneSetting> settings,
                                                       const Rclone::Limits& limits);

// Removes what a confd that was killed left in the two folders. REQUIRES: no Rclone is open.
void remove_left_files(base::FileSystem& files, const RcloneSettings& settings);

}  // namespace confd::storage
