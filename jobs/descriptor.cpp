#include "jobs/descriptor.h"

#include <algorithm>

#include "base/python_literal.h"
#include "base/text.h"

namespace confd::jobs {
namespace {

const Param* find_param(const JobDescriptor& job, std::string_view name) {
  for (const auto& params : {job.mandatory, job.optional})
    for (const Param& param : params)
      if (param.name == name) return &param;
  return nullptr;
}

std::string_view alias_target(const JobDescriptor& job, std::string_view name) {
  for (const Alias& alias : job.aliases)
    if (alias.alias == name) return alias.name;
  return name;
}

std::string wanted(unsigned types) {
  static constexpr std::pair<TypeSet, std::string_view> kNames[] = {
      {kString, "a string"}, {kInt, "an integer"}, {kReal, "a number"},
      {kBool, "a boolean"},  {kList, "a list"},    {kDict, "a struct"}};
  std::vector<std::string> names;
  for (const auto& [type, name] : kNames)
    if ((types & type) != 0) names.emplace_back(name);
  return base::join(names, " or ");
}

std::string came(const base::Value& value) {
  switch (value.type()) {
    case base::Value::Type::null:
      return "nothing (null)";
    case base::Value::Type::boolean:
      return "a boolean";
    case base::Value::Type::integer:
      return "an integer";
    case base::Value::Type::real:
      return "a number with a fraction";
    case base::Value::Type::string:
      return "a string";
    case base::Value::Type::array:
      return "a list";
    case base::Value::Type::structure:
      return "a struct";
  }
  return "something else";
}

// The value in one of the types, or nothing.
std::optional<base::Value> converted(unsigned types, const base::Value& value) {
  switch (value.type()) {
    case base::Value::Type::string:
      if ((types & kString) != 0) return value;
      if ((types & kInt) != 0)
        if (const auto number = base::parse_int(base::trim(value.as_string()))) return base::Value(*number);
      return std::nullopt;
    case base::Value::Type::integer:
      if ((types & kInt) != 0) return value;
      if ((types & kReal) != 0) return base::Value(static_cast<double>(value.as_int()));
      if (types == kString) return base::Value(std::to_string(value.as_int()));
      return std::nullopt;
    case base::Value::Type::real:
      if ((types & kReal) != 0) return value;
      if (types == kString) return base::Value(base::python_repr(value));
      return std::nullopt;
    case base::Value::Type::boolean:
      return (types & kBool) != 0 ? std::optional(value) : std::nullopt;
    case base::Value::Type::array:
      return (types & kList) != 0 ? std::optional(value) : std::nullopt;
    case base::Value::Type::structure:
      return (types & kDict) != 0 ? std::optional(value) : std::nullopt;
    case base::Value::Type::null:
      return std::nullopt;
  }
  return std::nullopt;
}

base::Error bad(const JobDescriptor& job, std::string_view name, const std::string& why) {
  return {base::Code::bad_parameter,
          "job '" + std::string(job.name) + "', parameter '" + std::string(name) + "': " + why};
}

base::Status check_choice(const JobDescriptor& job, const Param& param, const base::Value& value) {
  if (param.choices.empty() || !value.is_string()) return {};
  if (std::find(param.choices.begin(), param.choices.end(), value.as_string()) != param.choices.end())
    return {};
  std::vector<std::string> choices(param.choices.begin(), param.choices.end());
  const std::string given = param.secret ? "the given value" : "'" + value.as_string() + "'";
  return bad(job, param.name, given + " is none of " + base::join(choices, ", "));
}

// Warnings go into the job file: a caller must not fill it with a million of them.
constexpr std::size_t kMostWarnings = 20;
constexpr std::size_t kLongestName = 100;

void warn(CheckedParams& checked, std::size_t& left_out, std::string text) {
  if (checked.warnings.size() < kMostWarnings)
    checked.warnings.push_back(std::move(text));
  else
    ++left_out;
}

// True when the parameter, or another that stands for it, was given.
bool given_somehow(const JobDescriptor& job, const base::Struct& params, std::string_view name) {
  if (params.contains(name)) return true;
  for (const Substitute& substitute : job.substitutes)
    if (substitute.name == name)
      for (const std::string_view instead : substitute.instead)
        if (params.contains(instead)) return true;
  return false;
}

std::string or_its_substitutes(const JobDescriptor& job, std::string_view name) {
  for (const Substitute& substitute : job.substitutes)
    if (substitute.name == name && !substitute.instead.empty())
      return " (or '" + base::join({substitute.instead.begin(), substitute.instead.end()}, "', '") + "')";
  return {};
}

}  // namespace

base::Result<CheckedParams> check_params(const JobDescriptor& job, const base::Value& given) {
  static const base::Struct kNone;
  if (!given.is_null() && !given.is_struct())
    return base::Error{
        base::Code::bad_parameter,
        "job '" + std::string(job.name) + "': the parameters must be a struct, not " + came(given)};
  CheckedParams checked;
  std::size_t left_out = 0;
  for (const auto& [given_name, value] : given.is_null() ? kNone : given.as_struct()) {
    const std::string_view name = alias_target(job, given_name);
    const Param* param = find_param(job, name);
    if (param == nullptr) {
      warn(checked, left_out, "unknown parameter '" + given_name.substr(0, kLongestName) + "' is ignored");
      continue;
    }
    if (value.is_null()) continue;
    auto fitting = converted(param->types, value);
    if (!fitting) return bad(job, given_name, "must be " + wanted(param->types) + ", not " + came(value));
    if (auto choice = check_choice(job, *param, *fitting); !choice.ok()) return choice.error();
    if (name != given_name && given.find(name) != nullptr) {
      warn(checked, left_out,
           "parameter '" + given_name + "' is ignored beside '" + std::string(name) +
               "', which means the same");
      continue;
    }
    checked.params.set(name, std::move(*fitting));
  }
  if (left_out > 0)
    checked.warnings.push_back("and " + std::to_string(left_out) + " more warnings of this kind");
  for (const Param& param : job.mandatory)
    if (!given_somehow(job, checked.params, param.name))
      return bad(job, param.name,
                 "is missing; " + wanted(param.types) + " is needed" + or_its_substitutes(job, param.name));
  return checked;
}

}  // namespace confd::jobs
