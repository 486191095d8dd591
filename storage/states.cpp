#include "storage/states.h"

#include <algorithm>

#include "base/text.h"

namespace confd::storage {
namespace {

CopyState state_in(const SegmentReport* report) {
  if (report == nullptr) return CopyState::offline;
  if (report->state == "ONLINE") return CopyState::online;
  return report->state == "RECOVERING" ? CopyState::recovering : CopyState::offline;
}

std::vector<SegmentStatus> segments_of(const Volume& volume, const NodeStatuses& nodes) {
  std::vector<SegmentStatus> segments;
  for (const Segment& segment : layout_of(volume).segments) {
    SegmentStatus status{segment, CopyState::offline, SegmentType::master, nullptr};
    const auto node = nodes.find(segment.node);
    if (node != nodes.end() && node->second.report != nullptr) {
      status.report = node->second.report->segment(segment.id);
      if (node->second.state == NodeState::online) status.state = state_in(status.report);
    }
    if (segment.id.level > 1) status.type = SegmentType::redundant;
    segments.push_back(std::move(status));
  }
  return segments;
}

// A lost master is stood in for by the first copy that is online.
void name_deputies(std::vector<SegmentStatus>& segments, int masters) {
  for (int index = 0; index < masters; ++index) {
    SegmentStatus* first_online = nullptr;
    for (SegmentStatus& status : segments)
      if (status.segment.id.index == index && status.state == CopyState::online &&
          (first_online == nullptr || status.segment.id.level < first_online->segment.id.level))
        first_online = &status;
    if (first_online != nullptr && first_online->segment.id.level > 1)
      first_online->type = SegmentType::deputy;
  }
}

std::vector<std::string> conditions_in(const Volume& volume, const NodeStatuses& nodes,
                                       const std::vector<SegmentStatus>& segments) {
  std::vector<std::string> conditions;
  for (const int node : nodes_of(volume.placement)) {
    const auto found = nodes.find(node);
    if (found != nodes.end() && found->second.state == NodeState::suspended)
      conditions.push_back(resumed_condition(node));
  }
  for (int index = 0; index < volume.masters; ++index) {
    std::vector<std::string> holders;
    bool is_there = false;
    for (const SegmentStatus& status : segments) {
      if (status.segment.id.index != index) continue;
      is_there = is_there || status.state == CopyState::online;
      holders.push_back(std::to_string(status.segment.node));
    }
    if (!is_there)
      conditions.push_back("segment " + std::to_string(index) + " is online on node " +
                           base::join(holders, " or "));
  }
  return conditions;
}

}  // namespace

std::string_view text_of(VolumeState state) {
  switch (state) {
    case VolumeState::online:
      return "ONLINE";
    case VolumeState::degraded:
      return "DEGRADED";
    case VolumeState::recovering:
      return "RECOVERING";
    case VolumeState::locked:
      break;
  }
  return "LOCKED";
}

std::string_view text_of(CopyState state) {
  if (state == CopyState::online) return "ONLINE";
  return state == CopyState::recovering ? "RECOVERING" : "OFFLINE";
}

std::string_view text_of(SegmentType type) {
  if (type == SegmentType::master) return "MASTER";
  return type == SegmentType::deputy ? "DEPUTY" : "REDUNDANT";
}

std::string_view text_of(NodeState state) {
  if (state == NodeState::online) return "online";
  return state == NodeState::suspended ? "suspended" : "offline";
}

bool is_storage_suspended(const exaconf::Config& config, int node) {
  const exaconf::Section* section = config.section("Node", std::to_string(node));
  return section != nullptr && base::equals_ignoring_case(section->value_or("StorageState", ""), "suspended");
}

NodeStatuses node_statuses(const exaconf::Config& config, const std::map<int, NodeReport>& reports) {
  NodeStatuses statuses;
  int number = 0;
  for (const auto& [id, node] : config.nodes()) {
    NodeStatus status;
    status.number = number++;
    const auto report = reports.find(id);
    if (report != reports.end()) status.report = &report->second;
    if (is_storage_suspended(config, id))
      status.state = NodeState::suspended;
    else if (status.report != nullptr)
      status.state = NodeState::online;
    statuses.emplace(id, status);
  }
  return statuses;
}

std::set<int> suspended_nodes(const exaconf::Config& config) {
  std::set<int> nodes;
  for (const auto& [id, node] : config.nodes())
    if (is_storage_suspended(config, id)) nodes.insert(id);
  return nodes;
}

std::string resumed_condition(int node) {
  return "node " + std::to_string(node) + " is resumed";
}

std::vector<std::string> conditions_of(const Volume& volume, const NodeStatuses& nodes) {
  if (!volume.problem.empty()) return {"its section of EXAConf is put right: " + volume.problem};
  return conditions_in(volume, nodes, segments_of(volume, nodes));
}

VolumeStatus status_of(const Volume& volume, const NodeStatuses& nodes) {
  VolumeStatus status;
  if (!volume.problem.empty()) {
    status.unlock_conditions = conditions_of(volume, nodes);
    return status;
  }
  status.segments = segments_of(volume, nodes);
  name_deputies(status.segments, volume.masters);
  bool is_degraded = false;
  bool is_recovering = false;
  for (const SegmentStatus& segment : status.segments) {
    const int node = segment.segment.node;
    auto count = std::find_if(status.unrecovered.begin(), status.unrecovered.end(),
                              [&](const auto& entry) { return entry.first == node; });
    if (count == status.unrecovered.end()) count = status.unrecovered.insert(count, {node, 0});
    if (segment.state == CopyState::online) continue;
    ++count->second;
    // A segment that moves here is none of the copies yet: the volume only waits for it.
    if (segment.state == CopyState::recovering || segment.segment.arrives)
      is_recovering = true;
    else
      is_degraded = true;
  }
  std::sort(status.unrecovered.begin(), status.unrecovered.end());
  for (std::string& condition : conditions_in(volume, nodes, status.segments))
    if (std::find(volume.cleared_conditions.begin(), volume.cleared_conditions.end(), condition) ==
        volume.cleared_conditions.end())
      status.unlock_conditions.push_back(std::move(condition));
  if (volume.locked || !status.unlock_conditions.empty())
    status.state = VolumeState::locked;
  else if (is_degraded)
    status.state = VolumeState::degraded;
  else
    status.state = is_recovering ? VolumeState::recovering : VolumeState::online;
  return status;
}

}  // namespace confd::storage
