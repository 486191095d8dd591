// Space: which sectors of which devices a segment gets. Pure; used by NodeStorage, tested by itself.
//
// The blocks of a segment are spread equally over the devices of its disk (spec/storage-behaviour.md §5); a
// device that has less room than its share gets what fits, the others the rest. On a device the smallest free
// run that holds the share is taken, else the largest ones; a segment that grows goes on behind its last
// sector when that is free. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/superblock.h"

namespace confd::storage {

struct Run {
  std::uint64_t start = 0, sectors = 0;
  friend bool operator==(const Run&, const Run&) = default;
};

// By start.
std::vector<Run> free_runs(const Superblock& superblock);
std::uint64_t free_sectors(const Superblock& superblock);
// Blocks of a segment that the device could take yet.
std::uint64_t free_blocks(const Superblock& superblock, std::uint64_t block_size);

// Blocks on each device after a change of the sum, as equal as can be: growing, no device loses any and none
// gets more than `room`; shrinking, the fullest lose first. REQUIRES: the room is enough (a total up to the
// sum of both); same length.
std::vector<std::uint64_t> spread(std::uint64_t total, const std::vector<std::uint64_t>& present,
                                  const std::vector<std::uint64_t>& room);

// `present` (a segment's extents on this device) with `blocks` more. REQUIRES: that many free_blocks().
std::vector<Extent> grown(const Superblock& superblock, std::vector<Extent> present, std::uint64_t blocks,
                          std::uint64_t block_size);
// `present` with `blocks` in all, the last ones given back.
std::vector<Extent> shrunk(std::vector<Extent> present, std::uint64_t blocks, std::uint64_t block_size,
                           std::uint64_t sector_size);

}  // namespace confd::storage
