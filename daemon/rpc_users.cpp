// RPC methods about the caller's own account. The original names them without saying what they do
// (spec/rpc.md §2); docs/security.md says what ours do.
#include "base/clock.h"
#include "daemon/rpc_families.h"
#include "jobs/catalogue.h"
#include "jobs/permission.h"

namespace confd::daemon {

using base::Array;
using base::Code;
using base::Struct;
using base::Value;

namespace {

bool has_password(const exaconf::User& user) {
  return !user.passwd.empty() && user.passwd != "*";
}

void user_login(const RpcCallPtr& call, RpcServices& services) {
  if (const Value* token = argument(*call, 99, "revoke")) {
    if (!token->is_string())
      return call->fault({RpcFault::Kind::bad_arguments,
                          "<class 'TypeError'>:user_login() wants 'revoke' as a string: the token"});
    return services.writers.post([call, &tokens = services.tokens, text = token->as_string()] {
      auto revoked = tokens.revoke(text);
      if (!revoked) return call->reply(scheduler::refusal(revoked.error().code, revoked.error().text));
      call->reply(*revoked);
    });
  }
  const exaconf::ConfigPtr config = services.scheduler.config();
  const exaconf::User* user = config->user(call->caller->user);
  if (!user || !user->login_enabled)
    return call->reply(scheduler::refusal(
        Code::forbidden,
        "User " + call->caller->user + " may not log in over the network: LoginEnabled is False"));
  // A caller at the local socket needs no password there, and must not get around the lack of one elsewhere.
  if (call->caller->method == "local" && !has_password(*user))
    return call->reply(scheduler::refusal(
        Code::forbidden, "User " + user->name + " has no password and so may not log in over the network"));
  services.writers.post([call, config, user, &tokens = services.tokens] {
    auto issued = tokens.issue(*user);
    if (!issued) return call->reply(scheduler::refusal(issued.error().code, issued.error().text));
    call->reply(Struct{
        {"user", user->name}, {"token", issued->token}, {"expires", base::format_utc(issued->expires)}});
  });
}

void user_state(const RpcCallPtr& call, RpcServices&) {
  const auth::Identity& who = *call->caller;
  Array groups;
  for (const std::string& group : who.groups) groups.emplace_back(group);
  Array allowed;
  for (const jobs::JobDescriptor* job : jobs::all_jobs())
    if (jobs::may_run(*job, who)) allowed.emplace_back(job->name);
  call->reply(Struct{{"user", who.user},
                     {"login", who.method},
                     {"groups", std::move(groups)},
                     {"jobs", std::move(allowed)}});
}

void user_init(const RpcCallPtr& call, RpcServices& services) {
  const auto name = text_argument(call, 0, "username");
  if (!name) return;
  const auto password = text_argument(call, 1, "password");
  if (!password) return;
  if (call->caller->user != "root" && !call->caller->in("exaadm"))
    return call->reply(scheduler::refusal(Code::forbidden,
                                          "Only root and members of exaadm may set a user's first password"));
  const exaconf::ConfigPtr config = services.scheduler.config();
  const exaconf::User* user = config->user(*name);
  if (!user)
    return call->reply(scheduler::refusal(
        Code::not_found, "There is no user '" + *name + "'; user_list shows those there are"));
  if (has_password(*user))
    return call->reply(scheduler::refusal(
        Code::wrong_state, "User '" + *name + "' has a password already; job user_passwd changes it"));
  call_job(call, "user_passwd", Struct{{"username", *name}, {"password", *password}}, services);
}

constexpr std::string_view kLogin[] = {"options"};
constexpr std::string_view kInit[] = {"username", "password"};

constexpr RpcMethod kMethods[] = {
    {"user_login", kLogin, 0, "struct user_login(struct options)",
     "A bearer token for the user of this login: {'user', 'token', 'expires'}. Send it as `Authorization: "
     "Bearer TOKEN`.\n"
     "@options, {'revoke': token} ends that token instead and returns whether there was one",
     &user_login},
    {"user_state",
     {},
     0,
     "struct user_state()",
     "Who the caller is, the groups and the jobs allowed: {'user', 'login', 'groups', 'jobs'}.",
     &user_state},
    {"user_init", kInit, 2, "struct user_init(string username, string password)",
     "Set the first password of a user who has none; for root and group exaadm.\n@username, name of the "
     "user\n@password, the password in clear",
     &user_init},
};

}  // namespace

std::span<const RpcMethod> user_methods() {
  return kMethods;
}

}  // namespace confd::daemon
