// Rules that the jobs of volumes share: which volume is meant, who may change it, who uses it, which nodes
// hold storage now, how segments are allocated on them. For volume_*_jobs, device_jobs and storage_node_jobs.
// Facts: spec/jobs/storage.yaml, spec/storage-behaviour.md; what is ours: docs/storage-volumes.md.
//
// Thread-safety: pure functions on the job's own context; they throw JobError.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/context.h"
#include "jobs/descriptor.h"
#include "storage/layout.h"
#include "storage/overview.h"
#include "storage/states.h"
#include "storage/volume.h"

namespace confd::jobs {

// --- which volume ---

inline constexpr Param kVolumeId[] = {
    {.name = "vid", .types = kInt, .help = "id of the volume", .completion = Completion::volume},
};
inline constexpr Param kVolumeName[] = {
    {.name = "vname", .help = "name of the volume", .completion = Completion::volume},
};
inline constexpr std::string_view kNameInstead[] = {"vname"};
inline constexpr std::string_view kIdInstead[] = {"vid"};
inline constexpr Substitute kVolumeSubstitutes[] = {{"vid", kNameInstead}, {"vname", kIdInstead}};

// The volume that vid or vname names. Throws Code::not_found, Code::bad_parameter when they name two.
storage::Volume known_volume(JobContext& context);
// The same for a volume that is to be worked with: throws Code::wrong_state when its section makes no sense
// or its segments were not made yet.
storage::Volume usable_volume(JobContext& context);

// The parameter `owner`: [uid, gid], [user, group], "uid:gid" or "user:group". Throws Code::bad_parameter,
// Code::not_found.
exaconf::Owner owner_param(JobContext& context, exaconf::Owner otherwise);
// Names are a space of their own over volumes of all three kinds (spec/exaconf.md §5).
void check_new_volume_name(const exaconf::Config& config, std::string_view parameter,
                           const std::string& name);
// Throws Code::forbidden unless the caller is root, of the group root, or owns the volume.
void check_volume_owner(JobContext& context, const storage::Volume& volume, std::string_view verb);
// "DataVolume of database 'exa'", ...
std::vector<std::string> users_of_volume(const exaconf::Config& config, const storage::Volume& volume);

// Who makes, changes or removes volumes holds all of them: two jobs that allocate never compete for space,
// and what is allocated without being in EXAConf belongs to nobody (storage_reconcile).
std::vector<Lock> lock_volumes(const base::Struct& params);

void set_key(JobContext& context, const storage::Volume& volume, std::string_view key,
             std::string_view value);
void unset_key(JobContext& context, const storage::Volume& volume, std::string_view key);

// --- what is there ---

struct StorageNow {
  std::map<int, storage::NodeReport> reports;
  storage::NodeStatuses nodes;
};
// Asks all living nodes at once; recorded as one command. Who does not answer counts as offline, with a
// warning.
std::unique_ptr<StorageNow> look_at_storage(JobContext& context);

// Throws Code::wrong_state naming the nodes that are not online.
void check_nodes_online(const StorageNow& now, const std::vector<int>& nodes, std::string_view purpose);
// Throws Code::not_found for a node without that disk.
void check_disk(const exaconf::Config& config, const std::string& disk, const std::vector<int>& nodes);
// `segments`: how many more of `bytes` each node is to hold. Throws Code::busy saying how much is free where.
void check_space(const StorageNow& now, const storage::Volume& volume, const std::map<int, int>& segments,
                 std::uint64_t bytes);

// --- changing it ---

struct NewSegment {
  storage::SegmentKey id;
  int node = 0;
  bool is_empty_copy = false;  // to be filled from another copy: RECOVERING
};
// All or none: what was allocated is freed again when one fails. A left-over of the same id is freed first.
void allocate(JobContext& context, const StorageNow& now, const storage::Volume& volume, std::uint64_t blocks,
              const std::vector<NewSegment>& segments);
// Frees what is no longer in EXAConf. A node that can't be asked is a warning: it frees it later
// (storage_reconcile).
struct OldSegment {
  storage::SegmentKey id;
  int node = 0;
};
void free_segments(JobContext& context, const std::vector<OldSegment>& segments);

base::Struct segment_params(const storage::SegmentKey& id);

// "4 GiB", or bytes as a number. Throws Code::bad_parameter.
std::uint64_t size_param(JobContext& context, std::string_view name);
// Node ids of a list parameter, each once, all known. Throws Code::bad_parameter, Code::not_found.
std::vector<int> node_list_param(JobContext& context, std::string_view name, bool may_be_empty = false);
std::int64_t ranged(JobContext& context, std::string_view name, std::int64_t least, std::int64_t most);

}  // namespace confd::jobs
