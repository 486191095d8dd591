// Jobs of the family `node` that change or take away nodes (spec/jobs/node.yaml): node_ip_batch, node_remove,
// node_suspend, node_resume.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_address.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm"};

// In [Node : id]; absent = enabled.
constexpr std::string_view kEnabled = "Enabled";

std::string section_of(int id) {
  return "Node : " + std::to_string(id);
}

constexpr Param kNid[] = {
    {.name = "nid",
     .types = kInt | kList,
     .help = "node id, or a list of node ids",
     .completion = Completion::node},
};
constexpr std::string_view kNidExamples[] = {R"({"nid": 12})", R"({"nid": [12, 13]})"};

std::vector<Lock> lock_nid(const base::Struct& params) {
  return node_locks(params, "nid");
}

// --- node_ip_batch ---

constexpr Param kNodesParam[] = {
    {.name = "nodes",
     .types = kList,
     .help = "one struct per node: nid, and private and/or public: the new address"},
};
constexpr std::string_view kNodeIpBatchExamples[] = {
    R"({"nodes": [{"nid": 11, "private": "10.10.10.11"}, {"nid": 12, "private": "10.10.10.12"}, {"nid": 13, "private": "10.10.10.13"}]})",
};

std::vector<Lock> lock_nodes(const base::Struct& params) {
  return node_locks(params, "nodes");
}

struct NewAddress {
  int node = 0;
  std::map<NetKind, exaconf::Network> nets;
};

constexpr std::pair<std::string_view, NetKind> kAddressNames[] = {{"private", NetKind::private_net},
                                                                  {"public", NetKind::public_net}};

NewAddress address_in(JobContext& context, const base::Value& given, const std::string& what) {
  if (!given.is_struct()) refuse_parameter("nodes", what + " must be a struct");
  const base::Value* nid = given.find("nid");
  const auto id = nid == nullptr     ? std::nullopt
                  : nid->is_int()    ? std::optional(nid->as_int())
                  : nid->is_string() ? base::parse_int(nid->as_string())
                                     : std::nullopt;
  if (!id) refuse_parameter("nodes", what + ": nid is missing or no integer");
  const exaconf::Node& node = known_node(context.config(), *id);
  NewAddress change{node.id, {}};
  for (const auto& [name, kind] : kAddressNames) {
    const base::Value* text = given.find(name);
    if (text == nullptr || text->is_null()) continue;
    if (!text->is_string()) refuse_parameter("nodes", what + ": " + std::string(name) + " must be a string");
    change.nets.emplace(kind, given_net(context.config(), kind, "parameter 'nodes': " + what,
                                        text->as_string(), node.id, net_of(node, kind)));
  }
  if (change.nets.empty()) refuse_parameter("nodes", what + ": private or public must be given");
  return change;
}

std::vector<NewAddress> planned_addresses(JobContext& context) {
  std::map<int, NewAddress> changes;
  std::vector<NewAddress> in_order;
  for (const base::Value& item : context.param("nodes")->as_array()) {
    const std::string what = "item " + std::to_string(in_order.size() + 1);
    in_order.push_back(address_in(context, item, what));
    const NewAddress& change = in_order.back();
    if (!changes.emplace(change.node, change).second)
      refuse_parameter("nodes", what + ": node " + std::to_string(change.node) + " is there twice");
  }
  if (in_order.empty()) refuse_parameter("nodes", "must hold at least one node");
  // As it will be, so that nodes may swap addresses.
  AddressBook book;
  for (const bool changed : {false, true})
    for (const auto& [id, node] : context.config().nodes())
      for (const auto& [name, kind] : kAddressNames) {
        const auto change = changes.find(id);
        const bool has_new = change != changes.end() && change->second.nets.contains(kind);
        const auto net = has_new ? std::optional(change->second.nets.at(kind)) : net_of(node, kind);
        if (!net || has_new != changed) continue;
        const std::string owner = "node " + std::to_string(id);
        changed ? book.add(*net, owner) : book.note(*net, owner);
      }
  return in_order;
}

void check_node_ip_batch(JobContext& context) {
  planned_addresses(context);
}

std::optional<base::Value> node_ip_batch(JobContext& context) {
  const auto live = live_nodes(context);
  std::vector<int> running;
  for (const NewAddress& change : planned_addresses(context)) {
    for (const auto& [kind, net] : change.nets)
      or_throw(context.transaction().set(section_of(change.node), key_of(kind), format_network(net)));
    if (live.contains(change.node)) running.push_back(change.node);
  }
  if (!running.empty())
    context.warn(nodes_text(running) + ": confd listens on the new address when it starts again there");
  return std::nullopt;
}

// --- node_remove ---

constexpr Param kNodeRemoveOptions[] = {
    {.name = "force",
     .types = kBool,
     .help = "remove even if a volume or database uses the node",
     .default_text = "false"},
};

void check_node_remove(JobContext& context) {
  const exaconf::Config& config = context.config();
  const std::vector<int> leaving = known_nodes(context, "nid");
  if (leaving.size() == config.nodes().size())
    throw JobError{base::Code::wrong_state,
                   nodes_text(leaving) + " can't be removed: a cluster has at least one node"};
  for (const int id : leaving) {
    const std::string node = "node " + std::to_string(id);
    if (is_master(context, id))
      throw JobError{base::Code::wrong_state,
                     node + " can't be removed: it is master; hand over with master_change first"};
    if (is_suspended(known_node(config, id)))
      throw JobError{base::Code::wrong_state,
                     node + " can't be removed: it is suspended; resume it with node_resume first"};
    if (const auto users = users_of(config, id); !users.empty() && !context.flag_or("force", false))
      throw JobError{base::Code::busy, node + " can't be removed: it is used by " + base::join(users, ", ") +
                                           "; take it out of these first, or set force"};
  }
  check_somebody_stays(config, leaving, "removed");
}

std::optional<base::Value> node_remove(JobContext& context) {
  for (const int id : known_nodes(context, "nid")) {
    or_throw(context.transaction().remove_section(section_of(id)));
    if (const auto users = users_of(context.config(), id); !users.empty())
      context.warn("node " + std::to_string(id) + " is still named by " + base::join(users, ", "));
  }
  return std::nullopt;
}

// --- node_suspend ---

constexpr Param kNodeSuspendOptions[] = {
    {.name = "disable",
     .types = kBool,
     .help = "also mark the nodes as disabled in the configuration",
     .default_text = "false"},
};
constexpr std::string_view kNodeSuspendExamples[] = {
    R"({"nid": 12})", R"({"nid": [12, 13]})", R"({"nid": [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]})"};

void check_node_suspend(JobContext& context) {
  const std::vector<int> nodes = known_nodes(context, "nid");
  check_somebody_stays(context.config(), nodes, "suspended");
  for (const int id : nodes)
    if (is_master(context, id))
      throw JobError{base::Code::wrong_state,
                     "node " + std::to_string(id) +
                         " can't be suspended: it is master; hand over with master_change first"};
}

std::optional<base::Value> node_suspend(JobContext& context) {
  for (const int id : known_nodes(context, "nid")) {
    if (!is_suspended(known_node(context.config(), id)))
      or_throw(context.transaction().set(section_of(id), "State", "suspended"));
    if (context.flag_or("disable", false))
      or_throw(context.transaction().set(section_of(id), kEnabled, "False"));
  }
  return std::nullopt;
}

// --- node_resume ---

constexpr Param kNodeResumeOptions[] = {
    {.name = "enable",
     .types = kBool,
     .help = "also mark the nodes as enabled in the configuration",
     .default_text = "false"},
};

bool is_disabled(const exaconf::Config& config, int id) {
  const exaconf::Section* section = config.section("Node", std::to_string(id));
  return section != nullptr && exaconf::parse_bool(section->value_or(kEnabled, "True")) == false;
}

void check_node_resume(JobContext& context) {
  const bool enable = context.flag_or("enable", false);
  for (const int id : known_nodes(context, "nid"))
    if (!is_suspended(known_node(context.config(), id)) && !(enable && is_disabled(context.config(), id)))
      throw JobError{base::Code::wrong_state,
                     "node " + std::to_string(id) + " can't be resumed: it is not suspended; see node_state"};
}

std::optional<base::Value> node_resume(JobContext& context) {
  for (const int id : known_nodes(context, "nid")) {
    if (is_suspended(known_node(context.config(), id)))
      or_throw(context.transaction().unset(section_of(id), "State"));
    if (context.flag_or("enable", false)) or_throw(context.transaction().unset(section_of(id), kEnabled));
  }
  return std::nullopt;
}

constexpr JobDescriptor kNodeChangeJobs[] = {
    {.name = "node_ip_batch",
     .help = "Change the addresses of several nodes",
     .long_help = "All or none; nodes may swap addresses. An address without prefix keeps that of the node's "
                  "present one. A node that runs takes its new address up when confd starts again there.",
     .kind = JobKind::modify,
     .mandatory = kNodesParam,
     .groups = kAdmins,
     .examples = kNodeIpBatchExamples,
     .locks = &lock_nodes,
     .check = &check_node_ip_batch,
     .execute = &node_ip_batch,
     .config_only = true},
    {.name = "node_remove",
     .help = "Take nodes out of the cluster",
     .long_help = "Refused for the master, for suspended nodes, for the last node in service, and, unless "
                  "`force` is set, for nodes that a volume or database uses. All or none.",
     .kind = JobKind::modify,
     .mandatory = kNid,
     .optional = kNodeRemoveOptions,
     .groups = kAdmins,
     .examples = kNidExamples,
     .locks = &lock_nid,
     .check = &check_node_remove,
     .execute = &node_remove,
     .config_only = true},
    {.name = "node_resume",
     .help = "End the suspension of nodes",
     .kind = JobKind::modify,
     .mandatory = kNid,
     .optional = kNodeResumeOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kNidExamples,
     .locks = &lock_nid,
     .check = &check_node_resume,
     .execute = &node_resume,
     .config_only = true},
    {.name = "node_suspend",
     .help = "Mark nodes as intentionally out of service",
     .long_help = "A suspended node may run, but never becomes master. Refused for the master and for the "
                  "last node in service.",
     .kind = JobKind::modify,
     .mandatory = kNid,
     .optional = kNodeSuspendOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kNodeSuspendExamples,
     .locks = &lock_nid,
     .check = &check_node_suspend,
     .execute = &node_suspend,
     .config_only = true},
};

}  // namespace

std::span<const JobDescriptor> node_change_jobs() {
  return kNodeChangeJobs;
}

}  // namespace confd::jobs
