#include "daemon/dialects.h"

namespace confd::daemon {

using base::Struct;
using base::Value;

namespace {

rpc::HttpResponse xml_response(std::string body) {
  rpc::HttpResponse response;
  response.headers.emplace_back("Content-Type", "text/xml; charset=utf-8");
  response.body = std::move(body);
  return response;
}

}  // namespace

Struct request_summary(const rpc::HttpRequest& request) {
  Struct s;
  s.reserve(4);
  s.append("method", request.method);
  s.append("path", request.path());
  s.append("remote", request.remote_address);
  if (const std::string* agent = request.header("User-Agent")) s.append("agent", agent->substr(0, 200));
  return s;
}

void answer_xml(const rpc::HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
                RpcServices& services, const DialectLimits& limits, DialectAnswer done) {
  auto parsed = rpc::parse_call(request.body, limits.xml);
  if (!parsed)
    return done(
        xml_response(rpc::render_fault({1, "<class 'xml.parsers.expat.ExpatError'>:" + parsed.error().text})),
        "malformed XML-RPC");
  auto call = std::make_shared<RpcCall>();
  call->method = std::move(parsed->method);
  call->arguments = std::move(parsed->params);
  call->caller = std::move(caller);
  call->request = request_summary(request);
  call->on_answer = [done = std::move(done)](const RpcCall& self, const RpcCall::Answer& answer) {
    if (auto* const* value = std::get_if<Value*>(&answer))
      done(xml_response(rpc::render_response(**value)), with_note(self));
    else if (const auto* record = std::get_if<const scheduler::JobRecord*>(&answer))
      done(xml_response(rpc::render_struct_response(
               [record](const rpc::PutMember& put) { scheduler::for_each_in_envelope(**record, put); })),
           with_note(self));
    else
      done(xml_response(rpc::render_fault({1, std::get<const RpcFault*>(answer)->text})),
           self.method + " fault");
  };
  dispatch(call, services);
}

}  // namespace confd::daemon
