// Jobs that change settings of a volume: lock, unlock, I/O switches, priority, shared, ports, forced
// redundancy level, labels, owner, permissions (spec/jobs/storage.yaml). But for st_volume_unlock all they do
// is in EXAConf.
#include <algorithm>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"
#include "jobs/volume_view.h"

namespace confd::jobs {

using base::Code;
using storage::Volume;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kRootGroup[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exastoradm", "exaadm"};
constexpr std::string_view kDatabaseAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kVolumeExamples[] = {R"({"vname": "DataVolume1"})", R"({"vid": 0})"};

std::string named(const Volume& volume) {
  return "volume '" + volume.name + "'";
}

// Written only when it differs from the default.
void set_flag(JobContext& context, const Volume& volume, std::string_view key, bool value, bool otherwise) {
  if (value == otherwise)
    unset_key(context, volume, key);
  else
    set_key(context, volume, key, exaconf::format_bool(value));
}

void check_volume(JobContext& context) {
  known_volume(context);
}

// --- st_volume_lock, st_volume_unlock ---

std::optional<base::Value> st_volume_lock(JobContext& context) {
  set_key(context, known_volume(context), "Locked", "True");
  return std::nullopt;
}

std::optional<base::Value> st_volume_unlock(JobContext& context) {
  const Volume volume = known_volume(context);
  if (!volume.problem.empty())
    throw JobError{Code::wrong_state,
                   named(volume) + " can't be unlocked: its section in EXAConf is wrong: " + volume.problem};
  const auto now = look_at_storage(context);
  unset_key(context, volume, "Locked");
  const std::vector<std::string> conditions = storage::conditions_of(volume, now->nodes);
  if (conditions.empty())
    unset_key(context, volume, "ClearedConditions");
  else
    set_key(context, volume, "ClearedConditions", exaconf::format_list(conditions));
  return std::nullopt;
}

// --- st_volume_set_io_status ---

constexpr Param kIoParams[] = {
    kVolumeId[0],
    {.name = "app_io", .types = kBool, .help = "application I/O is allowed"},
    {.name = "int_io", .types = kBool, .help = "internal I/O is allowed"},
};
constexpr std::string_view kIoExamples[] = {R"({"app_io": true, "int_io": true, "vname": "DataVolume1"})"};

std::optional<base::Value> st_volume_set_io_status(JobContext& context) {
  const Volume volume = known_volume(context);
  set_flag(context, volume, "AppIO", context.flag_or("app_io", true), true);
  set_flag(context, volume, "IntIO", context.flag_or("int_io", true), true);
  return std::nullopt;
}

// --- st_volume_set_priority, st_volume_set_shared ---

constexpr Param kPriorityParams[] = {
    kVolumeId[0],
    {.name = "prio", .types = kInt, .help = "new priority, 0 (first) to 20 (last)"},
};
constexpr std::string_view kPriorityExamples[] = {R"({"vname": "DataVolume1", "prio": 1})"};

void check_st_volume_set_priority(JobContext& context) {
  known_volume(context);
  ranged(context, "prio", 0, 20);
}

std::optional<base::Value> st_volume_set_priority(JobContext& context) {
  set_key(context, known_volume(context), "Priority", std::to_string(ranged(context, "prio", 0, 20)));
  return std::nullopt;
}

constexpr Param kSharedParams[] = {
    kVolumeId[0],
    {.name = "shared", .types = kBool, .help = "several may have it open for writing"},
};
constexpr std::string_view kSharedExamples[] = {R"({"vname": "DataVolume1", "shared": false})"};

std::optional<base::Value> st_volume_set_shared(JobContext& context) {
  set_key(context, known_volume(context), "Shared", exaconf::format_bool(context.flag_or("shared", true)));
  return std::nullopt;
}

// --- st_volume_set_ports ---

constexpr Param kPortOptions[] = {
    kVolumeName[0],
    {.name = "http_port", .types = kInt, .help = "HTTP port; 0 removes it"},
    {.name = "https_port", .types = kInt, .help = "HTTPS port; 0 removes it"},
    {.name = "ftp_port", .types = kInt, .help = "FTP port; 0 removes it"},
    {.name = "ftps_port", .types = kInt, .help = "FTPS port; 0 removes it"},
    {.name = "sftp_port", .types = kInt, .help = "SFTP port; 0 removes it"},
};
constexpr std::pair<std::string_view, const char*> kPorts[] = {{"http_port", "HttpPort"},
                                                               {"https_port", "HttpsPort"},
                                                               {"ftp_port", "FtpPort"},
                                                               {"ftps_port", "FtpsPort"},
                                                               {"sftp_port", "SftpPort"}};
constexpr std::string_view kPortExamples[] = {
    R"({"ftp_port": 23023, "ftps_port": 21021, "vname": "ArchiveVolume1"})"};

// Who listens at that port already, or nothing.
std::optional<std::string> owner_of_port(const exaconf::Config& config, const Volume& volume,
                                         std::string_view own_key, int port) {
  if (config.xmlrpc_port() == port) return "confd itself (XMLRPCPort)";
  const auto volumes = storage::volumes_of(config);
  for (const Volume& other : *volumes)
    for (const auto& [key, taken] : other.ports)
      if (taken == port && (other.name != volume.name || key != own_key))
        return key + " of volume '" + other.name + "'";
  for (const std::string& name : config.ids("BucketFS"))
    for (const char* key : {"HttpPort", "HttpsPort"})
      if (config.section("BucketFS", name)->value_or(key, "") == std::to_string(port))
        return std::string(key) + " of BucketFS '" + name + "'";
  return std::nullopt;
}

void check_st_volume_set_ports(JobContext& context) {
  const Volume volume = known_volume(context);
  if (volume.kind != storage::VolumeKind::archive)
    throw JobError{Code::unsupported, named(volume) + " is no archive volume: only these have ports"};
  std::map<int, std::string_view> given;
  for (const auto& [name, key] : kPorts) {
    if (context.param(name) == nullptr) continue;
    const auto port = static_cast<int>(ranged(context, name, 0, 65535));
    if (port == 0) continue;
    if (const auto [at, is_new] = given.emplace(port, name); !is_new)
      refuse_parameter(name, std::to_string(port) + " is given for " + std::string(at->second) + " too");
    // Two ports of one volume may be exchanged in one call.
    const auto owner = owner_of_port(context.config(), volume, key, port);
    if (owner && owner->find("of volume '" + volume.name + "'") == std::string::npos)
      throw JobError{Code::exists, "parameter '" + std::string(name) + "': port " + std::to_string(port) +
                                       " is " + *owner + "; choose another one"};
  }
  if (std::none_of(std::begin(kPorts), std::end(kPorts),
                   [&](const auto& port) { return context.param(port.first) != nullptr; }))
    throw JobError{Code::bad_parameter,
                   "at least one of http_port, https_port, ftp_port, ftps_port and "
                   "sftp_port must be given"};
}

std::optional<base::Value> st_volume_set_ports(JobContext& context) {
  const Volume volume = known_volume(context);
  for (const auto& [name, key] : kPorts) {
    if (context.param(name) == nullptr) continue;
    if (const std::int64_t port = context.number(name); port == 0)
      unset_key(context, volume, key);
    else
      set_key(context, volume, key, std::to_string(port));
  }
  return std::nullopt;
}

// --- st_volume_set_forced_red_level ---

constexpr Param kForcedParams[] = {
    kVolumeId[0],
    {.name = "force_red_level", .types = kInt, .help = "level to read and write; 1 = the masters, as usual"},
};
constexpr std::string_view kForcedExamples[] = {R"({"vname": "DataVolume1", "force_red_level": 1})"};

void check_st_volume_set_forced_red_level(JobContext& context) {
  const Volume volume = known_volume(context);
  ranged(context, "force_red_level", 1, volume.redundancy);
}

std::optional<base::Value> st_volume_set_forced_red_level(JobContext& context) {
  const Volume volume = known_volume(context);
  const std::int64_t level = ranged(context, "force_red_level", 1, volume.redundancy);
  if (level == 1)
    unset_key(context, volume, "ForcedRedundancy");
  else
    set_key(context, volume, "ForcedRedundancy", std::to_string(level));
  return std::nullopt;
}

// --- st_volume_add_label, st_volume_remove_label ---

constexpr Param kAddLabelParams[] = {
    kVolumeId[0],
    {.name = "label", .help = "label to attach"},
};
constexpr Param kRemoveLabelParams[] = {
    kVolumeId[0],
    {.name = "label", .help = "label to remove"},
};
constexpr std::string_view kLabelExamples[] = {R"({"vname": "DataVolume1", "label": "FunVolume"})"};

bool has_label(const std::vector<std::string>& labels, const std::string& label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

void check_st_volume_add_label(JobContext& context) {
  const Volume volume = known_volume(context);
  const std::string& label = context.text("label");
  const bool is_plain = std::all_of(label.begin(), label.end(), [](unsigned char c) { return c >= 0x20; });
  if (label.empty() || label.size() > 256 || !is_plain || base::trim(label) != label ||
      label.find_first_of(",'\"") != std::string::npos)
    refuse_parameter("label",
                     "must be 1 to 256 bytes without commas, quotes, control characters and blanks "
                     "at the ends: labels are a comma list in EXAConf");
  if (label.find('#') != std::string::npos)
    refuse_parameter("label", "must not hold '#': that begins a comment in EXAConf");
  if (has_label(shown_labels(context.config(), volume), label))
    throw JobError{Code::exists, named(volume) + " has the label '" + label + "' already"};
}

void write_labels(JobContext& context, const Volume& volume, const std::vector<std::string>& labels) {
  if (labels.empty())
    unset_key(context, volume, "Labels");
  else
    set_key(context, volume, "Labels", exaconf::format_list(labels));
}

std::optional<base::Value> st_volume_add_label(JobContext& context) {
  const Volume volume = known_volume(context);
  std::vector<std::string> labels = volume.labels;
  labels.push_back(context.text("label"));
  write_labels(context, volume, labels);
  return std::nullopt;
}

void check_st_volume_remove_label(JobContext& context) {
  const Volume volume = known_volume(context);
  const std::string& label = context.text("label");
  if (has_label(volume.labels, label)) return;
  if (has_label(shown_labels(context.config(), volume), label))
    throw JobError{Code::wrong_state, "label '" + label + "' of " + named(volume) +
                                          " comes from its name or from a database and can't be removed"};
  throw JobError{Code::not_found, named(volume) + " has no label '" + label + "'; see st_volume_info"};
}

std::optional<base::Value> st_volume_remove_label(JobContext& context) {
  const Volume volume = known_volume(context);
  std::vector<std::string> labels = volume.labels;
  std::erase(labels, context.text("label"));
  write_labels(context, volume, labels);
  return std::nullopt;
}

// --- st_volume_change_owner, st_volume_change_permissions ---

constexpr Param kOwnerParams[] = {
    kVolumeId[0],
    {.name = "vol_user", .types = kInt, .help = "user id"},
    {.name = "vol_grp", .types = kInt, .help = "group id"},
};
constexpr std::string_view kOwnerExamples[] = {
    R"({"vname": "DataVolume1", "vol_user": 1000, "vol_grp": 1000})"};

void check_st_volume_change_owner(JobContext& context) {
  const Volume volume = known_volume(context);
  check_volume_owner(context, volume, "change the owner of");
  if (context.config().user_by_id(context.number("vol_user")) == nullptr)
    throw JobError{Code::not_found, "parameter 'vol_user': there is no user with id " +
                                        std::to_string(context.number("vol_user")) + "; see user_list"};
  if (context.config().group_by_id(context.number("vol_grp")) == nullptr)
    throw JobError{Code::not_found, "parameter 'vol_grp': there is no group with id " +
                                        std::to_string(context.number("vol_grp")) + "; see group_list"};
}

std::optional<base::Value> st_volume_change_owner(JobContext& context) {
  set_key(context, known_volume(context), "Owner",
          exaconf::format_owner({context.number("vol_user"), context.number("vol_grp")}));
  return std::nullopt;
}

constexpr Param kPermissionParams[] = {
    kVolumeId[0],
    {.name = "mode", .help = "new permissions, nine characters such as rwxr-x---"},
};
constexpr std::string_view kPermissionExamples[] = {R"({"vname": "DataVolume1", "mode": "rwxrwxrwx"})"};

void check_st_volume_change_permissions(JobContext& context) {
  const Volume volume = known_volume(context);
  check_volume_owner(context, volume, "change the permissions of");
  if (!storage::full_permissions(context.text("mode")))
    refuse_parameter("mode", "'" + context.text("mode") + "' is no text such as rwxr-x---");
}

std::optional<base::Value> st_volume_change_permissions(JobContext& context) {
  set_key(context, known_volume(context), "Permissions", context.text("mode"));
  return std::nullopt;
}

// But for their help all of them look alike.
constexpr JobDescriptor setting(JobDescriptor job) {
  job.kind = JobKind::modify;
  job.substitutes = kVolumeSubstitutes;
  job.locks = &lock_volumes;
  if (job.optional.empty()) job.optional = kVolumeName;
  if (job.check == nullptr) job.check = &check_volume;
  return job;
}

constexpr JobDescriptor kVolumeSettingJobs[] = {
    setting({.name = "st_volume_add_label",
             .help = "Attach a label to a volume",
             .mandatory = kAddLabelParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kLabelExamples,
             .check = &check_st_volume_add_label,
             .execute = &st_volume_add_label,
             .config_only = true}),
    setting({.name = "st_volume_change_owner",
             .help = "Change the owning user and group of a volume",
             .long_help = "Open to the owner and to root.",
             .mandatory = kOwnerParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kOwnerExamples,
             .check = &check_st_volume_change_owner,
             .execute = &st_volume_change_owner,
             .config_only = true}),
    setting({.name = "st_volume_change_permissions",
             .help = "Change the permissions of a volume",
             .long_help = "Open to the owner and to root.",
             .mandatory = kPermissionParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kPermissionExamples,
             .check = &check_st_volume_change_permissions,
             .execute = &st_volume_change_permissions,
             .config_only = true}),
    setting(
        {.name = "st_volume_lock",
         .help = "Lock a volume",
         .long_help = "Without a condition that would unlock it: it stays locked until `st_volume_unlock`.",
         .mandatory = kVolumeId,
         .users = kRootUser,
         .groups = kStorageAdmins,
         .examples = kVolumeExamples,
         .execute = &st_volume_lock,
         .config_only = true}),
    setting({.name = "st_volume_remove_label",
             .help = "Take a label off a volume",
             .mandatory = kRemoveLabelParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kLabelExamples,
             .check = &check_st_volume_remove_label,
             .execute = &st_volume_remove_label,
             .config_only = true}),
    setting({.name = "st_volume_set_forced_red_level",
             .help = "Pin reads and writes to one redundancy level, for debugging",
             .mandatory = kForcedParams,
             .groups = kRootGroup,
             .examples = kForcedExamples,
             .check = &check_st_volume_set_forced_red_level,
             .execute = &st_volume_set_forced_red_level,
             .config_only = true}),
    setting({.name = "st_volume_set_io_status",
             .help = "Allow or block application and internal I/O of a volume",
             .mandatory = kIoParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kIoExamples,
             .execute = &st_volume_set_io_status,
             .config_only = true}),
    setting({.name = "st_volume_set_ports",
             .help = "Set the access ports of an archive volume",
             .mandatory = kVolumeId,
             .optional = kPortOptions,
             .groups = kDatabaseAdmins,
             .examples = kPortExamples,
             .check = &check_st_volume_set_ports,
             .execute = &st_volume_set_ports,
             .config_only = true}),
    setting({.name = "st_volume_set_priority",
             .help = "Set the I/O priority of a volume",
             .mandatory = kPriorityParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kPriorityExamples,
             .check = &check_st_volume_set_priority,
             .execute = &st_volume_set_priority,
             .config_only = true}),
    setting({.name = "st_volume_set_shared",
             .help = "Say whether several may have a volume open for writing",
             .mandatory = kSharedParams,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kSharedExamples,
             .execute = &st_volume_set_shared,
             .config_only = true}),
    setting({.name = "st_volume_unlock",
             .help = "Unlock a volume",
             .long_help = "Clears all unlock conditions there are now; what caused them stays as it is.",
             .mandatory = kVolumeId,
             .users = kRootUser,
             .groups = kStorageAdmins,
             .examples = kVolumeExamples,
             .execute = &st_volume_unlock}),
};

}  // namespace

std::span<const JobDescriptor> volume_setting_jobs() {
  return kVolumeSettingJobs;
}

}  // namespace confd::jobs
