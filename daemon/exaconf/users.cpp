// Commands on users and groups.
#include <algorithm>
#include <array>

#include "auth/password.h"
#include "base/random.h"
#include "base/text.h"
#include "daemon/exaconf/command.h"

namespace confd::exaconf_program {
namespace {

using exaconf::Section;
using Kind = Option::Kind;

constexpr std::int64_t kLargestId = 2147483647;
constexpr std::array<std::string_view, 4> kReservedUsers = {"exameta", "_owner", "_self", "xmlrpc user"};
constexpr std::array<std::string_view, 2> kReservedGroups = {"exameta", "exahugepages"};
constexpr std::array<std::int64_t, 2> kReservedIds = {55555, 55554};

std::string user_section(const std::string& name) {
  return "Users/" + name;
}

const exaconf::User& require_user(const Edit& edit, const std::string& name) {
  if (const exaconf::User* user = edit.config().user(name)) return *user;
  throw Failure("there is no user '" + name + "'");
}

std::string checked_group(const Edit& edit, const std::string& name) {
  if (!edit.config().group(name)) throw Failure("there is no group '" + name + "'");
  return name;
}

std::vector<std::string> checked_groups(const Edit& edit, const std::string& text) {
  auto names = base::split_list(text);
  for (const std::string& name : names) (void)checked_group(edit, name);
  return names;
}

template <class Names>
void check_reserved(const char* what, const std::string& name, std::int64_t id, const Names& reserved) {
  if (std::find(reserved.begin(), reserved.end(), name) != reserved.end())
    throw Failure("the " + std::string(what) + " name '" + name + "' is reserved");
  if (std::find(kReservedIds.begin(), kReservedIds.end(), id) != kReservedIds.end())
    throw Failure("ID " + std::to_string(id) + " is reserved");
}

// `as_given`: a text that is a crypt(3) record already is stored as it is.
std::string record(const std::string& password, bool as_given) {
  if (as_given && auth::is_encoded(password)) return password;
  auto encoded = auth::encode_password(password, base::system_random());
  if (!encoded) throw Failure(encoded.error().text);
  return *encoded;
}

// From --passwd or, when that is not given, from the terminal.
std::string record_from(const Arguments& arguments, const std::string& user) {
  if (arguments.has("passwd")) return record(arguments.get("passwd"), !arguments.has("encode-passwd"));
  return record(ask_password("Password of " + user, true), false);
}

constexpr Option kAddGroup[] = {{'n', "name", "name of the group", true}, {'i', "id", "its number", true}};
void add_group(Edit& edit, const Arguments& arguments) {
  const std::string name = checked_name("group", arguments.get("name"));
  const std::int64_t id = *arguments.integer("id", 0, kLargestId);
  check_reserved("group", name, id, kReservedGroups);
  if (edit.config().group(name)) throw Failure("group '" + name + "' exists");
  if (const exaconf::Group* other = edit.config().group_by_id(id))
    throw Failure("ID " + std::to_string(id) + " is that of group '" + other->name + "'");
  if (!edit.config().section("Groups")) edit.add("Groups");
  edit.add("Groups/" + name);
  edit.set("Groups/" + name, "ID", std::to_string(id));
}

constexpr Option kName[] = {{'n', "name", "name of the group", true}};
void remove_group(Edit& edit, const Arguments& arguments) {
  const std::string name = checked_group(edit, arguments.get("name"));
  for (const auto& [user, ignored] : edit.config().users()) {
    const auto groups = edit.config().groups_of(user);
    if (std::find(groups.begin(), groups.end(), name) != groups.end())
      throw Failure("group '" + name + "' has the member '" + user + "': take it out of the group first");
  }
  edit.remove("Groups/" + name);
}

constexpr Option kAddUser[] = {
    {'n', "name", "name of the user", true},
    {'i', "id", "the user's number", true},
    {'g', "group", "primary group", true},
    {'l', "login-enabled", "True or False (default False)"},
    {'p', "passwd", "password, or its crypt(3) record; visible in the process list: prefer -P"},
    {'P', "prompt-passwd", "ask for the password", false, Kind::flag},
    {'e', "encode-passwd", "encode even what looks like a crypt(3) record", false, Kind::flag},
    {'G', "groups", "comma list of additional groups"},
    {'k', "auth-keys", "comma list of SSH public keys"},
    {'K', "auth-keys-file", "file with one SSH public key a line"},
};
std::vector<std::string> keys_of_file(const std::string& path) {
  std::vector<std::string> keys;
  for (const std::string& line : base::split(read_file(path), '\n')) {
    const std::string_view key = base::trim(line);
    if (key.empty() || key.front() == '#') continue;
    if (key.find(',') != std::string_view::npos)
      throw Failure(path + ": a key that holds a comma can't be kept in EXAConf");
    keys.emplace_back(key);
  }
  return keys;
}
void add_user(Edit& edit, const Arguments& arguments) {
  const std::string name = checked_name("user", arguments.get("name"));
  const std::int64_t id = *arguments.integer("id", 0, kLargestId);
  check_reserved("user", name, id, kReservedUsers);
  if (edit.config().user(name)) throw Failure("user '" + name + "' exists");
  if (const exaconf::User* other = edit.config().user_by_id(id))
    throw Failure("ID " + std::to_string(id) + " is that of user '" + other->name + "'");
  if (arguments.has("passwd") && arguments.has("prompt-passwd"))
    throw UsageError("--passwd and --prompt-passwd can't be used together");
  const bool login = arguments.boolean("login-enabled").value_or(false);
  const std::string group = checked_group(edit, arguments.get("group"));
  auto keys = base::split_list(arguments.get_or("auth-keys", ""));
  if (arguments.has("auth-keys-file"))
    for (std::string& key : keys_of_file(arguments.get("auth-keys-file"))) keys.push_back(std::move(key));
  const auto groups = checked_groups(edit, arguments.get_or("groups", ""));

  if (!edit.config().section("Users")) edit.add("Users");
  const std::string section = user_section(name);
  edit.add(section);
  edit.set(section, "ID", std::to_string(id));
  edit.set(section, "Group", group);
  edit.set(section, "LoginEnabled", exaconf::format_bool(login));
  if (arguments.has("passwd") || arguments.has("prompt-passwd"))
    edit.set(section, "Passwd", record_from(arguments, name));
  if (!groups.empty()) edit.set(section, "AdditionalGroups", exaconf::format_list(groups));
  if (!keys.empty()) edit.set(section, "AuthorizedKeys", exaconf::format_list(keys));
}

constexpr Option kModifyUser[] = {
    {'n', "name", "name of the user", true},
    {'g', "group", "primary group"},
    {'l', "login-enabled", "True or False"},
    {'G', "groups", "comma list of additional groups; replaces those there are"},
    {'K', "auth-keys", "comma list of SSH public keys; replaces those there are"},
    {'a', "extend-groups", "--groups are added to those there are", false, Kind::flag},
    {'A', "extend-keys", "--auth-keys are added to those there are", false, Kind::flag},
};
std::vector<std::string> extended(std::vector<std::string> list, const std::vector<std::string>& more) {
  for (const std::string& item : more)
    if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
  return list;
}
void set_list(Edit& edit, const std::string& section, const char* key, const std::vector<std::string>& list) {
  if (list.empty()) return edit.unset(section, key);
  edit.set(section, key, exaconf::format_list(list));
}
void modify_user(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  const exaconf::User& user = require_user(edit, name);
  const std::string section = user_section(name);
  if (arguments.has("extend-groups") && !arguments.has("groups"))
    throw UsageError("--extend-groups needs --groups");
  if (arguments.has("extend-keys") && !arguments.has("auth-keys"))
    throw UsageError("--extend-keys needs --auth-keys");
  if (arguments.has("group")) edit.set(section, "Group", checked_group(edit, arguments.get("group")));
  if (const auto login = arguments.boolean("login-enabled"))
    edit.set(section, "LoginEnabled", exaconf::format_bool(*login));
  if (arguments.has("groups")) {
    auto groups = checked_groups(edit, arguments.get("groups"));
    if (arguments.has("extend-groups")) groups = extended(user.additional_groups, groups);
    set_list(edit, section, "AdditionalGroups", groups);
  }
  if (arguments.has("auth-keys")) {
    auto keys = base::split_list(arguments.get("auth-keys"));
    if (arguments.has("extend-keys")) keys = extended(user.authorized_keys, keys);
    set_list(edit, section, "AuthorizedKeys", keys);
  }
}

constexpr Option kPasswd[] = {
    {'n', "name", "name of the user", true},
    {'p', "passwd", "password, or its crypt(3) record; asked for when absent"},
    {'e', "encode-passwd", "encode even what looks like a crypt(3) record", false, Kind::flag},
};
void passwd_user(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  (void)require_user(edit, name);
  edit.set(user_section(name), "Passwd", record_from(arguments, name));
}

constexpr Option kRemoveUser[] = {{'n', "name", "name of the user", true}};
void remove_user(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  const exaconf::User& user = require_user(edit, name);
  if (name == "root") throw Failure("user 'root' can't be removed");
  for (const Section& section : edit.config().document().root.sections) {
    const auto owner = exaconf::parse_owner(section.value_or("Owner", ""));
    if (owner && owner->uid == user.id)
      throw Failure("user '" + name + "' owns [" + section.name + "]: give it to somebody else first");
  }
  edit.remove(user_section(name));
}

constexpr Command kCommands[] = {
    {"add-group", "Add a group", kAddGroup, &add_group},
    {"remove-group", "Remove a group without members", kName, &remove_group},
    {"add-user", "Add a user", kAddUser, &add_user},
    {"modify-user", "Change the groups, keys or login of a user", kModifyUser, &modify_user},
    {"passwd-user", "Set the password of a user", kPasswd, &passwd_user},
    {"remove-user", "Remove a user who owns nothing", kRemoveUser, &remove_user},
};

}  // namespace

std::span<const Command> account_commands() {
  return kCommands;
}

}  // namespace confd::exaconf_program
