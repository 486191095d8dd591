#include "jobs/account.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "base/text.h"

namespace confd::jobs {
namespace {

constexpr std::size_t kLongestName = 32;
constexpr std::int64_t kLargestId = 2147483647;
constexpr std::array<std::string_view, 2> kReservedNames = {"exameta", "exahugepages"};
constexpr std::array<std::int64_t, 2> kReservedIds = {55555, 55554};
constexpr std::array<std::string_view, 3> kBuiltInUsers = {"root", "exadefusr", "exasaasusr"};
constexpr std::array<std::string_view, 7> kBuiltInGroups = {
    "root", "exausers", "exaadm", "exadbadm", "exastoradm", "exabfsadm", "exasaasadm"};

template <class List, class T>
bool among(const List& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

[[noreturn]] void refuse(std::string_view parameter, const std::string& why) {
  throw JobError{base::Code::bad_parameter, "parameter '" + std::string(parameter) + "': " + why};
}

// "500 : 500" -> its member `index`.
std::optional<std::int64_t> owner_part(const exaconf::Section& section, std::size_t index) {
  const std::string* owner = section.find("Owner");
  if (owner == nullptr) return std::nullopt;
  const std::vector<std::string> parts = base::split(*owner, ':');
  if (parts.size() != 2) return std::nullopt;
  return base::parse_int(base::trim(parts[index]));
}

std::vector<std::string> sections_with(const exaconf::Config& config, std::size_t index, std::int64_t id) {
  std::vector<std::string> names;
  for (const exaconf::Section& section : config.document().root.sections)
    if (owner_part(section, index) == id) names.push_back(section.name);
  return names;
}

}  // namespace

void check_account_name(std::string_view parameter, std::string_view name) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const bool shaped = !name.empty() && name.size() <= kLongestName && letter(name.front()) &&
                      std::all_of(name.begin(), name.end(), [&](char c) {
                        return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
                      });
  if (!shaped)
    refuse(parameter,
           "'" + std::string(name) +
               "' is no name: a letter, then letters, digits, '.', '_' or '-' are allowed, 32 in all");
  if (among(kReservedNames, name)) refuse(parameter, "the name '" + std::string(name) + "' is reserved");
}

void check_account_id(std::string_view parameter, std::int64_t id) {
  if (id < 0 || id > kLargestId)
    refuse(parameter, "the id " + std::to_string(id) + " is not between 0 and " + std::to_string(kLargestId));
  if (among(kReservedIds, id)) refuse(parameter, "the id " + std::to_string(id) + " is reserved");
}

bool is_built_in_user(std::string_view name) {
  return among(kBuiltInUsers, name);
}

bool is_built_in_group(std::string_view name) {
  return among(kBuiltInGroups, name);
}

const exaconf::User& known_user(const exaconf::Config& config, std::string_view name) {
  const exaconf::User* user = config.user(name);
  if (user == nullptr)
    throw JobError{base::Code::not_found, "user '" + std::string(name) + "' does not exist; see user_list"};
  return *user;
}

const exaconf::Group& known_group(const exaconf::Config& config, std::string_view name) {
  const exaconf::Group* group = config.group(name);
  if (group == nullptr)
    throw JobError{base::Code::not_found, "group '" + std::string(name) + "' does not exist; see group_list"};
  return *group;
}

const exaconf::Group& group_given_as(const exaconf::Config& config, const base::Value& value) {
  if (value.is_string()) {
    const std::string& name = value.as_string();
    const exaconf::Group* group = config.group(name);
    if (group != nullptr) return *group;
    const auto id = base::parse_int(name);
    return id ? group_given_as(config, base::Value(*id)) : known_group(config, name);
  }
  const exaconf::Group* group = config.group_by_id(value.as_int());
  if (group == nullptr)
    throw JobError{base::Code::not_found,
                   "group with id " + std::to_string(value.as_int()) + " does not exist; see group_list"};
  return *group;
}

std::vector<std::string> sections_of_owner(const exaconf::Config& config, std::int64_t uid) {
  return sections_with(config, 0, uid);
}

std::vector<std::string> sections_of_owner_group(const exaconf::Config& config, std::int64_t gid) {
  return sections_with(config, 1, gid);
}

Lock user_lock(std::string_view name) {
  return {LockLevel::account, "user " + std::string(name)};
}

Lock user_id_lock(std::int64_t id) {
  return {LockLevel::account, "user id " + std::to_string(id)};
}

Lock group_lock(std::string_view name) {
  return {LockLevel::account, "group " + std::string(name)};
}

Lock group_id_lock(std::int64_t id) {
  return {LockLevel::account, "group id " + std::to_string(id)};
}

Lock group_membership_lock(bool shared) {
  return {LockLevel::account, "group membership", shared};
}

}  // namespace confd::jobs
