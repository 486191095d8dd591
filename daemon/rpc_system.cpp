// The introspection methods of XML-RPC.
#include "daemon/rpc_families.h"

namespace confd::daemon {

using base::Array;
using base::Value;

namespace {

void list_methods(const RpcCallPtr& call, RpcServices&) {
  Array names;
  for (const RpcMethod& method : rpc_methods()) names.emplace_back(method.name);
  call->reply(std::move(names));
}

const RpcMethod* named(const RpcCallPtr& call) {
  const auto name = text_argument(call, 0, "method_name");
  if (!name) return nullptr;
  const RpcMethod* method = find_rpc_method(*name);
  if (!method)
    call->fault(
        {RpcFault::Kind::unknown_method, "<class 'Exception'>:method \"" + *name + "\" is not supported"});
  return method;
}

void method_help(const RpcCallPtr& call, RpcServices&) {
  if (const RpcMethod* method = named(call)) call->reply(method->help);
}

void method_signature(const RpcCallPtr& call, RpcServices&) {
  if (const RpcMethod* method = named(call)) call->reply(method->signature);
}

constexpr std::string_view kName[] = {"method_name"};

constexpr RpcMethod kMethods[] = {
    {"system.listMethods",
     {},
     0,
     "array system.listMethods()",
     "Names of all RPC methods there are, sorted.",
     &list_methods},
    {"system.methodHelp", kName, 1, "string system.methodHelp(string method_name)",
     "What a method does and which arguments it takes.\n@method_name, name of the method", &method_help},
    {"system.methodSignature", kName, 1, "string system.methodSignature(string method_name)",
     "Types of a method's result and arguments.\n@method_name, name of the method", &method_signature},
};

}  // namespace

std::span<const RpcMethod> system_methods() {
  return kMethods;
}

}  // namespace confd::daemon
