#include "storage/reconcile.h"

#include <algorithm>
#include <set>

namespace confd::storage {
namespace {

bool is_online(const NodeStatuses& nodes, int node) {
  const auto found = nodes.find(node);
  return found != nodes.end() && found->second.state == NodeState::online;
}

bool all_online(const Volume& volume, const NodeStatuses& nodes) {
  const std::vector<int> holders = nodes_of(volume.placement);
  return std::all_of(holders.begin(), holders.end(), [&](int node) { return is_online(nodes, node); });
}

// A segment that is not in the report of a node may lie on a device that is offline.
bool is_disk_whole(const NodeReport& report, const std::string& disk) {
  bool has_it = false;
  for (const DeviceReport& device : report.devices) {
    if (device.disk != disk) continue;
    has_it = true;
    if (device.state != "ONLINE") return false;
  }
  return has_it;
}

void compare_segments(const Volume& volume, const NodeStatuses& nodes, Reconciliation& plan) {
  const Layout layout = layout_of(volume);
  for (const Segment& segment : layout.segments) {
    if (!is_online(nodes, segment.node)) continue;
    const NodeReport& report = *nodes.at(segment.node).report;
    const SegmentReport* present = report.segment(segment.id);
    if (present == nullptr) {
      if ((volume.redundancy > 1 || segment.arrives) && is_disk_whole(report, volume.disk))
        plan.to_fill.push_back({segment.node, segment.id, layout.segment_blocks});
    } else if (present->blocks != layout.segment_blocks && present->block_size == volume.block_size) {
      plan.to_resize.push_back({segment.node, segment.id, layout.segment_blocks});
    }
  }
}

void find_orphans(const Volumes& volumes, const NodeStatuses& nodes, Reconciliation& plan) {
  std::set<std::pair<int, SegmentKey>> wanted;
  for (const Volume& volume : volumes) {
    if (!volume.problem.empty()) return;
    if (!volume.has_id) continue;
    for (const Segment& segment : layout_of(volume).segments) wanted.emplace(segment.node, segment.id);
  }
  for (const auto& [id, node] : nodes) {
    if (node.report == nullptr) continue;
    for (const SegmentReport& segment : node.report->segments)
      if (!wanted.contains({id, segment.id})) plan.to_free.push_back({id, segment.id, segment.blocks});
  }
}

std::string text_of(const char* what, const std::vector<Reconciliation::Place>& places) {
  std::string text;
  for (const Reconciliation::Place& place : places)
    text += std::string(text.empty() ? what : ",") + " " + text_of(place.id) + " on node " +
            std::to_string(place.node);
  return text.empty() ? text : text + "; ";
}

std::string text_of(const char* what, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += std::string(text.empty() ? what : ",") + " '" + name + "'";
  return text.empty() ? text : text + "; ";
}

}  // namespace

bool Reconciliation::empty() const {
  return to_make.empty() && to_free.empty() && to_resize.empty() && to_fill.empty() && to_settle.empty() &&
         to_forget.empty();
}

std::string Reconciliation::text() const {
  std::string text = text_of("make", to_make) + text_of("free", to_free) + text_of("resize", to_resize) +
                     text_of("fill", to_fill) + text_of("settle", to_settle) + text_of("forget", to_forget);
  if (text.size() >= 2) text.resize(text.size() - 2);
  return text;
}

Placement settled(const Volume& volume, const NodeStatuses& nodes) {
  Placement placement = volume.placement;
  for (std::size_t index = 0; index < placement.size(); ++index)
    for (std::size_t level = 0; level < placement[index].size(); ++level) {
      Holder& holder = placement[index][level];
      if (!holder.next || !is_online(nodes, *holder.next)) continue;
      const SegmentReport* arrived =
          nodes.at(*holder.next)
              .report->segment({volume.id, static_cast<int>(index), static_cast<int>(level) + 1});
      if (arrived != nullptr && arrived->state == "ONLINE") holder = {*holder.next, std::nullopt};
    }
  return placement;
}

std::vector<std::string> still_cleared(const Volume& volume, const NodeStatuses& nodes) {
  const std::vector<std::string> present = conditions_of(volume, nodes);
  std::vector<std::string> kept;
  for (const std::string& condition : volume.cleared_conditions)
    if (std::find(present.begin(), present.end(), condition) != present.end()) kept.push_back(condition);
  return kept;
}

Reconciliation reconciliation(const Volumes& volumes, const NodeStatuses& nodes) {
  Reconciliation plan;
  for (const Volume& volume : volumes) {
    if (!volume.problem.empty()) continue;
    if (!volume.has_id) {
      if (all_online(volume, nodes)) plan.to_make.push_back(volume.name);
      continue;
    }
    compare_segments(volume, nodes, plan);
    if (!(settled(volume, nodes) == volume.placement)) plan.to_settle.push_back(volume.name);
    if (still_cleared(volume, nodes) != volume.cleared_conditions) plan.to_forget.push_back(volume.name);
  }
  find_orphans(volumes, nodes, plan);
  return plan;
}

}  // namespace confd::storage
