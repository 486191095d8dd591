// Platform: what makes, starts and stops the machines (or processes) that nodes run on. A provider is named
// in etc/confd.yaml (`platform: provider`); without one there is no Platform and infra jobs change nothing.
//
// Requests and answers are structs, because a provider may be an operator's program (docs/platform.md):
//
//   nodes             {nodes}                           -> {nodes: {"12": {state: running|stopped|absent,
//   ...}}} metadata          {}                                -> {metadata: {...}} start_nodes       {nodes}
//   -> {}     all those that do not run stop_nodes        {nodes, timeout}                  -> {}     all
//   those that run, with their machine terminate_nodes   {nodes}                           -> {}     the
//   processes of the cluster; machines stay up add_nodes         {nodes, source, join, ...}        -> {} made
//   and started remove_nodes      {nodes, timeout}                  -> {}     stopped and gone update_nodes
//   {nodes, node_platform_config, ..} -> {} update_resources  {node_platform_config, ...}       -> {}
//   update_firewall   {ingress_rules, egress_rules}     -> {}
//   update_system     {node, self, tags, target}        -> {}     one node's packages
//
// `nodes` of a request: a list of {nid, name, private_ip, public_ip, disks}; `join`: {address, tokens}. All
// actions may be asked for again after a failure or a crash: what is done already is left as it is.
// Thread-safety: any thread.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace confd::services {

enum class PlatformAction {
  nodes,
  metadata,
  start_nodes,
  stop_nodes,
  terminate_nodes,
  add_nodes,
  remove_nodes,
  update_nodes,
  update_resources,
  update_firewall,
  update_system,
};
inline constexpr int kPlatformActions = 11;
std::string_view action_name(PlatformAction action);  // "start_nodes"

struct PlatformLimits {
  std::chrono::milliseconds timeout{std::chrono::minutes(30)};
  std::stop_token stop;
};

struct PlatformAnswer {
  // Errors: Code::unsupported, Code::wrong_state (both: nothing was changed), Code::timeout, Code::stopped,
  // Code::job_error and others (what was changed is told by `nodes`).
  base::Result<base::Struct> result;
  std::string log;  // what the provider said meanwhile, for the job's record
};

class Platform {
 public:
  virtual ~Platform() = default;
  virtual std::string_view name() const = 0;  // as in the setting
  // Why it can't do this at all (Code::unsupported), or not now; changes nothing.
  virtual base::Status check(PlatformAction action) const = 0;
  virtual PlatformAnswer run(PlatformAction action, const base::Struct& request,
                             const PlatformLimits& limits) = 0;
};

}  // namespace confd::services
