// Jobs that tell of volumes: st_volume_list, st_volume_info (spec/jobs/storage.yaml).
#include "base/text.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"
#include "jobs/volume_view.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};
constexpr std::string_view kNoParams[] = {"{}"};
constexpr std::string_view kAllVolumes = "all_volumes";

base::Value all_volumes(JobContext& context, VolumeView::Detail detail) {
  const auto now = look_at_storage(context);
  const auto volumes = storage::volumes_of(context.config());
  const VolumeView view(context.config(), now->nodes);
  base::Array list;
  list.reserve(volumes->size());
  for (const storage::Volume& volume : *volumes) list.push_back(view.show(volume, detail));
  return list;
}

std::optional<base::Value> st_volume_list(JobContext& context) {
  return all_volumes(context, VolumeView::Detail::list);
}

constexpr Param kVid[] = {
    {.name = "vid",
     .types = kInt | kString,
     .help = "id of the volume, or all_volumes",
     .completion = Completion::volume},
};
constexpr std::string_view kInfoExamples[] = {R"({"vname": "DataVolume1"})", R"({"vid": 0})",
                                              R"({"vid": "all_volumes"})"};

// The id as a number, or nothing for all volumes.
std::optional<std::int64_t> asked_id(const base::Value& given) {
  if (given.is_int()) return given.as_int();
  if (given.as_string() == kAllVolumes) return std::nullopt;
  const auto id = base::parse_int(base::trim(given.as_string()));
  if (!id) refuse_parameter("vid", "'" + given.as_string() + "' is neither a volume id nor all_volumes");
  return id;
}

std::optional<base::Value> st_volume_info(JobContext& context) {
  const base::Value* given = context.param("vid");
  const auto volumes = storage::volumes_of(context.config());
  const storage::Volume* volume = nullptr;
  if (given != nullptr) {
    const auto id = asked_id(*given);
    if (!id) return all_volumes(context, VolumeView::Detail::info);
    volume = storage::find_volume(*volumes, *id);
    if (volume == nullptr)
      throw JobError{base::Code::not_found,
                     "volume " + std::to_string(*id) + " does not exist; see st_volume_list"};
  } else {
    const std::string& name = context.text("vname");
    volume = storage::find_volume(*volumes, name);
    if (volume == nullptr)
      throw JobError{base::Code::not_found, "volume '" + name + "' does not exist; see st_volume_list"};
  }
  const auto now = look_at_storage(context);
  return VolumeView(context.config(), now->nodes).show(*volume, VolumeView::Detail::info);
}

constexpr JobDescriptor kVolumeReadJobs[] = {
    {.name = "st_volume_info",
     .help = "Describe one volume, or all",
     .long_help = "As `st_volume_list`, but with block and stripe size as texts. A list with `all_volumes`.",
     .kind = JobKind::read,
     .mandatory = kVid,
     .optional = kVolumeName,
     .substitutes = kVolumeSubstitutes,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kInfoExamples,
     .returns = "struct as in `st_volume_list`, with block_size and stripe_size as texts such as `4 KiB`",
     .execute = &st_volume_info},
    {.name = "st_volume_list",
     .help = "Describe all local volumes",
     .long_help = "States are those of this moment: `ONLINE` (all copies are there), `RECOVERING` (a copy is "
                  "being filled), `DEGRADED` (a copy is missing, the data is there), `LOCKED` (data is "
                  "missing, a node is suspended, or locked by hand).",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNoParams,
     .returns = "list of structs with id (text), name, type, state, size, redundancy, num_master_nodes, "
                "volume_nodes, nodes_list, segments, labels, owner, group, permissions, priority, shared, "
                "unlock_conditions, users and the other settings of the volume",
     .execute = &st_volume_list},
};

}  // namespace

std::span<const JobDescriptor> volume_read_jobs() {
  return kVolumeReadJobs;
}

}  // namespace confd::jobs
