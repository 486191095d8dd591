// How a descriptor is shown: job_desc, job_help, job_args, docs/jobs.md (spec/rpc.md §3). Thread-safety: pure
// functions.
#pragma once

#include <string>

#include "base/value.h"
#include "jobs/descriptor.h"

namespace confd::jobs {

// The payload array of job_desc, 12 members: 0 help, 1 mandatory, 2 optional ({name: {desc, type}} or nil), 3
// substitutes, 4 users, 5 groups, 6 examples (structs), 7 kind ("read"/"modify"), 8 returns, 9 completion
// kinds {param: kind}, 10 choices {param: [..]}, 11 long help or nil.
base::Value job_desc(const JobDescriptor& job);
// The text layout of spec/rpc.md §3.
std::string job_help(const JobDescriptor& job);
// [{name, mandatory, type, desc, default, choices, completion}] for job_args.
base::Value job_args(const JobDescriptor& job);
// "<class 'int'>", "(<class 'str'>,)", "(<class 'list'>, <class 'tuple'>)", ... as the documentation
// generator reads them.
std::string type_text(unsigned types);
// docs/jobs.md, whole.
std::string jobs_markdown();

}  // namespace confd::jobs
