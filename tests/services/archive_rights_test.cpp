#include "services/archive_rights.h"

#include <catch2/catch.hpp>

namespace confd::services {
namespace {

storage::Volume volume(const std::string& permissions) {
  storage::Volume made;
  made.name = "backups";
  made.owner = {1001, 500};
  made.permissions = permissions;
  return made;
}

ArchiveUser user(std::int64_t uid, std::vector<std::int64_t> gids) {
  ArchiveUser made;
  made.name = "user" + std::to_string(uid);
  made.is_known = true;
  made.uid = uid;
  made.gids = std::move(gids);
  return made;
}

TEST_CASE("the class that a user belongs to decides, and it only") {
  struct Case {
    const char* permissions;
    ArchiveUser who;
    bool reads, writes;
  };
  for (const Case& one :
       {Case{"rwx------", user(1001, {}), true, true}, Case{"rwx------", user(1002, {500}), false, false},
        Case{"rwxr-----", user(1002, {7, 500}), true, false},
        Case{"rwxrw----", user(1002, {500}), true, true}, Case{"rwx---rw-", user(1002, {500}), false, false},
        Case{"rwx---rw-", user(1002, {7}), true, true}, Case{"---rwxrwx", user(1001, {500}), false, false},
        Case{"r-x------", user(1001, {}), true, false}, Case{"-w-------", user(1001, {}), false, true},
        Case{"--x--x--x", user(1001, {500}), false, false}}) {
    INFO(one.permissions << " for " << one.who.name);
    CHECK(may(one.who, volume(one.permissions), ArchiveRight::read) == one.reads);
    CHECK(may(one.who, volume(one.permissions), ArchiveRight::write) == one.writes);
  }
}

TEST_CASE("root may do everything, a user whom EXAConf does not know is among the others") {
  ArchiveUser root;
  root.is_root = true;
  CHECK(may(root, volume("---------"), ArchiveRight::write));
  ArchiveUser stranger;  // uid 0 means nothing
  storage::Volume of_zero = volume("rwx---r--");
  of_zero.owner = {0, 0};
  CHECK(may(stranger, of_zero, ArchiveRight::read));
  CHECK(!may(stranger, of_zero, ArchiveRight::write));
}

TEST_CASE("a refusal says what would have been needed") {
  const std::string text = refusal(user(1002, {500}), volume("rwxr-----"), ArchiveRight::write);
  CHECK(text ==
        "user 'user1002' may not write to volume 'backups': it is rwxr----- of user 1001 and group 500; "
        "st_volume_change_permissions and st_volume_change_owner change that");
}

}  // namespace
}  // namespace confd::services
