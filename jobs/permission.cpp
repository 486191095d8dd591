#include "jobs/permission.h"

#include <algorithm>

#include "base/text.h"

namespace confd::jobs {
namespace {

bool has(const JobDescriptor& job, std::string_view word) {
  return std::find(job.users.begin(), job.users.end(), word) != job.users.end();
}

bool owns(const JobDescriptor& job, const auth::Identity& who, const base::Struct& params,
          const exaconf::Config& config) {
  if (!has(job, kOwner) || job.owner == nullptr) return false;
  const exaconf::User* user = config.user(who.user);
  return user != nullptr && job.owner(config, params) == user->id;
}

bool listed(const JobDescriptor& job, const auth::Identity& who) {
  // A user named "_self" can't be made; should a hand-edited EXAConf have one, the word still is none.
  return who.user != kSelf && who.user != kOwner && auth::permitted(who, job.users, job.groups);
}

std::string who_may(const JobDescriptor& job) {
  std::vector<std::string> users, groups;
  for (const std::string_view user : job.users)
    users.emplace_back(user == kSelf ? "the user concerned" : user == kOwner ? "the owner" : user);
  for (const std::string_view group : job.groups) groups.emplace_back(group);
  std::string text;
  if (!users.empty()) text += base::join(users, ", ");
  if (!users.empty() && !groups.empty()) text += " and ";
  if (!groups.empty())
    text += "members of the group" + std::string(groups.size() > 1 ? "s " : " ") + base::join(groups, ", ");
  return text.empty() ? "nobody" : text;
}

}  // namespace

base::Status check_permission(const JobDescriptor& job, const auth::Identity& who, const base::Struct& params,
                              const exaconf::Config& config) {
  if (listed(job, who) || owns(job, who, params, config)) return {};
  if (has(job, kSelf)) {
    const base::Value* name = params.find("username");
    if (name != nullptr && name->is_string() && name->as_string() == who.user) return {};
  }
  return base::Error{base::Code::forbidden, "user '" + who.user + "' may not run '" + std::string(job.name) +
                                                "': it is open to " + who_may(job)};
}

bool may_run(const JobDescriptor& job, const auth::Identity& who) {
  return listed(job, who) || has(job, kSelf) || has(job, kOwner);
}

}  // namespace confd::jobs
