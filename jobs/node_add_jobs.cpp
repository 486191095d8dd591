// Jobs of the family `node` that add nodes (spec/jobs/node.yaml): node_add, node_add_batch, node_clone_batch.
// All or nothing: the nodes of one call become one revision.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "base/text.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/new_node.h"
#include "jobs/node_clones.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kAdmins[] = {"root", "exaadm"};
constexpr std::int64_t kMostNodes = 1000;  // of one call

std::vector<Lock> lock_node_set(const base::Struct&) {
  return {node_set_lock()};
}

// Not an int yet: what is out of range is refused by NodeRoll, not wrapped around.
int id_of(std::int64_t given) {
  return given < 0 || given > 2147483647 ? -1 : static_cast<int>(given);
}

void add_all(JobContext& context, const std::vector<NewNode>& nodes) {
  for (const NewNode& node : nodes) write_node(context, node);
}

// --- node_add ---

constexpr Param kNodeAddParams[] = {
    {.name = "priv_net", .help = "address in the private network with prefix, such as 10.10.10.1/24"},
};
constexpr Param kNodeAddOptions[] = {
    {.name = "nid", .types = kInt, .help = "node id", .default_text = "the highest id + 1"},
    {.name = "name", .help = "node name", .default_text = "n<nid>"},
    {.name = "pub_net", .help = "address in the public network with prefix"},
    {.name = "offline",
     .types = kBool,
     .help = "true: the node is in service once it runs; false: it is suspended until node_resume",
     .default_text = "false"},
    {.name = "no_partition_extend",
     .types = kBool,
     .help = "keep partitions from growing onto the node by themselves",
     .default_text = "false"},
    {.name = "space_warn_threshold", .types = kInt, .help = "storage usage in percent that gives a warning"},
    {.name = "bg_rec_limit", .types = kInt, .help = "limit of background recovery in MiB/s, 0 = automatic"},
};
constexpr std::string_view kNodeAddExamples[] = {R"({"priv_net": "10.10.10.1/24"})"};

void add_number(JobContext& context, NewNode& node, std::string_view parameter, std::string_view key,
                std::int64_t most) {
  if (context.param(parameter) == nullptr) return;
  const std::int64_t value = context.number(parameter);
  if (value < 0 || value > most)
    refuse_parameter(parameter, std::to_string(value) + " is not between 0 and " + std::to_string(most));
  node.settings.emplace_back(key, std::to_string(value));
}

NewNode planned_node(JobContext& context) {
  check_cluster(context);
  const exaconf::Config& config = context.config();
  NodeRoll roll(config);
  NewNode node;
  node.id = id_of(context.number_or("nid", roll.next_id()));
  node.name = context.text_or("name", "n" + std::to_string(node.id));
  node.private_net =
      given_net(config, NetKind::private_net, "parameter 'priv_net'", context.text("priv_net"), node.id);
  if (const std::string net = context.text_or("pub_net", ""); !net.empty())
    node.public_net = given_net(config, NetKind::public_net, "parameter 'pub_net'", net, node.id);
  node.offline = context.flag_or("offline", false);
  if (context.flag_or("no_partition_extend", false)) node.settings.emplace_back("NoPartitionExtend", "True");
  add_number(context, node, "space_warn_threshold", "SpaceWarnThreshold", 100);
  add_number(context, node, "bg_rec_limit", "BgRecLimit", 1'000'000);
  node.disks = default_disks();
  roll.add(node);
  return node;
}

void check_node_add(JobContext& context) {
  planned_node(context);
}

std::optional<base::Value> node_add(JobContext& context) {
  const NewNode node = planned_node(context);
  write_node(context, node);
  return base::Value(node.id);
}

// --- node_add_batch ---

constexpr Param kNodesParam[] = {
    {.name = "nodes",
     .types = kList,
     .help = "one struct per node: private_ip (or private_net), and optionally nid, name, uuid, public_ip "
             "(or public_net), offline"},
};
constexpr std::string_view kNodeAddBatchExamples[] = {
    R"({"nodes": [{"nid": 11, "private_ip": "10.10.10.11", "uuid": "7EAA8DEF9DF7483CABAD93774A4F130EBF2CE77F", "name": "n11"}, )"
    R"({"nid": 12, "private_ip": "10.10.10.12", "uuid": "39103D5FA93C46D3B8359918D01156ABD33B36EC", "name": "n12"}]})",
};

// The item's text under the first of these names, empty when it has none.
std::string text_in(const base::Struct& item, const std::string& what,
                    std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    if (const base::Value* value = item.find(name); value != nullptr && !value->is_null()) {
      if (!value->is_string())
        refuse_parameter("nodes", what + ": " + std::string(name) + " must be a string");
      return value->as_string();
    }
  return {};
}

constexpr std::array<std::string_view, 10> kItemNames = {"nid",         "name",     "uuid",      "private_ip",
                                                         "private_net", "priv_net", "public_ip", "public_net",
                                                         "pub_net",     "offline"};

NewNode node_in(JobContext& context, const base::Value& given, const std::string& what, int next_id) {
  if (!given.is_struct()) refuse_parameter("nodes", what + " must be a struct");
  const base::Struct& item = given.as_struct();
  NewNode node;
  node.id = next_id;
  if (const base::Value* nid = item.find("nid"); nid != nullptr && !nid->is_null()) {
    const auto id = nid->is_int()      ? std::optional(nid->as_int())
                    : nid->is_string() ? base::parse_int(nid->as_string())
                                       : std::nullopt;
    if (!id) refuse_parameter("nodes", what + ": nid must be an integer");
    node.id = id_of(*id);
  }
  node.name = text_in(item, what, {"name"});
  if (node.name.empty()) node.name = "n" + std::to_string(node.id);
  node.uuid = text_in(item, what, {"uuid"});
  for (char& c : node.uuid)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  const std::string where = "parameter 'nodes': " + what;
  const std::string private_net = text_in(item, what, {"private_net", "priv_net", "private_ip"});
  if (private_net.empty()) refuse_parameter("nodes", what + ": private_ip is missing");
  node.private_net = given_net(context.config(), NetKind::private_net, where, private_net, node.id);
  if (const std::string net = text_in(item, what, {"public_net", "pub_net", "public_ip"}); !net.empty())
    node.public_net = given_net(context.config(), NetKind::public_net, where, net, node.id);
  if (const base::Value* offline = item.find("offline"); offline != nullptr && !offline->is_null()) {
    if (!offline->is_bool()) refuse_parameter("nodes", what + ": offline must be true or false");
    node.offline = offline->as_bool();
  }
  node.disks = default_disks();
  return node;
}

std::vector<NewNode> planned_batch(JobContext& context) {
  check_cluster(context);
  const base::Array& items = context.param("nodes")->as_array();
  if (items.empty() || items.size() > static_cast<std::size_t>(kMostNodes))
    refuse_parameter("nodes", "must hold between 1 and " + std::to_string(kMostNodes) + " nodes");
  NodeRoll roll(context.config());
  std::vector<NewNode> nodes;
  for (const base::Value& item : items) {
    nodes.push_back(node_in(context, item, "item " + std::to_string(nodes.size() + 1), roll.next_id()));
    roll.add(nodes.back());
  }
  return nodes;
}

void check_node_add_batch(JobContext& context) {
  planned_batch(context);
}

// "Further keys are possible" (spec): those we do not know are noted, as unknown parameters are.
std::optional<base::Value> node_add_batch(JobContext& context) {
  add_all(context, planned_batch(context));
  for (const base::Value& item : context.param("nodes")->as_array())
    for (const auto& [name, value] : item.as_struct())
      if (std::find(kItemNames.begin(), kItemNames.end(), name) == kItemNames.end())
        context.warn("parameter 'nodes': the key '" + name + "' is ignored");
  return std::nullopt;
}

// --- node_clone_batch ---

constexpr Param kNodeCloneParams[] = {
    {.name = "nid", .types = kInt, .help = "node to copy", .completion = Completion::node},
    {.name = "num_nodes", .types = kInt, .help = "how many nodes to add"},
};
constexpr Param kNodeCloneOptions[] = {
    {.name = "disks",
     .types = kList,
     .help = "disks of the new nodes: structs as node_list shows them, or names of disks of the node",
     .default_text = "those of the node"},
};
constexpr std::string_view kNodeCloneExamples[] = {R"({"nid": 11, "num_nodes": 3})"};

std::vector<Lock> lock_clone(const base::Struct& params) {
  return node_locks(params, "nid");
}

void check_node_clone_batch(JobContext& context) {
  planned_clones(context);
}

std::optional<base::Value> node_clone_batch(JobContext& context) {
  const std::vector<NewNode> nodes = planned_clones(context);
  add_all(context, nodes);
  base::Array ids;
  for (const NewNode& node : nodes) ids.emplace_back(node.id);
  return ids;
}

constexpr JobDescriptor kNodeAddJobs[] = {
    {.name = "node_add",
     .help = "Add one node to the cluster configuration",
     .long_help = "The node is suspended until `node_resume`, unless `offline` is set. A `priv_net` without "
                  "prefix takes that of the network of another node. Refused when EXAConf is kept on one "
                  "node only.",
     .kind = JobKind::modify,
     .mandatory = kNodeAddParams,
     .optional = kNodeAddOptions,
     .groups = kAdmins,
     .examples = kNodeAddExamples,
     .returns = "integer, the id of the node",
     .locks = &lock_node_set,
     .check = &check_node_add,
     .execute = &node_add,
     .config_only = true},
    {.name = "node_add_batch",
     .help = "Add several described nodes at once",
     .long_help = "All or none. What an item leaves out is as in `node_add`.",
     .kind = JobKind::modify,
     .mandatory = kNodesParam,
     .groups = kAdmins,
     .examples = kNodeAddBatchExamples,
     .locks = &lock_node_set,
     .check = &check_node_add_batch,
     .execute = &node_add_batch,
     .config_only = true},
    {.name = "node_clone_batch",
     .help = "Add nodes copied from an existing one",
     .long_help = "Ids go on from the highest one, addresses from the highest one in the node's networks; "
                  "refused when a network has no room. The new nodes are suspended until `node_resume`.",
     .kind = JobKind::modify,
     .mandatory = kNodeCloneParams,
     .optional = kNodeCloneOptions,
     .groups = kAdmins,
     .examples = kNodeCloneExamples,
     .returns = "list of the ids of the new nodes",
     .locks = &lock_clone,
     .check = &check_node_clone_batch,
     .execute = &node_clone_batch,
     .config_only = true},
};

}  // namespace

std::span<const JobDescriptor> node_add_jobs() {
  return kNodeAddJobs;
}

}  // namespace confd::jobs
