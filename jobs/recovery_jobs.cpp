// Jobs of recovery on one node: st_node_restore, st_node_stop_restore,
// st_node_force_bg_recovery_limit_calibration (spec/jobs/storage.yaml). Recovery itself: storage/recovery.h.
#include <algorithm>

#include "base/text.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"

namespace confd::jobs {

using base::Code;
using storage::SegmentStatus;
using storage::Volume;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};
constexpr std::string_view kDatabaseAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kNidExamples[] = {R"({"nid": 11})"};
constexpr std::string_view kRestoreExamples[] = {R"({"vname": "DataVolume1", "nid": 11})"};

constexpr Param kNid[] = {
    {.name = "nid", .types = kInt, .help = "node id", .completion = Completion::node},
};
constexpr Param kRestoreParams[] = {kVolumeId[0], kNid[0]};

std::vector<Lock> lock_node_and_volumes(const base::Struct& params) {
  std::vector<Lock> locks = node_locks(params, "nid");
  locks.push_back({LockLevel::volume, "*"});
  return locks;
}

std::vector<Lock> lock_nid(const base::Struct& params) {
  return node_locks(params, "nid");
}

// The archive volume that has segments on the node.
Volume volume_on_node(JobContext& context, int node) {
  const Volume volume = usable_volume(context);
  if (volume.kind != storage::VolumeKind::archive)
    throw JobError{Code::unsupported, "volume '" + volume.name +
                                          "' is a data volume: its copies are filled by the database that "
                                          "uses it; only archive volumes are restored by storage"};
  const storage::Layout layout = storage::layout_of(volume);
  if (std::none_of(layout.segments.begin(), layout.segments.end(),
                   [&](const storage::Segment& segment) { return segment.node == node; }))
    refuse_parameter("nid",
                     "node " + std::to_string(node) + " holds nothing of volume '" + volume.name + "'");
  return volume;
}

void check_volume_on_node(JobContext& context) {
  volume_on_node(context, known_node(context.config(), context.number("nid")).id);
}

// --- st_node_restore ---

void check_st_node_restore(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  const Volume volume = volume_on_node(context, node);
  if (volume.redundancy < 2)
    throw JobError{Code::wrong_state, "volume '" + volume.name +
                                          "' has redundancy 1: there is no copy to restore from; see "
                                          "st_volume_increase_redundancy"};
}

std::optional<base::Value> st_node_restore(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  const Volume volume = volume_on_node(context, node);
  const auto now = look_at_storage(context);
  const std::string purpose =
      "volume '" + volume.name + "' can't be restored on node " + std::to_string(node);
  check_nodes_online(*now, {node}, purpose);
  const storage::VolumeStatus status = storage::status_of(volume, now->nodes);
  for (const SegmentStatus& mine : status.segments) {
    if (mine.segment.node != node) continue;
    const bool has_source =
        std::any_of(status.segments.begin(), status.segments.end(), [&](const SegmentStatus& other) {
          return other.segment.id.index == mine.segment.id.index && other.segment.node != node &&
                 other.state == storage::CopyState::online;
        });
    if (!has_source)
      throw JobError{Code::wrong_state, purpose + ": no other copy of segment " +
                                            std::to_string(mine.segment.id.index) +
                                            " is online; see st_volume_info"};
  }
  context.run(node, "recovery.restore", base::Struct{{"vid", volume.id}});
  return std::nullopt;
}

// --- st_node_stop_restore ---

std::optional<base::Value> st_node_stop_restore(JobContext& context) {
  const int node = known_node(context.config(), context.number("nid")).id;
  context.run(node, "recovery.stop", base::Struct{{"vid", volume_on_node(context, node).id}});
  return std::nullopt;
}

// --- st_node_force_bg_recovery_limit_calibration ---

void check_nid(JobContext& context) {
  known_node(context.config(), context.number("nid"));
}

std::optional<base::Value> st_node_force_bg_recovery_limit_calibration(JobContext& context) {
  context.run(known_node(context.config(), context.number("nid")).id, "recovery.calibrate");
  return std::nullopt;
}

constexpr JobDescriptor kRecoveryJobs[] = {
    {.name = "st_node_force_bg_recovery_limit_calibration",
     .help = "Measure anew what the background recovery of a node may take",
     .long_help = "Copies up to 64 MiB from another node as a recovery does; four fifths of what that brings "
                  "apply while the node has no `BgRecLimit`, until confd restarts there or measures again. "
                  "`st_node_list` shows it as auto_bg_rec_limit.",
     .kind = JobKind::modify,
     .mandatory = kNid,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNidExamples,
     .locks = &lock_nid,
     .check = &check_nid,
     .execute = &st_node_force_bg_recovery_limit_calibration},
    {.name = "st_node_restore",
     .help = "Refill a node's segments of an archive volume from their copies",
     .long_help = "Every file on the node is read and compared; what is missing or damaged comes from the "
                  "other copies, in the background: the volume is `RECOVERING` meanwhile. Ends a "
                  "`st_node_stop_restore`.",
     .kind = JobKind::modify,
     .mandatory = kRestoreParams,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .groups = kDatabaseAdmins,
     .examples = kRestoreExamples,
     .locks = &lock_node_and_volumes,
     .check = &check_st_node_restore,
     .execute = &st_node_restore},
    {.name = "st_node_stop_restore",
     .help = "Stop refilling a node's segments of an archive volume",
     .long_help = "Copies that lack something stay `RECOVERING`, and the volume stays locked where nothing "
                  "else has the data, until `st_node_restore` or a restart of confd on the node.",
     .kind = JobKind::modify,
     .mandatory = kRestoreParams,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .groups = kDatabaseAdmins,
     .examples = kRestoreExamples,
     .locks = &lock_node_and_volumes,
     .check = &check_volume_on_node,
     .execute = &st_node_stop_restore},
};

}  // namespace

std::span<const JobDescriptor> recovery_jobs() {
  return kRecoveryJobs;
}

}  // namespace confd::jobs
