// Names of the files of jobs: `<id>.yaml`, and `reads-<first number>.yaml` for many read jobs. Private to
// JobFiles.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "scheduler/job_id.h"

namespace confd::scheduler {

inline constexpr std::string_view kReads = "reads-";
inline constexpr std::string_view kYaml = ".yaml";
inline constexpr std::string_view kLineStart = "--- ";  // of a job in a file of many

std::optional<JobId> id_of(const std::string& name);
std::optional<std::uint64_t> segment_of(const std::string& name);
// Orders archive files by the job numbers in them.
std::uint64_t number_of(const std::string& name);

}  // namespace confd::scheduler
