#include "jobs/node_rules.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/text.h"
#include "exaconf/value_types.h"

namespace confd::jobs {
namespace {

std::optional<std::int64_t> id_in(const base::Value& value) {
  if (value.is_int()) return value.as_int();
  if (value.is_string()) return base::parse_int(value.as_string());
  return std::nullopt;
}

}  // namespace

const exaconf::Node& known_node(const exaconf::Config& config, std::int64_t id) {
  const auto& nodes = config.nodes();
  const bool fits = id >= 0 && id <= std::numeric_limits<int>::max();
  const auto it = fits ? nodes.find(static_cast<int>(id)) : nodes.end();
  if (it == nodes.end())
    throw JobError{base::Code::not_found, "node " + std::to_string(id) + " does not exist; see node_list"};
  return it->second;
}

std::vector<int> known_nodes(JobContext& context, std::string_view parameter) {
  const base::Value& given = *context.param(parameter);
  const base::Array items = given.is_array() ? given.as_array() : base::Array{given};
  if (items.empty()) refuse_parameter(parameter, "must name at least one node");
  std::vector<int> nodes;
  for (const base::Value& item : items) {
    const auto id = id_in(item);
    if (!id) refuse_parameter(parameter, "must be a node id or a list of node ids");
    const int known = known_node(context.config(), *id).id;
    if (std::find(nodes.begin(), nodes.end(), known) == nodes.end()) nodes.push_back(known);
  }
  return nodes;
}

bool is_suspended(const exaconf::Node& node) {
  return node.state == "suspended";
}

std::set<int> live_nodes(JobContext& context) {
  const std::vector<int> live = context.services().members.live_nodes();
  std::set<int> nodes(live.begin(), live.end());
  nodes.insert(context.services().nodes.own_node());
  return nodes;
}

bool is_master(JobContext& context, int node) {
  return context.services().members.master() == node;
}

void check_somebody_stays(const exaconf::Config& config, const std::vector<int>& leaving,
                          std::string_view verb) {
  for (const auto& [id, node] : config.nodes())
    if (!is_suspended(node) && std::find(leaving.begin(), leaving.end(), id) == leaving.end()) return;
  throw JobError{base::Code::wrong_state,
                 nodes_text(leaving) + " can't be " + std::string(verb) +
                     ": no node would be left in service; add or resume another one first (node_add, "
                     "node_resume)"};
}

std::vector<std::string> users_of(const exaconf::Config& config, int id) {
  std::vector<std::string> users;
  for (const std::string_view kind : {"EXAVolume", "DB"})
    for (const std::string& name : config.ids(kind)) {
      const exaconf::Section* section = config.section(kind, name);
      const auto nodes = exaconf::parse_node_list(section->value_or("Nodes", ""));
      if (nodes && std::find(nodes->begin(), nodes->end(), id) != nodes->end())
        users.push_back(std::string(kind == "DB" ? "database '" : "volume '") + name + "'");
    }
  return users;
}

void check_majority_stays(JobContext& context, const std::vector<int>& leaving, std::string_view verb,
                          bool removed) {
  const auto live = live_nodes(context);
  const auto leaves = [&](int id) { return std::find(leaving.begin(), leaving.end(), id) != leaving.end(); };
  std::size_t in_service = 0, left = 0;
  for (const auto& [id, node] : context.config().nodes()) {
    const bool leaves_now = leaves(id);
    if (is_suspended(node) || (leaves_now && removed)) continue;
    ++in_service;
    if (!leaves_now && live.contains(id)) ++left;
  }
  // Out of EXAConf they leave the store before they go.
  if (!removed) {
    const std::vector<int> members = context.services().members.store_members();
    const auto staying = static_cast<std::size_t>(std::count_if(
        members.begin(), members.end(), [&](int id) { return !leaves(id) && live.contains(id); }));
    if (!members.empty() && staying * 2 <= members.size())
      throw JobError{base::Code::wrong_state,
                     nodes_text(leaving) + " can't be " + std::string(verb) +
                         ": the store of EXAConf runs on " + nodes_text(members) +
                         ", and needs more than half of them alive; take fewer at a time, or try "
                         "again when it has followed the last change of the nodes"};
  }
  if (left * 2 > in_service) return;
  throw JobError{base::Code::wrong_state,
                 nodes_text(leaving) + " can't be " + std::string(verb) + ": only " + std::to_string(left) +
                     " of " + std::to_string(in_service) +
                     " nodes in service would be left alive, and nothing can be changed without more than "
                     "half of them; suspend nodes with node_suspend first, or take fewer at a time"};
}

void check_all_online(JobContext& context, const std::vector<int>& but) {
  const auto live = live_nodes(context);
  std::vector<int> offline;
  for (const auto& [id, node] : context.config().nodes())
    if (!is_suspended(node) && !live.contains(id) && std::find(but.begin(), but.end(), id) == but.end())
      offline.push_back(id);
  if (!offline.empty())
    throw JobError{base::Code::wrong_state,
                   nodes_text(offline) +
                       " must be online first: only one node at a time is taken down; see "
                       "node_state, or suspend it with node_suspend"};
}

std::string nodes_text(const std::vector<int>& nodes) {
  std::vector<std::string> ids;
  for (const int id : nodes) ids.push_back(std::to_string(id));
  return (ids.size() == 1 ? "node " : "nodes ") + base::join(ids, ", ");
}

void refuse_parameter(std::string_view parameter, const std::string& why) {
  throw JobError{base::Code::bad_parameter, "parameter '" + std::string(parameter) + "': " + why};
}

Lock node_set_lock() {
  return {LockLevel::node, "set of nodes"};
}

Lock node_lock(std::int64_t id) {
  return {LockLevel::node, "node " + std::to_string(id)};
}

std::vector<Lock> node_locks(const base::Struct& params, std::string_view parameter) {
  std::vector<Lock> locks = {node_set_lock()};
  const auto add = [&](const base::Value* value) {
    const auto id = value == nullptr ? std::nullopt : id_in(*value);
    if (!id) return;  // check() refuses it
    Lock lock = node_lock(*id);
    if (std::find(locks.begin(), locks.end(), lock) == locks.end()) locks.push_back(std::move(lock));
  };
  const base::Value* given = params.find(parameter);
  if (given == nullptr) return locks;
  if (!given->is_array()) {
    add(given);
    return locks;
  }
  for (const base::Value& item : given->as_array()) add(item.is_struct() ? item.find("nid") : &item);
  return locks;
}

}  // namespace confd::jobs
