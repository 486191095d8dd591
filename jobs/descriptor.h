// JobDescriptor: a job as data. One constant beside its function, in a family file; job_list, job_desc,
// job_help, parameter checks, substitutes, permissions, docs/jobs.md and shell completion all come from it.
// Facts: spec/jobs/*.yaml.
//
// Thread-safety: constants.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "jobs/lock.h"

namespace confd::exaconf {
class Config;
}

namespace confd::jobs {

class JobContext;

enum class JobKind { read, modify };

// Types a parameter accepts, as a set: kString | kInt. A number given as text is taken where kInt is asked
// ("several jobs take numbers as strings", spec/rpc.md §4), a number is taken as text where only kString is
// asked; a bool never stands for a number. Text "true"/"false"... is not a bool.
enum TypeSet : unsigned { kString = 1, kInt = 2, kBool = 4, kList = 8, kDict = 16, kReal = 32 };

enum class Completion { none, job, user, group, database, volume, node, bucketfs };

struct Param {
  std::string_view name;
  unsigned types = kString;
  std::string_view help;
  std::string_view default_text =
      {};  // shown in help only; the handler applies it through JobContext::param_or
  std::span<const std::string_view> choices = {};  // allowed texts, empty = any
  Completion completion = Completion::none;
  bool secret = false;  // masked in records and logs
};

// `name` may be given as one of `instead` (user_info: username <-> userid).
struct Substitute {
  std::string_view name;
  std::span<const std::string_view> instead;
};

// A name that published examples use for `name` without declaring it (log_collect: end_time = stop_time):
// taken without a warning, shown nowhere.
struct Alias {
  std::string_view name;
  std::string_view alias;
};

struct JobDescriptor {
  std::string_view name;
  std::string_view help;            // one line
  std::string_view long_help = {};  // Markdown, optional
  JobKind kind = JobKind::read;
  std::span<const Param> mandatory = {};
  std::span<const Param> optional = {};
  std::span<const Substitute> substitutes = {};
  std::span<const Alias> aliases = {};
  std::span<const std::string_view> users = {};     // allowed_users
  std::span<const std::string_view> groups = {};    // allowed_groups
  std::span<const std::string_view> examples = {};  // each a JSON text of `params`
  std::string_view returns = {};                    // what result_output holds, for docs; empty = no output
  // Locks the job needs, sorted by the scheduler. Parameters are checked before.
  std::vector<Lock> (*locks)(const base::Struct& params) = nullptr;
  // May look, changes nothing, may run again (dry run, retries). Throws JobError.
  void (*check)(JobContext& context) = nullptr;
  // Does it. Edits of EXAConf go to context.transaction(); the scheduler publishes them afterwards. An absent
  // result means no result_output.
  std::optional<base::Value> (*execute)(JobContext& context) = nullptr;
  // Everything the job does is in its transaction: a dry run then executes it and shows the difference
  // without publishing.
  bool config_only = false;
  // It puts edits in force before it ends (JobContext::publish_now): a failure does not mean that EXAConf is
  // as it was.
  bool publishes_early = false;
  // Its result holds secrets (passwords that clients read there): on disk and in job_info they are "***".
  bool secret_result = false;
  // For "_owner" in `users`: uid of who owns what the parameters name; nothing when it is not there. The
  // parameters are as the caller gave them, unchecked.
  std::optional<std::int64_t> (*owner)(const exaconf::Config& config, const base::Struct& params) = nullptr;
};

// Parameters as the handler sees them: declared ones only, aliases resolved, types converted, null = not
// given. A mandatory one may be absent when one of its substitutes is there.
struct CheckedParams {
  base::Struct params;
  std::vector<std::string> warnings;  // unknown parameters: accepted, noted in the job file
};
// Errors: Code::bad_parameter naming the parameter, what came and what is wanted.
base::Result<CheckedParams> check_params(const JobDescriptor& job, const base::Value& given);

// The parameters with secret ones (declared, or named like passwords, keys, tokens; URLs with credentials) as
// "***", for records and logs.
base::Struct mask_secrets(const JobDescriptor* job, const base::Struct& params);

}  // namespace confd::jobs
