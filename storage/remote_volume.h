// RemoteVolume: a [RemoteVolume : name] section of EXAConf with its types, and its options. What it is for
// rclone: storage/rclone_remote.h.
//
// Passwords are in the clear here; whoever shows one of these to somebody takes care of that. Thread-safety:
// plain values, pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "exaconf/config.h"
#include "exaconf/value_types.h"
#include "storage/remote_url.h"

namespace confd::storage {

// Comma-separated in EXAConf (spec/storage-behaviour.md §9).
struct RemoteOptions {
  bool clean_volume = false;    // cleanvolume: expired backups go after a backup
  bool no_compression = false;  // nocompression: of backups
  bool verbose = false;
  bool no_verify_peer = false;  // noverifypeer: any certificate or host key is believed
  bool no_resume = false;       // noresume: a transfer that broke off is not taken up again
  bool force_tls = false;       // forcessl: STARTTLS for ftp
  bool early_tls = false;       // earlytls: TLS 1.0 and 1.1 as well
  std::string user;             // user=: of Hadoop
  std::string delegation_token;
  std::string proxy;     // http://host:port
  std::string scheme;    // scheme=: in place of the URL's
  std::string endpoint;  // endpoint=: of an object store
  // timeout=: until a silent server is given up; in the middle of a file it gets more when nothing is said,
  // since to some servers a source that pauses looks the same.
  std::chrono::seconds timeout{30};
  std::chrono::seconds transfer_timeout{120};
  std::vector<std::string> ignored;  // names of those that have no effect here
};
// Error: Code::bad_parameter for a value that makes no sense; unknown options are `ignored`.
base::Result<RemoteOptions> parse_remote_options(std::string_view text);

struct RemoteVolume {
  std::string name;
  std::int64_t id = 0;
  RemoteType type = RemoteType::s3;
  std::string url;
  exaconf::Owner owner;
  std::string username;
  std::string password;
  std::vector<std::string> labels;
  std::string options;
};

// Error: Code::not_found; Code::invalid_config for a section without type or URL.
base::Result<RemoteVolume> find_remote_volume(const exaconf::Config& config, std::string_view name);

// As parameters of a node operation, and back (Code::bad_parameter): what it takes to reach the place.
base::Struct to_params(const RemoteVolume& volume);
base::Result<RemoteVolume> remote_volume_of(const base::Struct& params);

// What EXAConf keeps (base64), in the clear; text that is no base64 stands for itself.
std::string clear_password(std::string_view stored);

}  // namespace confd::storage
