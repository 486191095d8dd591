// Who may read and write the files of an archive volume: its Owner and Permissions against users and groups
// of EXAConf.
//
// Permissions are a file's mode: 'rwx------', three letters each for the owner, his group and all others; a
// short form 'rwx' is the owner's. r: read and list; w: write, remove, move; x says nothing here. The first
// class that a user belongs to counts: owner when his id is Owner's uid, group when one of his groups has
// Owner's gid. Root and the members of group root may do everything. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "auth/identity.h"
#include "exaconf/config.h"
#include "storage/volume.h"

namespace confd::services {

struct ArchiveUser {
  std::string name;
  bool is_root = false;
  bool is_known = false;  // to EXAConf; else `uid` means nothing
  std::int64_t uid = 0;
  std::vector<std::int64_t> gids;
};
ArchiveUser archive_user(const exaconf::Config& config, const auth::Identity& who);

enum class ArchiveRight { read, write };
bool may(const ArchiveUser& user, const storage::Volume& volume, ArchiveRight right);
// "user 'anna' may not write to volume 'backups': it is rwxr----- of ...; ..."
std::string refusal(const ArchiveUser& user, const storage::Volume& volume, ArchiveRight right);

}  // namespace confd::services
