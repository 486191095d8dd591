// Jobs that make and delete volumes: st_volume_create, st_volume_delete (spec/jobs/storage.yaml).
#include <algorithm>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"

namespace confd::jobs {

using base::Code;
using storage::Volume;
using storage::VolumeKind;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};
constexpr std::string_view kDatabaseAdmins[] = {"root", "exaadm", "exadbadm"};

// --- st_volume_create ---

constexpr std::string_view kKinds[] = {"data", "archive"};
constexpr Param kCreateParams[] = {
    {.name = "name", .help = "name of the new volume"},
    {.name = "type", .help = "kind of volume", .choices = kKinds},
    {.name = "disk", .help = "disk that holds it; must exist on all its nodes"},
    {.name = "size", .help = "usable size with unit, before redundancy"},
    {.name = "nodes",
     .types = kList,
     .help = "node ids; nodes for redundancy alone come last",
     .completion = Completion::node},
    {.name = "redundancy", .types = kInt, .help = "number of copies; 1 = none but the data itself"},
};
constexpr Param kCreateOptions[] = {
    {.name = "owner",
     .types = kList,
     .help = "user and group, by id or name",
     .default_text = "exadefusr, exausers"},
    {.name = "num_master_nodes",
     .types = kInt,
     .help = "number of master nodes; the others hold redundancy only",
     .default_text = "all nodes"},
    {.name = "block_size",
     .types = kString | kInt,
     .help = "block size",
     .default_text = "4 KiB, archive 64 KiB"},
    {.name = "stripe_size",
     .types = kString | kInt,
     .help = "stripe size, a multiple of the block size",
     .default_text = "256 KiB, archive 64 KiB"},
    {.name = "partition_size",
     .types = kString | kInt,
     .help = "partition size, archive volumes only",
     .default_text = "4 GiB"},
    {.name = "permissions", .help = "permissions such as rwxr-x---", .default_text = "rwx------"},
    {.name = "shared",
     .types = kBool,
     .help = "several may have it open for writing",
     .default_text = "true"},
    {.name = "priority", .help = "I/O priority, 0 (first) to 20 (last)", .default_text = "10"},
    {.name = "http_port", .types = kInt, .help = "HTTP port, archive volumes only"},
    {.name = "https_port", .types = kInt, .help = "HTTPS port, archive volumes only"},
    {.name = "ftp_port", .types = kInt, .help = "FTP port, archive volumes only"},
    {.name = "ftps_port", .types = kInt, .help = "FTPS port, archive volumes only"},
    {.name = "sftp_port", .types = kInt, .help = "SFTP port, archive volumes only"},
};
constexpr std::string_view kCreateExamples[] = {
    R"({"disk": "disk1", "name": "new_vol0", "nodes": [11], "redundancy": 1, "size": "1 GiB", "type": "data"})",
    R"({"name": "LocalArchiveVolume1", "disk": "disk1", "type": "archive", "size": "2 TiB", "num_master_nodes": 1, "nodes": [11], "redundancy": 1, "block_size": "512 KiB", "stripe_size": "512 KiB", "partition_size": "256 GiB", "shared": true, "owner": [500, 500]})",
};

std::uint64_t block_param(JobContext& context, std::string_view name, std::uint64_t otherwise) {
  if (context.param(name) == nullptr) return otherwise;
  const std::uint64_t bytes = size_param(context, name);
  if (bytes % 4096 != 0 || bytes > (1u << 30))
    refuse_parameter(name, exaconf::format_size(bytes) + " is no multiple of 4 KiB up to 1 GiB");
  return bytes;
}

int priority_param(JobContext& context) {
  const std::string text = context.text_or("priority", "10");
  const auto priority = base::parse_int(base::trim(text));
  if (!priority || *priority < 0 || *priority > 20)
    refuse_parameter("priority", "'" + text + "' is not a number from 0 to 20");
  return static_cast<int>(*priority);
}

constexpr std::pair<std::string_view, const char*> kPorts[] = {{"http_port", "HttpPort"},
                                                               {"https_port", "HttpsPort"},
                                                               {"ftp_port", "FtpPort"},
                                                               {"ftps_port", "FtpsPort"},
                                                               {"sftp_port", "SftpPort"}};

storage::Placement placement_param(JobContext& context, const std::vector<int>& nodes) {
  const auto count = static_cast<std::int64_t>(nodes.size());
  const std::int64_t masters = context.number_or("num_master_nodes", count);
  if (masters < 1 || masters > count)
    refuse_parameter("num_master_nodes", std::to_string(masters) + " is not between 1 and " +
                                             std::to_string(count) + ", the number of nodes");
  const std::int64_t redundancy = ranged(context, "redundancy", 1, 10'000);
  if (count % masters != 0)
    refuse_parameter("nodes", std::to_string(count) + " nodes are no multiple of the " +
                                  std::to_string(masters) + " master nodes");
  if (count > masters * redundancy)
    refuse_parameter("nodes", std::to_string(count - masters * redundancy) +
                                  " of them would hold nothing with redundancy " +
                                  std::to_string(redundancy) + "; leave them out, or raise it");
  auto placement = storage::placed_by_rule(nodes, static_cast<int>(masters), static_cast<int>(redundancy));
  if (!placement) refuse_parameter("redundancy", placement.error().text);
  return std::move(*placement);
}

// The volume as asked for, without an id.
Volume asked_volume(JobContext& context) {
  Volume volume;
  volume.name = context.text("name");
  check_new_volume_name(context.config(), "name", volume.name);
  volume.kind = context.text("type") == "archive" ? VolumeKind::archive : VolumeKind::data;
  const bool archive = volume.kind == VolumeKind::archive;
  volume.disk = context.text("disk");
  volume.size = size_param(context, "size");
  const std::vector<int> nodes = node_list_param(context, "nodes");
  volume.placement = placement_param(context, nodes);
  volume.masters = static_cast<int>(volume.placement.size());
  volume.redundancy = static_cast<int>(volume.placement.front().size());
  check_disk(context.config(), volume.disk, nodes);
  volume.owner = owner_param(context, {500, 500});
  volume.block_size = block_param(context, "block_size", archive ? 64 << 10 : 4 << 10);
  volume.stripe_size = block_param(
      context, "stripe_size", std::max<std::uint64_t>(volume.block_size, archive ? 64 << 10 : 256 << 10));
  if (volume.stripe_size % volume.block_size != 0)
    refuse_parameter("stripe_size", exaconf::format_size(volume.stripe_size) +
                                        " is no multiple of the block size " +
                                        exaconf::format_size(volume.block_size));
  if (context.param("partition_size") != nullptr) {
    if (!archive) refuse_parameter("partition_size", "is for archive volumes only");
    volume.partition_size = size_param(context, "partition_size");
  }
  const std::string permissions = context.text_or("permissions", "rwx");
  const auto full = storage::full_permissions(permissions);
  if (!full) refuse_parameter("permissions", "'" + permissions + "' is no text such as rwxr-x---");
  volume.permissions = *full;
  volume.shared = context.flag_or("shared", true);
  volume.priority = priority_param(context);
  for (const auto& [name, key] : kPorts) {
    if (context.param(name) == nullptr) continue;
    if (!archive) refuse_parameter(name, "is for archive volumes only");
    if (const auto port = static_cast<int>(ranged(context, name, 0, 65535)); port != 0)
      volume.ports.emplace(key, port);
  }
  return volume;
}

void check_st_volume_create(JobContext& context) {
  asked_volume(context);
}

// Not one that a node still has segments of: they would be taken for the new volume's.
std::int64_t new_id(const storage::Volumes& volumes, const StorageNow& now) {
  std::int64_t id = storage::free_id(volumes);
  const auto is_used = [&] {
    if (storage::find_volume(volumes, id) != nullptr) return true;
    for (const auto& [node, report] : now.reports)
      for (const storage::SegmentReport& segment : report.segments)
        if (segment.id.volume == id) return true;
    return false;
  };
  while (is_used()) ++id;
  return id;
}

void write_new(JobContext& context, const Volume& volume) {
  exaconf::Transaction& edits = context.transaction();
  const std::string section = storage::section_of(volume);
  const bool archive = volume.kind == VolumeKind::archive;
  or_throw(edits.add_section(section, {"", "# A volume"}));
  const auto set = [&](std::string_view key, const std::string& value) {
    or_throw(edits.set(section, key, value));
  };
  set("Type", archive ? "archive" : "data");
  set("Size", storage::exact_size(volume.size));
  set("Disk", volume.disk);
  or_throw(storage::write_placement(edits, section, volume.placement));
  set("BlockSize", storage::exact_size(volume.block_size));
  set("StripeSize", storage::exact_size(volume.stripe_size));
  if (volume.partition_size != 0) set("PartitionSize", storage::exact_size(volume.partition_size));
  set("Owner", exaconf::format_owner(volume.owner));
  set("Permissions", context.text_or("permissions", "rwx"));
  for (const auto& [key, port] : volume.ports) set(key, std::to_string(port));
  set("Shared", exaconf::format_bool(volume.shared));
  set("Priority", std::to_string(volume.priority));
  set("ID", std::to_string(volume.id));
}

std::optional<base::Value> st_volume_create(JobContext& context) {
  Volume volume = asked_volume(context);
  const auto now = look_at_storage(context);
  check_nodes_online(*now, storage::nodes_of(volume.placement), "volume '" + volume.name + "' can't be made");
  volume.id = new_id(*storage::volumes_of(context.config()), *now);
  const storage::Layout layout = storage::layout_of(volume);
  std::map<int, int> per_node;
  std::vector<NewSegment> segments;
  for (const storage::Segment& segment : layout.segments) {
    ++per_node[segment.node];
    segments.push_back({segment.id, segment.node, false});  // all are empty alike
  }
  check_space(*now, volume, per_node, storage::segment_bytes(volume));
  allocate(context, *now, volume, layout.segment_blocks, segments);
  write_new(context, volume);
  return base::Struct{{"vid", volume.id}};
}

// --- st_volume_delete ---

constexpr std::string_view kVolumeExamples[] = {R"({"vname": "DataVolume1"})", R"({"vid": 0})"};

void check_st_volume_delete(JobContext& context) {
  const Volume volume = known_volume(context);
  check_volume_owner(context, volume, "delete");
  if (const auto users = users_of_volume(context.config(), volume); !users.empty())
    throw JobError{Code::busy, "volume '" + volume.name + "' can't be deleted: it is " +
                                   base::join(users, ", ") + "; change that first"};
}

// Two sections with one id, by a mistake in EXAConf: whose the segments are is not for us to say.
bool is_shared_id(const storage::Volumes& volumes, std::int64_t id) {
  return std::count_if(volumes.begin(), volumes.end(),
                       [&](const Volume& volume) { return volume.has_id && volume.id == id; }) > 1;
}

// Out of EXAConf first: a volume whose space is gone must not be in it, whatever happens in between.
std::optional<base::Value> st_volume_delete(JobContext& context) {
  const Volume volume = known_volume(context);
  const auto volumes = storage::volumes_of(context.config());
  const auto now = look_at_storage(context);
  or_throw(context.transaction().remove_section(storage::section_of(volume)));
  context.publish_now();
  std::vector<OldSegment> segments;
  if (volume.has_id && !is_shared_id(*volumes, volume.id))
    for (const auto& [node, report] : now->reports)
      for (const storage::SegmentReport& segment : report.segments)
        if (segment.id.volume == volume.id) segments.push_back({segment.id, node});
  free_segments(context, segments);
  for (const int node : storage::nodes_of(volume.placement))
    if (!now->reports.contains(node))
      context.warn("node " + std::to_string(node) + " frees its part of volume '" + volume.name +
                   "' when it is back");
  return std::nullopt;
}

constexpr JobDescriptor kVolumeJobs[] = {
    {.name = "st_volume_create",
     .help = "Make a local data or archive volume",
     .long_help = "Takes the space on all nodes at once. Each master node gets an equal part of the size, "
                  "rounded up to whole stripes; with `redundancy` 2 and no further nodes the copy of a node "
                  "lies on its neighbour.",
     .kind = JobKind::modify,
     .mandatory = kCreateParams,
     .optional = kCreateOptions,
     .groups = kDatabaseAdmins,
     .examples = kCreateExamples,
     .returns = "struct with vid, the id of the new volume",
     .locks = &lock_volumes,
     .check = &check_st_volume_create,
     .execute = &st_volume_create},
    {.name = "st_volume_delete",
     .help = "Delete a volume and free its space",
     .long_help = "Refused for a volume that a database or a backup schedule names, and for everybody but "
                  "its owner and root.",
     .kind = JobKind::modify,
     .mandatory = kVolumeId,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kVolumeExamples,
     .locks = &lock_volumes,
     .check = &check_st_volume_delete,
     .execute = &st_volume_delete,
     .publishes_early = true},
};

}  // namespace

std::span<const JobDescriptor> volume_jobs() {
  return kVolumeJobs;
}

}  // namespace confd::jobs
