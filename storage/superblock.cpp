#include "storage/superblock.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace confd::storage {

using base::Code;

namespace {

constexpr std::string_view kKindNames[] = {"data", "archive", "temporary"};
constexpr std::string_view kStateNames[] = {"ONLINE", "OFFLINE", "RECOVERING"};

template <class Enum, std::size_t n>
std::optional<Enum> parse_name(const std::string_view (&names)[n], std::string_view name) {
  for (std::size_t i = 0; i < n; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  return std::nullopt;
}

void add_use(std::vector<Used>& used, const SegmentId& id, std::uint64_t start, std::uint64_t sectors) {
  used.push_back({start, sectors, id});
}

std::string run_text(const Used& used) {
  return "sectors " + std::to_string(used.start) + " to " + std::to_string(used.end() - 1) + " of " +
         segment_text(used.id);
}

}  // namespace

std::string uuid_text(const Uuid& uuid) {
  return base::to_hex({reinterpret_cast<const char*>(uuid.data()), uuid.size()});
}

std::string segment_text(const SegmentId& id) {
  return "segment " + std::to_string(id.index) + ", level " + std::to_string(id.level) + ", of volume " +
         std::to_string(id.vid);
}

std::string_view kind_name(SegmentKind kind) {
  return kKindNames[static_cast<std::size_t>(kind)];
}
std::string_view state_name(SegmentState state) {
  return kStateNames[static_cast<std::size_t>(state)];
}
std::optional<SegmentKind> parse_kind(std::string_view name) {
  return parse_name<SegmentKind>(kKindNames, name);
}
std::optional<SegmentState> parse_state(std::string_view name) {
  return parse_name<SegmentState>(kStateNames, name);
}

const SegmentRecord* Superblock::find(const SegmentId& id) const {
  const auto at = std::lower_bound(
      segments.begin(), segments.end(), id,
      [](const SegmentRecord& record, const SegmentId& wanted) { return record.id < wanted; });
  return at != segments.end() && at->id == id ? &*at : nullptr;
}

SegmentRecord* Superblock::find(const SegmentId& id) {
  return const_cast<SegmentRecord*>(static_cast<const Superblock*>(this)->find(id));
}

std::vector<Used> used_sectors(const Superblock& superblock) {
  std::vector<Used> used;
  for (const SegmentRecord& segment : superblock.segments)
    for (const Extent& extent : segment.extents)
      if (extent.device == superblock.uuid) add_use(used, segment.id, extent.start, extent.sectors);
  for (const Claim& claim : superblock.claims) add_use(used, claim.id, claim.start, claim.sectors);
  std::sort(used.begin(), used.end(), [](const Used& a, const Used& b) {
    return std::tie(a.start, a.sectors) < std::tie(b.start, b.sectors);
  });
  return used;
}

std::vector<std::string> superblock_problems(const Superblock& superblock) {
  std::vector<std::string> problems;
  const Geometry& geometry = superblock.geometry;
  const std::vector<Used> used = used_sectors(superblock);
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i].sectors == 0 || used[i].sectors > geometry.data_sectors ||
        used[i].start > geometry.data_sectors - used[i].sectors)
      problems.push_back(run_text(used[i]) + " are not on the device, which has " +
                         std::to_string(geometry.data_sectors) + " data sectors");
    if (i > 0 && used[i].start < used[i - 1].end())
      problems.push_back(run_text(used[i]) + " are " + run_text(used[i - 1]) + " as well");
  }
  for (std::size_t i = 0; i < superblock.segments.size(); ++i) {
    const SegmentRecord& segment = superblock.segments[i];
    if (i > 0 && superblock.segments[i - 1].id == segment.id)
      problems.push_back(segment_text(segment.id) + " is recorded twice");
    std::uint64_t blocks = 0;
    for (const Extent& extent : segment.extents) {
      blocks += extent.blocks;
      if (extent.device == superblock.uuid && segment.block_size != 0 &&
          extent.sectors < sectors_for(extent.blocks, segment.block_size, geometry.sector_size))
        problems.push_back(segment_text(segment.id) + " has " + std::to_string(extent.blocks) +
                           " blocks in " + std::to_string(extent.sectors) + " sectors, too few for them");
    }
    if (!segment.freeing && (blocks != segment.blocks || segment.block_size == 0))
      problems.push_back(segment_text(segment.id) + " has " + std::to_string(segment.blocks) +
                         " blocks, its partitions " + std::to_string(blocks));
  }
  return problems;
}

}  // namespace confd::storage
