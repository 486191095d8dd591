// storage_reconcile: the job with which the master brings the nodes to what EXAConf says of volumes
// (storage/reconcile.h). confd starts it when there is something to do; it is in no list of jobs.
//
// One thing that fails is a warning and is tried again later: the others are done nevertheless.
#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/families.h"
#include "jobs/volume_rules.h"
#include "storage/reconcile.h"

namespace confd::jobs {

using storage::Reconciliation;
using storage::Volume;

namespace {

constexpr std::string_view kRootUser[] = {"root"};

// False when it failed, which is no reason to leave the rest.
bool attempt(JobContext& context, const std::string& what, const std::function<void()>& work) {
  context.check_stop();
  try {
    work();
    return true;
  } catch (const JobError& error) {
    if (error.code == base::Code::stopped) throw;
    context.warn(what + ": " + error.text);
    return false;
  }
}

std::string place_text(const char* verb, const Reconciliation::Place& place) {
  return std::string(verb) + " " + storage::text_of(place.id) + " on node " + std::to_string(place.node);
}

void make_volume(JobContext& context, const StorageNow& now, const Volume& volume) {
  const std::vector<int> nodes = storage::nodes_of(volume.placement);
  check_nodes_online(now, nodes, "volume '" + volume.name + "' gets no space yet");
  check_disk(context.config(), volume.disk, nodes);
  const storage::Layout layout = storage::layout_of(volume);
  std::map<int, int> per_node;
  std::vector<NewSegment> segments;
  for (const storage::Segment& segment : layout.segments) {
    ++per_node[segment.node];
    segments.push_back({segment.id, segment.node, false});
  }
  check_space(now, volume, per_node, storage::segment_bytes(volume));
  allocate(context, now, volume, layout.segment_blocks, segments);
  set_key(context, volume, "ID", std::to_string(volume.id));
}

std::optional<base::Value> storage_reconcile(JobContext& context) {
  const auto volumes = storage::volumes_of(context.config());
  auto now = look_at_storage(context);
  const Reconciliation plan = storage::reconciliation(*volumes, now->nodes);
  for (const Reconciliation::Place& place : plan.to_free)
    attempt(context, place_text("freeing", place),
            [&] { context.run(place.node, "storage.free", segment_params(place.id)); });
  for (const Reconciliation::Place& place : plan.to_resize)
    attempt(context, place_text("resizing", place), [&] {
      base::Struct params = segment_params(place.id);
      params.append("blocks", static_cast<std::int64_t>(place.blocks));
      context.run(place.node, "storage.resize", params);
    });
  // What was freed is room for what follows.
  if (!plan.to_free.empty() || !plan.to_resize.empty()) now = look_at_storage(context);
  for (const Reconciliation::Place& place : plan.to_fill)
    if (const Volume* volume = storage::find_volume(*volumes, place.id.volume))
      attempt(context, place_text("allocating", place), [&] {
        allocate(context, *now, *volume, place.blocks, {{place.id, place.node, true}});
      });
  for (const std::string& name : plan.to_make)
    if (const Volume* volume = storage::find_volume(*volumes, name))
      if (attempt(context, "giving volume '" + name + "' its space",
                  [&] { make_volume(context, *now, *volume); }))
        now = look_at_storage(context);
  for (const std::string& name : plan.to_settle)
    if (const Volume* volume = storage::find_volume(*volumes, name))
      or_throw(storage::write_placement(context.transaction(), storage::section_of(*volume),
                                        storage::settled(*volume, now->nodes)));
  for (const std::string& name : plan.to_forget)
    if (const Volume* volume = storage::find_volume(*volumes, name)) {
      const auto kept = storage::still_cleared(*volume, now->nodes);
      if (kept.empty())
        unset_key(context, *volume, "ClearedConditions");
      else
        set_key(context, *volume, "ClearedConditions", exaconf::format_list(kept));
    }
  return base::Struct{{"done", plan.text()}};
}

constexpr std::string_view kExamples[] = {"{}"};

constexpr JobDescriptor kOwnJobs[] = {
    {.name = "storage_reconcile",
     .help = "Bring the nodes to what EXAConf says of volumes",
     .kind = JobKind::modify,
     .users = kRootUser,
     .examples = kExamples,
     .returns = "struct with done, what was to be done",
     .locks = &lock_volumes,
     .execute = &storage_reconcile},
};

}  // namespace

std::span<const JobDescriptor> own_jobs() {
  return kOwnJobs;
}

}  // namespace confd::jobs
