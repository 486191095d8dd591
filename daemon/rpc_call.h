// RpcCall: one method call on its way: who calls, with which arguments, and how to answer. Independent of the
// dialect (XML-RPC, JSON). Thread-safety: the answer may come from any thread, once; the rest is constant.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "auth/identity.h"
#include "base/result.h"
#include "base/value.h"
#include "scheduler/record.h"

namespace confd::daemon {

// What went wrong with the *call* (unknown method, wrong arguments); what goes wrong with a *job* is in the
// envelope (spec/rpc.md §14.4).
struct RpcFault {
  enum class Kind { unknown_method, bad_arguments, refused, internal } kind = Kind::bad_arguments;
  std::string text;
};

struct RpcCall {
  std::string method;
  base::Array arguments;  // by position
  std::shared_ptr<const auth::Identity> caller;
  base::Struct request;  // path, method, remote, agent: for the job record
  std::string note;      // job name and id, for the request's log line
  // Set by the dialect, which may move the value away.
  using Answer = std::variant<base::Value*, const scheduler::JobRecord*, const RpcFault*>;
  std::function<void(const RpcCall&, Answer)> on_answer;

  void reply(base::Value value) const { on_answer(*this, &value); }
  // With the record's envelope; its output may be large and is not copied.
  void reply(const scheduler::JobRecord& record) const { on_answer(*this, &record); }
  void fault(const RpcFault& what) const { on_answer(*this, &what); }
};
using RpcCallPtr = std::shared_ptr<RpcCall>;

// "job_exec node_state 11.7", for the request's log line.
inline std::string with_note(const RpcCall& call) {
  return call.note.empty() ? call.method : call.method + " " + call.note;
}

}  // namespace confd::daemon
