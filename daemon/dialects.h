// The dialects in which calls arrive: XML-RPC at / and /rpc2, two of JSON at /rest and /jrpc (spec/rpc.md
// §6-8). They turn a request body into RpcCalls and answers into a response body; they know nothing of what
// methods do. Thread-safety: pure, but for the answers, which come from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "daemon/rpc_methods.h"
#include "rpc/http_message.h"
#include "rpc/xmlrpc.h"

namespace confd::daemon {

struct DialectLimits {
  rpc::XmlRpcLimits xml;
  base::JsonLimits json;
  std::size_t batch = 100;  // calls in one JSON-RPC batch
};

// `done`: the response, and for the log what was called ("job_exec node_state 11.5").
using DialectAnswer = std::function<void(rpc::HttpResponse response, const std::string& note)>;

void answer_xml(const rpc::HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
                RpcServices& services, const DialectLimits& limits, DialectAnswer done);
void answer_json(const rpc::HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
                 RpcServices& services, const DialectLimits& limits, DialectAnswer done);

// What the job record keeps of the HTTP request.
base::Struct request_summary(const rpc::HttpRequest& request);

}  // namespace confd::daemon
