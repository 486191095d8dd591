#include "storage/space.h"

#include <algorithm>
#include <numeric>

namespace confd::storage {
namespace {

// The largest level in [0, most] whose sum is at most `total`; sum(level) never falls.
template <class Sum>
std::uint64_t highest_level(std::uint64_t most, std::uint64_t total, const Sum& sum) {
  std::uint64_t low = 0, high = most;
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    if (sum(middle) <= total)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

}  // namespace

std::vector<Run> free_runs(const Superblock& superblock) {
  std::vector<Run> runs;
  std::uint64_t at = 0;
  for (const Used& used : used_sectors(superblock)) {
    if (used.start > at) runs.push_back({at, used.start - at});
    at = std::max(at, used.end());
  }
  if (superblock.geometry.data_sectors > at) runs.push_back({at, superblock.geometry.data_sectors - at});
  return runs;
}

std::uint64_t free_sectors(const Superblock& superblock) {
  std::uint64_t sectors = 0;
  for (const Run& run : free_runs(superblock)) sectors += run.sectors;
  return sectors;
}

std::uint64_t free_blocks(const Superblock& superblock, std::uint64_t block_size) {
  std::uint64_t blocks = 0;
  for (const Run& run : free_runs(superblock))
    blocks += blocks_in(run.sectors, superblock.geometry.sector_size, block_size);
  return blocks;
}

std::vector<std::uint64_t> spread(std::uint64_t total, const std::vector<std::uint64_t>& present,
                                  const std::vector<std::uint64_t>& room) {
  const std::uint64_t before = std::accumulate(present.begin(), present.end(), std::uint64_t{0});
  // What each device has when all are filled, or cut down, to the same level.
  const auto at_level = [&](std::size_t i, std::uint64_t level) {
    return total >= before ? std::max(present[i], std::min(level, present[i] + room[i]))
                           : std::min(present[i], level);
  };
  const auto sum = [&](std::uint64_t level) {
    std::uint64_t blocks = 0;
    for (std::size_t i = 0; i < present.size(); ++i) blocks += at_level(i, level);
    return blocks;
  };
  const std::uint64_t level = highest_level(total, total, sum);
  std::uint64_t rest = total - sum(level);
  std::vector<std::uint64_t> result;
  for (std::size_t i = 0; i < present.size(); ++i) {
    std::uint64_t blocks = at_level(i, level);
    if (rest > 0 && at_level(i, level + 1) > blocks) {
      ++blocks;
      --rest;
    }
    result.push_back(blocks);
  }
  return result;
}

std::vector<Extent> grown(const Superblock& superblock, std::vector<Extent> present, std::uint64_t blocks,
                          std::uint64_t block_size) {
  const std::uint64_t sector_size = superblock.geometry.sector_size;
  std::vector<Run> runs = free_runs(superblock);
  if (!present.empty() && blocks > 0) {
    Extent& last = present.back();
    // Blocks that its own sectors hold yet, when sectors are larger than blocks.
    const std::uint64_t spare =
        std::min(blocks, blocks_in(last.sectors, sector_size, block_size) - last.blocks);
    last.blocks += spare;
    blocks -= spare;
    const auto behind = std::find_if(runs.begin(), runs.end(),
                                     [&](const Run& run) { return run.start == last.start + last.sectors; });
    if (behind != runs.end() && blocks > 0) {
      const std::uint64_t most =
          blocks_in(last.sectors + behind->sectors, sector_size, block_size) - last.blocks;
      const std::uint64_t taken = std::min(blocks, most);
      const std::uint64_t sectors = sectors_for(last.blocks + taken, block_size, sector_size);
      const std::uint64_t more = sectors > last.sectors ? sectors - last.sectors : 0;
      last.blocks += taken;
      last.sectors += more;
      behind->start += more;
      behind->sectors -= more;
      blocks -= taken;
    }
  }
  while (blocks > 0) {
    const auto holds = [&](const Run& run) { return blocks_in(run.sectors, sector_size, block_size); };
    Run* best = nullptr;
    for (Run& run : runs)
      if (holds(run) >= blocks && (best == nullptr || run.sectors < best->sectors)) best = &run;
    if (best == nullptr)
      for (Run& run : runs)
        if (holds(run) > 0 && (best == nullptr || run.sectors > best->sectors)) best = &run;
    if (best == nullptr) return present;
    const std::uint64_t taken = std::min(blocks, holds(*best));
    const std::uint64_t sectors = sectors_for(taken, block_size, sector_size);
    present.push_back({superblock.uuid, best->start, sectors, taken});
    best->start += sectors;
    best->sectors -= sectors;
    blocks -= taken;
  }
  return present;
}

std::vector<Extent> shrunk(std::vector<Extent> present, std::uint64_t blocks, std::uint64_t block_size,
                           std::uint64_t sector_size) {
  std::vector<Extent> result;
  for (Extent& extent : present) {
    if (blocks == 0) break;
    if (extent.blocks > blocks) {
      extent.blocks = blocks;
      extent.sectors = sectors_for(blocks, block_size, sector_size);
    }
    blocks -= extent.blocks;
    result.push_back(extent);
  }
  return result;
}

}  // namespace confd::storage
