#include "scheduler/job_file_names.h"

#include "base/text.h"

namespace confd::scheduler {

std::optional<JobId> id_of(const std::string& name) {
  if (name.size() <= kYaml.size() || !name.ends_with(kYaml)) return std::nullopt;
  return JobId::parse(std::string_view(name).substr(0, name.size() - kYaml.size()));
}

std::optional<std::uint64_t> segment_of(const std::string& name) {
  if (!name.starts_with(kReads) || !name.ends_with(kYaml)) return std::nullopt;
  const auto number = base::parse_int(
      std::string_view(name).substr(kReads.size(), name.size() - kReads.size() - kYaml.size()));
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

std::uint64_t number_of(const std::string& name) {
  if (const auto id = id_of(name)) return id->number;
  return segment_of(name).value_or(0);
}

}  // namespace confd::scheduler
