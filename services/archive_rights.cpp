#include "services/archive_rights.h"

#include <algorithm>

namespace confd::services {

ArchiveUser archive_user(const exaconf::Config& config, const auth::Identity& who) {
  ArchiveUser user;
  user.name = who.user;
  user.is_root = who.user == "root" || who.in("root");
  if (const exaconf::User* record = config.user(who.user)) {
    user.is_known = true;
    user.uid = record->id;
  }
  for (const std::string& name : who.groups)
    if (const exaconf::Group* group = config.group(name)) user.gids.push_back(group->id);
  return user;
}

bool may(const ArchiveUser& user, const storage::Volume& volume, ArchiveRight right) {
  if (user.is_root) return true;
  std::size_t at = 6;
  if (user.is_known && user.uid == volume.owner.uid)
    at = 0;
  else if (std::find(user.gids.begin(), user.gids.end(), volume.owner.gid) != user.gids.end())
    at = 3;
  const char letter = right == ArchiveRight::read ? 'r' : 'w';
  at += right == ArchiveRight::read ? 0 : 1;
  return volume.permissions.size() == 9 && volume.permissions[at] == letter;
}

std::string refusal(const ArchiveUser& user, const storage::Volume& volume, ArchiveRight right) {
  return "user '" + user.name + "' may not " + (right == ArchiveRight::read ? "read" : "write to") +
         " volume '" + volume.name + "': it is " + volume.permissions + " of user " +
         std::to_string(volume.owner.uid) + " and group " + std::to_string(volume.owner.gid) +
         "; st_volume_change_permissions and st_volume_change_owner change that";
}

}  // namespace confd::services
