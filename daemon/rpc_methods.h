// The RPC methods (spec/rpc.md §3): a table of name, arguments, texts and function; the dialects only carry
// calls to it.
//
// Methods beside the 17 of the original: job_stop, job_args, job_history. Thread-safety: constants; a call
// may be made on any thread and does not block.
#pragma once

#include <span>
#include <string_view>

#include "auth/token_store.h"
#include "daemon/events.h"
#include "daemon/rpc_call.h"
#include "scheduler/scheduler.h"
#include "scheduler/worker_pool.h"

namespace confd::daemon {

// What methods work on; owned by the app.
struct RpcServices {
  scheduler::Scheduler& scheduler;
  auth::TokenStore& tokens;
  Events& events;
  scheduler::WorkerPool& writers;  // for what waits for the disk: methods are called on threads that must not
};

struct RpcMethod {
  std::string_view name;
  std::span<const std::string_view> arguments;  // by position; the last one may be a struct of options
  std::size_t mandatory = 0;
  std::string_view
      signature;          // for system.methodSignature: "string job_start(string job_name, struct options)"
  std::string_view help;  // for system.methodHelp; first line what it does, then a line an argument
  void (*call)(const RpcCallPtr& call, RpcServices& services);
};

std::span<const RpcMethod> rpc_methods();  // sorted by name
const RpcMethod* find_rpc_method(std::string_view name);

// Checks name and number of arguments, then calls. Never throws.
void dispatch(const RpcCallPtr& call, RpcServices& services);
// Runs a job as `job_exec` does, for the JSON dialect in which a job's name is the method.
void call_job(const RpcCallPtr& call, const std::string& job, base::Value params, RpcServices& services);

}  // namespace confd::daemon
