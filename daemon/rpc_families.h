// The families of RPC methods, one source file each; rpc_methods.cpp lists them. Private to daemon/.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "daemon/rpc_methods.h"
#include "scheduler/job_id.h"

namespace confd::daemon {

std::span<const RpcMethod> job_methods();  // rpc_jobs.cpp: job_exec, job_start, job_wait, ...
std::span<const RpcMethod>
job_description_methods();                    // rpc_descriptions.cpp: job_list, job_help, job_desc, job_args
std::span<const RpcMethod> user_methods();    // rpc_users.cpp: user_login, user_state, user_init
std::span<const RpcMethod> event_methods();   // rpc_events.cpp: subscribe, unsubscribe
std::span<const RpcMethod> system_methods();  // rpc_system.cpp: system.listMethods, ...

// The named member of the arguments, wherever it is: at its position, or in a struct given at any position
// ("positional and dict forms are mixed by the official sample", spec/rpc.md §3). nullptr when absent.
const base::Value* argument(const RpcCall& call, std::size_t position, std::string_view name);
// A text argument; faults the call and returns nothing when it is missing or no text.
std::optional<std::string> text_argument(const RpcCallPtr& call, std::size_t position, std::string_view name);
std::optional<scheduler::JobId> job_id_argument(const RpcCallPtr& call);

// Jobs are their submitter's; root and group exaadm see all.
bool may_see(const auth::Identity& who, const std::string& owner);

}  // namespace confd::daemon
