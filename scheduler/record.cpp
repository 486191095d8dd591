#include "scheduler/record.h"

#include <algorithm>
#include <ctime>

#include "base/json_text.h"
#include "base/text.h"
#include "base/utc_text.h"
#include "jobs/catalogue.h"
#include "jobs/descriptor.h"

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

// The two forms a record is described in: a Value, and JSON text. describe() says once what is in it.
class ValueSink {
 public:
  ValueSink() { open_.emplace_back(); }
  template <class T>
  void member(std::string_view name, const T& value) {
    open_.back().append(std::string(name), Value(value));
  }
  void time(std::string_view name, WallTime time) { member(name, base::format_utc(time)); }
  template <class Fill>
  void structure(std::string_view name, Fill fill) {
    open_.emplace_back();
    fill();
    Struct filled = std::move(open_.back());
    open_.pop_back();
    open_.back().append(std::string(name), std::move(filled));
  }
  template <class Items, class Fill>
  void array(std::string_view name, const Items& items, Fill fill) {
    Array filled;
    for (const auto& item : items) {
      open_.emplace_back();
      fill(item);
      filled.push_back(std::move(open_.back()));
      open_.pop_back();
    }
    open_.back().append(std::string(name), std::move(filled));
  }
  void texts(std::string_view name, const std::vector<std::string>& items) {
    open_.back().append(std::string(name), scheduler::texts(items));
  }
  Value take() { return std::move(open_.back()); }

 private:
  std::vector<Struct> open_;  // those that are being filled, innermost last
};

class JsonSink {
 public:
  // Most records are shorter.
  explicit JsonSink(std::string& out) : json_(out, 1400) { json_.raw('{'); }
  void member(std::string_view name, std::string_view text) {
    key(name);
    json_.text(text);
  }
  void member(std::string_view name, const std::string& text) { member(name, std::string_view(text)); }
  void member(std::string_view name, bool flag) {
    key(name);
    json_.raw(flag ? std::string_view("true") : std::string_view("false"));
  }
  void member(std::string_view name, int number) { member(name, static_cast<std::int64_t>(number)); }
  void member(std::string_view name, std::int64_t number) {
    key(name);
    json_.integer(number);
  }
  void member(std::string_view name, const Value& value) {
    key(name);
    json_.value(value);
  }
  void member(std::string_view name, const Struct& value) {
    key(name);
    json_.structure(value);
  }
  void time(std::string_view name, WallTime time) {
    key(name);
    json_.raw('"');
    json_.raw(base::utc_text(time));
    json_.raw('"');
  }
  template <class Fill>
  void structure(std::string_view name, Fill fill) {
    key(name);
    open('{');
    fill();
    close('}');
  }
  template <class Items, class Fill>
  void array(std::string_view name, const Items& items, Fill fill) {
    key(name);
    open('[');
    for (const auto& item : items) {
      separate();
      open('{');
      fill(item);
      close('}');
    }
    close(']');
  }
  void texts(std::string_view name, const std::vector<std::string>& items) {
    key(name);
    open('[');
    for (const std::string& item : items) {
      separate();
      json_.text(item);
    }
    close(']');
  }
  void finish() { json_.raw('}'); }

 private:
  void separate() {
    if (!first_) json_.raw(',');
    first_ = false;
  }
  // Names of items are ours: short, and nothing in them needs an escape.
  [[gnu::always_inline]] void key(std::string_view name) {
    json_.key(name, first_);
    first_ = false;
  }
  void open(char bracket) {
    json_.raw(bracket);
    first_ = true;
  }
  void close(char bracket) {
    json_.raw(bracket);
    first_ = false;
  }

  base::JsonText json_;
  bool first_ = true;
};

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

namespace {

bool has_secret_result(const JobRecord& record) {
  const jobs::JobDescriptor* job = jobs::find_job(record.job);
  return job != nullptr && job->secret_result;
}

// The result as others than its caller may read it.
Value shown_output(const JobRecord& record) {
  const Struct shown = jobs::mask_secrets(nullptr, Struct{{"output", *record.output}});
  return *shown.find("output");
}

template <class Sink>
void describe_envelope(const JobRecord& record, Sink& sink, bool with_secrets = true) {
  const Code code = record.ended ? record.code : Code::not_finished;
  sink.member("result_code", static_cast<int>(code));
  sink.member("result_name", base::code_name(code));
  sink.member("result_desc", record.ended ? record.text
                                          : "Job " + record.id.text() + " has not finished yet, it is " +
                                                std::string(stage_name(record.stage)));
  sink.member("result_jobid", record.id.text());
  if (record.ended && record.published && record.stage == Stage::committed)
    sink.member("result_revision", record.published->revision);
  if (!record.ended || !record.output) return;
  if (with_secrets || !has_secret_result(record)) return sink.member("result_output", *record.output);
  sink.member("result_output", shown_output(record));
}

template <class Sink>
void describe(const JobRecord& r, Sink& sink) {
  sink.member("job_id", r.id.text());
  sink.member("job", r.job);
  sink.member("intent",
              r.kind == jobs::JobKind::read ? std::string_view("read") : std::string_view("modify"));
  sink.member("user", r.user);
  sink.member("login", r.login);
  // Read jobs run beside everything; modify jobs beside those that hold none of their locks.
  const bool parallel = r.kind == jobs::JobKind::read || r.locks.empty();
  sink.member("scheduling_mode", parallel ? std::string_view("parallel") : std::string_view("locked"));
  sink.member("dry_run", r.dry_run);
  sink.member("volatile", r.is_volatile);
  sink.member("params", r.params);
  sink.member("params_masked", r.params_masked);
  sink.member("request", r.request);
  sink.member("stage", stage_name(r.stage));
  sink.structure("times", [&] {
    for (std::size_t i = 0; i < kStages; ++i)
      if (r.times[i] != WallTime()) sink.time(kStageNames[i], r.times[i]);
  });
  sink.structure("scheduling", [&] {
    sink.texts("locks", r.locks);
    sink.member("decision", r.scheduling);
  });
  if (!r.progress.empty() || r.percent)
    sink.structure("progress", [&] {
      sink.member("text", r.progress);
      sink.member("percent", r.percent ? Value(*r.percent) : Value());
    });
  sink.array("commands", r.commands, [&](const jobs::CommandRecord& command) {
    sink.member("command", command.name);
    sink.member("node", command.node);
    sink.member("arguments", command.arguments);
    sink.time("started", command.started);
    sink.time("ended", command.ended);
    sink.member("result_code", command.exit);
    sink.member("output", command.output);
  });
  sink.texts("warnings", r.warnings);
  if (r.published) {
    sink.member("base_revision", r.published->base_revision);
    sink.member("revision", r.published->revision);
    sink.member("written_revision", r.published->written_revision);
    sink.member("written_checksum", r.published->written_checksum);
  }
  if (!r.diff.is_null()) sink.member("changes", r.diff);
  sink.member("ended", r.ended);
  if (r.ended) sink.structure("result", [&] { describe_envelope(r, sink, false); });
}

}  // namespace

Value envelope(const JobRecord& record) {
  ValueSink sink;
  describe_envelope(record, sink);
  return sink.take();
}

Value envelope_for_others(const JobRecord& record) {
  ValueSink sink;
  describe_envelope(record, sink, false);
  return sink.take();
}

void for_each_in_envelope(const JobRecord& record,
                          const std::function<void(std::string_view name, const Value& value)>& each) {
  struct Sink {
    const std::function<void(std::string_view, const Value&)>& each;
    void member(std::string_view name, const Value& value) { each(name, value); }
  } sink{each};
  describe_envelope(record, sink);
}

Value refusal(Code code, std::string text) {
  return Struct{{"result_code", static_cast<int>(code)},
                {"result_name", base::code_name(code)},
                {"result_desc", std::move(text)},
                {"result_jobid", ""}};
}

Value to_value(const JobRecord& record) {
  ValueSink sink;
  describe(record, sink);
  return sink.take();
}

void append_record_json(std::string& out, const JobRecord& record) {
  JsonSink sink(out);
  describe(record, sink);
  sink.finish();
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
