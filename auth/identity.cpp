#include "auth/identity.h"

#include <pwd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace confd::auth {
namespace {

constexpr std::string_view kRoot = "root";

// The name of an OS user, from the machine's user database; nothing when it has none.
base::Result<std::string> os_user_name(std::uint32_t uid) {
  std::vector<char> buffer(1024);
  for (;;) {
    passwd record{};
    passwd* found = nullptr;
    const int error = ::getpwuid_r(uid, &record, buffer.data(), buffer.size(), &found);
    if (error == ERANGE && buffer.size() < 1024 * 1024) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (found == nullptr)
      return base::Error{base::Code::forbidden,
                         "the OS user with id " + std::to_string(uid) + " has no name on this machine"};
    return std::string(record.pw_name);
  }
}

}  // namespace

bool Identity::in(std::string_view group) const {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

Identity identify(const exaconf::Config& config, std::string_view user, std::string_view method) {
  Identity who;
  who.user = user;
  who.method = method;
  if (const exaconf::User* record = config.user(user); record != nullptr) {
    who.groups.reserve(record->additional_groups.size() + 2);
    if (!record->group.empty()) who.groups.push_back(record->group);
    for (const std::string& group : record->additional_groups)
      if (!who.in(group)) who.groups.push_back(group);
  }
  if (user == kRoot && !who.in(kRoot)) who.groups.emplace_back(kRoot);
  return who;
}

base::Result<Identity> identify_local(const exaconf::Config& config, std::uint32_t uid) {
  if (uid == 0) return identify(config, kRoot, "local");
  auto name = os_user_name(uid);
  if (!name) return name.error();
  const exaconf::User* user = config.user(*name);
  if (user == nullptr)
    return base::Error{base::Code::forbidden, "the OS user '" + *name +
                                                  "' is no user of EXAConf: create it with user_create, or "
                                                  "call as root"};
  if (!user->login_enabled)
    return base::Error{
        base::Code::forbidden,
        "the login of user '" + *name + "' is disabled: enable it with user_modify, or call as root"};
  // An EXAConf user called root is only ever uid 0: another OS user of that name must not become it.
  if (*name == kRoot)
    return base::Error{base::Code::forbidden, "only uid 0 is root, not uid " + std::to_string(uid)};
  return identify(config, *name, "local");
}

bool permitted(const Identity& who, std::span<const std::string_view> users,
               std::span<const std::string_view> groups) {
  return std::find(users.begin(), users.end(), who.user) != users.end() ||
         std::any_of(groups.begin(), groups.end(), [&](std::string_view group) { return who.in(group); });
}

}  // namespace confd::auth
