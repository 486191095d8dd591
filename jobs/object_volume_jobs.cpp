// Jobs of the family `object_volume` (spec/jobs/object_volume.yaml). What they decide themselves:
// docs/storage-remote.md.
#include <algorithm>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "exaconf/views.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/remote_volume_rules.h"

namespace confd::jobs {
namespace {

using base::Code;

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kStorageAdmins[] = {"root", "exaadm", "exastoradm"};
constexpr std::string_view kAdminsAndUsers[] = {"root", "exaadm", "exastoradm", "exausers"};
constexpr std::string_view kNoParams[] = {"{}"};

std::string section_of(const std::string& name) {
  return "ObjectVolume : " + name;
}

// --- which volume ---

constexpr Param kName[] = {{.name = "name", .help = "name of the volume", .completion = Completion::volume}};
constexpr Param kId[] = {{.name = "vol_id", .types = kInt, .help = "id of the volume, such as 20001"}};
constexpr std::string_view kInsteadOfName[] = {"vol_id"};
constexpr std::string_view kInsteadOfId[] = {"name"};
constexpr Substitute kNameOrId[] = {{"name", kInsteadOfName}, {"vol_id", kInsteadOfId}};
constexpr std::string_view kInfoExamples[] = {R"({"name": "DataVolume2"})"};

std::optional<std::int64_t> id_of(const exaconf::Config& config, const std::string& name) {
  return base::parse_int(config.section("ObjectVolume", name)->value_or("ID", ""));
}

std::string known_volume(JobContext& context) {
  const exaconf::Config& config = context.config();
  const base::Value* id = context.param("vol_id");
  const base::Value* given = context.param("name");
  const auto names = config.ids("ObjectVolume");
  if (given != nullptr && config.section("ObjectVolume", given->as_string()) == nullptr)
    throw JobError{Code::not_found,
                   "object volume '" + given->as_string() + "' does not exist; see object_volume_list"};
  if (id == nullptr) return given->as_string();
  const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
    return id_of(config, name) == id->as_int();
  });
  if (found == names.end())
    throw JobError{Code::not_found, "an object volume with the id " + std::to_string(id->as_int()) +
                                        " does not exist; see object_volume_list"};
  if (given != nullptr && given->as_string() != *found)
    refuse_parameter("vol_id", "is that of the volume '" + *found + "', not of '" + given->as_string() + "'");
  return *found;
}

// --- object_volume_add ---

constexpr std::string_view kTypes[] = {"s3", "gs", "azure"};
constexpr Param kAddParams[] = {
    {.name = "vol_type", .help = "kind of the object store", .choices = kTypes},
    {.name = "name", .help = "name of the new volume"},
};
constexpr Param kAddOptions[] = {
    {.name = "bucket", .help = "bucket or container, which must be there"},
    {.name = "region", .help = "region code, such as eu-central-1"},
    {.name = "prefix", .help = "prefix of all keys in the bucket, such as a/b"},
    {.name = "owner",
     .types = kList | kString,
     .help = "user and group who own the volume, by ids or names",
     .default_text = "the caller"},
    {.name = "end_point", .help = "endpoint of the store or of its gateway"},
    {.name = "credentials",
     .help = "kind of credentials for s3 and gs: root, IAM or MFA; for azure ACCOUNT:KEY",
     .secret = true},
    {.name = "permissions",
     .help = "permissions of the files in the volume, such as rwx",
     .default_text = "rwx"},
    {.name = "shared", .types = kBool, .help = "may be written by several at once", .default_text = "true"},
    {.name = "priority",
     .types = kString | kInt,
     .help = "0 to 20; a higher number is a higher priority",
     .default_text = "10"},
    {.name = "options", .help = "options of the volume, a text with commas"},
    {.name = "labels", .types = kList, .help = "labels"},
};
constexpr std::string_view kAddExamples[] = {
    R"({"bucket": "Bucket1", "credentials": "root", "end_point": "Name:my-endpoint-01", "name": "DataVolume2", "owner": "500:500", "prefix": "Europe/France/Nouvelle-Aquitaine/Bordeaux", "priority": 10, "region": "eu-central-1", "vol_type": "s3"})",
};

// The first id that no object volume had while there are higher ones.
std::int64_t next_id(const exaconf::Config& config) {
  std::int64_t id = 20000;
  for (const std::string& name : config.ids("ObjectVolume"))
    id = std::max(id, id_of(config, name).value_or(0));
  for (++id; id <= 99999; ++id)
    if (is_outer_volume_id_free(config, id)) return id;
  for (id = 20001; id <= 99999; ++id)
    if (is_outer_volume_id_free(config, id)) return id;
  throw JobError{Code::busy, "no id from 20001 to 99999 is free for another object volume"};
}

void check_credentials(JobContext& context) {
  const base::Value* given = context.param("credentials");
  if (given == nullptr) return;
  const std::string& text = given->as_string();
  const std::size_t colon = text.find(':');
  if (context.text("vol_type") == "azure") {
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
      refuse_parameter("credentials", "must be ACCOUNT:KEY for a volume of type azure");
  } else if (text != "root" && text != "IAM" && text != "MFA") {
    refuse_parameter("credentials", "must be root, IAM or MFA; keys themselves are no part of EXAConf here");
  }
}

void check_permissions(JobContext& context) {
  const std::string text = context.text_or("permissions", "rwx");
  const bool fits = !text.empty() && text.size() <= 9 && text.size() % 3 == 0;
  for (std::size_t i = 0; fits && i < text.size(); ++i)
    if (text[i] != "rwx"[i % 3] && text[i] != '-')
      refuse_parameter("permissions", "'" + text + "' is no mode such as rwx or rwxr-x---");
  if (!fits) refuse_parameter("permissions", "'" + text + "' is no mode such as rwx or rwxr-x---");
}

std::int64_t given_priority(JobContext& context) {
  const base::Value* given = context.param("priority");
  if (given == nullptr) return 10;
  const auto number = given->is_int() ? std::optional(given->as_int()) : base::parse_int(given->as_string());
  if (!number || *number < 0 || *number > 20) refuse_parameter("priority", "must be a number from 0 to 20");
  return *number;
}

void check_texts(JobContext& context) {
  for (const char* name : {"bucket", "region", "prefix", "end_point", "options"})
    if (const base::Value* text = context.param(name))
      for (const char c : text->as_string())
        if (static_cast<unsigned char>(c) < 0x20) refuse_parameter(name, "must not hold control characters");
  if (const base::Value* bucket = context.param("bucket");
      bucket != nullptr &&
      (bucket->as_string().empty() || bucket->as_string().find('/') != std::string::npos))
    refuse_parameter("bucket", "must be a bucket's name; what follows it is the prefix");
  for (const std::string& label : context.texts("labels"))
    if (label.empty() || label.find(',') != std::string::npos)
      refuse_parameter("labels", "a label must not be empty nor hold a comma");
}

void check_object_volume_add(JobContext& context) {
  check_outer_volume_name(context.config(), "name", context.text("name"));
  check_texts(context);
  check_credentials(context);
  check_permissions(context);
  given_priority(context);
  given_owner(context);
  next_id(context.config());
}

std::optional<base::Value> object_volume_add(JobContext& context) {
  const std::string section = section_of(context.text("name"));
  const std::int64_t id = next_id(context.config());
  exaconf::Transaction& edits = context.transaction();
  or_throw(edits.add_section(section, {"", "# An object volume"}));
  const auto set = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) or_throw(edits.set(section, key, value));
  };
  set("Type", context.text("vol_type"));
  set("ID", std::to_string(id));
  set("Region", context.text_or("region", ""));
  set("Bucket", context.text_or("bucket", ""));
  set("Prefix", context.text_or("prefix", ""));
  set("Owner", exaconf::format_owner(given_owner(context)));
  set("Permissions", context.text_or("permissions", "rwx"));
  set("Shared", exaconf::format_bool(context.flag_or("shared", true)));
  set("Priority", std::to_string(given_priority(context)));
  set("Credentials", context.text_or("credentials", ""));
  set("EndPoint", context.text_or("end_point", ""));
  if (const auto labels = context.texts("labels"); !labels.empty())
    set("Labels", exaconf::format_list(labels));
  set("Options", context.text_or("options", ""));
  return std::to_string(id);
}

// --- object_volume_info, object_volume_list ---

std::optional<base::Value> object_volume_info(JobContext& context) {
  const std::string name = known_volume(context);
  base::Struct info = exaconf::object_volumes_view(context.config()).find(name)->as_struct();
  if (const auto id = id_of(context.config(), name)) info.set("vid", std::to_string(*id));
  return info;
}

std::optional<base::Value> object_volume_list(JobContext& context) {
  const std::vector<std::string> names = context.config().ids("ObjectVolume");
  return base::Array(names.begin(), names.end());
}

// --- object_volume_remove ---

void check_object_volume_remove(JobContext& context) {
  const std::string name = known_volume(context);
  const auto users = users_of_outer_volume(context.config(), name, id_of(context.config(), name).value_or(0));
  if (!users.empty())
    throw JobError{Code::busy, "object volume '" + name + "' can't be removed: it is used as " +
                                   base::join(users, ", ") + "; change these first"};
}

std::optional<base::Value> object_volume_remove(JobContext& context) {
  or_throw(context.transaction().remove_section(section_of(known_volume(context))));
  return std::nullopt;
}

constexpr JobDescriptor kObjectVolumeJobs[] = {
    {.name = "object_volume_add",
     .help = "Define a storage volume kept in an object store",
     .long_help =
         "The definition only: nothing is asked of the store, since the credentials are those of the "
         "database's machines. No service of its own is started.",
     .kind = JobKind::modify,
     .mandatory = kAddParams,
     .optional = kAddOptions,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kAddExamples,
     .returns = "id of the new volume, as text",
     .locks = &lock_outer_volumes,
     .check = &check_object_volume_add,
     .execute = &object_volume_add,
     .config_only = true},
    {.name = "object_volume_info",
     .help = "Describe an object volume",
     .kind = JobKind::read,
     .mandatory = kName,
     .optional = kId,
     .substitutes = kNameOrId,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kInfoExamples,
     .returns =
         "struct with name, type, owner ([user id, group id]), priority, shared, permissions, vid (text) "
         "and, when set, bucket, prefix, region, credentials, end_point, labels, options",
     .execute = &object_volume_info,
     .secret_result = true},
    {.name = "object_volume_list",
     .help = "Names of all object volumes",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kAdminsAndUsers,
     .examples = kNoParams,
     .returns = "list of strings",
     .execute = &object_volume_list},
    {.name = "object_volume_remove",
     .help = "Remove the definition of an object volume",
     .long_help =
         "What is in the bucket stays. Refused while a database, a backup schedule or a file service "
         "uses the volume.",
     .kind = JobKind::modify,
     .mandatory = kName,
     .optional = kId,
     .substitutes = kNameOrId,
     .users = kRootUser,
     .groups = kStorageAdmins,
     .examples = kInfoExamples,
     .locks = &lock_outer_volumes,
     .check = &check_object_volume_remove,
     .execute = &object_volume_remove,
     .config_only = true},
};

}  // namespace

std::span<const JobDescriptor> object_volume_jobs() {
  return kObjectVolumeJobs;
}

}  // namespace confd::jobs
