#include "storage/geometry.h"

#include <bit>
#include <string>

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::uint64_t kChecksumBytes = 4;  // for each sector

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace

bool is_sector_size(std::uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= 512 && bytes <= kMiB;
}

std::uint64_t checksum_sectors(std::uint64_t sectors, std::uint64_t sector_size) {
  const std::uint64_t pieces = divide_up(sectors * kChecksumBytes, kSuperblockBytes) + 1;
  return pieces * (kSuperblockBytes / sector_size);
}

Result<Geometry> device_geometry(std::uint64_t bytes, std::uint64_t sector_size, bool use_crc,
                                 std::uint64_t all_sectors) {
  if (!is_sector_size(sector_size))
    return Error{Code::bad_parameter, "a sector size of " + std::to_string(sector_size) +
                                          " bytes is not possible: it is a power of two from 512 B to 1 MiB"};
  const std::uint64_t there = bytes / sector_size;
  if (all_sectors > there)
    return Error{Code::bad_parameter, std::to_string(all_sectors) + " sectors of " +
                                          std::to_string(sector_size) + " bytes are more than the " +
                                          std::to_string(there) + " the device has"};
  if (all_sectors == 0) all_sectors = there;
  Geometry geometry;
  geometry.sector_size = sector_size;
  const std::uint64_t superblock = geometry.superblock_sectors();
  if (all_sectors > superblock) {
    geometry.sectors = all_sectors - superblock;
    const std::uint64_t checksums = use_crc ? checksum_sectors(geometry.sectors, sector_size) : 0;
    if (geometry.sectors > checksums) {
      geometry.data_sectors = geometry.sectors - checksums;
      return geometry;
    }
  }
  return Error{Code::bad_parameter, "a device of " + std::to_string(all_sectors) + " sectors of " +
                                        std::to_string(sector_size) +
                                        " bytes is too small: superblock and checksums alone take " +
                                        (use_crc ? "12 MiB or more" : "4 MiB")};
}

std::uint64_t blocks_for(std::uint64_t bytes, std::uint64_t block_size) {
  return divide_up(bytes, block_size);
}

std::uint64_t sectors_for(std::uint64_t blocks, std::uint64_t block_size, std::uint64_t sector_size) {
  return divide_up(blocks * block_size, sector_size);
}

std::uint64_t blocks_in(std::uint64_t sectors, std::uint64_t sector_size, std::uint64_t block_size) {
  return sectors * sector_size / block_size;
}

std::uint64_t whole_stripes(std::uint64_t blocks, std::uint64_t block_size, std::uint64_t stripe_size) {
  const std::uint64_t stripe = stripe_size > block_size ? stripe_size / block_size : 1;
  return divide_up(blocks, stripe) * stripe;
}

std::uint64_t archive_partition_size(std::uint64_t volume_bytes) {
  if (volume_bytes < 250 * kGiB) return 4 * kGiB;
  if (volume_bytes < kTiB) return 32 * kGiB;
  return 256 * kGiB;
}

}  // namespace confd::storage
