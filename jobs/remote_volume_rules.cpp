#include "jobs/remote_volume_rules.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "jobs/account.h"
#include "jobs/node_rules.h"
#include "storage/remote_volume_probe.h"

namespace confd::jobs {

using base::Code;

namespace {

constexpr std::int64_t kFirstId = 10000;
constexpr std::int64_t kLastId = 99999;
constexpr std::string_view kOuterKinds[] = {"RemoteVolume", "ObjectVolume"};

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
}

std::int64_t user_id_given_as(const exaconf::Config& config, const base::Value& value) {
  const auto id = value.is_int() ? std::optional(value.as_int()) : base::parse_int(value.as_string());
  if (!id) return known_user(config, value.as_string()).id;
  if (config.user_by_id(*id) == nullptr)
    throw JobError{Code::not_found,
                   "a user with the id " + std::to_string(*id) + " does not exist; see user_list"};
  return *id;
}

}  // namespace

void check_outer_volume_name(const exaconf::Config& config, std::string_view parameter,
                             const std::string& name) {
  const bool is_plain = base::is_valid_utf8(name) && std::all_of(name.begin(), name.end(), [](char c) {
                          return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
                        });
  if (name.empty() || name.size() > 64 || !is_plain || base::trim(name) != name ||
      name.find_first_of("/:[]#'\",") != std::string::npos || is_number(name))
    refuse_parameter(parameter, "'" + name +
                                    "' can't be the name of a volume: 1 to 64 bytes without / : [ ] # ' \" , "
                                    "and without blanks at the ends, and no number (that would be an id)");
  for (const std::string_view kind : {"EXAVolume", "RemoteVolume", "ObjectVolume"})
    if (config.section(kind, name) != nullptr)
      throw JobError{Code::exists,
                     "a volume '" + name + "' exists already ([" + std::string(kind) + " : " + name + "])"};
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
  const base::Value* given = context.param("owner");
  if (given == nullptr) {
    const exaconf::User* caller = config.user(context.caller().user);
    if (caller == nullptr) return {};  // root without a section in [Users]
    const exaconf::Group* group = config.group(caller->group);
    return {caller->id, group == nullptr ? 0 : group->id};
  }
  base::Array parts;
  if (given->is_array())
    parts = given->as_array();
  else
    for (const std::string& part : base::split(given->as_string(), ':'))
      parts.emplace_back(std::string(base::trim(part)));
  if (parts.size() != 2 || std::any_of(parts.begin(), parts.end(), [](const base::Value& part) {
        return !part.is_int() && !(part.is_string() && !part.as_string().empty());
      }))
    refuse_parameter("owner", "must be a user and a group, by ids or names, as in [500, 500]");
  return {user_id_given_as(config, parts[0]), group_given_as(config, parts[1]).id};
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
