// Rules of volumes outside the cluster: names, ids, owners, who uses one, and whether all nodes reach it. For
// remote_volume_jobs and object_volume_jobs. Facts: spec/exaconf.md §5, spec/storage-behaviour.md §2 and §9;
// what is ours: docs/storage-remote.md.
//
// Thread-safety: on the job's own context; they throw JobError.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "exaconf/config.h"
#include "exaconf/value_types.h"
#include "jobs/context.h"
#include "jobs/lock.h"
#include "storage/remote_volume.h"

namespace confd::jobs {

// As check_new_volume_name(), and no number: jobs of these volumes take an id or a name.
void check_outer_volume_name(const exaconf::Config& config, std::string_view parameter,
                             const std::string& name);

// Ids of remote and object volumes are one space: 10000 to 99999.
bool is_outer_volume_id_free(const exaconf::Config& config, std::int64_t id);
// Throws Code::bad_parameter, Code::exists.
void check_outer_volume_id(const exaconf::Config& config, std::string_view parameter, std::int64_t id);

// The parameter `owner`: [uid, gid], [user, group], "uid:gid" or "user:group"; the caller's own when not
// given. Throws Code::bad_parameter, Code::not_found.
exaconf::Owner given_owner(JobContext& context);

// Names and numbers of what EXAConf keeps a volume for: "backup schedule 'daily' of database 'exa'".
std::vector<std::string> users_of_outer_volume(const exaconf::Config& config, const std::string& name,
                                               std::int64_t id);

// All nodes in service write, read and remove a small file there. Throws Code::not_found, Code::timeout,
// Code::io_error with each node's reason; a node that is not alive is left out with a warning.
void check_access_from_nodes(JobContext& context, const storage::RemoteVolume& volume);

// Who makes or removes one of them holds all: names and ids must not be given twice.
std::vector<Lock> lock_outer_volumes(const base::Struct& params);

}  // namespace confd::jobs
