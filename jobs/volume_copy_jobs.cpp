// Jobs that change which nodes hold a volume: st_volume_append_node, st_volume_move_node,
// st_volume_increase_redundancy, st_volume_decrease_redundancy (spec/jobs/storage.yaml).
//
// They allocate and say in EXAConf who is to hold what; copies that are to be filled are RECOVERING, and
// recovery fills them. A move ends when the new segment has everything (storage_reconcile).
#include <algorithm>

#include "base/text.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"

namespace confd::jobs {

using base::Code;
using storage::Holder;
using storage::Placement;
using storage::Segment;
using storage::Volume;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};

std::string named(const Volume& volume) {
  return "volume '" + volume.name + "'";
}

bool holds(const std::vector<Holder>& row, int node) {
  return std::any_of(row.begin(), row.end(),
                     [&](const Holder& holder) { return holder.node == node || holder.next == node; });
}

void write_new_placement(JobContext& context, const Volume& volume, const Placement& placement) {
  or_throw(storage::write_placement(context.transaction(), storage::section_of(volume), placement));
}

// Segments of `after` that are in none of the former places.
std::vector<NewSegment> added_segments(const Volume& before, const Volume& after, bool are_empty_copies) {
  const storage::Layout old_layout = storage::layout_of(before);
  const storage::Layout new_layout = storage::layout_of(after);
  std::vector<NewSegment> added;
  for (const Segment& segment : new_layout.segments) {
    const bool was_there =
        std::any_of(old_layout.segments.begin(), old_layout.segments.end(),
                    [&](const Segment& old) { return old.id == segment.id && old.node == segment.node; });
    if (!was_there) added.push_back({segment.id, segment.node, are_empty_copies});
  }
  return added;
}

void allocate_added(JobContext& context, const StorageNow& now, const Volume& volume,
                    const std::vector<NewSegment>& added) {
  std::map<int, int> per_node;
  for (const NewSegment& segment : added) ++per_node[segment.node];
  check_space(now, volume, per_node, storage::segment_bytes(volume));
  allocate(context, now, volume, storage::layout_of(volume).segment_blocks, added);
}

// Allocates what `after` has more and writes where it lies. `what`: "can't be extended", of the volume.
void add_segments(JobContext& context, const StorageNow& now, const Volume& before, const Volume& after,
                  bool are_empty_copies, const std::string& what) {
  const std::vector<NewSegment> added = added_segments(before, after, are_empty_copies);
  std::vector<int> nodes;
  for (const NewSegment& segment : added) nodes.push_back(segment.node);
  check_nodes_online(now, nodes, named(before) + " " + what);
  allocate_added(context, now, after, added);
  write_new_placement(context, before, after.placement);
}

void check_not_moving(const Volume& volume) {
  for (const auto& row : volume.placement)
    for (const Holder& holder : row)
      if (holder.next)
        throw JobError{Code::busy, named(volume) + " is being moved from node " +
                                       std::to_string(holder.node) + " to node " +
                                       std::to_string(*holder.next) + "; wait until it is online"};
}

// --- st_volume_append_node ---

constexpr Param kAppendParams[] = {
    kVolumeId[0],
    {.name = "node_num", .types = kInt, .help = "number of new master nodes"},
    {.name = "node_ids",
     .types = kList,
     .help = "ids of the new nodes; nodes for redundancy alone come last",
     .completion = Completion::node},
};
constexpr std::string_view kAppendExamples[] = {R"({"vid": 0, "node_num": 1, "node_ids": [12]})"};

Volume appended(JobContext& context, const Volume& volume) {
  check_not_moving(volume);
  const std::vector<int> nodes = node_list_param(context, "node_ids");
  const auto count = static_cast<std::int64_t>(nodes.size());
  const std::int64_t masters = ranged(context, "node_num", 1, count);
  if (count % masters != 0)
    refuse_parameter("node_ids", std::to_string(count) + " nodes are no multiple of the " +
                                     std::to_string(masters) + " new master nodes");
  if (count < volume.redundancy)
    refuse_parameter("node_ids", named(volume) + " has redundancy " + std::to_string(volume.redundancy) +
                                     " and needs at least as many new nodes");
  if (count > masters * volume.redundancy)
    refuse_parameter("node_ids", "with redundancy " + std::to_string(volume.redundancy) +
                                     " some of them would hold nothing");
  for (const int node : nodes)
    for (const auto& row : volume.placement)
      if (holds(row, node))
        throw JobError{Code::exists, "node " + std::to_string(node) + " is part of " + named(volume) +
                                         " already; give nodes that are not"};
  check_disk(context.config(), volume.disk, nodes);
  auto rows = storage::placed_by_rule(nodes, static_cast<int>(masters), volume.redundancy);
  if (!rows) refuse_parameter("node_ids", rows.error().text);
  Volume after = volume;
  after.placement.insert(after.placement.end(), rows->begin(), rows->end());
  after.masters += static_cast<int>(masters);
  after.size = storage::segment_bytes(volume) * static_cast<std::uint64_t>(after.masters);
  return after;
}

void check_st_volume_append_node(JobContext& context) {
  appended(context, usable_volume(context));
}

std::optional<base::Value> st_volume_append_node(JobContext& context) {
  const Volume volume = usable_volume(context);
  const Volume after = appended(context, volume);
  const auto now = look_at_storage(context);
  // Ids of copies count the masters, not the nodes: what was there keeps its name.
  add_segments(context, *now, volume, after, false, "can't be extended");
  set_key(context, volume, "Size", storage::exact_size(after.size));
  return std::nullopt;
}

// --- st_volume_move_node ---

constexpr Param kMoveParams[] = {
    kVolumeId[0],
    {.name = "src_nodes",
     .types = kList,
     .help = "ids of the nodes to leave",
     .completion = Completion::node},
    {.name = "dst_nodes",
     .types = kList,
     .help = "ids of the nodes to move to, in the same order",
     .completion = Completion::node},
};
constexpr Alias kMoveAliases[] = {{"dst_nodes", "dest_nodes"}};
constexpr std::string_view kMoveExamples[] = {
    R"({"vname": "DataVolume1", "src_nodes": [11], "dst_nodes": [12]})"};

Volume moved(JobContext& context, const Volume& volume) {
  check_not_moving(volume);
  const std::vector<int> from = node_list_param(context, "src_nodes");
  const std::vector<int> to = node_list_param(context, "dst_nodes");
  if (from.size() != to.size())
    refuse_parameter("dst_nodes",
                     "must name as many nodes as src_nodes (" + std::to_string(from.size()) + ")");
  check_disk(context.config(), volume.disk, to);
  Volume after = volume;
  for (std::size_t i = 0; i < from.size(); ++i) {
    bool holds_something = false;
    for (std::size_t index = 0; index < after.placement.size(); ++index) {
      auto& row = after.placement[index];
      const auto source =
          std::find_if(row.begin(), row.end(), [&](const Holder& holder) { return holder.node == from[i]; });
      if (source == row.end()) continue;
      holds_something = true;
      if (holds(row, to[i]))
        throw JobError{Code::wrong_state, named(volume) + " can't be moved from node " +
                                              std::to_string(from[i]) + " to node " + std::to_string(to[i]) +
                                              ": node " + std::to_string(to[i]) +
                                              " holds another copy of segment " + std::to_string(index)};
      source->next = to[i];
    }
    if (!holds_something)
      refuse_parameter("src_nodes", "node " + std::to_string(from[i]) + " holds nothing of " + named(volume));
  }
  return after;
}

void check_st_volume_move_node(JobContext& context) {
  moved(context, usable_volume(context));
}

std::optional<base::Value> st_volume_move_node(JobContext& context) {
  const Volume volume = usable_volume(context);
  const Volume after = moved(context, volume);
  const auto now = look_at_storage(context);
  check_nodes_online(*now, node_list_param(context, "dst_nodes"), named(volume) + " can't be moved");
  const storage::VolumeStatus status = storage::status_of(volume, now->nodes);
  const std::vector<NewSegment> added = added_segments(volume, after, true);
  for (const NewSegment& segment : added) {
    const bool has_source =
        std::any_of(status.segments.begin(), status.segments.end(), [&](const storage::SegmentStatus& one) {
          return one.segment.id.index == segment.id.index && one.state == storage::CopyState::online;
        });
    if (!has_source)
      throw JobError{Code::wrong_state, named(volume) + " can't be moved: no copy of segment " +
                                            std::to_string(segment.id.index) +
                                            " is online, its data would be lost"};
  }
  allocate_added(context, *now, volume, added);
  write_new_placement(context, volume, after.placement);
  return std::nullopt;
}

// --- st_volume_increase_redundancy ---

constexpr Param kIncreaseParams[] = {
    kVolumeId[0],
    {.name = "delta", .types = kInt, .help = "levels to add"},
};
constexpr Param kIncreaseOptions[] = {
    kVolumeName[0],
    {.name = "nodes",
     .types = kList,
     .help = "node ids for the new levels, in the order of the masters",
     .default_text = "the volume's own nodes",
     .completion = Completion::node},
};
constexpr std::string_view kIncreaseExamples[] = {R"({"vname": "DataVolume1", "delta": 1})"};

int delta_of(JobContext& context) {
  return static_cast<int>(ranged(context, "delta", 1, 1000));
}

// On the nodes that were given: level by level, in the order of the masters; levels that are not given are
// spread over the last one that is.
Placement with_given(JobContext& context, const Volume& volume, const std::vector<int>& nodes) {
  const int delta = delta_of(context);
  const auto count = static_cast<int>(nodes.size());
  if (count % volume.masters != 0)
    refuse_parameter("nodes", std::to_string(count) + " nodes are no multiple of the " +
                                  std::to_string(volume.masters) + " master nodes of " + named(volume));
  const int levels = count / volume.masters;
  if (levels > delta)
    refuse_parameter("nodes",
                     "there are more nodes than " + std::to_string(delta) + " further level(s) need");
  check_disk(context.config(), volume.disk, nodes);
  Placement placement = volume.placement;
  for (int index = 0; index < volume.masters; ++index) {
    auto& row = placement[static_cast<std::size_t>(index)];
    for (int level = 1; level <= delta; ++level) {
      const int given = std::min(level, levels);
      const int at = volume.masters * (given - 1) + (index + level - given) % volume.masters;
      const int node = nodes[static_cast<std::size_t>(at)];
      if (holds(row, node))
        refuse_parameter("nodes", "node " + std::to_string(node) + " would hold two copies of segment " +
                                      std::to_string(index));
      row.push_back({node, std::nullopt});
    }
  }
  return placement;
}

// On the volume's own nodes: by the rule when these nodes are online, else each on the next one that is.
Placement with_own(JobContext& context, const Volume& volume, const StorageNow& now) {
  const int delta = delta_of(context);
  const std::vector<int> nodes = storage::nodes_of(volume.placement);
  const auto is_online = [&](int node) {
    const auto found = now.nodes.find(node);
    return found != now.nodes.end() && found->second.state == storage::NodeState::online;
  };
  const auto by_rule = storage::placed_by_rule(nodes, volume.masters, volume.redundancy + delta);
  if (by_rule) {
    bool fits = true;
    for (std::size_t i = 0; i < by_rule->size(); ++i)
      for (std::size_t level = 0; level < (*by_rule)[i].size(); ++level)
        fits =
            fits && (level < volume.placement[i].size() ? (*by_rule)[i][level] == volume.placement[i][level]
                                                        : is_online((*by_rule)[i][level].node));
    if (fits) return *by_rule;
  }
  Placement placement = volume.placement;
  for (std::size_t index = 0; index < placement.size(); ++index) {
    auto& row = placement[index];
    for (int level = 0; level < delta; ++level) {
      std::optional<int> chosen;
      for (std::size_t step = 1; step <= nodes.size() && !chosen; ++step)
        if (const int node = nodes[(index + step) % nodes.size()]; is_online(node) && !holds(row, node))
          chosen = node;
      if (!chosen)
        throw JobError{Code::wrong_state,
                       named(volume) + " has no further node that is online for another copy of segment " +
                           std::to_string(index) + "; give nodes in 'nodes'"};
      row.push_back({*chosen, std::nullopt});
    }
  }
  return placement;
}

void check_st_volume_increase_redundancy(JobContext& context) {
  const Volume volume = usable_volume(context);
  check_not_moving(volume);
  delta_of(context);
  if (context.param("nodes") != nullptr) with_given(context, volume, node_list_param(context, "nodes"));
}

std::optional<base::Value> st_volume_increase_redundancy(JobContext& context) {
  const Volume volume = usable_volume(context);
  const auto now = look_at_storage(context);
  Volume after = volume;
  after.placement = context.param("nodes") != nullptr
                        ? with_given(context, volume, node_list_param(context, "nodes"))
                        : with_own(context, volume, *now);
  after.redundancy += delta_of(context);
  add_segments(context, *now, volume, after, true, "can't get more copies");
  return std::nullopt;
}

// --- st_volume_decrease_redundancy ---

constexpr Param kDecreaseParams[] = {
    kVolumeId[0],
    {.name = "delta", .types = kInt, .help = "levels to remove"},
};
constexpr Param kDecreaseOptions[] = {
    kVolumeName[0],
    {.name = "nid",
     .types = kInt,
     .help = "a node that must hold none of the copies that are removed last",
     .completion = Completion::node},
};
constexpr std::string_view kDecreaseExamples[] = {R"({"vname": "DataVolume1", "delta": 1})"};

Volume decreased(JobContext& context, const Volume& volume) {
  check_not_moving(volume);
  const int delta = delta_of(context);
  if (delta >= volume.redundancy)
    refuse_parameter("delta", named(volume) + " has redundancy " + std::to_string(volume.redundancy) +
                                  ", and 1 must stay");
  Volume after = volume;
  after.redundancy -= delta;
  for (auto& row : after.placement) row.resize(static_cast<std::size_t>(after.redundancy));
  if (context.param("nid") != nullptr) {
    const int node = known_node(context.config(), context.number("nid")).id;
    for (std::size_t index = 0; index < after.placement.size(); ++index)
      if (holds(after.placement[index], node))
        throw JobError{Code::unsupported,
                       "parameter 'nid': node " + std::to_string(node) + " holds a lower level of segment " +
                           std::to_string(index) + " of " + named(volume) +
                           "; the highest levels are removed. Move it first with st_volume_move_node"};
  }
  return after;
}

void check_st_volume_decrease_redundancy(JobContext& context) {
  decreased(context, usable_volume(context));
}

// EXAConf first: what is freed must not be in it.
std::optional<base::Value> st_volume_decrease_redundancy(JobContext& context) {
  const Volume volume = usable_volume(context);
  const Volume after = decreased(context, volume);
  const auto now = look_at_storage(context);
  const storage::VolumeStatus status = storage::status_of(volume, now->nodes);
  for (int index = 0; index < volume.masters; ++index) {
    bool stays = false, is_there = false;
    for (const storage::SegmentStatus& one : status.segments) {
      if (one.segment.id.index != index || one.state != storage::CopyState::online) continue;
      is_there = true;
      stays = stays || one.segment.id.level <= after.redundancy;
    }
    if (is_there && !stays)
      throw JobError{Code::wrong_state, named(volume) + " can't have fewer copies now: of segment " +
                                            std::to_string(index) +
                                            " only a copy that would be removed is online; wait until the "
                                            "others have recovered"};
  }
  std::vector<OldSegment> removed;
  for (const Segment& segment : storage::layout_of(volume).segments)
    if (segment.id.level > after.redundancy) removed.push_back({segment.id, segment.node});
  write_new_placement(context, volume, after.placement);
  if (volume.forced_redundancy > after.redundancy) unset_key(context, volume, "ForcedRedundancy");
  context.publish_now();
  free_segments(context, removed);
  return std::nullopt;
}

constexpr JobDescriptor kVolumeCopyJobs[] = {
    {.name = "st_volume_append_node",
     .help = "Append new master nodes to a volume",
     .long_help = "The new segments have the size and redundancy of the others; the volume grows at its end, "
                  "usable at once. Copies of the new nodes lie on the new nodes.",
     .kind = JobKind::modify,
     .mandatory = kAppendParams,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kAppendExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_append_node,
     .execute = &st_volume_append_node},
    {.name = "st_volume_decrease_redundancy",
     .help = "Remove copies of a volume",
     .long_help = "Removes the highest levels. Refused while one of these is the only copy that is online.",
     .kind = JobKind::modify,
     .mandatory = kDecreaseParams,
     .optional = kDecreaseOptions,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kDecreaseExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_decrease_redundancy,
     .execute = &st_volume_decrease_redundancy,
     .publishes_early = true},
    {.name = "st_volume_increase_redundancy",
     .help = "Add copies to a volume",
     .long_help = "The copies get their space at once; the volume is `RECOVERING` until they are filled.",
     .kind = JobKind::modify,
     .mandatory = kIncreaseParams,
     .optional = kIncreaseOptions,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kIncreaseExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_increase_redundancy,
     .execute = &st_volume_increase_redundancy},
    {.name = "st_volume_move_node",
     .help = "Move the segments of a volume to other nodes",
     .long_help = "Takes the space on the new nodes and returns; the volume is `RECOVERING` while they are "
                  "filled, then the old nodes give their space back. Source nodes may be offline when "
                  "another copy is online.",
     .kind = JobKind::modify,
     .mandatory = kMoveParams,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .aliases = kMoveAliases,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kMoveExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_move_node,
     .execute = &st_volume_move_node},
};

}  // namespace

std::span<const JobDescriptor> volume_copy_jobs() {
  return kVolumeCopyJobs;
}

}  // namespace confd::jobs
