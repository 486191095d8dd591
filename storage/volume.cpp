#include "storage/volume.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/mutex.h"
#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using exaconf::Section;

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 62;
constexpr int kMostNodes = 10'000;

// One section, read key by key; the first mistake is kept.
class Reader {
 public:
  explicit Reader(const Section& section) : section_(section) {}

  std::string text(std::string_view key) const {
    const std::string* value = section_.find(key);
    return value == nullptr || exaconf::is_unset(*value) ? std::string() : *value;
  }
  std::uint64_t size(std::string_view key, std::uint64_t otherwise) {
    const std::string given = text(key);
    if (given.empty()) return otherwise;
    const auto bytes = exaconf::parse_size(given);
    if (!bytes || *bytes == 0 || *bytes > kMostBytes) {
      report(key, given, "is no size such as '4 GiB'");
      return otherwise;
    }
    return *bytes;
  }
  std::int64_t integer(std::string_view key, std::int64_t otherwise, std::int64_t least, std::int64_t most) {
    const std::string given = text(key);
    if (given.empty()) return otherwise;
    const auto number = base::parse_int(given);
    if (!number || *number < least || *number > most) {
      report(key, given, "is no number from " + std::to_string(least) + " to " + std::to_string(most));
      return otherwise;
    }
    return *number;
  }
  bool boolean(std::string_view key, bool otherwise) {
    const std::string given = text(key);
    if (given.empty()) return otherwise;
    const auto flag = exaconf::parse_bool(given);
    if (!flag) report(key, given, "is neither True nor False");
    return flag.value_or(otherwise);
  }
  void report(std::string_view key, std::string_view given, std::string_view why) {
    say("'" + std::string(given) + "' for " + std::string(key) + " " + std::string(why));
  }
  void say(std::string why) {
    if (problem_.empty()) problem_ = std::move(why);
  }
  const std::string& problem() const { return problem_; }

 private:
  const Section& section_;
  std::string problem_;
};

std::optional<Holder> parse_holder(std::string_view text) {
  const std::size_t arrow = text.find('>');
  const auto node = base::parse_int(base::trim(text.substr(0, arrow)));
  if (!node || *node < 0 || *node > 1'000'000) return std::nullopt;
  Holder holder{static_cast<int>(*node), std::nullopt};
  if (arrow == std::string_view::npos) return holder;
  const auto next = base::parse_int(base::trim(text.substr(arrow + 1)));
  if (!next || *next < 0 || *next > 1'000'000 || *next == *node) return std::nullopt;
  holder.next = static_cast<int>(*next);
  return holder;
}

// "11/12, 12>14/13": nothing when it is no such thing.
std::optional<Placement> parse_placement(std::string_view text) {
  Placement placement;
  for (const std::string& row : base::split_list(text)) {
    std::vector<Holder> holders;
    for (const std::string& item : base::split(row, '/')) {
      const auto holder = parse_holder(item);
      if (!holder) return std::nullopt;
      holders.push_back(*holder);
    }
    placement.push_back(std::move(holders));
  }
  return placement;
}

std::string format_placement(const Placement& placement) {
  std::vector<std::string> rows;
  for (const auto& row : placement) {
    std::vector<std::string> items;
    for (const Holder& holder : row)
      items.push_back(std::to_string(holder.node) +
                      (holder.next ? ">" + std::to_string(*holder.next) : std::string()));
    rows.push_back(base::join(items, "/"));
  }
  return exaconf::format_list(rows);
}

// Two copies of one segment on one node would be one copy less than they say.
Status check_rows(const Placement& placement) {
  for (std::size_t i = 0; i < placement.size(); ++i) {
    std::set<int> seen;
    for (const Holder& holder : placement[i])
      if (!seen.insert(holder.node).second || (holder.next && !seen.insert(*holder.next).second))
        return Error{Code::bad_parameter, "two copies of segment " + std::to_string(i) +
                                              " would lie on node " + std::to_string(holder.node) +
                                              ": redundancy " + std::to_string(placement[i].size()) +
                                              " needs more nodes"};
  }
  return {};
}

void read_placement(Volume& volume, Reader& reader) {
  const std::string nodes_text = reader.text("Nodes");
  const auto nodes = exaconf::parse_node_list(nodes_text);
  if (!nodes || nodes->empty() || nodes->size() > kMostNodes)
    return reader.report("Nodes", nodes_text, "is no list of node ids");
  const auto count = static_cast<std::int64_t>(nodes->size());
  const bool archive = volume.kind == VolumeKind::archive;
  const std::string explicit_text = reader.text("Placement");
  // After moves a node may have the masters of several segments.
  volume.masters = static_cast<int>(
      reader.integer("NumMasterNodes", count, 1, explicit_text.empty() ? count : kMostNodes));
  volume.redundancy = static_cast<int>(reader.integer("Redundancy", count > 1 && !archive ? 2 : 1, 1, count));
  if (!reader.problem().empty()) return;
  if (!explicit_text.empty()) {
    auto placement = parse_placement(explicit_text);
    const bool fits = placement && static_cast<int>(placement->size()) == volume.masters &&
                      std::all_of(placement->begin(), placement->end(), [&](const auto& row) {
                        return static_cast<int>(row.size()) == volume.redundancy;
                      });
    if (!fits) return reader.report("Placement", explicit_text, "does not fit NumMasterNodes and Redundancy");
    if (Status done = check_rows(*placement); !done) return reader.say(done.error().text);
    volume.placement = std::move(*placement);
    return;
  }
  auto placement = placed_by_rule(*nodes, volume.masters, volume.redundancy);
  if (!placement) return reader.say(placement.error().text);
  volume.placement = std::move(*placement);
}

Volume read_volume(const std::string& name, const Section& section) {
  Volume volume;
  volume.name = name;
  Reader reader(section);
  const std::string type = base::to_lower(reader.text("Type"));
  if (type == "archive")
    volume.kind = VolumeKind::archive;
  else if (type != "data")
    reader.report("Type", type, "is neither data nor archive");
  const bool archive = volume.kind == VolumeKind::archive;
  if (const std::string id = reader.text("ID"); !id.empty()) {
    volume.id = reader.integer("ID", -1, 0, 9999);
    volume.has_id = volume.id >= 0;
  }
  volume.size = reader.size("Size", 0);
  if (volume.size == 0) reader.say("it has no Size");
  volume.disk = reader.text("Disk");
  if (volume.disk.empty()) reader.say("it has no Disk");
  volume.block_size = reader.size("BlockSize", archive ? 64 << 10 : 4 << 10);
  volume.stripe_size = reader.size("StripeSize", archive ? 64 << 10 : 256 << 10);
  if (volume.stripe_size % volume.block_size != 0)
    reader.say("StripeSize " + exaconf::format_size(volume.stripe_size) + " is no multiple of BlockSize " +
               exaconf::format_size(volume.block_size));
  volume.partition_size = reader.size("PartitionSize", 0);
  read_placement(volume, reader);
  if (const std::string owner = reader.text("Owner"); !owner.empty()) {
    if (const auto parsed = exaconf::parse_owner(owner))
      volume.owner = *parsed;
    else
      reader.report("Owner", owner, "is no 'uid : gid'");
  }
  if (const std::string mode = reader.text("Permissions"); !mode.empty()) {
    if (auto full = full_permissions(mode))
      volume.permissions = std::move(*full);
    else
      reader.report("Permissions", mode, "are not made of r, w, x and -");
  }
  volume.labels = base::split_list(reader.text("Labels"));
  for (const char* key : {"HttpPort", "HttpsPort", "FtpPort", "FtpsPort", "SftpPort"})
    if (const auto port = static_cast<int>(reader.integer(key, 0, 0, 65535)); port != 0)
      volume.ports.emplace(key, port);
  volume.shared = reader.boolean("Shared", true);
  volume.priority = static_cast<int>(reader.integer("Priority", 10, 0, 20));
  volume.locked = reader.boolean("Locked", false);
  volume.app_io = reader.boolean("AppIO", true);
  volume.int_io = reader.boolean("IntIO", true);
  volume.forced_redundancy =
      static_cast<int>(reader.integer("ForcedRedundancy", 1, 1, std::max(1, volume.redundancy)));
  volume.cleared_conditions = base::split_list(reader.text("ClearedConditions"));
  volume.problem = reader.problem();
  return volume;
}

void give_ids(Volumes& volumes) {
  std::map<std::int64_t, std::string> taken;
  for (Volume& volume : volumes) {
    if (!volume.has_id) continue;
    const auto [at, is_new] = taken.emplace(volume.id, volume.name);
    if (is_new) continue;
    if (volume.problem.empty())
      volume.problem = "ID " + std::to_string(volume.id) + " is that of volume '" + at->second + "' too";
  }
  std::int64_t next = 0;
  for (Volume& volume : volumes) {
    if (volume.has_id) continue;
    while (taken.contains(next)) ++next;
    volume.id = next;
    taken.emplace(next, volume.name);
  }
}

Volumes read_volumes(const exaconf::Config& config) {
  Volumes volumes;
  for (const Section& section : config.document().root.sections) {
    if (!section.name.starts_with("EXAVolume")) continue;
    const exaconf::Heading heading = section.heading();
    if (heading.kind == "EXAVolume" && !heading.id.empty())
      volumes.push_back(read_volume(heading.id, section));
  }
  give_ids(volumes);
  std::stable_sort(volumes.begin(), volumes.end(),
                   [](const Volume& a, const Volume& b) { return a.id < b.id; });
  return volumes;
}

// Reading a thousand sections costs more than all else a listing does, and a Config never changes.
class LastRead {
 public:
  std::shared_ptr<const Volumes> get(const exaconf::Config& config) EXCLUDES(mutex_) {
    {
      base::MutexLock lock(mutex_);
      if (volumes_ && serial_ == config.serial()) return volumes_;
    }
    auto fresh = std::make_shared<const Volumes>(read_volumes(config));
    base::MutexLock lock(mutex_);
    serial_ = config.serial();
    volumes_ = fresh;
    return fresh;
  }

 private:
  base::Mutex mutex_;
  std::uint64_t serial_ GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const Volumes> volumes_ GUARDED_BY(mutex_);
};

}  // namespace

bool Volume::is_temporary() const {
  return std::find(labels.begin(), labels.end(), "temporary") != labels.end();
}

std::shared_ptr<const Volumes> volumes_of(const exaconf::Config& config) {
  static LastRead last;
  return last.get(config);
}

const Volume* find_volume(const Volumes& volumes, std::string_view name) {
  const auto it =
      std::find_if(volumes.begin(), volumes.end(), [&](const Volume& v) { return v.name == name; });
  return it == volumes.end() ? nullptr : &*it;
}

const Volume* find_volume(const Volumes& volumes, std::int64_t id) {
  const auto it = std::find_if(volumes.begin(), volumes.end(), [&](const Volume& v) { return v.id == id; });
  return it == volumes.end() ? nullptr : &*it;
}

std::int64_t free_id(const Volumes& volumes) {
  std::int64_t id = 0;
  while (find_volume(volumes, id) != nullptr) ++id;
  return id;
}

std::string default_name(std::int64_t id) {
  char text[32];
  std::snprintf(text, sizeof text, "v%04lld", static_cast<long long>(id));
  return text;
}

std::optional<std::string> full_permissions(std::string_view text) {
  constexpr std::string_view kAll = "rwxrwxrwx";
  if (text.empty() || text.size() > kAll.size()) return std::nullopt;
  std::string full(text);
  full.resize(kAll.size(), '-');
  for (std::size_t i = 0; i < kAll.size(); ++i)
    if (full[i] != '-' && full[i] != kAll[i]) return std::nullopt;
  return full;
}

Result<Placement> placed_by_rule(const std::vector<int>& nodes, int masters, int redundancy) {
  const auto count = static_cast<int>(nodes.size());
  if (masters < 1 || masters > count || redundancy < 1)
    return Error{Code::bad_parameter, std::to_string(masters) + " master nodes and redundancy " +
                                          std::to_string(redundancy) + " do not fit " +
                                          std::to_string(count) + " nodes"};
  const int levels = count / masters;
  Placement placement(static_cast<std::size_t>(masters));
  for (int i = 0; i < masters; ++i)
    for (int level = 1; level <= redundancy; ++level) {
      const int given = std::min(level, levels);
      const int at = masters * (given - 1) + (i + level - given) % masters;
      placement[static_cast<std::size_t>(i)].push_back({nodes[static_cast<std::size_t>(at)], std::nullopt});
    }
  if (Status done = check_rows(placement); !done) return done.error();
  return placement;
}

bool is_moving(const Volume& volume) {
  return std::any_of(volume.placement.begin(), volume.placement.end(), [](const auto& row) {
    return std::any_of(row.begin(), row.end(), [](const Holder& holder) { return holder.next.has_value(); });
  });
}

std::vector<int> nodes_of(const Placement& placement) {
  std::vector<int> nodes;
  const auto add = [&](int node) {
    if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
  };
  const std::size_t levels = placement.empty() ? 0 : placement.front().size();
  for (std::size_t level = 0; level < levels; ++level)
    for (const auto& row : placement)
      if (level < row.size()) add(row[level].node);
  for (const auto& row : placement)
    for (const Holder& holder : row)
      if (holder.next) add(*holder.next);
  return nodes;
}

Status write_placement(exaconf::Transaction& edits, const std::string& section, const Placement& placement) {
  const std::vector<int> nodes = nodes_of(placement);
  const auto masters = static_cast<int>(placement.size());
  const auto redundancy = static_cast<int>(placement.front().size());
  for (const auto& [key, value] : {std::pair("Nodes", exaconf::format_node_list(nodes)),
                                   std::pair("NumMasterNodes", std::to_string(masters)),
                                   std::pair("Redundancy", std::to_string(redundancy))})
    if (Status done = edits.set(section, key, value); !done) return done;
  const auto by_rule = placed_by_rule(nodes, masters, redundancy);
  if (by_rule && *by_rule == placement) return edits.unset(section, "Placement");
  return edits.set(section, "Placement", format_placement(placement));
}

std::string exact_size(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + " " + std::string(kUnits[unit]);
}

std::string section_of(const Volume& volume) {
  return "EXAVolume : " + volume.name;
}

}  // namespace confd::storage
