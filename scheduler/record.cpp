#include "scheduler/record.h"

#include <ctime>

#include "base/text.h"

namespace confd::scheduler {

using base::Array;
using base::Code;
using base::Error;
using base::Result;
using base::Struct;
using base::Value;
using base::WallTime;

namespace {

constexpr std::string_view kStageNames[kStages] = {"submitted", "scheduled", "executed", "finished",
                                                   "committed"};

Array texts(const std::vector<std::string>& items) {
  Array array;
  array.reserve(items.size());
  for (const std::string& item : items) array.emplace_back(item);
  return array;
}

std::vector<std::string> texts(const Value* value) {
  std::vector<std::string> items;
  if (value && value->is_array())
    for (const Value& item : value->as_array())
      if (item.is_string()) items.push_back(item.as_string());
  return items;
}

std::string text_of(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member && member->is_string() ? member->as_string() : std::string();
}

bool flag_of(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member && member->is_bool() && member->as_bool();
}

std::int64_t number_of(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member && member->is_int() ? member->as_int() : 0;
}

// The inverse of base::format_utc.
WallTime time_of(const std::string& text) {
  std::tm tm{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
  if (!rest) return {};
  WallTime time = std::chrono::system_clock::from_time_t(::timegm(&tm));
  if (*rest == '.') {
    std::int64_t micros = 0;
    int digits = 0;
    for (++rest; digits < 6 && *rest >= '0' && *rest <= '9'; ++rest, ++digits)
      micros = micros * 10 + (*rest - '0');
    for (; digits < 6; ++digits) micros *= 10;
    time += std::chrono::microseconds(micros);
  }
  return time;
}

Value command_value(const jobs::CommandRecord& command) {
  Struct s;
  s.reserve(7);
  s.append("command", command.name);
  s.append("node", command.node);
  s.append("arguments", command.arguments);
  s.append("started", base::format_utc(command.started));
  s.append("ended", base::format_utc(command.ended));
  s.append("result_code", command.exit);
  s.append("output", command.output);
  return s;
}

jobs::CommandRecord command_of(const Value& value) {
  jobs::CommandRecord command;
  command.name = text_of(value, "command");
  command.node = static_cast<int>(number_of(value, "node"));
  if (const Value* arguments = value.find("arguments")) command.arguments = *arguments;
  command.started = time_of(text_of(value, "started"));
  command.ended = time_of(text_of(value, "ended"));
  command.exit = static_cast<int>(number_of(value, "result_code"));
  if (const Value* output = value.find("output")) command.output = *output;
  return command;
}

}  // namespace

std::string_view stage_name(Stage stage) {
  return kStageNames[static_cast<std::size_t>(stage)];
}

std::optional<Stage> parse_stage(std::string_view name) {
  for (int i = 0; i < kStages; ++i)
    if (kStageNames[i] == name) return static_cast<Stage>(i);
  return std::nullopt;
}

Value envelope(const JobRecord& record) {
  Struct result;
  result.reserve(6);
  const Code code = record.ended ? record.code : Code::not_finished;
  result.append("result_code", static_cast<int>(code));
  result.append("result_name", base::code_name(code));
  result.append("result_desc", record.ended
                                   ? Value(record.text)
                                   : Value("Job " + record.id.text() + " has not finished yet, it is " +
                                           std::string(stage_name(record.stage))));
  result.append("result_jobid", record.id.text());
  if (record.ended && record.published && record.stage == Stage::committed)
    result.append("result_revision", record.published->revision);
  if (record.ended && record.output) result.append("result_output", *record.output);
  return result;
}

Value refusal(Code code, std::string text) {
  return Struct{{"result_code", static_cast<int>(code)},
                {"result_name", base::code_name(code)},
                {"result_desc", std::move(text)},
                {"result_jobid", ""}};
}

Value to_value(const JobRecord& r) {
  Struct s;
  s.reserve(24);
  s.append("job_id", r.id.text());
  s.append("job", r.job);
  s.append("intent", r.kind == jobs::JobKind::read ? "read" : "modify");
  s.append("user", r.user);
  s.append("login", r.login);
  // Read jobs run beside everything; modify jobs beside those that hold none of their locks.
  s.append("scheduling_mode", r.kind == jobs::JobKind::read || r.locks.empty() ? "parallel" : "locked");
  s.append("dry_run", r.dry_run);
  s.append("volatile", r.is_volatile);
  s.append("params", r.params);
  s.append("params_masked", r.params_masked);
  s.append("request", r.request);
  s.append("stage", stage_name(r.stage));
  Struct times;
  for (int i = 0; i < kStages; ++i)
    if (r.times[static_cast<std::size_t>(i)] != WallTime())
      times.append(std::string(kStageNames[i]), base::format_utc(r.times[static_cast<std::size_t>(i)]));
  s.append("times", std::move(times));
  s.append("scheduling", Struct{{"locks", texts(r.locks)}, {"decision", r.scheduling}});
  if (!r.progress.empty() || r.percent)
    s.append("progress", Struct{{"text", r.progress}, {"percent", r.percent ? Value(*r.percent) : Value()}});
  Array commands;
  for (const jobs::CommandRecord& command : r.commands) commands.push_back(command_value(command));
  s.append("commands", std::move(commands));
  s.append("warnings", texts(r.warnings));
  if (r.published) {
    s.append("base_revision", r.published->base_revision);
    s.append("revision", r.published->revision);
    s.append("written_revision", r.published->written_revision);
    s.append("written_checksum", r.published->written_checksum);
  }
  if (!r.diff.is_null()) s.append("changes", r.diff);
  s.append("ended", r.ended);
  if (r.ended) s.append("result", envelope(r));
  return s;
}

Result<JobRecord> from_value(const Value& value) {
  JobRecord r;
  const auto id = JobId::parse(text_of(value, "job_id"));
  const auto stage = parse_stage(text_of(value, "stage"));
  if (!id || !stage) return Error{Code::internal, "this is no job record: it has no job_id or no stage"};
  r.id = *id;
  r.stage = *stage;
  r.job = text_of(value, "job");
  r.kind = text_of(value, "intent") == "modify" ? jobs::JobKind::modify : jobs::JobKind::read;
  r.user = text_of(value, "user");
  r.login = text_of(value, "login");
  r.dry_run = flag_of(value, "dry_run");
  r.is_volatile = flag_of(value, "volatile");
  if (const Value* params = value.find("params"); params && params->is_struct())
    r.params = params->as_struct();
  r.params_masked = flag_of(value, "params_masked");
  if (const Value* request = value.find("request"); request && request->is_struct())
    r.request = request->as_struct();
  if (const Value* times = value.find("times"))
    for (int i = 0; i < kStages; ++i)
      if (const Value* time = times->find(kStageNames[i]); time && time->is_string())
        r.times[static_cast<std::size_t>(i)] = time_of(time->as_string());
  if (const Value* scheduling = value.find("scheduling")) {
    r.locks = texts(scheduling->find("locks"));
    r.scheduling = text_of(*scheduling, "decision");
  }
  if (const Value* progress = value.find("progress")) {
    r.progress = text_of(*progress, "text");
    if (const Value* percent = progress->find("percent"); percent && percent->is_int())
      r.percent = static_cast<int>(percent->as_int());
  }
  if (const Value* commands = value.find("commands"); commands && commands->is_array())
    for (const Value& command : commands->as_array()) r.commands.push_back(command_of(command));
  r.warnings = texts(value.find("warnings"));
  if (value.find("revision"))
    r.published = PublishedAs{number_of(value, "base_revision"), number_of(value, "revision"),
                              number_of(value, "written_revision"), text_of(value, "written_checksum")};
  if (const Value* diff = value.find("changes")) r.diff = *diff;
  r.ended = flag_of(value, "ended");
  if (const Value* result = value.find("result"); result && r.ended) {
    r.code = static_cast<Code>(number_of(*result, "result_code"));
    r.text = text_of(*result, "result_desc");
    if (const Value* output = result->find("result_output")) r.output = *output;
  }
  return r;
}

}  // namespace confd::scheduler
