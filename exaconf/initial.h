// The EXAConf of a new root (confd --init): one node, built-in groups and users as in version 8 and later
// (spec/exaconf.md §3, §8; spec/services-behaviour.md §1). Thread-safety: pure function of its arguments.
#pragma once

#include <string>

#include "base/random.h"
#include "base/result.h"

namespace confd::exaconf {

struct InitialSettings {
  int node_id = 11;
  std::string private_net = "127.0.0.11/8";
  int xmlrpc_port = 20003;
  std::string root_directory;  // --root, for the paths of [SSL] and LicenseFile
  std::string admin_name = "admin";
  std::string admin_passwd_hash;      // crypt(3)
  std::string device_size = "8 GiB";  // of the disk `disk1`'s one device dev.1
  std::string data_volume_size = "4 GiB";
  std::string archive_volume_size = "2 GiB";
};

// Text with Revision = 1 and its Checksum, valid for Config::load. Error: Code::bad_parameter naming the
// setting.
base::Result<std::string> initial_exaconf(const InitialSettings& settings, base::Random& random);

}  // namespace confd::exaconf
