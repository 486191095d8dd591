// Jobs of the family `group` (spec/jobs/group.yaml).
#include <algorithm>

#include "base/text.h"
#include "jobs/account.h"
#include "jobs/context.h"
#include "jobs/families.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm"};

std::string section_of(std::string_view group) {
  return "Groups/" + std::string(group);
}

// --- group_create ---

constexpr Param kGroupCreateParams[] = {
    {.name = "groupname", .help = "name of the new group"},
    {.name = "groupid", .types = kInt, .help = "numeric id of the new group"},
};
constexpr std::string_view kGroupCreateExamples[] = {R"({"groupname": "exausers", "groupid": 42})"};

std::vector<Lock> lock_group_create(const base::Struct& params) {
  return {group_lock(params.find("groupname")->as_string()), group_id_lock(params.find("groupid")->as_int())};
}

void check_group_create(JobContext& context) {
  const exaconf::Config& config = context.config();
  const std::string& name = context.text("groupname");
  const std::int64_t id = context.number("groupid");
  check_account_name("groupname", name);
  check_account_id("groupid", id);
  if (config.group(name) != nullptr)
    throw JobError{base::Code::exists, "group '" + name + "' exists already"};
  if (const exaconf::Group* other = config.group_by_id(id); other != nullptr)
    throw JobError{base::Code::exists,
                   "the id " + std::to_string(id) + " belongs to group '" + other->name + "'"};
}

std::optional<base::Value> group_create(JobContext& context) {
  exaconf::Transaction& edits = context.transaction();
  if (edits.document().root.section("Groups") == nullptr) or_throw(edits.add_section("Groups"));
  const std::string section = section_of(context.text("groupname"));
  or_throw(edits.add_section(section));
  or_throw(edits.set(section, "ID", std::to_string(context.number("groupid"))));
  return std::nullopt;
}

// --- group_delete ---

constexpr Param kGroupName[] = {
    {.name = "groupname", .help = "name of the group", .completion = Completion::group},
};
constexpr std::string_view kGroupExamples[] = {R"({"groupname": "exausers"})"};
constexpr std::string_view kGroupDeleteExamples[] = {R"({"groupname": "reporting"})"};

std::vector<Lock> lock_group_delete(const base::Struct& params) {
  return {group_lock(params.find("groupname")->as_string()), group_membership_lock(false)};
}

std::vector<std::string> members_of(const exaconf::Config& config, const std::string& group) {
  std::vector<std::string> members;
  for (const auto& [name, user] : config.users()) {
    const auto& additional = user.additional_groups;
    if (user.group == group || std::find(additional.begin(), additional.end(), group) != additional.end())
      members.push_back(name);
  }
  return members;
}

void check_group_delete(JobContext& context) {
  const exaconf::Config& config = context.config();
  const exaconf::Group& group = known_group(config, context.text("groupname"));
  if (is_built_in_group(group.name))
    throw JobError{base::Code::wrong_state, "group '" + group.name + "' is built in and can't be deleted"};
  if (const auto members = members_of(config, group.name); !members.empty())
    throw JobError{base::Code::busy, "group '" + group.name + "' is the group of " +
                                         base::join(members, ", ") +
                                         ": give these users other groups with user_modify first"};
  if (const auto owned = sections_of_owner_group(config, group.id); !owned.empty())
    throw JobError{base::Code::busy, "group '" + group.name + "' owns " + base::join(owned, ", ") +
                                         ": give these another owner, or remove them, first"};
}

std::optional<base::Value> group_delete(JobContext& context) {
  or_throw(context.transaction().remove_section(section_of(context.text("groupname"))));
  return std::nullopt;
}

// --- group_info, group_list ---

base::Struct summary_of(const exaconf::Group& group) {
  return {{"id", group.id}};
}

std::optional<base::Value> group_info(JobContext& context) {
  return summary_of(known_group(context.config(), context.text("groupname")));
}

constexpr std::string_view kNoParams[] = {"{}"};

std::optional<base::Value> group_list(JobContext& context) {
  base::Struct groups;
  for (const auto& [name, group] : context.config().groups()) groups.append(name, summary_of(group));
  return groups;
}

constexpr JobDescriptor kGroupJobs[] = {
    {.name = "group_create",
     .help = "Add a group",
     .kind = JobKind::modify,
     .mandatory = kGroupCreateParams,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kGroupCreateExamples,
     .locks = &lock_group_create,
     .check = &check_group_create,
     .execute = &group_create,
     .config_only = true},
    {.name = "group_delete",
     .help = "Remove a group",
     .long_help = "Built-in groups, and groups that still have members or own something, are refused.",
     .kind = JobKind::modify,
     .mandatory = kGroupName,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kGroupDeleteExamples,
     .locks = &lock_group_delete,
     .check = &check_group_delete,
     .execute = &group_delete,
     .config_only = true},
    {.name = "group_info",
     .help = "Details of one group",
     .kind = JobKind::read,
     .mandatory = kGroupName,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kGroupExamples,
     .returns = "struct with id",
     .execute = &group_info},
    {.name = "group_list",
     .help = "All groups with their ids",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kNoParams,
     .returns = "struct by group name, each a struct with id",
     .execute = &group_list},
};

}  // namespace

std::span<const JobDescriptor> group_jobs() {
  return kGroupJobs;
}

}  // namespace confd::jobs
