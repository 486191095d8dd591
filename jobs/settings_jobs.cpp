// settings_list and general_settings (spec/jobs/other.yaml, spec/exaconf.md §12).
#include "exaconf/diff.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/setting_rules.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm"};

// --- settings_list ---

constexpr Param kSettingsOptions[] = {
    {.name = "sections",
     .types = kDict,
     .help = "section name to list of keys; an empty list asks for the whole section",
     .default_text = "all sections"},
};
constexpr std::string_view kSettingsExamples[] = {
    R"({"sections": {"Global": ["NameServers", "XMLRPCPort"]}})",
};

// Secrets are shown as set, not as what they are (docs/security.md).
std::string shown(const exaconf::Entry& entry) {
  return exaconf::is_secret_key(entry.key) && !entry.value.empty() ? "***" : entry.value;
}

base::Struct whole(const exaconf::Section& section) {
  base::Struct members;
  for (const exaconf::Entry& entry : section.entries) members.set(entry.key, shown(entry));
  for (const exaconf::Section& inner : section.sections) members.set(inner.name, whole(inner));
  return members;
}

constexpr std::size_t kMostNames = 1000;  // sections, and keys of one section, in a call

base::Struct chosen(JobContext& context, const exaconf::Section& section, const base::Array& keys) {
  if (keys.size() > kMostNames)
    throw JobError{base::Code::bad_parameter, "parameter 'sections': more than 1000 keys of " + section.name};
  base::Struct members;
  for (const base::Value& key : keys) {
    if (!key.is_string())
      throw JobError{base::Code::bad_parameter,
                     "parameter 'sections': the keys of " + section.name + " must be strings"};
    const std::string& name = key.as_string();
    if (const exaconf::Entry* entry = section.entry(name); entry != nullptr)
      members.set(name, shown(*entry));
    else if (const exaconf::Section* inner = section.section(name); inner != nullptr)
      members.set(name, whole(*inner));
    else
      context.warn("section " + section.name + " has no key '" + name + "': it is left out");
  }
  return members;
}

std::optional<base::Value> settings_list(JobContext& context) {
  const exaconf::Config& config = context.config();
  const base::Value* sections = context.param("sections");
  if (sections == nullptr || sections->as_struct().empty()) return whole(config.document().root);
  if (sections->as_struct().size() > kMostNames)
    throw JobError{base::Code::bad_parameter, "parameter 'sections': more than 1000 sections"};
  base::Struct result;
  for (const auto& [name, keys] : sections->as_struct()) {
    const exaconf::Heading heading = exaconf::parse_heading(name);
    const exaconf::Section* section = config.section(heading.kind, heading.id);
    if (section == nullptr) throw JobError{base::Code::not_found, "EXAConf has no section [" + name + "]"};
    if (!keys.is_array() && !keys.is_null())
      throw JobError{base::Code::bad_parameter,
                     "parameter 'sections': " + name + " must be a list of keys (empty for all)"};
    const bool all = keys.is_null() || keys.as_array().empty();
    result.set(section->name, all ? whole(*section) : chosen(context, *section, keys.as_array()));
  }
  return result;
}

// --- general_settings ---

constexpr Param kChangesParam[] = {
    {.name = "changes", .types = kDict, .help = "section name to a struct of keys and new values"},
};
constexpr std::string_view kChangesExamples[] = {
    R"({"changes": {"Global": {"NameServers": "4.4.4.4", "XMLRPCPort": 20003}}})",
    R"({"changes": {"Global": {"SearchDomains": "power.inet"}}})",
    R"({"changes": {"Global": {"Hugepages": "auto"}}})",
};

std::vector<Lock> lock_settings(const base::Struct&) {
  return {{LockLevel::service, "settings"}};
}

std::vector<SettingChange> changes_of(JobContext& context) {
  return or_throw(checked_changes(context.param("changes")->as_struct(), context.config()));
}

void check_general_settings(JobContext& context) {
  changes_of(context);
}

std::optional<base::Value> general_settings(JobContext& context) {
  for (const SettingChange& change : changes_of(context))
    or_throw(context.transaction().set(change.section, change.key, change.value));
  return std::nullopt;
}

constexpr JobDescriptor kSettingsJobs[] = {
    {.name = "general_settings",
     .help = "Change settings of EXAConf that no other job covers",
     .long_help = "Only these settings can be changed: Global: SSHPort, XMLRPCPort, WebUIBackendPort, "
                  "WebUIDomain, EnableLoadBalancer, Networks, NameServers, SearchDomains, "
                  "LicenseRAWMEMWarnThreshold, Hugepages, IssueTracker, StorageConnectionThreads, "
                  "StorageMaxConnections, ExaMonitorUserName, ExaMonitorUserPassword; Logging: "
                  "LogRotationTypes, RemoteLogRotationVolume, RemoteLogRotationPrefix. They take effect with "
                  "the next start of the services concerned, not at once.",
     .kind = JobKind::modify,
     .mandatory = kChangesParam,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kChangesExamples,
     .locks = &lock_settings,
     .check = &check_general_settings,
     .execute = &general_settings,
     .config_only = true},
    {.name = "settings_list",
     .help = "Read settings of EXAConf, all or chosen sections and keys",
     .long_help = "Values are text as EXAConf has them. Secrets (password hashes, keys, tokens) are shown as "
                  "`***`. Keys that are not set are left out.",
     .kind = JobKind::read,
     .optional = kSettingsOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kSettingsExamples,
     .returns = "struct by section name, each a struct from key to text; subsections are structs inside",
     .execute = &settings_list},
};

}  // namespace

std::span<const JobDescriptor> settings_jobs() {
  return kSettingsJobs;
}

}  // namespace confd::jobs
