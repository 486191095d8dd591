#include "storage/layout.h"

namespace confd::storage {
namespace {

std::uint64_t divided_up(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace

std::string text_of(const SegmentKey& id) {
  std::string text = "segment " + std::to_string(id.index) + " of volume " + std::to_string(id.volume);
  if (id.level > 1) text += ", level " + std::to_string(id.level);
  return text;
}

std::uint64_t segment_blocks(std::uint64_t size, int masters, std::uint64_t block_size,
                             std::uint64_t stripe_size) {
  const std::uint64_t bytes = divided_up(size, static_cast<std::uint64_t>(masters));
  return divided_up(bytes, stripe_size) * (stripe_size / block_size);
}

std::uint64_t segment_bytes(const Volume& volume) {
  return segment_blocks(volume.size, volume.masters, volume.block_size, volume.stripe_size) *
         volume.block_size;
}

std::uint64_t usable_bytes(const Volume& volume) {
  return segment_bytes(volume) * static_cast<std::uint64_t>(volume.masters);
}

Layout layout_of(const Volume& volume) {
  Layout layout;
  layout.segment_blocks = segment_blocks(volume.size, volume.masters, volume.block_size, volume.stripe_size);
  layout.blocks = layout.segment_blocks * static_cast<std::uint64_t>(volume.masters);
  std::vector<Segment> arriving;
  std::uint64_t number = 0;
  for (int level = 1; level <= volume.redundancy; ++level)
    for (int index = 0; index < volume.masters; ++index) {
      const Holder& holder =
          volume.placement[static_cast<std::size_t>(index)][static_cast<std::size_t>(level - 1)];
      Segment segment;
      segment.id = {volume.id, index, level};
      segment.node = holder.node;
      segment.number = number++;
      segment.start_block = layout.segment_blocks * static_cast<std::uint64_t>(index);
      segment.end_block = segment.start_block + layout.segment_blocks - 1;
      segment.leaves = holder.next.has_value();
      layout.segments.push_back(segment);
      if (!holder.next) continue;
      segment.node = *holder.next;
      segment.leaves = false;
      segment.arrives = true;
      arriving.push_back(segment);
    }
  for (Segment& segment : arriving) {
    segment.number = number++;
    layout.segments.push_back(segment);
  }
  return layout;
}

std::string segment_kind(const Volume& volume) {
  if (volume.kind == VolumeKind::archive) return "archive";
  return volume.is_temporary() ? "temporary" : "data";
}

}  // namespace confd::storage
