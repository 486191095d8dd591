#include "jobs/remote_volume_rules.h"

#include <algorithm>

#include "base/text.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"
#include "storage/remote_volume_probe.h"

namespace confd::jobs {

using base::Code;

namespace {

constexpr std::int64_t kFirstId = 10000;
constexpr std::int64_t kLastId = 99999;
constexpr std::string_view kOuterKinds[] = {"RemoteVolume", "ObjectVolume"};

}  // namespace

void check_outer_volume_name(const exaconf::Config& config, std::string_view parameter,
                             const std::string& name) {
  const bool is_number =
      !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (is_number)
    refuse_parameter(parameter,
                     "'" + name + "' can't be the name of a volume: that would be an id; add a letter");
  check_new_volume_name(config, parameter, name);
}

bool is_outer_volume_id_free(const exaconf::Config& config, std::int64_t id) {
  for (const std::string_view kind : kOuterKinds)
    for (const std::string& name : config.ids(kind))
      if (base::parse_int(config.section(kind, name)->value_or("ID", "")) == id) return false;
  return true;
}

void check_outer_volume_id(const exaconf::Config& config, std::string_view parameter, std::int64_t id) {
  if (id < kFirstId || id > kLastId)
    refuse_parameter(parameter, std::to_string(id) + " is not between 10000 and 99999");
  if (!is_outer_volume_id_free(config, id))
    throw JobError{Code::exists, "a volume with the id " + std::to_string(id) + " exists already"};
}

exaconf::Owner given_owner(JobContext& context) {
  const exaconf::Config& config = context.config();
  const exaconf::User* caller = config.user(context.caller().user);
  if (caller == nullptr) return owner_param(context, {});  // root without a section in [Users]
  const exaconf::Group* group = config.group(caller->group);
  return owner_param(context, {caller->id, group == nullptr ? 0 : group->id});
}

std::vector<std::string> users_of_outer_volume(const exaconf::Config& config, const std::string& name,
                                               std::int64_t id) {
  std::vector<std::string> users;
  const auto is_it = [&](const std::string& text) { return text == name || text == std::to_string(id); };
  for (const std::string& database : config.ids("DB")) {
    const exaconf::Section& section = *config.section("DB", database);
    for (const char* key : {"DataVolume", "CloudDataVolume", "SnapshotVolume", "CloudDataVolumeSync",
                            "SnapshotVolumeSync", "ArchiveVolume"})
      if (is_it(section.value_or(key, "")))
        users.push_back(std::string(key) + " of database '" + database + "'");
    for (const exaconf::Section& inner : section.sections)
      if (inner.heading().kind == "Backup" && is_it(inner.value_or("Volume", "")))
        users.push_back("backup schedule '" + inner.heading().id + "' of database '" + database + "'");
  }
  for (const std::string& service : config.ids("BucketFS"))
    if (is_it(config.section("BucketFS", service)->value_or("bucketvolume", "")))
      users.push_back("bucketvolume of BucketFS '" + service + "'");
  const std::string* logs = config.get("Logging", "RemoteLogRotationVolume");
  if (logs != nullptr && is_it(*logs)) users.emplace_back("RemoteLogRotationVolume of [Logging]");
  return users;
}

void check_access_from_nodes(JobContext& context, const storage::RemoteVolume& volume) {
  const std::set<int> live = live_nodes(context);
  std::vector<int> asked;
  for (const auto& [id, node] : context.config().nodes()) {
    if (live.contains(id) && !is_suspended(node))
      asked.push_back(id);
    else
      context.warn("node " + std::to_string(id) +
                   " is not in service now: whether it reaches the volume is not known; see "
                   "remote_volume_state when it is back");
  }
  const base::Struct params{{"volume", storage::to_params(volume)}, {"write", true}};
  const auto answers = context.run_on(asked, "remote_volume.probe", params);
  std::vector<std::string> refusals;
  Code code = Code::ok;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const std::string node = "node " + std::to_string(asked[i]) + ": ";
    if (!answers[i]) {
      refusals.push_back(node + answers[i].error().text);
      code = answers[i].error().code;
      continue;
    }
    const std::string& state = answers[i]->find("state")->as_string();
    if (state == storage::kOnline) continue;
    refusals.push_back(node + state + ": " + answers[i]->find("reason")->as_string());
    code = state == storage::kUnmounted ? Code::not_found : Code::io_error;
  }
  if (!refusals.empty())
    throw JobError{code, "the volume '" + volume.name +
                             "' can't be written and read from every node: " + base::join(refusals, "; ") +
                             " (`check_access: false` takes the definition without a try)"};
}

std::vector<Lock> lock_outer_volumes(const base::Struct&) {
  return {{LockLevel::volume, "volumes outside the cluster"}};
}

}  // namespace confd::jobs
