// The families of jobs, one function each, defined in the file of the family. The catalogue lists them.
// Thread-safety: constants.
#pragma once

#include <span>

#include "jobs/descriptor.h"

namespace confd::jobs {

std::span<const JobDescriptor> user_jobs();
std::span<const JobDescriptor> group_jobs();
std::span<const JobDescriptor> settings_jobs();
std::span<const JobDescriptor> node_jobs();
std::span<const JobDescriptor> node_add_jobs();
std::span<const JobDescriptor> node_change_jobs();
std::span<const JobDescriptor> node_wait_jobs();
std::span<const JobDescriptor> master_jobs();
std::span<const JobDescriptor> infra_jobs();
std::span<const JobDescriptor> infra_instance_jobs();
std::span<const JobDescriptor> infra_node_jobs();
std::span<const JobDescriptor> update_jobs();
std::span<const JobDescriptor> database_jobs();
std::span<const JobDescriptor> bucketfs_jobs();
std::span<const JobDescriptor> certificate_jobs();
std::span<const JobDescriptor> log_jobs();
std::span<const JobDescriptor> remote_volume_jobs();
std::span<const JobDescriptor> object_volume_jobs();
std::span<const JobDescriptor> volume_read_jobs();
std::span<const JobDescriptor> volume_jobs();
std::span<const JobDescriptor> volume_size_jobs();
std::span<const JobDescriptor> volume_copy_jobs();
std::span<const JobDescriptor> volume_setting_jobs();
std::span<const JobDescriptor> storage_node_jobs();
std::span<const JobDescriptor> recovery_jobs();
std::span<const JobDescriptor> device_jobs();
// Jobs that confd starts by itself: found by name, in no list.
std::span<const JobDescriptor> own_jobs();

}  // namespace confd::jobs
