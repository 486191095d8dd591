#include "jobs/platform_rules.h"

#include <algorithm>
#include <string>

#include "exaconf/views.h"
#include "jobs/node_rules.h"

namespace confd::jobs {

using services::PlatformAction;

services::Platform& platform_for(JobContext& context, PlatformAction action) {
  services::Platform* platform = context.services().platform;
  if (platform == nullptr)
    throw JobError{base::Code::unsupported,
                   "no platform provider is configured, so no machine can be made, started, stopped or "
                   "changed: set `platform: provider` in etc/confd.yaml to local or hook on all nodes and "
                   "start confd again"};
  or_throw(platform->check(action));
  return *platform;
}

base::Struct ask_platform(JobContext& context, services::Platform& platform, PlatformAction action,
                          const base::Struct& request, std::chrono::milliseconds timeout) {
  const std::string name = "platform." + std::string(services::action_name(action));
  base::Value answer = context.command(name, request, [&]() -> CommandOutcome {
    services::PlatformAnswer outcome = platform.run(action, request, {timeout, context.stop()});
    base::Struct shown;
    if (!outcome.result) {
      shown.append("error", outcome.result.error().text);
    } else if (!outcome.result->empty()) {
      shown.append("answer", *outcome.result);
    }
    if (!outcome.log.empty()) shown.append("log", outcome.log);
    if (!outcome.result) return {outcome.result.error(), std::move(shown)};
    return {base::Value(*outcome.result), std::move(shown)};
  });
  return std::move(answer.as_struct());
}

base::Array described_nodes(const exaconf::Config& config, const std::vector<int>& nodes) {
  const base::Value view = exaconf::nodes_view(config);
  base::Array described;
  for (const int id : nodes) {
    const exaconf::Node& node = config.nodes().at(id);
    base::Struct one{{"nid", id}, {"name", node.name}, {"private_ip", node.private_ip}};
    if (!node.public_ip.empty()) one.append("public_ip", node.public_ip);
    if (const base::Value* shown = view.find(std::to_string(id)))
      if (const base::Value* disks = shown->find("disks")) one.append("disks", *disks);
    described.emplace_back(std::move(one));
  }
  return described;
}

base::Struct given(JobContext& context, std::initializer_list<std::string_view> parameters) {
  base::Struct found;
  for (const std::string_view name : parameters)
    if (const base::Value* value = context.param(name)) found.append(std::string(name), *value);
  return found;
}

void check_not_this_node(JobContext& context, const std::vector<int>& nodes, std::string_view verb) {
  const int own = context.services().nodes.own_node();
  for (const int id : nodes)
    if (id == own || is_master(context, id))
      throw JobError{base::Code::wrong_state,
                     "node " + std::to_string(id) + " can't be " + std::string(verb) +
                         " by this job: it is master and carries the job out; hand over with master_change "
                         "first"};
}

}  // namespace confd::jobs
