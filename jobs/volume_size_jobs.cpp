// Jobs that change the size or the content of a volume's segments: st_volume_enlarge, st_volume_shrink,
// st_volume_clear_data (spec/jobs/storage.yaml).
#include <algorithm>
#include <set>

#include "exaconf/value_types.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"
#include "storage/archive_link.h"
#include "storage/archive_peers.h"

namespace confd::jobs {

using base::Code;
using storage::Segment;
using storage::Volume;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};

constexpr Param kMoreBlocks[] = {
    kVolumeId[0],
    {.name = "blocks_per_node", .types = kInt, .help = "blocks to add to each segment"},
};
constexpr Param kFewerBlocks[] = {
    kVolumeId[0],
    {.name = "blocks_per_node", .types = kInt, .help = "blocks to take from each segment"},
};
constexpr std::string_view kEnlargeExamples[] = {R"({"vname": "DataVolume1", "blocks_per_node": 4})"};
constexpr std::string_view kShrinkExamples[] = {R"({"vname": "DataVolume1", "blocks_per_node": 64})"};
constexpr std::int64_t kMostBlocks = std::int64_t{1} << 48;

std::string named(const Volume& volume) {
  return "volume '" + volume.name + "'";
}

// The volume with segments of that many blocks.
Volume resized(const Volume& volume, std::uint64_t blocks) {
  Volume changed = volume;
  changed.size = blocks * volume.block_size * static_cast<std::uint64_t>(volume.masters);
  return changed;
}

base::Struct resize_params(const Segment& segment, std::uint64_t blocks) {
  base::Struct params = segment_params(segment.id);
  params.append("blocks", static_cast<std::int64_t>(blocks));
  return params;
}

// All or none: those that grew get their size back when one can't.
void grow(JobContext& context, const storage::Layout& before, std::uint64_t blocks) {
  std::vector<const Segment*> grown;
  try {
    for (const Segment& segment : before.segments) {
      grown.push_back(&segment);
      context.run(segment.node, "storage.resize", resize_params(segment, blocks));
    }
  } catch (const JobError&) {
    // Also when the job was stopped, so not through the context.
    for (const Segment* segment : grown)
      if (!context.services().nodes.run(segment->node, "storage.resize",
                                        resize_params(*segment, before.segment_blocks), {}))
        context.warn(storage::text_of(segment->id) + " on node " + std::to_string(segment->node) +
                     " could not be given its former size now and gets it later");
    throw;
  }
}

std::uint64_t whole_stripes(const Volume& volume, std::uint64_t blocks, bool up) {
  const std::uint64_t stripe = volume.stripe_size / volume.block_size;
  return (blocks + (up ? stripe - 1 : 0)) / stripe * stripe;
}

// --- st_volume_enlarge ---

std::uint64_t more_blocks(JobContext& context, const Volume& volume) {
  const auto blocks = static_cast<std::uint64_t>(ranged(context, "blocks_per_node", 1, kMostBlocks));
  return whole_stripes(volume, blocks, true);
}

void check_st_volume_enlarge(JobContext& context) {
  more_blocks(context, usable_volume(context));
}

std::optional<base::Value> st_volume_enlarge(JobContext& context) {
  const Volume volume = usable_volume(context);
  const storage::Layout before = storage::layout_of(volume);
  const std::uint64_t more = more_blocks(context, volume);
  const Volume after = resized(volume, before.segment_blocks + more);
  const auto now = look_at_storage(context);
  check_nodes_online(*now, storage::nodes_of(volume.placement), named(volume) + " can't be enlarged");
  std::map<int, int> per_node;
  for (const Segment& segment : before.segments) ++per_node[segment.node];
  check_space(*now, volume, per_node, more * volume.block_size);
  grow(context, before, before.segment_blocks + more);
  set_key(context, volume, "Size", storage::exact_size(after.size));
  return std::nullopt;
}

// --- st_volume_shrink ---

std::uint64_t fewer_blocks(JobContext& context, const Volume& volume) {
  if (volume.kind == storage::VolumeKind::archive)
    throw JobError{Code::unsupported, named(volume) + " is an archive volume: these are never shrunk"};
  const auto blocks = static_cast<std::uint64_t>(ranged(context, "blocks_per_node", 1, kMostBlocks));
  const std::uint64_t fewer = whole_stripes(volume, blocks, false);
  const std::uint64_t present = storage::layout_of(volume).segment_blocks;
  if (fewer == 0)
    refuse_parameter("blocks_per_node", std::to_string(blocks) + " blocks are less than a stripe (" +
                                            std::to_string(volume.stripe_size / volume.block_size) +
                                            " blocks)");
  if (fewer >= present)
    refuse_parameter("blocks_per_node", "a segment of " + named(volume) + " has only " +
                                            std::to_string(present) + " blocks; st_volume_delete deletes it");
  return fewer;
}

void check_st_volume_shrink(JobContext& context) {
  fewer_blocks(context, usable_volume(context));
}

// EXAConf first: what is given back to the devices must not be in it.
std::optional<base::Value> st_volume_shrink(JobContext& context) {
  const Volume volume = usable_volume(context);
  const storage::Layout before = storage::layout_of(volume);
  const std::uint64_t blocks = before.segment_blocks - fewer_blocks(context, volume);
  const auto now = look_at_storage(context);
  check_nodes_online(*now, storage::nodes_of(volume.placement), named(volume) + " can't be shrunk");
  for (const Segment& segment : before.segments) {
    const storage::SegmentReport* report = now->reports.at(segment.node).segment(segment.id);
    if (report != nullptr && report->used_bytes.value_or(0) > blocks * volume.block_size)
      throw JobError{Code::wrong_state, named(volume) +
                                            " can't be shrunk that far: " + storage::text_of(segment.id) +
                                            " on node " + std::to_string(segment.node) + " holds " +
                                            exaconf::format_size(*report->used_bytes) + " of data"};
  }
  set_key(context, volume, "Size", storage::exact_size(resized(volume, blocks).size));
  context.publish_now();
  for (const Segment& segment : before.segments) {
    const auto done = context.services().nodes.run(segment.node, "storage.resize",
                                                   resize_params(segment, blocks), context.stop());
    if (!done)
      context.warn("the space of " + storage::text_of(segment.id) + " on node " +
                   std::to_string(segment.node) + " is freed later: " + done.error().text);
  }
  return std::nullopt;
}

// --- st_volume_clear_data ---

constexpr Param kClearParams[] = {
    kVolumeId[0],
    {.name = "num_bytes", .types = kInt, .help = "bytes of each segment to overwrite; 0 = all"},
    {.name = "node_ids",
     .types = kList,
     .help = "nodes whose segments are overwritten; an empty list = all",
     .completion = Completion::node},
};
constexpr std::string_view kClearExamples[] = {R"({"vname": "DataVolume1", "num_bytes": 0, "node_ids": [0]})",
                                               R"({"vid": 0, "num_bytes": 1048576, "node_ids": []})"};

// The published example names a storage node by its logical number (0); node ids begin at 10.
std::set<int> nodes_to_clear(JobContext& context, const Volume& volume) {
  const std::vector<int> holders = storage::nodes_of(volume.placement);
  std::vector<int> all;
  for (const auto& [id, node] : context.config().nodes()) all.push_back(id);
  std::set<int> nodes;
  for (const base::Value& item : context.param("node_ids")->as_array()) {
    if (!item.is_int()) refuse_parameter("node_ids", "must be a list of node ids");
    const std::int64_t given = item.as_int();
    const bool is_number =
        given >= 0 && given < 10 && !context.config().nodes().contains(static_cast<int>(given));
    if (is_number && given >= static_cast<std::int64_t>(all.size()))
      throw JobError{Code::not_found,
                     "storage node " + std::to_string(given) + " does not exist; see st_node_list"};
    const int id = is_number ? all[static_cast<std::size_t>(given)] : known_node(context.config(), given).id;
    if (std::find(holders.begin(), holders.end(), id) == holders.end())
      refuse_parameter("node_ids", "node " + std::to_string(id) + " holds nothing of " + named(volume));
    nodes.insert(id);
  }
  if (nodes.empty()) nodes.insert(holders.begin(), holders.end());
  return nodes;
}

void check_st_volume_clear_data(JobContext& context) {
  const Volume volume = usable_volume(context);
  const std::int64_t bytes = ranged(context, "num_bytes", 0, std::int64_t{1} << 60);
  if (volume.kind == storage::VolumeKind::archive && bytes != 0)
    refuse_parameter("num_bytes", "must be 0: " + named(volume) +
                                      " is an archive volume, its segments are emptied as a whole");
  nodes_to_clear(context, volume);
}

// The segments that lie on these nodes, on all their copies, or recovery would fill them again. A copy that
// is away is noted, and emptied when it is back.
void clear_archive(JobContext& context, const Volume& volume, const std::set<int>& nodes) {
  const storage::Layout layout = storage::layout_of(volume);
  std::set<int> indexes;
  for (const Segment& segment : layout.segments)
    if (nodes.contains(segment.node)) indexes.insert(segment.id.index);
  storage::NodeArchiveLink link(context.services().nodes);
  const std::set<int> suspended = storage::suspended_nodes(context.config());
  for (const int index : indexes) {
    const base::Struct arguments{{"vid", volume.id}, {"index", index}};
    context.command("archive.clear", arguments, [&]() -> CommandOutcome {
      const base::Status done =
          storage::clear_copies(link, storage::copies_of(layout, index), suspended, context.stop());
      if (!done) return {done.error(), done.error().text};
      return {base::Value(), base::Value()};
    });
  }
}

std::optional<base::Value> st_volume_clear_data(JobContext& context) {
  const Volume volume = usable_volume(context);
  const std::set<int> nodes = nodes_to_clear(context, volume);
  if (volume.kind == storage::VolumeKind::archive) {
    clear_archive(context, volume, nodes);
    return std::nullopt;
  }
  const auto now = look_at_storage(context);
  check_nodes_online(*now, {nodes.begin(), nodes.end()}, named(volume) + " can't be cleared");
  for (const Segment& segment : storage::layout_of(volume).segments) {
    if (!nodes.contains(segment.node)) continue;
    base::Struct params = segment_params(segment.id);
    params.append("num_bytes", context.number("num_bytes"));
    context.run(segment.node, "storage.clear", params);
  }
  return std::nullopt;
}

constexpr JobDescriptor kVolumeSizeJobs[] = {
    {.name = "st_volume_clear_data",
     .help = "Overwrite segments of a volume with zeroes",
     .long_help = "Of an archive volume all files of the segments are removed, on all nodes with a copy; "
                  "num_bytes must be 0 then. A copy that is away is emptied when it comes back.",
     .kind = JobKind::modify,
     .mandatory = kClearParams,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kClearExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_clear_data,
     .execute = &st_volume_clear_data},
    {.name = "st_volume_enlarge",
     .help = "Grow every segment of a volume",
     .long_help = "Rounded up to whole stripes: never less than asked. Usable at once.",
     .kind = JobKind::modify,
     .mandatory = kMoreBlocks,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kEnlargeExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_enlarge,
     .execute = &st_volume_enlarge},
    {.name = "st_volume_shrink",
     .help = "Make every segment of a data volume smaller",
     .long_help = "Rounded down to whole stripes: never more than asked. Refused when a segment holds more "
                  "data than would fit, and for archive volumes.",
     .kind = JobKind::modify,
     .mandatory = kFewerBlocks,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kShrinkExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_shrink,
     .execute = &st_volume_shrink,
     .publishes_early = true},
};

}  // namespace

std::span<const JobDescriptor> volume_size_jobs() {
  return kVolumeSizeJobs;
}

}  // namespace confd::jobs
