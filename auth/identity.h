// Identity: who calls, as found out by a login or by the kernel. Thread-safety: a plain value.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "exaconf/config.h"

namespace confd::auth {

struct Identity {
  std::string user;
  std::vector<std::string> groups;  // primary first, then additional ones, by name
  std::string
      method;  // "basic", "token" (user_login), "cluster-token" (EXAConf AuthenticationToken), "local"
  bool in(std::string_view group) const;
};

using IdentityPtr = std::shared_ptr<const Identity>;

// Groups of `user` in this revision. A user EXAConf does not know has none; "root" is always itself, with its
// EXAConf groups and "root".
Identity identify(const exaconf::Config& config, std::string_view user, std::string_view method);

// The EXAConf user for an OS user of this machine (local socket): uid 0 is root; another uid is the EXAConf
// user of the same *name*. Error: Code::forbidden when there is no such user.
base::Result<Identity> identify_local(const exaconf::Config& config, std::uint32_t uid);

// May `who` run a job with these permissions? `users` and `groups` are names; "_owner" is for the job's own
// check; "_self" (user_passwd's "xmlrpc user") means everybody for himself and is checked by the job as well.
bool permitted(const Identity& who, std::span<const std::string_view> users,
               std::span<const std::string_view> groups);

}  // namespace confd::auth
