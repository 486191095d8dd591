// RPC methods of event subscriptions.
#include "daemon/rpc_families.h"

namespace confd::daemon {

using base::Struct;
using base::Value;

namespace {

bool wants(const RpcCall& call, std::string_view name) {
  const Value* value = argument(call, 99, name);
  return !value || !value->is_bool() || value->as_bool();
}

void subscribe(const RpcCallPtr& call, RpcServices& services) {
  if (!call->arguments.empty() && !call->arguments[0].is_struct() && !call->arguments[0].is_null())
    return call->fault({RpcFault::Kind::bad_arguments,
                        "<class 'TypeError'>:subscribe() wants a struct such as {'stages': True, "
                        "'revisions': True, 'job_id': '11.89'}"});
  SubscriptionFilter filter;
  filter.stages = wants(*call, "stages");
  filter.revisions = wants(*call, "revisions");
  if (const Value* job = argument(*call, 99, "job_id"); job && job->is_string())
    filter.job_id = job->as_string();
  auto id = services.events.subscribe(*call->caller, std::move(filter));
  if (!id) return call->reply(scheduler::refusal(id.error().code, id.error().text));
  call->reply(*id);
}

void unsubscribe(const RpcCallPtr& call, RpcServices& services) {
  if (const auto id = text_argument(call, 0, "subscription"))
    call->reply(services.events.unsubscribe(*call->caller, *id));
}

constexpr std::string_view kFilter[] = {"filter"};
constexpr std::string_view kId[] = {"subscription"};

constexpr RpcMethod kMethods[] = {
    {"subscribe", kFilter, 0, "string subscribe(struct filter)",
     "A subscription to stages of jobs and revisions of EXAConf; its events come at GET "
     "/events?subscription=ID with the same login.\n"
     "@filter, {'stages': bool, 'revisions': bool, 'job_id': string}, all optional",
     &subscribe},
    {"unsubscribe", kId, 1, "boolean unsubscribe(string subscription)",
     "End a subscription; False when there is none of that id.\n@subscription, as subscribe returned it",
     &unsubscribe},
};

}  // namespace

std::span<const RpcMethod> event_methods() {
  return kMethods;
}

}  // namespace confd::daemon
