// Arithmetic of devices: bytes, sectors, blocks, stripes, partition sizes (spec/storage-behaviour.md §3, §5).
// Used by everything in storage that counts; how a volume lies on nodes is storage/layout.
//
// A device, from its first byte: superblock region (4 MiB), checksum area (only with use_crc), data sectors.
// "sectors" means what is left after the superblock region, "data sectors" what volumes can have; sector
// numbers count from the first data sector. Thread-safety: pure functions.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace confd::storage {

inline constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB, kTiB = 1024 * kGiB;
inline constexpr std::uint64_t kSuperblockBytes = 4 * kMiB;
inline constexpr std::uint64_t kDefaultSectorSize = 4 * kKiB;
inline constexpr std::uint64_t kDefaultBlockSize = 4 * kKiB;
inline constexpr std::uint64_t kDefaultStripeSize = 256 * kKiB;

// Sectors are powers of two from 512 bytes to 1 MiB.
bool is_sector_size(std::uint64_t bytes);

struct Geometry {
  std::uint64_t sector_size = kDefaultSectorSize;
  std::uint64_t sectors = 0;       // without the superblock region
  std::uint64_t data_sectors = 0;  // of these, what volumes can have

  std::uint64_t checksum_sectors() const { return sectors - data_sectors; }
  std::uint64_t superblock_sectors() const { return kSuperblockBytes / sector_size; }
  std::uint64_t all_sectors() const { return superblock_sectors() + sectors; }
  // Of the device, where the data sector lies.
  std::uint64_t byte_of(std::uint64_t data_sector) const {
    return kSuperblockBytes + (checksum_sectors() + data_sector) * sector_size;
  }
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

// The checksum area of a device with `sectors`: 4 bytes for each sector, in whole pieces of 4 MiB, and one
// piece more. Gives the 9216 sectors (36 MiB) of the spec's 32 GiB device.
std::uint64_t checksum_sectors(std::uint64_t sectors, std::uint64_t sector_size);

// Of a device of `bytes`; `all_sectors` (superblock region included) 0 means all there are. Errors:
// Code::bad_parameter for a sector size that is none, more sectors than there are, or no room for one data
// sector.
base::Result<Geometry> device_geometry(std::uint64_t bytes, std::uint64_t sector_size, bool use_crc,
                                       std::uint64_t all_sectors = 0);

// Blocks that hold `bytes`, and sectors that hold `blocks`, rounded up. REQUIRES: sizes are not 0.
std::uint64_t blocks_for(std::uint64_t bytes, std::uint64_t block_size);
std::uint64_t sectors_for(std::uint64_t blocks, std::uint64_t block_size, std::uint64_t sector_size);
// Whole blocks in a run of sectors, rounded down.
std::uint64_t blocks_in(std::uint64_t sectors, std::uint64_t sector_size, std::uint64_t block_size);
// Blocks up to the next whole stripe.
std::uint64_t whole_stripes(std::uint64_t blocks, std::uint64_t block_size, std::uint64_t stripe_size);
// Partition size of an archive volume of that size when none is given (§5).
std::uint64_t archive_partition_size(std::uint64_t volume_bytes);

}  // namespace confd::storage
