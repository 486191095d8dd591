// Jobs of the family `remote_volume` (spec/jobs/remote_volume.yaml). What they decide themselves:
// docs/storage-remote.md.
#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "exaconf/secrets.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/permission.h"
#include "jobs/remote_volume_rules.h"
#include "storage/rclone_remote.h"
#include "storage/remote_volume_files.h"
#include "storage/remote_volume_probe.h"

namespace confd::jobs {
namespace {

using base::Code;

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kTheOwner[] = {kOwner};
constexpr std::string_view kStorageAdmins[] = {"root", "exaadm", "exastoradm"};
constexpr std::string_view kNoParams[] = {"{}"};

std::string section_of(const std::string& name) {
  return "RemoteVolume : " + name;
}

// --- which volume ---

constexpr Param kName[] = {
    {.name = "remote_volume_name", .help = "name of the volume", .completion = Completion::volume}};
constexpr Param kId[] = {
    {.name = "remote_volume_id", .types = kString | kInt, .help = "id of the volume, such as 10001"}};
constexpr std::string_view kInsteadOfName[] = {"remote_volume_id"};
constexpr std::string_view kInsteadOfId[] = {"remote_volume_name"};
constexpr Substitute kNameOrId[] = {{"remote_volume_name", kInsteadOfName},
                                    {"remote_volume_id", kInsteadOfId}};
constexpr std::string_view kInfoExamples[] = {R"({"remote_volume_name": "vol1"})"};

std::optional<std::int64_t> number_in(const base::Value* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_int()) return value->as_int();
  return value->is_string() ? base::parse_int(base::trim(value->as_string())) : std::nullopt;
}

std::optional<std::string> name_of(const exaconf::Config& config, std::int64_t id) {
  for (const std::string& name : config.ids("RemoteVolume"))
    if (base::parse_int(config.section("RemoteVolume", name)->value_or("ID", "")) == id) return name;
  return std::nullopt;
}

// Whom the volume belongs to that the parameters name.
std::optional<std::int64_t> owner_of(const exaconf::Config& config, const base::Struct& params) {
  const base::Value* given = params.find("remote_volume_name");
  std::optional<std::string> name;
  if (given != nullptr && given->is_string())
    name = given->as_string();
  else if (const auto id = number_in(params.find("remote_volume_id")))
    name = name_of(config, *id);
  if (!name) return std::nullopt;
  const exaconf::Section* section = config.section("RemoteVolume", *name);
  if (section == nullptr) return std::nullopt;
  const auto owner = exaconf::parse_owner(section->value_or("Owner", ""));
  return owner ? std::optional(owner->uid) : std::nullopt;
}

std::string known_volume(JobContext& context) {
  const exaconf::Config& config = context.config();
  std::optional<std::string> by_id;
  if (const base::Value* given = context.param("remote_volume_id")) {
    const auto id = number_in(given);
    if (id) by_id = name_of(config, *id);
    if (!by_id)
      throw JobError{Code::not_found, "a remote volume with the id " +
                                          (id ? std::to_string(*id) : "'" + given->as_string() + "'") +
                                          " does not exist; see remote_volume_list_details"};
  }
  const base::Value* given = context.param("remote_volume_name");
  if (given == nullptr) return *by_id;
  const std::string& name = given->as_string();
  if (config.section("RemoteVolume", name) == nullptr)
    throw JobError{Code::not_found, "remote volume '" + name + "' does not exist; see remote_volume_list"};
  if (by_id && *by_id != name)
    refuse_parameter("remote_volume_id", "is that of the volume '" + *by_id + "', not of '" + name + "'");
  return name;
}

// --- remote_volume_add ---

constexpr std::string_view kTypes[] = {"smb",  "ftp", "sftp", "webhdfs", "webdav",
                                       "file", "s3",  "gs",   "azure"};
constexpr Param kAddParams[] = {
    {.name = "vol_type", .help = "kind of the remote storage", .choices = kTypes},
    {.name = "url", .help = "address of the storage, without credentials"},
};
constexpr Param kAddOptions[] = {
    {.name = "remote_volume_id",
     .types = kString | kInt,
     .help = "wanted id, 10000 to 99999",
     .default_text = "the highest there is + 1, from 10001 on"},
    {.name = "remote_volume_name",
     .help = "wanted name",
     .default_text = "r and the last four digits of the id"},
    {.name = "username", .help = "login, account or access key there"},
    {.name = "password", .help = "password, account key or secret key there", .secret = true},
    {.name = "labels", .types = kList, .help = "further labels"},
    {.name = "options",
     .types = kList | kString,
     .help = "a list, or a text with commas: cleanvolume, verbose, noverifypeer, nocompression, noresume, "
             "forcessl, earlytls, webdav, webhdfs, delegation_token=TOKEN, user=USER, timeout=SECONDS, "
             "proxy=URL, scheme=https, endpoint=URL"},
    {.name = "owner",
     .types = kList | kString,
     .help = "user and group who own the volume, by ids or names",
     .default_text = "the caller"},
    {.name = "check_access",
     .types = kBool,
     .help = "try from all nodes to write, read and remove a small file there; else nothing is added",
     .default_text = "true"},
};
constexpr Alias kAddAliases[] = {{"username", "s3_access_key"}, {"password", "s3_secret_key"}};
constexpr std::string_view kAddExamples[] = {
    R"({"vol_type": "ftp", "url": "ftp://ftpserver:12345/optional-directory/", "owner": [500, 500]})",
    R"({"vol_type": "s3", "url": "http://bucketname.s3.amazonaws.com", "username": "ACCESS-KEY", "password": "SECRET-KEY"})",
    R"({"vol_type": "s3", "url": "https://bucket.s3.eu-central-1.amazonaws.com", "owner": [500, 500], "remote_volume_name": "archive1"})",
    R"({"vol_type": "azure", "url": "https://account.blob.core.windows.net/container", "username": "account", "password": "ACCESS-KEY", "owner": [500, 500], "remote_volume_name": "archive1"})",
};

// "r0004" for 10004 (spec/storage-behaviour.md §2).
std::string default_name(std::int64_t id) {
  char text[32];
  std::snprintf(text, sizeof text, "r%04d", static_cast<int>(id - 10000));
  return text;
}

bool is_name_free(const exaconf::Config& config, const std::string& name) {
  for (const std::string_view kind : {"EXAVolume", "RemoteVolume", "ObjectVolume"})
    if (config.section(kind, name) != nullptr) return false;
  return true;
}

// Not that of a volume that was removed, as long as there are higher ones: backups are known by it.
std::int64_t next_id(const exaconf::Config& config, bool by_its_name) {
  std::int64_t id = 10000;
  for (const std::string& name : config.ids("RemoteVolume"))
    id = std::max(id, base::parse_int(config.section("RemoteVolume", name)->value_or("ID", "")).value_or(0));
  const auto is_free = [&] {
    return is_outer_volume_id_free(config, id) && (!by_its_name || is_name_free(config, default_name(id)));
  };
  for (++id; id <= 99999; ++id)
    if (is_free()) return id;
  for (id = 10001; id <= 99999; ++id)
    if (is_free()) return id;
  throw JobError{Code::busy, "no id from 10001 to 99999 is free for another remote volume"};
}

// A text stays as it was given, but for blanks around it; a list is joined as the original shows it.
std::string given_options(JobContext& context) {
  const base::Value* given = context.param("options");
  if (given != nullptr && given->is_string()) return std::string(base::trim(given->as_string()));
  for (const std::string& option : context.texts("options"))
    if (option.find(',') != std::string::npos)
      refuse_parameter("options", "a member must not hold a comma; give each option as a member of its own");
  return base::join(context.texts("options"), ", ");
}

// Folders that backups have no business in.
void check_folder(JobContext& context, const std::string& folder) {
  const auto lies_in = [](const std::string& path, const std::string& in) {
    return path == in || path.starts_with(in + "/");
  };
  for (const char* system : {"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root",
                             "/run", "/sbin", "/sys", "/usr"})
    if (lies_in(folder, system))
      refuse_parameter("url", "a folder in " + std::string(system) + " can't be a volume");
  const std::string& root = context.services().root_directory;
  if (lies_in(folder, root) || lies_in(root, folder))
    refuse_parameter("url",
                     "a folder of confd's own (" + root + ") can't be a volume, nor one that holds it");
}

storage::RemoteVolume new_volume(JobContext& context) {
  const exaconf::Config& config = context.config();
  storage::RemoteVolume volume;
  volume.type = or_throw(storage::parse_remote_type(context.text("vol_type")));
  volume.url = base::trim(context.text("url"));
  const base::Value* name = context.param("remote_volume_name");
  if (const base::Value* id = context.param("remote_volume_id")) {
    const auto number = number_in(id);
    if (!number) refuse_parameter("remote_volume_id", "must be a number from 10000 to 99999");
    check_outer_volume_id(config, "remote_volume_id", *number);
    volume.id = *number;
  } else {
    volume.id = next_id(config, name == nullptr);
  }
  volume.name = name == nullptr ? default_name(volume.id) : name->as_string();
  check_outer_volume_name(config, name == nullptr ? "remote_volume_id" : "remote_volume_name", volume.name);
  volume.username = context.text_or("username", "");
  // As EXAConf will give it back: a text that is base64 already is not encoded once more.
  volume.password = storage::clear_password(exaconf::encode_base64_password(context.text_or("password", "")));
  volume.labels = context.texts("labels");
  volume.options = given_options(context);
  volume.owner = given_owner(context);
  for (const std::string& label : volume.labels)
    if (label.empty() || label.find(',') != std::string::npos)
      refuse_parameter("labels", "a label must not be empty nor hold a comma");
  const storage::RcloneRemote remote = or_throw(storage::rclone_remote(volume));
  for (const auto& section : remote.sections) or_throw(storage::rclone_section("volume", section));
  if (volume.type == storage::RemoteType::file) check_folder(context, remote.root);
  return volume;
}

void check_remote_volume_add(JobContext& context) {
  new_volume(context);
}

std::optional<base::Value> remote_volume_add(JobContext& context) {
  const storage::RemoteVolume volume = new_volume(context);
  const exaconf::Config& config = context.config();
  const std::string password = context.text_or("password", "");
  if (password != volume.password)
    context.warn(
        "the password was taken as base64 of another one; a password in the clear that happens to "
        "be base64 must be given encoded");
  const storage::RemoteOptions options = or_throw(storage::parse_remote_options(volume.options));
  for (const std::string& name : options.ignored)
    context.warn("option '" + name + "' is kept and has no effect here");
  if (context.flag_or("check_access", true)) check_access_from_nodes(context, volume);

  const std::string section = section_of(volume.name);
  exaconf::Transaction& edits = context.transaction();
  or_throw(edits.add_section(section, {"", "# A remote volume"}));
  const auto set = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) or_throw(edits.set(section, key, value));
  };
  set("Type", std::string(storage::remote_type_name(volume.type)));
  set("ID", std::to_string(volume.id));
  set("URL", volume.url);
  set("Owner", exaconf::format_owner(volume.owner));
  set("Username", volume.username);
  if (!password.empty()) set("Passwd", exaconf::encode_base64_password(password));
  if (!volume.labels.empty()) set("Labels", exaconf::format_list(volume.labels));
  set("Options", volume.options);

  const exaconf::User* owner = config.user_by_id(volume.owner.uid);
  const std::string file = context.services().root_directory + "/etc/remote_volumes/" +
                           storage::remote_volume_file(config, volume.owner.uid);
  return base::Array{
      base::Array{volume.name, owner == nullptr ? std::to_string(volume.owner.uid) : owner->name, file}};
}

// --- remote_volume_info, remote_volume_list, remote_volume_list_details ---

base::Struct describe(const exaconf::Config& config, const std::string& name) {
  const exaconf::Section& section = *config.section("RemoteVolume", name);
  base::Struct info{{"name", name}};
  const auto add = [&](const char* member, const char* key) {
    const std::string value = section.value_or(key, "");
    if (!value.empty()) info.append(member, value);
  };
  add("type", "Type");
  add("url", "URL");
  add("username", "Username");
  if (const std::string stored = section.value_or("Passwd", ""); !stored.empty())
    info.append("password", storage::clear_password(stored));
  const auto owner = exaconf::parse_owner(section.value_or("Owner", "")).value_or(exaconf::Owner());
  info.append("owner", base::Array{owner.uid, owner.gid});
  add("vid", "ID");
  add("options", "Options");
  if (const auto labels = base::split_list(section.value_or("Labels", "")); !labels.empty())
    info.append("labels", base::Array(labels.begin(), labels.end()));
  return info;
}

std::optional<base::Value> remote_volume_info(JobContext& context) {
  return describe(context.config(), known_volume(context));
}

std::optional<base::Value> remote_volume_list(JobContext& context) {
  const std::vector<std::string> names = context.config().ids("RemoteVolume");
  return base::Array(names.begin(), names.end());
}

std::optional<base::Value> remote_volume_list_details(JobContext& context) {
  base::Array volumes;
  for (const std::string& name : context.config().ids("RemoteVolume"))
    volumes.emplace_back(describe(context.config(), name));
  return volumes;
}

// --- remote_volume_remove ---

void check_remote_volume_remove(JobContext& context) {
  const std::string name = known_volume(context);
  const auto id = base::parse_int(context.config().section("RemoteVolume", name)->value_or("ID", ""));
  const auto users = users_of_outer_volume(context.config(), name, id.value_or(0));
  if (!users.empty())
    throw JobError{Code::busy, "remote volume '" + name + "' can't be removed: it is used as " +
                                   base::join(users, ", ") + "; change these first"};
}

std::optional<base::Value> remote_volume_remove(JobContext& context) {
  or_throw(context.transaction().remove_section(section_of(known_volume(context))));
  return std::nullopt;
}

// --- remote_volume_state ---

constexpr std::string_view kStateExamples[] = {R"({"remote_volume_name": "vol1"})",
                                               R"({"remote_volume_name": "r0001"})"};

std::optional<base::Value> remote_volume_state(JobContext& context) {
  const storage::RemoteVolume volume =
      or_throw(storage::find_remote_volume(context.config(), known_volume(context)));
  std::vector<int> nodes;
  for (const auto& [id, node] : context.config().nodes()) nodes.push_back(id);
  const base::Struct params{{"volume", storage::to_params(volume)}, {"write", false}};
  base::Array states;
  for (const auto& answer : context.run_on(nodes, "remote_volume.probe", params)) {
    const base::Value* state = answer ? answer->find("state") : nullptr;
    // A node that does not answer does not use the volume.
    states.push_back(state == nullptr ? base::Value(storage::kUnmounted) : *state);
  }
  return states;
}

constexpr std::string_view kDescription =
    "struct with name, type, url, owner ([user id, group id]), vid (text) and, when set, username, password "
    "(in the clear), options (text) and labels";
constexpr std::string_view kDescriptions =
    "list of structs with name, type, url, owner ([user id, group id]), vid (text) and, when set, username, "
    "password (in the clear), options (text) and labels";

constexpr JobDescriptor kRemoteVolumeJobs[] = {
    {.name = "remote_volume_add",
     .help = "Define a remote archive volume",
     .long_help = "All nodes in service write, read and remove a small file there first; when one can't, "
                  "nothing is added and the error names each node's reason. `s3_access_key` and "
                  "`s3_secret_key` are taken as username and password.",
     .kind = JobKind::modify,
     .mandatory = kAddParams,
     .optional = kAddOptions,
     .substitutes = kNameOrId,
     .aliases = kAddAliases,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kAddExamples,
     .returns = "list of one list: name of the volume, name of its owner, path of the owner's configuration "
                "file",
     .locks = &lock_outer_volumes,
     .check = &check_remote_volume_add,
     .execute = &remote_volume_add},
    {.name = "remote_volume_info",
     .help = "Describe one remote volume",
     .kind = JobKind::read,
     .mandatory = kName,
     .optional = kId,
     .substitutes = kNameOrId,
     .users = kTheOwner,
     .groups = kStorageAdmins,
     .examples = kInfoExamples,
     .returns = kDescription,
     .execute = &remote_volume_info,
     .secret_result = true,
     .owner = &owner_of},
    {.name = "remote_volume_list",
     .help = "Names of all remote volumes",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNoParams,
     .returns = "list of strings",
     .execute = &remote_volume_list},
    {.name = "remote_volume_list_details",
     .help = "Descriptions of all remote volumes",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kNoParams,
     .returns = kDescriptions,
     .execute = &remote_volume_list_details,
     .secret_result = true},
    {.name = "remote_volume_remove",
     .help = "Remove the definition of a remote volume",
     .long_help =
         "What is stored there stays. Refused while a backup schedule, a database, a file service or "
         "the log rotation uses the volume.",
     .kind = JobKind::modify,
     .mandatory = kName,
     .optional = kId,
     .substitutes = kNameOrId,
     .users = kTheOwner,
     .groups = kStorageAdmins,
     .examples = kInfoExamples,
     .locks = &lock_outer_volumes,
     .check = &check_remote_volume_remove,
     .execute = &remote_volume_remove,
     .config_only = true,
     .owner = &owner_of},
    {.name = "remote_volume_state",
     .help = "Connection state of a remote volume, seen from each node",
     .long_help =
         "All nodes try at the same time, each for the volume's `timeout` (default 30 s) and a little "
         "more, 80 s at most. The reasons of what is not Online are in the job file. Unmounted: the "
         "server has no such bucket, share or folder, or the node can't use remote volumes now.",
     .kind = JobKind::read,
     .mandatory = kName,
     .optional = kId,
     .substitutes = kNameOrId,
     .users = kTheOwner,
     .groups = kStorageAdmins,
     .examples = kStateExamples,
     .returns = "list of strings, one for each node in order of ids: Online, Unmounted or Connection problem",
     .execute = &remote_volume_state,
     .owner = &owner_of},
};

}  // namespace

std::span<const JobDescriptor> remote_volume_jobs() {
  return kRemoteVolumeJobs;
}

}  // namespace confd::jobs
