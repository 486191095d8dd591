// Commands on databases and their backup schedules.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "daemon/exaconf/command.h"

namespace confd::exaconf_program {
namespace {

using exaconf::Section;
using Kind = Option::Kind;

constexpr Option kDatabase{'n', "db-name", "name of the database", true};
constexpr Option kBackup{'N', "backup-name", "name of the schedule", true};

struct Field {
  std::string_view option;
  std::string_view key;
};
// Cron fields are kept as they are written (spec §7).
constexpr std::array<Field, 5> kTimes = {
    {{"minute", "Minute"}, {"hour", "Hour"}, {"day", "Day"}, {"month", "Month"}, {"weekday", "Weekday"}}};

// The section of a schedule: a Backup or a Snapshot; "" when there is none.
std::string schedule_section(Edit& edit, const std::string& database, const std::string& name) {
  for (const Section& section : edit.require("DB", database, "database").sections)
    for (const char* kind : {"Backup", "Snapshot"})
      if (exaconf::same_heading(section.name, std::string(kind) + " : " + name))
        return "DB : " + database + "/" + section.name;
  return {};
}

std::string require_schedule(Edit& edit, const Arguments& arguments) {
  std::string section = schedule_section(edit, arguments.get("db-name"), arguments.get("backup-name"));
  if (section.empty())
    throw Failure("database '" + arguments.get("db-name") + "' has no backup schedule '" +
                  arguments.get("backup-name") + "'");
  return section;
}

std::string checked_volume(const Edit& edit, const std::string& name) {
  for (const char* kind : {"EXAVolume", "RemoteVolume"}) {
    if (const Section* volume = edit.config().section(kind, name)) {
      if (kind[0] == 'E' && volume->value_or("Type", "") != "archive")
        throw Failure("volume '" + name + "' is no archive volume");
      return name;
    }
  }
  for (const std::string& remote : edit.config().ids("RemoteVolume"))
    if (edit.config().section("RemoteVolume", remote)->value_or("ID", "") == name) return name;
  throw Failure("there is no archive or remote volume '" + name + "'");
}

std::string checked_expiry(const std::string& text) {
  const auto seconds = exaconf::parse_duration(text);
  if (!seconds) throw UsageError("--expire '" + text + "': must be a duration such as '2w 1d', or seconds");
  return exaconf::format_duration(*seconds);
}

constexpr Option kReorder[] = {kDatabase};
void db_reorder(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("db-name");
  const Section& database = edit.require("DB", name, "database");
  auto nodes = exaconf::parse_node_list(database.value_or("Nodes", ""));
  if (!nodes) throw Failure("Nodes of database '" + name + "' is not a list of node ids");
  const auto active = static_cast<std::size_t>(
      std::clamp<std::int64_t>(base::parse_int(database.value_or("NumActiveNodes", ""))
                                   .value_or(static_cast<std::int64_t>(nodes->size())),
                               0, static_cast<std::int64_t>(nodes->size())));
  std::sort(nodes->begin(), nodes->begin() + static_cast<std::ptrdiff_t>(active));
  std::sort(nodes->begin() + static_cast<std::ptrdiff_t>(active), nodes->end());
  if (*nodes == exaconf::parse_node_list(database.value_or("Nodes", ""))) return;
  edit.set("DB : " + name, "Nodes", exaconf::format_node_list(*nodes));
}

constexpr Option kAddSchedule[] = {
    kDatabase,
    kBackup,
    {'v', "volume", "archive or remote volume, by name or id", true},
    {'l', "level", "0 = full, n = what changed since the newest of a lower level", true},
    {'e', "expire", "how long a backup is kept, such as '2w 1d'; default: for ever"},
    {'D', "disabled", "add it switched off", false, Kind::flag},
    {'m', "minute", "cron field; default *"},
    {'H', "hour", "cron field; default *"},
    {'d', "day", "cron field; default *"},
    {'M', "month", "cron field; default *"},
    {'w', "weekday", "cron field, 0 = Sunday; default *"},
};
void add_schedule(Edit& edit, const Arguments& arguments) {
  const std::string name = checked_name("backup schedule", arguments.get("backup-name"));
  const std::string& database = arguments.get("db-name");
  if (!schedule_section(edit, database, name).empty())
    throw Failure("database '" + database + "' has a backup schedule '" + name + "'");
  const std::string section = "DB : " + database + "/Backup : " + name;
  edit.add(section);
  edit.set(section, "Enabled", exaconf::format_bool(!arguments.has("disabled")));
  edit.set(section, "Volume", checked_volume(edit, arguments.get("volume")));
  edit.set(section, "Level", std::to_string(*arguments.integer("level", 0, 9)));
  for (const Field& field : kTimes) edit.set(section, field.key, arguments.get_or(field.option, "*"));
  if (arguments.has("expire")) edit.set(section, "Expire", checked_expiry(arguments.get("expire")));
}

constexpr Option kModifySchedule[] = {
    kDatabase,
    kBackup,
    {'v', "volume", "archive or remote volume, by name or id"},
    {'l', "level", "0 = full"},
    {'e', "expire", "how long a backup is kept"},
    {'D', "disabled", "switch it off", false, Kind::flag},
    {'E', "enabled", "switch it on", false, Kind::flag},
    {'m', "minute", "cron field"},
    {'H', "hour", "cron field"},
    {'d', "day", "cron field"},
    {'M', "month", "cron field"},
    {'w', "weekday", "cron field, 0 = Sunday"},
};
void modify_schedule(Edit& edit, const Arguments& arguments) {
  const std::string section = require_schedule(edit, arguments);
  if (arguments.has("disabled") && arguments.has("enabled"))
    throw UsageError("--disabled and --enabled can't be used together");
  if (section.find("/Snapshot") != std::string::npos && (arguments.has("volume") || arguments.has("level")))
    throw Failure("'" + arguments.get("backup-name") +
                  "' is a snapshot schedule: it has no volume and no level");
  if (arguments.has("disabled")) edit.set(section, "Enabled", "False");
  if (arguments.has("enabled")) edit.set(section, "Enabled", "True");
  if (arguments.has("volume")) edit.set(section, "Volume", checked_volume(edit, arguments.get("volume")));
  if (const auto level = arguments.integer("level", 0, 9)) edit.set(section, "Level", std::to_string(*level));
  for (const Field& field : kTimes)
    if (arguments.has(field.option)) edit.set(section, field.key, arguments.get(field.option));
  if (arguments.has("expire")) edit.set(section, "Expire", checked_expiry(arguments.get("expire")));
}

constexpr Option kRemoveSchedule[] = {kDatabase, kBackup};
void remove_schedule(Edit& edit, const Arguments& arguments) {
  edit.remove(require_schedule(edit, arguments));
}

constexpr Command kCommands[] = {
    {"db-reorder",
     "Sort the nodes of a database\nThe active nodes stay active and the reserve nodes in reserve; each "
     "group is put "
     "in order of its ids.",
     kReorder, &db_reorder},
    {"add-backup-schedule", "Add a backup schedule to a database", kAddSchedule, &add_schedule},
    {"modify-backup-schedule", "Change a backup schedule; what is not given stays", kModifySchedule,
     &modify_schedule},
    {"remove-backup-schedule", "Remove a backup or snapshot schedule", kRemoveSchedule, &remove_schedule},
};

}  // namespace

std::span<const Command> database_commands() {
  return kCommands;
}

}  // namespace confd::exaconf_program
