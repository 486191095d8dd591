// Jobs of the family `user` (spec/jobs/user.yaml). Users are accounts of confd, kept in [Users] of EXAConf;
// none is made in the machine's own user database (docs/security.md).
#include <algorithm>

#include "auth/password.h"
#include "base/text.h"
#include "jobs/account.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/permission.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kRootOrSelf[] = {"root", kSelf};
constexpr std::string_view kAdmins[] = {"root", "exaadm"};

std::string section_of(std::string_view user) {
  return "Users/" + std::string(user);
}

// --- parameters that several jobs share ---

bool names_groups(const base::Struct& params) {
  return params.contains("group") || params.contains("additional_groups");
}

// The additional groups as given, each once, without the primary one.
std::vector<std::string> additional_groups(JobContext& context, const std::string& primary) {
  std::vector<std::string> groups;
  for (const std::string& name : context.texts("additional_groups")) {
    const std::string& known = known_group(context.config(), name).name;
    if (known != primary && std::find(groups.begin(), groups.end(), known) == groups.end())
      groups.push_back(known);
  }
  return groups;
}

// EXAConf joins the keys by commas, so none may hold one (spec/exaconf.md §8 [Users]).
std::vector<std::string> authorized_keys(JobContext& context) {
  constexpr std::size_t kMostKeys = 1000;
  constexpr std::size_t kLongestKey = 16384;
  std::vector<std::string> keys;
  for (const std::string& given : context.texts("authorized_keys")) {
    const std::string key(base::trim(given));
    const bool one_line = std::none_of(key.begin(), key.end(), [](unsigned char c) { return c < 0x20; });
    if (keys.size() == kMostKeys)
      throw JobError{base::Code::bad_parameter, "parameter 'authorized_keys': more than 1000 keys"};
    if (key.empty() || key.size() > kLongestKey || !one_line || key.find(',') != std::string::npos)
      throw JobError{base::Code::bad_parameter,
                     "parameter 'authorized_keys': key " + std::to_string(keys.size() + 1) +
                         " must be one line of text, 16 KiB at most, without a comma, which separates keys "
                         "in EXAConf"};
    keys.push_back(key);
  }
  return keys;
}

// The text for EXAConf: encoded unless encode_passwd is false.
std::string stored_password(JobContext& context) {
  const std::string& given = context.text("password");
  if (context.flag_or("encode_passwd", true)) {
    auto encoded = auth::encode_password(given, context.services().random);
    if (!encoded) throw JobError{encoded.error().code, "parameter 'password': " + encoded.error().text};
    return std::move(encoded).value();
  }
  if (!auth::is_encoded(given))
    context.warn(
        "the password was stored as given (encode_passwd is false) but is no crypt(3) text of this "
        "machine: nobody can log in with it");
  return given;
}

// What can be refused about a password before it is encoded.
void check_password(JobContext& context) {
  const std::string& given = context.text("password");
  const bool one_line = std::none_of(given.begin(), given.end(), [](unsigned char c) { return c < 0x20; });
  if (!one_line)
    throw JobError{base::Code::bad_parameter, "parameter 'password': control characters are not allowed"};
  if (given.size() > 512)
    throw JobError{base::Code::bad_parameter, "parameter 'password': at most 512 bytes are allowed"};
}

void set_list(exaconf::Transaction& edits, const std::string& section, std::string_view key,
              const std::vector<std::string>& items) {
  or_throw(items.empty() ? edits.unset(section, key) : edits.set(section, key, base::join(items, ", ")));
}

std::string_view python_bool(bool value) {
  return value ? "True" : "False";
}

base::Array to_array(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

base::Struct summary_of(const exaconf::User& user) {
  return {{"id", user.id},
          {"group", user.group},
          {"login_enabled", user.login_enabled},
          {"additional_groups", to_array(user.additional_groups)}};
}

// --- user_create ---

constexpr Param kUserCreateParams[] = {
    {.name = "username", .help = "login name"},
    {.name = "userid", .types = kInt, .help = "numeric id"},
    {.name = "password", .help = "password; an empty text or '*' turns password login off", .secret = true},
    {.name = "group",
     .types = kString | kInt,
     .help = "primary group by name or id",
     .completion = Completion::group},
    {.name = "login_enabled", .types = kBool, .help = "may the user log in"},
};
constexpr Param kUserCreateOptions[] = {
    {.name = "additional_groups",
     .types = kList,
     .help = "names of further groups",
     .completion = Completion::group},
    {.name = "authorized_keys", .types = kList, .help = "SSH public keys"},
    {.name = "encode_passwd",
     .types = kBool,
     .help = "true: the password is clear text and gets encoded; false: it is stored as given",
     .default_text = "true"},
};
constexpr std::string_view kUserCreateExamples[] = {
    R"({"username": "user_1", "userid": 1001, "password": "secret_password", "group": "exausers", "login_enabled": true})",
};

std::vector<Lock> lock_user_create(const base::Struct& params) {
  return {user_lock(params.find("username")->as_string()), user_id_lock(params.find("userid")->as_int()),
          group_membership_lock(true)};
}

void check_user_create(JobContext& context) {
  const exaconf::Config& config = context.config();
  const std::string& name = context.text("username");
  const std::int64_t id = context.number("userid");
  check_account_name("username", name);
  check_account_id("userid", id);
  if (config.user(name) != nullptr)
    throw JobError{base::Code::exists, "user '" + name + "' exists already; change it with user_modify"};
  if (const exaconf::User* other = config.user_by_id(id); other != nullptr)
    throw JobError{base::Code::exists,
                   "the id " + std::to_string(id) + " belongs to user '" + other->name + "'"};
  additional_groups(context, group_given_as(config, *context.param("group")).name);
  authorized_keys(context);
  check_password(context);
}

std::optional<base::Value> user_create(JobContext& context) {
  const std::string& primary = group_given_as(context.config(), *context.param("group")).name;
  const std::string section = section_of(context.text("username"));
  exaconf::Transaction& edits = context.transaction();
  if (edits.document().root.section("Users") == nullptr) or_throw(edits.add_section("Users"));
  or_throw(edits.add_section(section));
  or_throw(edits.set(section, "ID", std::to_string(context.number("userid"))));
  or_throw(edits.set(section, "Group", primary));
  or_throw(edits.set(section, "LoginEnabled", python_bool(context.flag_or("login_enabled", false))));
  or_throw(edits.set(section, "Passwd", stored_password(context)));
  set_list(edits, section, "AdditionalGroups", additional_groups(context, primary));
  set_list(edits, section, "AuthorizedKeys", authorized_keys(context));
  return std::nullopt;
}

// --- user_delete ---

constexpr Param kUserName[] = {
    {.name = "username", .help = "name of the user", .completion = Completion::user},
};
constexpr std::string_view kUserDeleteExamples[] = {R"({"username": "user_1"})"};

std::vector<Lock> lock_user(const base::Struct& params) {
  std::vector<Lock> locks = {user_lock(params.find("username")->as_string())};
  if (names_groups(params)) locks.push_back(group_membership_lock(true));
  return locks;
}

void check_user_delete(JobContext& context) {
  const exaconf::User& user = known_user(context.config(), context.text("username"));
  if (is_built_in_user(user.name))
    throw JobError{
        base::Code::wrong_state,
        "user '" + user.name + "' is built in and can't be deleted; switch its login off with user_modify"};
  if (const auto owned = sections_of_owner(context.config(), user.id); !owned.empty())
    throw JobError{base::Code::busy, "user '" + user.name + "' owns " + base::join(owned, ", ") +
                                         ": give these another owner, or remove them, first"};
}

std::optional<base::Value> user_delete(JobContext& context) {
  or_throw(context.transaction().remove_section(section_of(context.text("username"))));
  return std::nullopt;
}

// --- user_info ---

constexpr Param kUserId[] = {{.name = "userid", .types = kInt, .help = "numeric id of the user"}};
constexpr std::string_view kInsteadOfName[] = {"userid"};
constexpr std::string_view kInsteadOfId[] = {"username"};
constexpr Substitute kNameOrId[] = {{"username", kInsteadOfName}, {"userid", kInsteadOfId}};
constexpr std::string_view kUserInfoExamples[] = {R"({"username": "root"})"};

std::optional<base::Value> user_info(JobContext& context) {
  const exaconf::Config& config = context.config();
  const base::Value* name = context.param("username");
  const base::Value* id = context.param("userid");
  const exaconf::User* user = nullptr;
  if (name != nullptr) {
    user = &known_user(config, name->as_string());
    if (id != nullptr && id->as_int() != user->id)
      throw JobError{base::Code::bad_parameter, "parameter 'userid': user '" + user->name + "' has the id " +
                                                    std::to_string(user->id) + ", not " +
                                                    std::to_string(id->as_int())};
  } else {
    user = config.user_by_id(id->as_int());
    if (user == nullptr)
      throw JobError{base::Code::not_found,
                     "a user with the id " + std::to_string(id->as_int()) + " does not exist; see user_list"};
  }
  base::Struct info = summary_of(*user);
  if (!user->authorized_keys.empty()) info.append("authorized_keys", to_array(user->authorized_keys));
  return info;
}

// --- user_list ---

constexpr std::string_view kNoParams[] = {"{}"};

std::optional<base::Value> user_list(JobContext& context) {
  base::Struct users;
  for (const auto& [name, user] : context.config().users()) users.append(name, summary_of(user));
  return users;
}

// --- user_modify ---

constexpr Param kUserModifyOptions[] = {
    {.name = "group",
     .types = kString | kInt,
     .help = "new primary group by name or id",
     .completion = Completion::group},
    {.name = "login_enabled", .types = kBool, .help = "may the user log in"},
    {.name = "additional_groups",
     .types = kList,
     .help = "names of further groups; replaces the stored list",
     .completion = Completion::group},
    {.name = "authorized_keys", .types = kList, .help = "SSH public keys; replaces the stored list"},
};
constexpr std::string_view kUserModifyExamples[] = {
    R"({"username": "user_1", "login_enabled": true})",
    R"({"username": "admin4", "group": "exabfsadm", "additional_groups": ["exastoradm", "exausers"]})",
};

// The primary group after the job.
std::string primary_group_after(JobContext& context) {
  const base::Value* group = context.param("group");
  if (group != nullptr) return group_given_as(context.config(), *group).name;
  return known_user(context.config(), context.text("username")).group;
}

void check_user_modify(JobContext& context) {
  known_user(context.config(), context.text("username"));
  additional_groups(context, primary_group_after(context));
  authorized_keys(context);
}

std::optional<base::Value> user_modify(JobContext& context) {
  const exaconf::User& user = known_user(context.config(), context.text("username"));
  const std::string section = section_of(user.name);
  const std::string primary = primary_group_after(context);
  exaconf::Transaction& edits = context.transaction();
  if (context.param("group") != nullptr) or_throw(edits.set(section, "Group", primary));
  if (const base::Value* enabled = context.param("login_enabled"); enabled != nullptr)
    or_throw(edits.set(section, "LoginEnabled", python_bool(enabled->as_bool())));
  if (context.param("additional_groups") != nullptr)
    set_list(edits, section, "AdditionalGroups", additional_groups(context, primary));
  if (context.param("authorized_keys") != nullptr)
    set_list(edits, section, "AuthorizedKeys", authorized_keys(context));
  return std::nullopt;
}

// --- user_passwd ---

constexpr Param kUserPasswdParams[] = {
    {.name = "username", .help = "name of the user", .completion = Completion::user},
    {.name = "password",
     .help = "new password; an empty text or '*' turns password login off",
     .secret = true},
};
constexpr Param kUserPasswdOptions[] = {
    {.name = "encode_passwd",
     .types = kBool,
     .help = "true: the password is clear text and gets encoded; false: it is stored as given",
     .default_text = "true"},
};
constexpr std::string_view kUserPasswdExamples[] = {
    R"({"username": "user_1", "password": "new_password"})",
};

void check_user_passwd(JobContext& context) {
  known_user(context.config(), context.text("username"));
  check_password(context);
}

std::optional<base::Value> user_passwd(JobContext& context) {
  const exaconf::User& user = known_user(context.config(), context.text("username"));
  or_throw(context.transaction().set(section_of(user.name), "Passwd", stored_password(context)));
  return std::nullopt;
}

constexpr JobDescriptor kUserJobs[] = {
    {.name = "user_create",
     .help = "Add a user",
     .long_help = "The user exists for confd only: no account is made in the operating system of the nodes.",
     .kind = JobKind::modify,
     .mandatory = kUserCreateParams,
     .optional = kUserCreateOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kUserCreateExamples,
     .locks = &lock_user_create,
     .check = &check_user_create,
     .execute = &user_create,
     .config_only = true},
    {.name = "user_delete",
     .help = "Remove a user",
     .long_help = "Built-in users, and users who own volumes, databases or file services, are refused.",
     .kind = JobKind::modify,
     .mandatory = kUserName,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kUserDeleteExamples,
     .locks = &lock_user,
     .check = &check_user_delete,
     .execute = &user_delete,
     .config_only = true},
    {.name = "user_info",
     .help = "Details of one user",
     .kind = JobKind::read,
     .mandatory = kUserName,
     .optional = kUserId,
     .substitutes = kNameOrId,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kUserInfoExamples,
     .returns = "struct with id, group, login_enabled, additional_groups and, when set, authorized_keys",
     .execute = &user_info},
    {.name = "user_list",
     .help = "All users with their details",
     .kind = JobKind::read,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kNoParams,
     .returns = "struct by user name, each a struct with id, group, login_enabled and additional_groups",
     .execute = &user_list},
    {.name = "user_modify",
     .help = "Change groups, keys or the login flag of a user",
     .kind = JobKind::modify,
     .mandatory = kUserName,
     .optional = kUserModifyOptions,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kUserModifyExamples,
     .locks = &lock_user,
     .check = &check_user_modify,
     .execute = &user_modify,
     .config_only = true},
    {.name = "user_passwd",
     .help = "Set a user's password",
     .long_help = "Everybody may change his own password.",
     .kind = JobKind::modify,
     .mandatory = kUserPasswdParams,
     .optional = kUserPasswdOptions,
     .users = kRootOrSelf,
     .groups = kAdmins,
     .examples = kUserPasswdExamples,
     .locks = &lock_user,
     .check = &check_user_passwd,
     .execute = &user_passwd,
     .config_only = true},
};

}  // namespace

std::span<const JobDescriptor> user_jobs() {
  return kUserJobs;
}

}  // namespace confd::jobs
