// How fast the recovery of a node may copy: the limit of EXAConf, and what is measured where there is none.
//
// A calibration does what a recovery does: content comes from another node over the peer link, is hashed,
// written beside the segments and synced. The automatic limit is four fifths of what that brings, so that a
// recovery leaves something to those who work. Thread-safety: pure functions; calibrate() from any thread,
// one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "cluster/node_control.h"
#include "exaconf/config.h"
#include "storage/archive_link.h"

namespace confd::storage {

struct RecoveryLimits {
  bool enabled = true;
  std::uint64_t bytes_per_second = 0;  // 0: automatic
};
// BgRecEnabled and BgRecLimit (MiB/s) of the node, else of [EXAStorage].
RecoveryLimits recovery_limits(const exaconf::Config& config, int node);

struct Calibration {
  std::uint64_t bytes = 0;
  base::SteadyTime::duration took{};
  std::optional<int> source;  // nothing: no other node answered, only the disk was measured
  std::uint64_t bytes_per_second() const;
};
// What is copied at most, and room for it must be there.
constexpr std::uint64_t kCalibrationBytes = 64 << 20;

struct CalibrationPlace {
  base::FileSystem& files;
  base::Clock& clock;
  std::string folder;  // on the disk that is measured; made when it is not there
};
// Copies until kCalibrationBytes are there or three seconds have passed, from the first of `sources` that
// answers. Leaves no file. Errors: Code::stopped, Code::io_error.
base::Result<Calibration> calibrate(ArchiveLink& link, const CalibrationPlace& place,
                                    const std::vector<int>& sources, std::stop_token stop);
// Bytes per second: whole MiB, at least one.
std::uint64_t automatic_limit(const Calibration& calibration);

//   recovery.probe (fetch) {bytes}     content that can't be compressed, made as it is sent
// REQUIRES: it is not registered yet.
void register_recovery_probe(cluster::NodeControl& control);

}  // namespace confd::storage
