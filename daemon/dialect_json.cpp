// Style A (plain): {"method": "job_start", "job": NAME, "params": {...}} -> the bare answer.
// Style B (JSON-RPC 2.0): {"jsonrpc": "2.0", "method": RPC method or job name, "params": ..., "id": ...} ->
// {"jsonrpc", "id", "result"}; batches.
#include <atomic>

#include "base/json.h"
#include "base/mutex.h"
#include "daemon/dialects.h"
#include "jobs/catalogue.h"

namespace confd::daemon {

using base::Array;
using base::Struct;
using base::Value;

namespace {

rpc::HttpResponse json_response(unsigned status, const Value& body) {
  return {status, {{"Content-Type", "application/json"}}, base::render_json(body)};
}

// {"error": {"code", "message"}}; codes of JSON-RPC 2.0.
Value error_of(const RpcFault& fault) {
  int code = -32602;
  switch (fault.kind) {
    case RpcFault::Kind::unknown_method:
      code = -32601;
      break;
    case RpcFault::Kind::bad_arguments:
      code = -32602;
      break;
    case RpcFault::Kind::refused:
      code = -32600;
      break;
    case RpcFault::Kind::internal:
      code = -32603;
      break;
  }
  return Struct{{"code", code}, {"message", fault.text}};
}

std::string_view first_argument(const RpcMethod& method) {
  return method.arguments.empty() ? std::string_view() : method.arguments[0];
}

// Turns named or listed params into arguments by position. Named ones stay a struct: methods look members up
// by name.
void fill_arguments(RpcCall& call, const Value& message) {
  const Value* job = message.find("job");
  const Value* params = message.find("params");
  if (job) call.arguments.push_back(*job);
  if (!params || params->is_null()) return;
  if (params->is_array()) {
    for (const Value& value : params->as_array()) call.arguments.push_back(value);
    return;
  }
  if (params->is_struct() && params->as_struct().empty()) {
    if (job) call.arguments.push_back(*params);
    return;
  }
  const RpcMethod* method = find_rpc_method(call.method);
  if (!job && method && params->is_struct() && first_argument(*method) == "job_name") {
    // {"method": "job_exec", "params": {"job_name": NAME, "options": {...}}}
    const Value* name = params->find("job_name");
    const Value* options = params->find("options");
    if (name && method->arguments.size() > 1) {
      call.arguments.push_back(*name);
      call.arguments.push_back(options ? *options : *params);
      return;
    }
  }
  call.arguments.push_back(*params);
}

struct Answer {
  Value value;
  bool is_fault = false;
  std::string note;
};
using OnAnswer = std::function<void(Answer)>;

// One message, either style; job names count as methods when `jobs_as_methods`.
void answer_message(const Value& message, bool jobs_as_methods, const Struct& request,
                    std::shared_ptr<const auth::Identity> caller, RpcServices& services, OnAnswer done) {
  const Value* method = message.find("method");
  if (!message.is_struct() || !method || !method->is_string())
    return done({Struct{{"code", -32600},
                        {"message", "This is no request: it wants an object with a member \"method\""}},
                 true, "invalid request"});
  auto call = std::make_shared<RpcCall>();
  call->method = method->as_string();
  call->caller = std::move(caller);
  call->request = request;
  call->on_answer = [done](const RpcCall& self, const RpcCall::Answer& answer) {
    if (auto* const* value = std::get_if<Value*>(&answer))
      done({std::move(**value), false, with_note(self)});
    else if (const auto* record = std::get_if<const scheduler::JobRecord*>(&answer))
      done({scheduler::envelope(**record), false, with_note(self)});
    else
      done({error_of(*std::get<const RpcFault*>(answer)), true, self.method + " fault"});
  };
  if (jobs_as_methods && !find_rpc_method(call->method) && jobs::find_job(call->method)) {
    const Value* params = message.find("params");
    const std::string job = std::exchange(call->method, "job_exec");
    return call_job(call, job, params ? *params : Value(), services);
  }
  fill_arguments(*call, message);
  dispatch(call, services);
}

Value json_rpc_answer(const Value* id, const Answer& answer) {
  Struct s{{"jsonrpc", "2.0"}, {"id", id ? *id : Value()}};
  s.append(answer.is_fault ? "error" : "result", answer.value);
  return s;
}

// A batch is answered when its last call is.
struct Batch {
  base::Mutex mutex;
  std::vector<std::pair<bool, Value>> answers GUARDED_BY(mutex);  // wanted (has an id), answer
  std::size_t open GUARDED_BY(mutex) = 0;
};

void answer_batch(const Array& messages, const Struct& request,
                  const std::shared_ptr<const auth::Identity>& caller, RpcServices& services,
                  const DialectAnswer& done) {
  auto batch = std::make_shared<Batch>();
  {
    base::MutexLock lock(batch->mutex);
    batch->answers.resize(messages.size());
    batch->open = messages.size();
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Value* id = messages[i].find("id");
    const Value id_copy = id ? *id : Value();
    const bool wanted = id || !messages[i].is_struct();
    answer_message(messages[i], true, request, caller, services,
                   [batch, i, wanted, id_copy, done](const Answer& answer) {
                     Array all;
                     {
                       base::MutexLock lock(batch->mutex);
                       batch->answers[i] = {wanted, json_rpc_answer(&id_copy, answer)};
                       if (--batch->open > 0) return;
                       for (auto& [has_id, value] : batch->answers)
                         if (has_id) all.push_back(std::move(value));
                     }
                     if (all.empty()) return done({204, {}, {}}, "batch of notifications");
                     const std::string note = "batch of " + std::to_string(all.size());
                     done(json_response(200, std::move(all)), note);
                   });
  }
}

}  // namespace

void answer_json(const rpc::HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
                 RpcServices& services, const DialectLimits& limits, DialectAnswer done) {
  auto message = base::parse_json(request.body, limits.json);
  if (!message)
    return done(json_response(
                    400, Struct{{"jsonrpc", "2.0"},
                                {"id", nullptr},
                                {"error", Struct{{"code", -32700},
                                                 {"message", "This is no JSON: " + message.error().text}}}}),
                "malformed JSON");
  const Struct summary = request_summary(request);
  if (message->is_array()) {
    const Array& messages = message->as_array();
    const bool json_rpc = !messages.empty() && messages[0].find("jsonrpc");
    if (!json_rpc || messages.size() > limits.batch) {
      const std::string text = !json_rpc
                                   ? "A batch wants JSON-RPC 2.0 requests"
                                   : "A batch may hold " + std::to_string(limits.batch) + " requests at most";
      return done(json_response(200, Struct{{"jsonrpc", "2.0"},
                                            {"id", nullptr},
                                            {"error", Struct{{"code", -32600}, {"message", text}}}}),
                  "invalid batch");
    }
    return answer_batch(messages, summary, caller, services, done);
  }
  // Either member makes it style B (spec/rpc.md §8).
  const Value* id = message->find("id");
  if (message->find("jsonrpc") || id) {
    const Value id_copy = id ? *id : Value();
    const bool wanted = id != nullptr;
    return answer_message(*message, true, summary, std::move(caller), services,
                          [done, id_copy, wanted](const Answer& answer) {
                            if (!wanted) return done({204, {}, {}}, answer.note);
                            done(json_response(200, json_rpc_answer(&id_copy, answer)), answer.note);
                          });
  }
  answer_message(*message, true, summary, std::move(caller), services, [done](const Answer& answer) {
    if (answer.is_fault) return done(json_response(400, Struct{{"error", answer.value}}), answer.note);
    done(json_response(200, answer.value), answer.note);
  });
}

}  // namespace confd::daemon
