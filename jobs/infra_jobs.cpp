// Jobs of the family `infra` about the platform as a whole (spec/jobs/infra.yaml): infra_overview_get,
// infra_deployment_metadata_get, infra_firewall_update, infra_resources_update.
#include <set>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/platform_rules.h"

namespace confd::jobs {
namespace {

using services::PlatformAction;

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kNoParams[] = {"{}"};
constexpr std::chrono::minutes kLook{1};
constexpr std::chrono::minutes kChange{30};

std::string provider_name(JobContext& context) {
  const services::Platform* platform = context.services().platform;
  return platform == nullptr ? "none" : std::string(platform->name());
}

// What the provider tells, or nothing when there is none or it can't tell; it then says why in a warning.
base::Struct told_by_platform(JobContext& context, PlatformAction action, const base::Struct& request,
                              std::string_view member) {
  services::Platform* platform = context.services().platform;
  if (platform == nullptr) return {};
  try {
    or_throw(platform->check(action));
    const base::Struct answer = ask_platform(context, *platform, action, request, kLook);
    if (const base::Value* found = answer.find(member); found != nullptr && found->is_struct())
      return found->as_struct();
    throw JobError{base::Code::job_error, "its answer has no struct '" + std::string(member) + "'"};
  } catch (const JobError& error) {
    if (error.code == base::Code::stopped) throw;
    context.warn("the platform provider '" + std::string(platform->name()) + "' did not tell: " + error.text);
    return {};
  }
}

// --- infra_overview_get ---

std::string state_of(const exaconf::Node& node, bool is_live) {
  return is_suspended(node) ? "suspended" : is_live ? "online" : "offline";
}

// `state` is what the provider sees of the machine; without one only what answers is known to run.
std::optional<base::Value> infra_overview_get(JobContext& context) {
  const exaconf::Config& config = context.config();
  std::vector<int> ids;
  for (const auto& [id, node] : config.nodes()) ids.push_back(id);
  const base::Struct told = told_by_platform(context, PlatformAction::nodes,
                                             base::Struct{{"nodes", described_nodes(config, ids)}}, "nodes");
  const auto live = live_nodes(context);
  base::Struct nodes;
  for (const auto& [id, node] : config.nodes()) {
    base::Struct one{{"name", node.name},
                     {"state", live.contains(id) ? "running" : "unknown"},
                     {"node_state", state_of(node, live.contains(id))}};
    if (const base::Value* more = told.find(std::to_string(id)); more != nullptr && more->is_struct())
      for (const auto& [name, value] : more->as_struct())
        if (name != "name" && name != "node_state") one.set(name, value);
    nodes.append(std::to_string(id), std::move(one));
  }
  // Machines that no node of EXAConf runs on: left over from a job that was cut off.
  for (const auto& [id, more] : told) {
    if (nodes.contains(id) || !more.is_struct()) continue;
    base::Struct one{{"state", "unknown"}, {"node_state", "not in EXAConf"}};
    for (const auto& [name, value] : more.as_struct())
      if (name != "node_state") one.set(name, value);
    nodes.append(id, std::move(one));
  }
  base::Struct overview{{"provider", provider_name(context)}, {"nodes", std::move(nodes)}};
  const base::Value update = context.run(context.services().nodes.own_node(), "update_record.read");
  if (const base::Value* record = update.find("record"); !record->as_struct().empty())
    overview.append("update", *record);
  return overview;
}

// --- infra_deployment_metadata_get ---

std::optional<base::Value> infra_deployment_metadata_get(JobContext& context) {
  const exaconf::Config& config = context.config();
  const auto setting = [&](std::string_view key) {
    const std::string* value = config.get("Global", key);
    return value == nullptr ? std::string() : *value;
  };
  base::Array actions;
  if (const services::Platform* platform = context.services().platform)
    for (int i = 0; i < services::kPlatformActions; ++i)
      if (platform->check(static_cast<PlatformAction>(i)).ok())
        actions.emplace_back(services::action_name(static_cast<PlatformAction>(i)));
  return base::Struct{{"provider", provider_name(context)},
                      {"actions", std::move(actions)},
                      {"platform", setting("Platform")},
                      {"cluster_name", setting("ClusterName")},
                      {"metadata", told_by_platform(context, PlatformAction::metadata, {}, "metadata")}};
}

// --- infra_firewall_update, infra_resources_update ---

std::vector<Lock> lock_platform(const base::Struct&) {
  return {{LockLevel::service, "platform"}};
}

constexpr Param kFirewallOptions[] = {
    {.name = "ingress_rules",
     .types = kList,
     .help = "inbound rules, each a struct with CidrIp, FromPort, ToPort and IpProtocol; they replace the "
             "present ones"},
    {.name = "egress_rules", .types = kList, .help = "outbound rules, in the same form"},
};
constexpr std::string_view kFirewallExamples[] = {
    R"({"ingress_rules": [{"CidrIp": "0.0.0.0/0", "FromPort": 22, "ToPort": 22, "IpProtocol": "tcp"}]})"};

void check_rule(std::string_view parameter, const base::Value& rule, std::size_t number) {
  const std::string what = "rule " + std::to_string(number) + ": ";
  if (!rule.is_struct()) refuse_parameter(parameter, what + "must be a struct");
  static const std::set<std::string, std::less<>> kMembers = {"CidrIp", "FromPort", "ToPort", "IpProtocol"};
  for (const auto& [name, value] : rule.as_struct())
    if (!kMembers.contains(name)) refuse_parameter(parameter, what + "'" + name + "' is not known");
  const base::Value* cidr = rule.find("CidrIp");
  if (cidr == nullptr || !cidr->is_string() || !exaconf::parse_network(cidr->as_string(), 0))
    refuse_parameter(parameter, what + "CidrIp must be a network such as 10.0.0.0/8");
  const base::Value* protocol = rule.find("IpProtocol");
  if (protocol == nullptr || !protocol->is_string() || protocol->as_string().empty())
    refuse_parameter(parameter, what + "IpProtocol must be a text such as tcp");
  // -1: all, as with AWS.
  const base::Value* from = rule.find("FromPort");
  const base::Value* to = rule.find("ToPort");
  for (const base::Value* port : {from, to})
    if (port == nullptr || !port->is_int() || port->as_int() < -1 || port->as_int() > 65535)
      refuse_parameter(parameter, what + "FromPort and ToPort must be numbers from -1 to 65535");
  if (from->as_int() > to->as_int()) refuse_parameter(parameter, what + "FromPort must not be above ToPort");
}

void check_firewall(JobContext& context) {
  bool any = false;
  for (const std::string_view parameter : {"ingress_rules", "egress_rules"})
    if (const base::Value* rules = context.param(parameter)) {
      any = true;
      std::size_t number = 0;
      for (const base::Value& rule : rules->as_array()) check_rule(parameter, rule, ++number);
    }
  if (!any) refuse_parameter("ingress_rules", "ingress_rules or egress_rules must be given");
  platform_for(context, PlatformAction::update_firewall);
}

std::optional<base::Value> infra_firewall_update(JobContext& context) {
  ask_platform(context, platform_for(context, PlatformAction::update_firewall),
               PlatformAction::update_firewall, given(context, {"ingress_rules", "egress_rules"}), kChange);
  return std::nullopt;
}

constexpr Param kPlatformConfig[] = {
    {.name = "node_platform_config", .types = kDict, .help = "what the provider is to apply"},
};
constexpr Param kMetadata[] = {
    {.name = "metadata", .types = kDict, .help = "further keys and values for the provider"},
};
constexpr std::string_view kResourcesExamples[] = {R"({"node_platform_config": {"ClusterConfig": "large"}})"};
// Published examples misspell it.
constexpr Alias kConfigAlias[] = {{"node_platform_config", "node_platfrom_config"}};

void check_resources(JobContext& context) {
  platform_for(context, PlatformAction::update_resources);
}

std::optional<base::Value> infra_resources_update(JobContext& context) {
  ask_platform(context, platform_for(context, PlatformAction::update_resources),
               PlatformAction::update_resources, given(context, {"node_platform_config", "metadata"}),
               kChange);
  return std::nullopt;
}

constexpr JobDescriptor kInfraJobs[] = {
    {.name = "infra_deployment_metadata_get",
     .help = "Metadata of the deployment",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kNoParams,
     .returns = "struct with provider (`none`, `local` or `hook`), actions (what it can be asked for now), "
                "platform and cluster_name (of EXAConf), and metadata: a struct that the provider tells",
     .execute = &infra_deployment_metadata_get},
    {.name = "infra_firewall_update",
     .help = "Replace the deployment's firewall rules",
     .long_help = "The rules given replace those of their direction; a direction that is not given stays as "
                  "it is. Done by the platform provider.",
     .kind = JobKind::modify,
     .optional = kFirewallOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kFirewallExamples,
     .locks = &lock_platform,
     .check = &check_firewall,
     .execute = &infra_firewall_update},
    {.name = "infra_overview_get",
     .help = "States of the nodes and of their machines",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kNoParams,
     .returns =
         "struct with provider (`none`, `local` or `hook`) and nodes: a struct by node id (as text), each a "
         "struct with name, state (of the machine: `running`, `stopped`, `absent`, or `unknown` when nobody "
         "can tell), node_state (`online`, `offline`, `suspended`, or `not in EXAConf` for a machine without "
         "a node), and what the provider tells besides; and, after an update_system, update: how far it has "
         "come",
     .execute = &infra_overview_get},
    {.name = "infra_resources_update",
     .help = "Update the platform's remaining resources",
     .kind = JobKind::modify,
     .mandatory = kPlatformConfig,
     .optional = kMetadata,
     .aliases = kConfigAlias,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kResourcesExamples,
     .locks = &lock_platform,
     .check = &check_resources,
     .execute = &infra_resources_update},
};

}  // namespace

std::span<const JobDescriptor> infra_jobs() {
  return kInfraJobs;
}

}  // namespace confd::jobs
