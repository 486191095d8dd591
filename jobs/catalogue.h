// The catalogue: all jobs there are, families listed explicitly (self-registering statics in a static library
// are dropped by the linker). Thread-safety: constants after the first call.
#pragma once

#include <string_view>
#include <vector>

#include "jobs/descriptor.h"

namespace confd::jobs {

// Sorted by name.
const std::vector<const JobDescriptor*>& all_jobs();
// nullptr when there is none of that name.
const JobDescriptor* find_job(std::string_view name);

}  // namespace confd::jobs
