// Superblock: what a device is and which of its sectors belong to whom. The truth about what is allocated on
// a node is the superblocks of its devices; nothing else remembers it.
//
// On the device: two copies, at byte 0 and at 2 MiB of the superblock region. A change is written to the copy
// that is not the newest, with the next generation, and synced: a torn write fails its checksum and the other
// copy stands. A new device gets generation 1 (copy 1), then 2 (copy 0): when no copy is valid and one is all
// zero, the device was being made and holds nothing.
//
// A copy, all numbers little-endian:
//   0 magic "confdDEV"; 8 u32 version (1); 12 u32 CRC32C of the copy with this field 0; 16 u32 its length;
//   20 u32 sector size; 24 u64 generation; 32 uuid[16]; 48 u32 node; 52 u32 flags; 56 u64 sectors;
//   64 u64 data sectors; 72 u32 segments; 76 u32 extents; 80 u32 claims; 84 u16 length of the disk's name;
//   86 its text (at most 128 bytes); zeroes to 4096; then
//   segments of 48: u64 vid, u32 index, u32 level, u64 blocks, u32 block size, u32 number of extents,
//     u8 kind, u8 state, u8 freeing, 5 zeroes, i64 nanoseconds since the epoch of its allocation;
//   extents of 40, those of the first segment first: device uuid[16], u64 first data sector, u64 sectors,
//     u64 blocks;
//   claims of 64: u64 vid, u32 index, u32 level, uuid[16] of the home, u64 first data sector, u64 sectors,
//     u64 blocks, 8 zeroes; zeroes to a multiple of 4096.
// A segment is recorded whole on its home, the device that its folder lies beside; other devices that hold a
// part of it have claims. What the home says stands: a claim that the home does not know was never completed
// or is given back, and goes when the devices are next taken into use (node_storage.h). Thread-safety: plain
// values and pure functions; a DeviceFile is used by one thread at a time.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/geometry.h"
#include "storage/storage_files.h"

namespace confd::storage {

using Uuid = std::array<unsigned char, 16>;
std::string uuid_text(const Uuid& uuid);  // 32 hex digits

// Index 0.. of the master it belongs to; level 1 the master's own, 2.. its copies.
struct SegmentId {
  std::uint64_t vid = 0;
  std::uint32_t index = 0;
  std::uint32_t level = 1;
  friend auto operator<=>(const SegmentId&, const SegmentId&) = default;
};
std::string segment_text(const SegmentId& id);  // "segment 0, level 1, of volume 3"

enum class SegmentKind : std::uint8_t { data, archive, temporary };
enum class SegmentState : std::uint8_t { online, offline, recovering };
std::string_view kind_name(SegmentKind kind);     // data, archive, temporary
std::string_view state_name(SegmentState state);  // ONLINE, OFFLINE, RECOVERING
std::optional<SegmentKind> parse_kind(std::string_view name);
std::optional<SegmentState> parse_state(std::string_view name);

struct Extent {
  Uuid device{};
  std::uint64_t start = 0;    // data sector
  std::uint64_t sectors = 0;  // > 0
  std::uint64_t blocks = 0;   // of the segment, that lie here; > 0
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct SegmentRecord {
  SegmentId id;
  std::uint64_t blocks = 0;
  std::uint64_t block_size = 0;
  SegmentKind kind = SegmentKind::data;
  SegmentState state = SegmentState::online;
  bool freeing = false;  // given back: folder and claims may be gone already
  std::int64_t allocated_ns = 0;
  std::vector<Extent> extents;
  std::uint64_t bytes() const { return blocks * block_size; }
  friend bool operator==(const SegmentRecord&, const SegmentRecord&) = default;
};

struct Claim {
  SegmentId id;
  Uuid home{};
  std::uint64_t start = 0, sectors = 0, blocks = 0;
  friend bool operator==(const Claim&, const Claim&) = default;
};

struct DeviceFlags {
  bool read_only = false, use_crc = true, sync_crc = true, direct_io = false, ephemeral = false,
       disabled = false;
  friend bool operator==(const DeviceFlags&, const DeviceFlags&) = default;
};

struct Superblock {
  std::uint64_t generation = 0;
  Uuid uuid{};
  int node = 0;
  std::string disk;
  DeviceFlags flags;
  Geometry geometry;
  std::vector<SegmentRecord> segments;  // home here, sorted by id
  std::vector<Claim> claims;            // sorted by id and start
  friend bool operator==(const Superblock&, const Superblock&) = default;

  const SegmentRecord* find(const SegmentId& id) const;
  SegmentRecord* find(const SegmentId& id);
};

// A run of sectors of a device that is taken.
struct Used {
  std::uint64_t start = 0, sectors = 0;
  SegmentId id;
  std::uint64_t end() const { return start + sectors; }
};
// By start: own extents and claims.
std::vector<Used> used_sectors(const Superblock& superblock);
// Empty when sound; else what is wrong: runs that share sectors, lie outside the data sectors or hold fewer
// sectors than their blocks need, blocks that do not add up, a segment twice.
std::vector<std::string> superblock_problems(const Superblock& superblock);

// A copy, padded. Error: Code::busy when the map does not fit into 2 MiB.
base::Result<std::string> encode(const Superblock& superblock);
// Errors: Code::invalid_config with what is wrong: magic, version, checksum, impossible numbers.
base::Result<Superblock> decode(std::string_view copy);

// What the superblock region of a device holds.
struct SuperblockRegion {
  enum class Content {
    blank,    // all zero, or a device whose making was cut short
    ours,     // `superblock` is the newest valid copy
    damaged,  // our magic, no valid copy
    foreign,  // anything else
  } content = Content::blank;
  Superblock superblock;
  bool copies_valid[2] = {false, false};
  std::string problem;  // of a copy that is not valid
};
// Error: the device can't be read, or is smaller than the region (Code::bad_parameter).
base::Result<SuperblockRegion> read_region(DeviceFile& device);

// Zeroes the region, then writes generations 1 and 2; `superblock` has generation 2 afterwards. Durable when
// it returns ok.
base::Status write_new(DeviceFile& device, Superblock& superblock);
// Writes `superblock` as the next generation, which it has afterwards. Durable when it returns ok; after an
// error the device holds this generation or the one before. With sync_crc the copy is read back and its
// checksum compared: Code::invalid_config when it differs.
base::Status write_next(DeviceFile& device, Superblock& superblock);

}  // namespace confd::storage
