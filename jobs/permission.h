// Permission: may this caller run this job with these parameters? The scheduler asks for every path (XML-RPC,
// JSON, socket) before a job gets an id. Thread-safety: pure functions.
#pragma once

#include "auth/identity.h"
#include "base/result.h"
#include "base/value.h"
#include "jobs/descriptor.h"

namespace confd::jobs {

// In `users`: everybody may run the job for himself, that is when the parameter `username` is the caller's
// name. Shown as "xmlrpc user", as the public lists write it (spec/jobs/user.yaml, user_passwd).
inline constexpr std::string_view kSelf = "_self";

// In `users`: who owns the thing that the parameters name (JobDescriptor::owner).
inline constexpr std::string_view kOwner = "_owner";

// Error: Code::forbidden, telling who may. Owners are known by `config`.
base::Status check_permission(const JobDescriptor& job, const auth::Identity& who, const base::Struct& params,
                              const exaconf::Config& config);
// The same when the parameters are not known, for "which jobs may I run" (user_state): true when there are
// parameters with which `who` may run it.
bool may_run(const JobDescriptor& job, const auth::Identity& who);

}  // namespace confd::jobs
