// JobRecord: all there is to know about one job. Its one outer form is a Value: job_info returns it, job
// files are it in YAML, journal lines are it in JSON. Items: spec/rpc.md §9. Secrets are masked before they
// get in here. Thread-safety: a plain value.
#pragma once

#include <array>
#include <functional>
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

// Stages only move forward. `finished` is the last one of a read job, of a failed one and of a dry run;
// `committed` of a modify job that succeeded (spec/rpc.md §9).
enum class Stage { submitted, scheduled, executed, finished, committed };
inline constexpr int kStages = 5;
std::string_view stage_name(Stage stage);
std::optional<Stage> parse_stage(std::string_view name);

// What a modify job publishes. Known, and durable in the journal, before EXAConf is written.
struct PublishedAs {
  std::int64_t base_revision = 0;  // the revision the edits were applied to
  std::int64_t revision = 0;       // this job's own
  // Jobs that wait together share one write; the file then holds the last of their revisions. Recovery looks
  // for this pair.
  std::int64_t written_revision = 0;
  std::string written_checksum;
};

struct JobRecord {
  JobId id;
  std::string job;  // the job's name
  jobs::JobKind kind = jobs::JobKind::read;
  std::string user;
  std::string login;  // "basic", "token", "cluster-token", "local"
  bool dry_run = false;
  bool is_volatile = false;
  base::Struct params;         // masked
  bool params_masked = false;  // something was masked: the job can't be started again from this record
  base::Struct request;        // {path, method, remote, agent}
  Stage stage = Stage::submitted;
  std::array<base::WallTime, kStages> times{};  // epoch = not reached
  std::vector<std::string> locks;               // "account:alice"
  std::string scheduling;                       // "started at once", "waited for account:alice held by 11.4"
  std::string progress;
  std::optional<int> percent;
  std::vector<jobs::CommandRecord> commands;
  std::vector<std::string> warnings;
  std::optional<PublishedAs> published;
  base::Value diff;
  bool ended = false;  // has a result
  base::Code code = base::Code::ok;
  std::string text = "Success";       // result_desc
  std::optional<base::Value> output;  // result_output

  base::WallTime time(Stage s) const { return times[static_cast<std::size_t>(s)]; }
  void reach(Stage s, base::WallTime now) {
    stage = s;
    base::WallTime& time = times[static_cast<std::size_t>(s)];
    if (time == base::WallTime()) time = now;  // somebody may have seen it
  }
};

// The result envelope of spec/rpc.md §5; code 5 (NotFinished) while there is no result.
base::Value envelope(const JobRecord& record);
// The same for others than the job's caller: without what is secret in the result.
base::Value envelope_for_others(const JobRecord& record);
// The same without the copy of the output: `each` gets the members in order; a value lives until it returns.
void for_each_in_envelope(const JobRecord& record,
                          const std::function<void(std::string_view name, const base::Value& value)>& each);
// An envelope for a call that made no job.
base::Value refusal(base::Code code, std::string text);

base::Value to_value(const JobRecord& record);
// render_json(to_value(record)) at the end of `out`, without the detour: every job is recorded.
void append_record_json(std::string& out, const JobRecord& record);
// Error: Code::internal when it is not what to_value makes.
base::Result<JobRecord> from_value(const base::Value& value);

}  // namespace confd::scheduler
