#include "jobs/node_clones.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "jobs/node_address.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

constexpr std::int64_t kMostNodes = 1000;  // of one call

// What makes a node this one and no other is not copied.
bool is_copied(std::string_view key) {
  for (const std::string_view own : {"PrivateNet", "PublicNet", "Name", "Hostname", "Affinity", "UUID",
                                     "DockerVolume", "ExposedPorts", "State", "Enabled"})
    if (key == own) return false;
  return true;
}

// The highest address in the network of `source`, from which the clones go on.
std::optional<exaconf::Network> highest_address(const exaconf::Config& config, const exaconf::Node& source,
                                                NetKind kind) {
  auto highest = net_of(source, kind);
  if (!highest) return std::nullopt;
  for (const auto& [id, node] : config.nodes())
    if (const auto net = net_of(node, kind); net && same_network(*net, *highest))
      highest = higher(*highest, *net);
  return highest;
}

std::optional<exaconf::Network> counted_up(const std::optional<exaconf::Network>& from, NetKind kind,
                                           std::int64_t num_nodes) {
  if (!from) return std::nullopt;
  const auto next = next_address(*from);
  if (!next)
    throw JobError{base::Code::wrong_state,
                   "the " + std::string(key_of(kind)) + " of the node has no room for " +
                       std::to_string(num_nodes) + " more nodes: after " + format_network(*from) +
                       " it ends; add them with node_add_batch, with addresses of another network"};
  return next;
}

}  // namespace

std::vector<NewNode> planned_clones(JobContext& context) {
  check_cluster(context);
  const exaconf::Config& config = context.config();
  const exaconf::Node& source = known_node(config, context.number("nid"));
  const exaconf::Section& section = *config.section("Node", std::to_string(source.id));
  const std::int64_t num_nodes = context.number("num_nodes");
  if (num_nodes < 1 || num_nodes > kMostNodes)
    refuse_parameter("num_nodes",
                     std::to_string(num_nodes) + " is not between 1 and " + std::to_string(kMostNodes));
  NewNode node;
  for (const exaconf::Entry& entry : section.entries)
    if (is_copied(entry.key)) node.settings.emplace_back(entry.key, entry.value);
  const base::Value* disks = context.param("disks");
  node.disks = disks == nullptr ? disks_of(section) : given_disks(disks->as_array(), section);
  auto private_net = highest_address(config, source, NetKind::private_net);
  auto public_net = highest_address(config, source, NetKind::public_net);
  NodeRoll roll(config);
  std::vector<NewNode> nodes;
  for (std::int64_t i = 0; i < num_nodes; ++i) {
    node.id = roll.next_id();
    node.name = "n" + std::to_string(node.id);
    private_net = counted_up(private_net, NetKind::private_net, num_nodes);
    public_net = counted_up(public_net, NetKind::public_net, num_nodes);
    node.private_net = *private_net;
    node.public_net = public_net;
    roll.add(node);
    nodes.push_back(node);
  }
  return nodes;
}

}  // namespace confd::jobs
