// Jobs of the family `db` (spec/jobs/database.yaml).
#include "jobs/context.h"
#include "jobs/families.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kListGroups[] = {"root", "exaadm", "exadbadm", "exausers"};
constexpr std::string_view kNoParams[] = {"{}"};

std::optional<base::Value> db_list(JobContext& context) {
  const std::vector<std::string> names = context.config().ids("DB");
  return base::Array(names.begin(), names.end());
}

constexpr JobDescriptor kDatabaseJobs[] = {
    {.name = "db_list",
     .help = "Names of all databases",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kListGroups,
     .examples = kNoParams,
     .returns = "list of strings",
     .execute = &db_list},
};

}  // namespace

std::span<const JobDescriptor> database_jobs() {
  return kDatabaseJobs;
}

}  // namespace confd::jobs
