// NodeReport: what a node says of its devices and segments (node operation storage.report), with types.
//
// Read by the states, the overview and the jobs. Thread-safety: plain values, pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "storage/layout.h"

namespace confd::storage {

struct DeviceReport {
  std::string name, disk, path;
  std::string state;  // ONLINE, OFFLINE, DISABLED
  std::uint64_t sector_size = 0, sectors = 0, data_sectors = 0, free_sectors = 0;
  std::uint64_t superblock_bytes = 0;
  std::string checksum_algorithm;
  bool read_only = false, sync_crc = true, use_crc = true, direct_io = false, ephemeral = false;
  bool io_error = false, crc_error = false;
  std::uint64_t free_bytes() const { return free_sectors * sector_size; }
  std::uint64_t data_bytes() const { return data_sectors * sector_size; }
};

struct SegmentReport {
  SegmentKey id;
  std::uint64_t blocks = 0, block_size = 0;
  std::string disk, kind;
  std::string state;                        // ONLINE, OFFLINE, RECOVERING
  std::optional<std::uint64_t> used_bytes;  // nothing: not measured yet
  std::vector<std::string> devices;         // that hold parts of it
  std::string folder;
};

struct NodeReport {
  int node = 0;
  std::vector<DeviceReport> devices;
  std::vector<SegmentReport> segments;
  std::vector<std::string> warnings;   // of SpaceWarnThreshold
  std::int64_t auto_bg_rec_limit = 0;  // MiB/s; 0: not measured, or a node of an older version
  // Of `segments`, by id; filled by parse_report().
  const SegmentReport* segment(const SegmentKey& id) const;

  struct Hash {
    std::size_t operator()(const SegmentKey& id) const;
  };
  std::unordered_map<SegmentKey, std::size_t, Hash> by_id;
  void index();

  // Devices that take new segments: online, not read-only.
  std::uint64_t free_bytes(const std::string& disk) const;
  bool has_disk(const std::string& disk) const;
};

// Error: Code::internal naming the member that is missing or has the wrong type.
base::Result<NodeReport> parse_report(const base::Value& value);

}  // namespace confd::storage
