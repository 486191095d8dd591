#include "jobs/description.h"

#include "base/json.h"
#include "base/python_literal.h"
#include "base/text.h"
#include "jobs/catalogue.h"
#include "jobs/permission.h"

namespace confd::jobs {
namespace {

std::string_view kind_name(JobKind kind) {
  return kind == JobKind::modify ? "modify" : "read";
}

std::string_view completion_name(Completion completion) {
  switch (completion) {
    case Completion::none:
      return "";
    case Completion::job:
      return "job";
    case Completion::user:
      return "user";
    case Completion::group:
      return "group";
    case Completion::database:
      return "database";
    case Completion::volume:
      return "volume";
    case Completion::node:
      return "node";
    case Completion::bucketfs:
      return "bucketfs";
  }
  return "";
}

base::Value names(std::span<const std::string_view> list) {
  base::Array array;
  for (const std::string_view name : list)
    array.emplace_back(name == kSelf ? std::string_view("xmlrpc user") : name);
  return array;
}

base::Value nil_if_empty(base::Struct members) {
  return members.empty() ? base::Value() : base::Value(std::move(members));
}

// What the parameter is, with its default and choices, since the interface has no member for these.
std::string full_help(const Param& param) {
  std::string text(param.help);
  if (!param.choices.empty())
    text += "; one of " + base::join({param.choices.begin(), param.choices.end()}, ", ");
  if (!param.default_text.empty()) text += " (default: " + std::string(param.default_text) + ")";
  return text;
}

base::Value params_value(std::span<const Param> params) {
  base::Struct members;
  for (const Param& param : params)
    members.append(std::string(param.name),
                   base::Struct{{"desc", full_help(param)}, {"type", type_text(param.types)}});
  return nil_if_empty(std::move(members));
}

base::Value substitutes_value(const JobDescriptor& job) {
  base::Struct members;
  for (const Substitute& substitute : job.substitutes)
    members.append(std::string(substitute.name), names(substitute.instead));
  return nil_if_empty(std::move(members));
}

base::Value examples_value(const JobDescriptor& job) {
  base::Array examples;
  for (const std::string_view text : job.examples)
    if (auto example = base::parse_json(text)) examples.push_back(std::move(*example));
  return examples;
}

base::Value completions_value(const JobDescriptor& job) {
  base::Struct members;
  for (const auto& params : {job.mandatory, job.optional})
    for (const Param& param : params)
      if (param.completion != Completion::none)
        members.append(std::string(param.name), completion_name(param.completion));
  return members;
}

base::Value choices_value(const JobDescriptor& job) {
  base::Struct members;
  for (const auto& params : {job.mandatory, job.optional})
    for (const Param& param : params)
      if (!param.choices.empty()) members.append(std::string(param.name), names(param.choices));
  return members;
}

std::string code_list(std::span<const std::string_view> list) {
  std::string text;
  for (const std::string_view name : list) {
    if (!text.empty()) text += ", ";
    text += name == kSelf    ? "the user concerned"
            : name == kOwner ? "the owner"
                             : "`" + std::string(name) + "`";
  }
  return text.empty() ? "none" : text;
}

std::string plain_types(unsigned types) {
  static constexpr std::pair<TypeSet, std::string_view> kNames[] = {{kString, "string"}, {kInt, "integer"},
                                                                    {kReal, "number"},   {kBool, "boolean"},
                                                                    {kList, "list"},     {kDict, "struct"}};
  std::vector<std::string> list;
  for (const auto& [type, name] : kNames)
    if ((types & type) != 0) list.emplace_back(name);
  return base::join(list, " or ");
}

// Text inside a table cell.
std::string cell(std::string_view text) {
  std::string safe;
  for (const char c : text) safe += c == '|' ? std::string("\\|") : std::string(1, c);
  return safe;
}

std::string params_markdown(const JobDescriptor& job) {
  if (job.mandatory.empty() && job.optional.empty()) return "No parameters.\n\n";
  std::string text = "| parameter | type | | meaning |\n| --- | --- | --- | --- |\n";
  const auto rows = [&](std::span<const Param> params, std::string_view need) {
    for (const Param& param : params)
      text += "| `" + std::string(param.name) + "` | " + plain_types(param.types) + " | " +
              std::string(need) + " | " + cell(full_help(param)) + " |\n";
  };
  rows(job.mandatory, "mandatory");
  rows(job.optional, "optional");
  text += '\n';
  for (const Substitute& substitute : job.substitutes)
    text += "Instead of `" + std::string(substitute.name) + "`: " + code_list(substitute.instead) + ".\n\n";
  return text;
}

std::string job_markdown(const JobDescriptor& job) {
  std::string text = "## " + std::string(job.name) + "\n\n" + std::string(job.help) + "\n\n";
  if (!job.long_help.empty()) text += std::string(job.long_help) + "\n\n";
  text += "Kind: " + std::string(kind_name(job.kind)) + ". Allowed users: " + code_list(job.users) +
          ". Allowed groups: " + code_list(job.groups) + ".\n\n";
  text += params_markdown(job);
  text += "Result: " + (job.returns.empty() ? std::string("no output") : std::string(job.returns)) + ".\n\n";
  for (const std::string_view example : job.examples)
    text += "    confd_client " + std::string(job.name) +
            (example == "{}" ? std::string() : " -a '" + std::string(example) + "'") + "\n";
  if (!job.examples.empty()) text += '\n';
  return text;
}

}  // namespace

std::string type_text(unsigned types) {
  std::vector<std::string> classes;
  const auto add = [&](TypeSet type, std::initializer_list<const char*> names_of_type) {
    if ((types & type) == 0) return;
    for (const char* name : names_of_type) classes.push_back(std::string("<class '") + name + "'>");
  };
  add(kString, {"str"});
  add(kInt, {"int"});
  add(kReal, {"int", "float"});
  add(kBool, {"bool"});
  add(kList, {"list", "tuple"});
  add(kDict, {"dict"});
  if (types == kString) return "(<class 'str'>,)";
  if (classes.size() == 1) return classes.front();
  return "(" + base::join(classes, ", ") + ")";
}

base::Value job_desc(const JobDescriptor& job) {
  base::Array payload;
  payload.emplace_back(job.help);
  payload.push_back(params_value(job.mandatory));
  payload.push_back(params_value(job.optional));
  payload.push_back(substitutes_value(job));
  payload.push_back(names(job.users));
  payload.push_back(names(job.groups));
  payload.push_back(examples_value(job));
  payload.emplace_back(kind_name(job.kind));
  payload.emplace_back(job.returns);
  payload.push_back(completions_value(job));
  payload.push_back(choices_value(job));
  payload.push_back(job.long_help.empty() ? base::Value() : base::Value(job.long_help));
  return payload;
}

std::string job_help(const JobDescriptor& job) {
  return "Description: " + base::python_repr(job.help) + "\nMandatory parameters:\n" +
         base::python_pformat(params_value(job.mandatory)) + "\nOptional parameters:\n" +
         base::python_pformat(params_value(job.optional)) + "\nSubstitute parameters:\n" +
         base::python_pformat(substitutes_value(job)) +
         "\nAllowed users:" + base::python_repr(names(job.users)) +
         "\nAllowed groups:" + base::python_repr(names(job.groups));
}

base::Value job_args(const JobDescriptor& job) {
  base::Array args;
  const auto add = [&](std::span<const Param> params, bool mandatory) {
    for (const Param& param : params)
      args.push_back(base::Struct{
          {"name", param.name},
          {"mandatory", mandatory},
          {"type", type_text(param.types)},
          {"desc", param.help},
          {"default", param.default_text.empty() ? base::Value() : base::Value(param.default_text)},
          {"choices", names(param.choices)},
          {"completion", completion_name(param.completion)}});
  };
  add(job.mandatory, true);
  add(job.optional, false);
  return args;
}

std::string jobs_markdown() {
  std::string text =
      "# Jobs\n\n"
      "Made from the job descriptors by `jobs_doc` (`cmake --build build --target jobs_doc`, then\n"
      "`build/bin/jobs_doc > docs/jobs.md`); a test compares. Do not edit by hand.\n\n"
      "A user may run a job when he is named in it or belongs, by his primary or an additional group, to "
      "one\n"
      "of its groups. Numbers may be given as text. Parameters that a job does not know are ignored with a\n"
      "warning in the job file. Result codes: [result-codes.md](result-codes.md).\n\n"
      "| job | kind | |\n| --- | --- | --- |\n";
  for (const JobDescriptor* job : all_jobs())
    text += "| [" + std::string(job->name) + "](#" + std::string(job->name) + ") | " +
            std::string(kind_name(job->kind)) + " | " + cell(job->help) + " |\n";
  text += '\n';
  for (const JobDescriptor* job : all_jobs()) text += job_markdown(*job);
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace confd::jobs
