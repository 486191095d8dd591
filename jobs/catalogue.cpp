#include "jobs/catalogue.h"

#include <algorithm>

#include "jobs/families.h"

namespace confd::jobs {
namespace {

std::vector<const JobDescriptor*> sorted_jobs() {
  std::vector<const JobDescriptor*> jobs;
  for (const auto& family :
       {user_jobs(),           group_jobs(),          settings_jobs(),    node_jobs(),
        node_add_jobs(),       node_change_jobs(),    node_wait_jobs(),   master_jobs(),
        infra_jobs(),          infra_instance_jobs(), infra_node_jobs(),  update_jobs(),
        database_jobs(),       bucketfs_jobs(),       certificate_jobs(), log_jobs(),
        volume_read_jobs(),    volume_jobs(),         volume_size_jobs(), volume_copy_jobs(),
        volume_setting_jobs(), storage_node_jobs(),   device_jobs(),      remote_volume_jobs(),
        object_volume_jobs(),  recovery_jobs()})
    for (const JobDescriptor& job : family) jobs.push_back(&job);
  std::sort(jobs.begin(), jobs.end(),
            [](const JobDescriptor* a, const JobDescriptor* b) { return a->name < b->name; });
  return jobs;
}

}  // namespace

const std::vector<const JobDescriptor*>& all_jobs() {
  static const std::vector<const JobDescriptor*> jobs = sorted_jobs();
  return jobs;
}

const JobDescriptor* find_job(std::string_view name) {
  const auto& jobs = all_jobs();
  const auto it =
      std::lower_bound(jobs.begin(), jobs.end(), name,
                       [](const JobDescriptor* job, std::string_view wanted) { return job->name < wanted; });
  if (it != jobs.end() && (*it)->name == name) return *it;
  for (const JobDescriptor& job : own_jobs())
    if (job.name == name) return &job;
  return nullptr;
}

}  // namespace confd::jobs
