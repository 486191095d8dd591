#include "daemon/rpc_methods.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/rpc_families.h"
#include "jobs/catalogue.h"

namespace confd::daemon {

using base::Array;
using base::Struct;
using base::Value;

namespace {

std::vector<RpcMethod> collect() {
  std::vector<RpcMethod> all;
  for (std::span<const RpcMethod> family :
       {job_methods(), job_description_methods(), user_methods(), event_methods(), system_methods()})
    all.insert(all.end(), family.begin(), family.end());
  std::sort(all.begin(), all.end(), [](const RpcMethod& a, const RpcMethod& b) { return a.name < b.name; });
  return all;
}

}  // namespace

std::span<const RpcMethod> rpc_methods() {
  static const std::vector<RpcMethod> all = collect();
  return all;
}

const RpcMethod* find_rpc_method(std::string_view name) {
  const auto all = rpc_methods();
  const auto it = std::lower_bound(all.begin(), all.end(), name,
                                   [](const RpcMethod& m, std::string_view n) { return m.name < n; });
  return it != all.end() && it->name == name ? &*it : nullptr;
}

void dispatch(const RpcCallPtr& call, RpcServices& services) {
  const RpcMethod* method = find_rpc_method(call->method);
  // The texts are those a Python server gives (spec/rpc.md §7), as scripts may have seen them.
  if (!method)
    return call->fault({RpcFault::Kind::unknown_method,
                        "<class 'Exception'>:method \"" + call->method + "\" is not supported"});
  const std::size_t given = call->arguments.size();
  // One struct may hold all arguments by name; the method itself misses those that are not in it.
  const bool by_name = given == 1 && call->arguments[0].is_struct();
  if (given > method->arguments.size() || (given < method->mandatory && !by_name)) {
    std::string text = "<class 'TypeError'>:" + call->method + "() ";
    if (given < method->mandatory)
      text += "missing " + std::to_string(method->mandatory - given) + " required positional argument" +
              (method->mandatory - given == 1 ? "" : "s") + ": '" + std::string(method->arguments[given]) +
              "'";
    else
      text += "takes at most " + std::to_string(method->arguments.size()) + " positional argument" +
              (method->arguments.size() == 1 ? "" : "s") + " but " + std::to_string(given) +
              (given == 1 ? " was" : " were") + " given";
    return call->fault(
        {RpcFault::Kind::bad_arguments, text + "; see system.methodHelp('" + call->method + "')"});
  }
  try {
    method->call(call, services);
  } catch (const std::exception& problem) {
    call->fault({RpcFault::Kind::internal,
                 std::string("This is a fault of confd, please report it: ") + problem.what()});
  }
}

}  // namespace confd::daemon
