// Layout: which segments a volume has, where they lie and which blocks they hold (spec/storage-behaviour.md
// §5). A pure function of the EXAVolume section: nothing of it is stored anywhere.
//
// All segments of a volume have the same size, a whole number of stripes. Thread-safety: pure functions.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/volume.h"

namespace confd::storage {

// A copy of the blocks of one master: index 0..masters-1, level 1 = the master's own, 2.. = copies.
struct SegmentKey {
  std::int64_t volume = 0;
  int index = 0;
  int level = 1;
  friend auto operator<=>(const SegmentKey&, const SegmentKey&) = default;
};
std::string text_of(const SegmentKey& id);  // "segment 0 of volume 3, level 2"

struct Segment {
  SegmentKey id;
  int node = 0;
  std::uint64_t number = 0;                      // "sid": counts the segments of the volume, level by level
  std::uint64_t start_block = 0, end_block = 0;  // of the volume; both belong to it
  bool arrives = false;  // it takes over from the segment of the same id on another node
  bool leaves = false;   // another node takes over from it
};

struct Layout {
  std::uint64_t segment_blocks = 0;
  std::uint64_t blocks = 0;       // of the volume, without copies
  std::vector<Segment> segments;  // level by level, by index; those that arrive last
};

// REQUIRES: the volume has no problem.
Layout layout_of(const Volume& volume);

// Blocks of one segment of a volume of that size: never less than asked, whole stripes.
std::uint64_t segment_blocks(std::uint64_t size, int masters, std::uint64_t block_size,
                             std::uint64_t stripe_size);
// Bytes that one segment takes of a device.
std::uint64_t segment_bytes(const Volume& volume);
// Usable bytes of the volume as it is laid out: its Size, rounded up.
std::uint64_t usable_bytes(const Volume& volume);
// "data", "archive" or "temporary", as node operations call it.
std::string segment_kind(const Volume& volume);

}  // namespace confd::storage
