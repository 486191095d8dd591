// JobRecord: all there is to know about one job, and its three forms: journal line (JSON), job file (YAML),
// job_info (Value). Items: spec/rpc.md §9. Secrets are masked before they get in here. Thread-safety: a plain
// value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/value.h"
#include "jobs/context.h"
#include "jobs/descriptor.h"
#include "scheduler/job_id.h"

namespace confd::scheduler {

// Stages only move forward. `finished` is the last of a read job, of a failed one and of a dry run;
// `committed` of a modify job that succeeded.
enum class Stage { submitted, scheduled, executed, finished, committed };
std::string_view stage_name(Stage stage);
std::optional<Stage> parse_stage(std::string_view name);

struct JobRecord {
  JobId id;
  std::string job;  // its name: the "intent" says what with: "user_create"
  jobs::JobKind kind = jobs::JobKind::read;
  std::string user;
  std::string login;  // "basic", "token", "cluster-token", "local"
  bool dry_run = false;
  bool is_volatile = false;
  bool waited = false;   // job_exec: nobody knows the id before the end
  base::Struct params;   // masked
  base::Struct request;  // {method, path, remote, protocol, user_agent}
  Stage stage = Stage::submitted;
  base::WallTime times[5] = {};    // per stage; 0 = not reached
  std::vector<std::string> locks;  // "account:alice"
  std::string scheduling_info;     // "started at once", "waited 3 ms for account:alice (11.4)"
  std::string progress;
  std::optional<int> percent;
  std::vector<jobs::CommandRecord> commands;
  std::vector<std::string> warnings;
  std::optional<std::int64_t> base_revision;
  std::optional<std::int64_t> revision;  // set before EXAConf is written; counts once the stage is committed
  std::string revision_checksum;
  base::Value diff;
  bool ended = false;  // has a result
  base::Code code = base::Code::ok;
  std::string text = "Success";       // result_desc
  std::optional<base::Value> output;  // result_output

  base::WallTime time(Stage s) const { return times[static_cast<int>(s)]; }
};

// The result envelope of spec/rpc.md §5; code 5 while not ended.
base::Value envelope(const JobRecord& record);
// job_info, also the content of the job file.
base::Value describe(const JobRecord& record);
std::string render_job_file(const JobRecord& record);

// One journal line without framing, and back. Round-trips everything.
std::string to_journal(const JobRecord& record);
base::Result<JobRecord> from_journal(std::string_view line);

}  // namespace confd::scheduler
