#include "jobs/volume_rules.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/account.h"
#include "jobs/node_rules.h"

namespace confd::jobs {

using base::Code;
using storage::Volume;

namespace {

constexpr std::chrono::seconds kPatience{5};

std::string named(const Volume& volume) {
  return "volume '" + volume.name + "'";
}

base::Struct allocation_params(const Volume& volume, std::uint64_t blocks, const NewSegment& segment) {
  base::Struct params = segment_params(segment.id);
  params.append("blocks", static_cast<std::int64_t>(blocks));
  params.append("block_size", static_cast<std::int64_t>(volume.block_size));
  params.append("disk", volume.disk);
  params.append("kind", storage::segment_kind(volume));
  params.append("state", segment.is_empty_copy ? "RECOVERING" : "ONLINE");
  return params;
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

Volume known_volume(JobContext& context) {
  const auto volumes = storage::volumes_of(context.config());
  const base::Value* id = context.param("vid");
  const base::Value* name = context.param("vname");
  const Volume* by_id = id == nullptr ? nullptr : storage::find_volume(*volumes, id->as_int());
  const Volume* by_name = name == nullptr ? nullptr : storage::find_volume(*volumes, name->as_string());
  if (id != nullptr && by_id == nullptr)
    throw JobError{Code::not_found,
                   "volume " + std::to_string(id->as_int()) + " does not exist; see st_volume_list"};
  if (name != nullptr && by_name == nullptr)
    throw JobError{Code::not_found, "volume '" + name->as_string() + "' does not exist; see st_volume_list"};
  if (by_id != nullptr && by_name != nullptr && by_id != by_name)
    throw JobError{Code::bad_parameter, "parameters 'vid' and 'vname' name two volumes: '" + by_id->name +
                                            "' and '" + by_name->name + "'; give one of them"};
  return by_id != nullptr ? *by_id : *by_name;
}

Volume usable_volume(JobContext& context) {
  Volume volume = known_volume(context);
  if (!volume.problem.empty())
    throw JobError{
        Code::wrong_state,
        named(volume) + " can't be worked with: its section in EXAConf is wrong: " + volume.problem};
  if (!volume.has_id)
    throw JobError{Code::wrong_state, named(volume) +
                                          " has no space yet: it gets it when all its nodes are online; see "
                                          "st_volume_info"};
  return volume;
}

void check_new_volume_name(const exaconf::Config& config, std::string_view parameter,
                           const std::string& name) {
  const bool is_plain =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
  if (name.empty() || name.size() > 64 || !is_plain || !base::is_valid_utf8(name) ||
      name.find_first_of("/:[]#'\",") != std::string::npos || base::trim(name) != name)
    refuse_parameter(parameter, "'" + name +
                                    "' can't be the name of a volume: 1 to 64 bytes without / : [ ] # ' \" , "
                                    "and without blanks at the ends");
  for (const std::string_view kind : {"EXAVolume", "RemoteVolume", "ObjectVolume"})
    if (config.section(kind, name) != nullptr)
      throw JobError{Code::exists,
                     "a volume '" + name + "' exists already ([" + std::string(kind) + " : " + name + "])"};
}

exaconf::Owner owner_param(JobContext& context, exaconf::Owner otherwise) {
  const exaconf::Config& config = context.config();
  const base::Value* given = context.param("owner");
  if (given == nullptr) return otherwise;
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

void check_volume_owner(JobContext& context, const Volume& volume, std::string_view verb) {
  const auth::Identity& caller = context.caller();
  if (caller.user == "root" || caller.in("root")) return;
  const exaconf::User* user = context.config().user(caller.user);
  if (user != nullptr && user->id == volume.owner.uid) return;
  const exaconf::User* owner = context.config().user_by_id(volume.owner.uid);
  throw JobError{Code::forbidden, "user '" + caller.user + "' may not " + std::string(verb) + " " +
                                      named(volume) + ": that is open to its owner (" +
                                      (owner != nullptr ? owner->name : std::to_string(volume.owner.uid)) +
                                      ") and to root"};
}

std::vector<std::string> users_of_volume(const exaconf::Config& config, const Volume& volume) {
  std::vector<std::string> users;
  const auto is_it = [&](const std::string& text) {
    return text == volume.name || text == std::to_string(volume.id);
  };
  for (const std::string& name : config.ids("DB")) {
    const exaconf::Section& database = *config.section("DB", name);
    for (const char* key :
         {"DataVolume", "CloudDataVolume", "SnapshotVolume", "CloudDataVolumeSync", "SnapshotVolumeSync"})
      if (database.value_or(key, "") == volume.name)
        users.push_back(std::string(key) + " of database '" + name + "'");
    for (const exaconf::Section& section : database.sections)
      if (section.heading().kind == "Backup" && is_it(section.value_or("Volume", "")))
        users.push_back("backup schedule '" + section.heading().id + "' of database '" + name + "'");
  }
  if (const std::string* logs = config.get("Logging", "RemoteLogRotationVolume");
      logs != nullptr && *logs == volume.name)
    users.push_back("RemoteLogRotationVolume of [Logging]");
  return users;
}

std::vector<Lock> lock_volumes(const base::Struct&) {
  return {{LockLevel::volume, "*"}};
}

void set_key(JobContext& context, const Volume& volume, std::string_view key, std::string_view value) {
  or_throw(context.transaction().set(storage::section_of(volume), key, value));
}

void unset_key(JobContext& context, const Volume& volume, std::string_view key) {
  or_throw(context.transaction().unset(storage::section_of(volume), key));
}

std::unique_ptr<StorageNow> look_at_storage(JobContext& context) {
  const std::set<int> live = live_nodes(context);
  std::vector<int> asked;
  base::Array shown;
  for (const auto& [id, node] : context.config().nodes())
    if (live.contains(id)) {
      asked.push_back(id);
      shown.emplace_back(id);
    }
  auto now = std::make_unique<StorageNow>();
  std::map<int, base::Error> failures;
  const base::Struct arguments{{"nodes", std::move(shown)}};
  context.command("storage.report", arguments, [&]() -> CommandOutcome {
    storage::Overview overview =
        storage::ask_nodes(context.services().nodes, asked, kPatience, context.stop());
    now->reports = std::move(overview.reports);
    failures = std::move(overview.failures);
    base::Array answered;
    for (const auto& [id, report] : now->reports) answered.emplace_back(id);
    return {base::Value(), base::Struct{{"answered", std::move(answered)}}};
  });
  for (const auto& [id, error] : failures)
    context.warn("node " + std::to_string(id) + " did not tell of its storage: " + error.text);
  now->nodes = storage::node_statuses(context.config(), now->reports);
  return now;
}

void check_nodes_online(const StorageNow& now, const std::vector<int>& nodes, std::string_view purpose) {
  for (const int id : nodes) {
    const auto found = now.nodes.find(id);
    const auto state = found == now.nodes.end() ? storage::NodeState::offline : found->second.state;
    if (state == storage::NodeState::online) continue;
    const std::string node = "node " + std::to_string(id);
    throw JobError{Code::wrong_state,
                   std::string(purpose) + ": " + node + " is " + std::string(storage::text_of(state)) +
                       (state == storage::NodeState::suspended ? "; resume its storage with st_node_resume"
                                                               : "; it must be online, see st_node_list")};
  }
}

void check_disk(const exaconf::Config& config, const std::string& disk, const std::vector<int>& nodes) {
  for (const int id : nodes) {
    const exaconf::Section* node = config.section("Node", std::to_string(id));
    const bool has_it =
        node != nullptr &&
        std::any_of(node->sections.begin(), node->sections.end(), [&](const exaconf::Section& section) {
          return exaconf::same_heading(section.name, "Disk : " + disk);
        });
    if (!has_it)
      throw JobError{Code::not_found, "node " + std::to_string(id) + " has no disk '" + disk +
                                          "'; see node_list, or add one with st_device_add"};
  }
}

void check_space(const StorageNow& now, const Volume& volume, const std::map<int, int>& segments,
                 std::uint64_t bytes) {
  bool fits = true;
  std::vector<std::string> told;
  for (const auto& [node, count] : segments) {
    const auto report = now.reports.find(node);
    const std::uint64_t has = report == now.reports.end() ? 0 : report->second.free_bytes(volume.disk);
    const std::uint64_t needs = bytes * static_cast<std::uint64_t>(count);
    fits = fits && needs <= has;
    told.push_back("node " + std::to_string(node) + " needs " + exaconf::format_size(needs) + " on " +
                   volume.disk + " and has " + exaconf::format_size(has) + " free");
  }
  if (!fits)
    throw JobError{Code::busy, "there is not enough space for " + named(volume) + ": " +
                                   base::join(told, ", ") +
                                   "; ask for less, free space, or add a device (st_device_add)"};
}

void allocate(JobContext& context, const StorageNow& now, const Volume& volume, std::uint64_t blocks,
              const std::vector<NewSegment>& segments) {
  std::vector<const NewSegment*> done;
  try {
    for (const NewSegment& segment : segments) {
      const auto report = now.reports.find(segment.node);
      if (report != now.reports.end() && report->second.segment(segment.id) != nullptr)
        context.run(segment.node, "storage.free", segment_params(segment.id));
      // Before: it may be there although the answer got lost.
      done.push_back(&segment);
      context.run(segment.node, "storage.allocate", allocation_params(volume, blocks, segment));
      context.progress("allocated " + std::to_string(done.size()) + " of " + std::to_string(segments.size()) +
                       " segments");
    }
  } catch (const JobError&) {
    // Also when the job was stopped, so not through the context. What fails here is freed by reconcile.
    for (const NewSegment* segment : done)
      if (!context.services().nodes.run(segment->node, "storage.free", segment_params(segment->id), {}))
        context.warn(storage::text_of(segment->id) + " on node " + std::to_string(segment->node) +
                     " could not be freed now and is freed later");
    throw;
  }
}

void free_segments(JobContext& context, const std::vector<OldSegment>& segments) {
  for (const OldSegment& segment : segments) {
    const auto freed = context.services().nodes.run(segment.node, "storage.free", segment_params(segment.id),
                                                    context.stop());
    if (!freed)
      context.warn("the space of " + storage::text_of(segment.id) + " on node " +
                   std::to_string(segment.node) + " is freed later: " + freed.error().text);
  }
}

base::Struct segment_params(const storage::SegmentKey& id) {
  return {{"vid", id.volume}, {"index", id.index}, {"level", id.level}};
}

std::uint64_t size_param(JobContext& context, std::string_view name) {
  const base::Value& given = *context.param(name);
  const auto bytes = given.is_int()
                         ? (given.as_int() < 0 ? std::nullopt : std::optional<std::uint64_t>(given.as_int()))
                         : exaconf::parse_size(given.as_string());
  if (!bytes || *bytes == 0 || *bytes > (std::uint64_t{1} << 60))
    refuse_parameter(name, "'" + (given.is_int() ? std::to_string(given.as_int()) : given.as_string()) +
                               "' is no size such as '4 GiB'");
  return *bytes;
}

std::vector<int> node_list_param(JobContext& context, std::string_view name, bool may_be_empty) {
  const base::Array& given = context.param(name)->as_array();
  if (given.empty() && !may_be_empty) refuse_parameter(name, "must name at least one node");
  std::vector<int> nodes;
  for (const base::Value& item : given) {
    const auto id = item.is_int()      ? std::optional(item.as_int())
                    : item.is_string() ? base::parse_int(item.as_string())
                                       : std::nullopt;
    if (!id) refuse_parameter(name, "must be a list of node ids");
    const int known = known_node(context.config(), *id).id;
    if (std::find(nodes.begin(), nodes.end(), known) != nodes.end())
      refuse_parameter(name, "node " + std::to_string(known) + " is there twice");
    nodes.push_back(known);
  }
  return nodes;
}

std::int64_t ranged(JobContext& context, std::string_view name, std::int64_t least, std::int64_t most) {
  const std::int64_t value = context.number(name);
  if (value < least || value > most)
    refuse_parameter(name, std::to_string(value) + " is not between " + std::to_string(least) + " and " +
                               std::to_string(most));
  return value;
}

}  // namespace confd::jobs
