// xmlrpc_probe: answers for xmlrpc_oracle_test.py. Each line of stdin is a JSON struct {"op": ..., "value":
// ...}; each line of stdout the JSON answer: parse -> {"method", "params"} or {"error"}, render -> the XML
// text.
#include <iostream>
#include <string>

#include "base/json.h"
#include "rpc/xmlrpc.h"

using namespace confd;
using base::Struct;
using base::Value;

namespace {

Value answer(const std::string& op, const Value& value) {
  if (op == "render") return rpc::render_response(value);
  auto call = rpc::parse_call(value.as_string());
  if (!call) return Struct{{"error", call.error().text}};
  return Struct{{"method", call->method}, {"params", std::move(call->params)}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const base::Result<Value> request = base::parse_json(line);
    if (!request) {
      std::cout << base::render_json(Struct{{"error", request.error().text}}) << '\n';
      continue;
    }
    std::cout << base::render_json(answer(request->find("op")->as_string(), *request->find("value"))) << '\n';
  }
}
