// RPC methods that run jobs and tell what became of them.
#include <cmath>
#include <ctime>

#include "base/text.h"
#include "daemon/rpc_families.h"
#include "scheduler/record.h"

namespace confd::daemon {

using base::Array;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;
using scheduler::JobId;
using scheduler::RecordPtr;

const Value* argument(const RpcCall& call, std::size_t position, std::string_view name) {
  for (const Value& value : call.arguments)
    if (const Value* member = value.find(name)) return member;
  if (position < call.arguments.size() && !call.arguments[position].is_struct())
    return &call.arguments[position];
  return nullptr;
}

std::optional<std::string> text_argument(const RpcCallPtr& call, std::size_t position,
                                         std::string_view name) {
  const Value* value = argument(*call, position, name);
  if (value && value->is_string()) return value->as_string();
  call->fault({RpcFault::Kind::bad_arguments,
               "<class 'TypeError'>:" + call->method + "() wants '" + std::string(name) + "' as a string" +
                   (value ? ", not as " + std::string(base::type_name(value->type())) : "")});
  return std::nullopt;
}

std::optional<JobId> job_id_argument(const RpcCallPtr& call) {
  const auto text = text_argument(call, 0, "job_id");
  if (!text) return std::nullopt;
  const auto id = JobId::parse(*text);
  if (!id)
    call->reply(
        scheduler::refusal(Code::unknown_job_id, "'" + *text + "' is no job id; one looks like 11.89"));
  return id;
}

bool may_see(const auth::Identity& who, const std::string& owner) {
  return who.user == owner || who.user == "root" || who.in("exaadm");
}

namespace {

bool is_true(const Value* value) {
  if (!value) return false;
  if (value->is_bool()) return value->as_bool();
  return value->is_int() && value->as_int() != 0;
}

scheduler::Submission submission(const RpcCallPtr& call, std::string job, const Value* options) {
  scheduler::Submission s;
  s.job = std::move(job);
  if (options) {
    if (const Value* params = options->find("params")) s.params = *params;
    s.dry_run = is_true(options->find("dry_run"));
    s.is_volatile = is_true(options->find("volatile"));
    // Scripts may send more than we know; but a misspelt `dryrun` must leave a trace.
    for (const auto& [name, value] : options->as_struct())
      if (name != "params" && name != "dry_run" && name != "volatile")
        s.warnings.push_back("unknown option '" + name + "' beside params was ignored");
  }
  s.caller = call->caller;
  s.request = std::move(call->request);
  return s;
}

// job_exec(name), job_exec(name, options), and in the JSON form options that are the second argument.
const Value* options_of(const RpcCallPtr& call) {
  if (call->arguments.size() < 2) return nullptr;
  const Value& options = call->arguments[1];
  return options.is_struct() ? &options : nullptr;
}

bool options_are_fine(const RpcCallPtr& call) {
  if (call->arguments.size() < 2 || call->arguments[1].is_null()) return true;
  if (call->arguments[1].is_struct()) {
    // Taken for false, a dry run written as text would be carried out.
    for (const std::string_view name : {"dry_run", "volatile"})
      if (const Value* flag = call->arguments[1].find(name);
          flag && !flag->is_bool() && !flag->is_int() && !flag->is_null()) {
        call->fault({RpcFault::Kind::bad_arguments, "<class 'TypeError'>:" + call->method + "() wants '" +
                                                        std::string(name) + "' as a boolean, not as " +
                                                        std::string(base::type_name(flag->type()))});
        return false;
      }
    return true;
  }
  call->fault({RpcFault::Kind::bad_arguments,
               "<class 'TypeError'>:" + call->method +
                   "() wants its options as a struct such as {'params': {...}}, not as " +
                   std::string(base::type_name(call->arguments[1].type()))});
  return false;
}

void exec(const RpcCallPtr& call, scheduler::Submission s, RpcServices& services) {
  call->note = s.job;
  services.scheduler.submit(
      std::move(s),
      [call](Result<JobId> accepted) {
        if (!accepted) call->reply(scheduler::refusal(accepted.error().code, accepted.error().text));
      },
      [call](RecordPtr record) {
        call->note += ' ';
        call->note += record->id.text();
        call->reply(*record);
      });
}

void job_exec(const RpcCallPtr& call, RpcServices& services) {
  const auto job = text_argument(call, 0, "job_name");
  if (job && options_are_fine(call)) exec(call, submission(call, *job, options_of(call)), services);
}

void job_start(const RpcCallPtr& call, RpcServices& services) {
  const auto job = text_argument(call, 0, "job_name");
  if (!job || !options_are_fine(call)) return;
  call->note = *job;
  services.scheduler.submit(
      submission(call, *job, options_of(call)),
      [call](Result<JobId> accepted) {
        if (!accepted) return call->reply(scheduler::refusal(accepted.error().code, accepted.error().text));
        call->note += " " + accepted->text();
        call->reply(accepted->text());
      },
      nullptr);
}

// Finds a job the caller may see, then goes on; answers with an envelope otherwise.
void with_record(const RpcCallPtr& call, RpcServices& services, bool fetched,
                 std::function<void(RecordPtr)> then) {
  const auto id = job_id_argument(call);
  if (!id) return;
  call->note = id->text();
  services.scheduler.find(
      *id, false, [call, fetched, then = std::move(then), &services](Result<RecordPtr> found) {
        if (!found) return call->reply(scheduler::refusal(found.error().code, found.error().text));
        const RecordPtr record = *found;
        if (!may_see(*call->caller, record->user))
          return call->reply(scheduler::refusal(
              Code::forbidden,
              "Job " + record->id.text() +
                  " belongs to another user; only that user, root and members of exaadm may see it"));
        if (fetched && record->ended) services.scheduler.find(record->id, true, [](Result<RecordPtr>) {});
        then(record);
      });
}

void job_result(const RpcCallPtr& call, RpcServices& services) {
  with_record(call, services, true, [call](const RecordPtr& record) { call->reply(*record); });
}

void job_info(const RpcCallPtr& call, RpcServices& services) {
  with_record(call, services, false,
              [call](const RecordPtr& record) { call->reply(scheduler::to_value(*record)); });
}

void job_finished(const RpcCallPtr& call, RpcServices& services) {
  with_record(call, services, false, [call](const RecordPtr& record) { call->reply(record->ended); });
}

void job_wait(const RpcCallPtr& call, RpcServices& services) {
  const Value* given = argument(*call, 1, "timeout");
  double seconds = 60;
  if (given) {
    if (given->is_int())
      seconds = static_cast<double>(given->as_int());
    else if (given->is_real())
      seconds = given->as_real();
    else if (const auto number = given->is_string() ? base::parse_int(given->as_string()) : std::nullopt)
      seconds = static_cast<double>(*number);
    else if (!given->is_null())
      return call->fault({RpcFault::Kind::bad_arguments,
                          "<class 'TypeError'>:job_wait() wants 'timeout' as a number of seconds, not as " +
                              std::string(base::type_name(given->type()))});
  }
  if (!(seconds >= 0)) seconds = 0;
  const auto timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(std::min(seconds, 30.0 * 86400) * 1000));
  with_record(call, services, false, [call, timeout, &services](const RecordPtr& record) {
    if (record->ended) return call->reply(true);
    services.scheduler.wait(record->id, timeout, [call](Result<bool> ended) {
      if (ended)
        call->reply(*ended);
      else
        call->reply(scheduler::refusal(ended.error().code, ended.error().text));
    });
  });
}

void job_stop(const RpcCallPtr& call, RpcServices& services) {
  with_record(call, services, false, [call, &services](const RecordPtr& record) {
    if (record->ended)
      return call->reply(
          scheduler::refusal(Code::wrong_state, "Job " + record->id.text() + " has ended already"));
    const Status stopped = services.scheduler.stop_job(record->id, call->caller->user);
    if (!stopped) return call->reply(scheduler::refusal(stopped.error().code, stopped.error().text));
    call->reply(Struct{{"result_code", 0},
                       {"result_name", "OK"},
                       {"result_desc", "Success"},
                       {"result_jobid", record->id.text()}});
  });
}

// "2026-11-22", "2026-11-22 01:02:03", "2026-11-22T01:02:03Z": UTC.
std::optional<base::WallTime> parse_time(const std::string& text) {
  std::tm tm{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%d", &tm);
  if (!rest) return std::nullopt;
  if (*rest == ' ' || *rest == 'T') {
    rest = ::strptime(rest + 1, "%H:%M:%S", &tm);
    if (!rest) return std::nullopt;
    if (*rest == '.')
      for (++rest; *rest >= '0' && *rest <= '9';) ++rest;
    if (*rest == 'Z') ++rest;
  }
  if (*rest) return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&tm));
}

void job_history(const RpcCallPtr& call, RpcServices& services) {
  scheduler::HistoryFilter filter;
  const Value* options = call->arguments.empty() ? nullptr : &call->arguments[0];
  const auto wrong = [&](const std::string& text) {
    call->fault({RpcFault::Kind::bad_arguments, "<class 'ValueError'>:job_history() " + text});
  };
  if (options && options->is_struct()) {
    for (const auto& [name, value] : options->as_struct()) {
      if (value.is_null()) continue;
      if (name == "limit") {
        if (!value.is_int() || value.as_int() < 1 || value.as_int() > 10'000)
          return wrong("wants 'limit' from 1 to 10000");
        filter.limit = static_cast<std::size_t>(value.as_int());
        continue;
      }
      if (!value.is_string()) return wrong("wants '" + name + "' as a string");
      const std::string& text = value.as_string();
      if (name == "state") {
        if (!scheduler::parse_stage(text) && text != "failed" && text != "running")
          return wrong("knows no state '" + text +
                       "': submitted, scheduled, executed, finished, committed, failed or running");
        filter.state = text;
      } else if (name == "user") {
        filter.user = text;
      } else if (name == "job") {
        filter.job = text;
      } else if (name == "since" || name == "until") {
        const auto time = parse_time(text);
        if (!time) return wrong("wants '" + name + "' as 2026-11-22 13:00:00 (UTC)");
        (name == "since" ? filter.since : filter.until) = time;
      } else {
        return wrong("knows no filter '" + name + "': state, user, job, since, until, limit");
      }
    }
  }
  // Others see only their own jobs.
  if (!may_see(*call->caller, "")) {
    if (!filter.user.empty() && filter.user != call->caller->user) return call->reply(Array());
    filter.user = call->caller->user;
  }
  services.scheduler.history(std::move(filter), [call](std::vector<RecordPtr> records) {
    Array rows;
    for (const RecordPtr& r : records) {
      Struct row{{"job_id", r->id.text()},
                 {"job", r->job},
                 {"user", r->user},
                 {"stage", scheduler::stage_name(r->stage)}};
      row.append("submitted", base::format_utc(r->time(scheduler::Stage::submitted)));
      base::WallTime last{};
      for (const base::WallTime& time : r->times) last = std::max(last, time);
      if (r->ended) {
        row.append("ended", base::format_utc(last));
        row.append("result_code", static_cast<int>(r->code));
        row.append("result_name", base::code_name(r->code));
        row.append("result_desc", r->text);
      }
      if (r->published && r->stage == scheduler::Stage::committed)
        row.append("revision", r->published->revision);
      rows.push_back(std::move(row));
    }
    call->reply(std::move(rows));
  });
}

constexpr std::string_view kJobArguments[] = {"job_name", "options"};
constexpr std::string_view kIdArguments[] = {"job_id"};
constexpr std::string_view kIdAndOptions[] = {"job_id", "options"};
constexpr std::string_view kHistoryArguments[] = {"filter"};

constexpr RpcMethod kMethods[] = {
    {"job_exec", kJobArguments, 1, "struct job_exec(string job_name, struct options)",
     "Run a job and wait for its result: job_start, job_wait and job_result in one call.\n"
     "@job_name, name of the job, see job_list\n"
     "@options, {'params': {...}, 'dry_run': bool, 'volatile': bool}, may be left out",
     &job_exec},
    {"job_start", kJobArguments, 1, "string job_start(string job_name, struct options)",
     "Start a job and return its id at once.\n"
     "@job_name, name of the job, see job_list\n"
     "@options, {'params': {...}, 'dry_run': bool, 'volatile': bool}, may be left out",
     &job_start},
    {"job_wait", kIdAndOptions, 1, "boolean job_wait(string job_id, struct options)",
     "Wait until a job has ended; False when it has not within the time.\n"
     "@job_id, as job_start returned it\n"
     "@options, {'timeout': seconds}, 60 by default; a job that was given a timeout parameter is waited for "
     "that long",
     &job_wait},
    {"job_finished", kIdArguments, 1, "boolean job_finished(string job_id)",
     "Has the job ended? Does not wait.\n@job_id, as job_start returned it", &job_finished},
    {"job_result", kIdArguments, 1, "struct job_result(string job_id)",
     "The result of a job; result_code 5 while it has not ended.\n@job_id, as job_start returned it",
     &job_result},
    {"job_info", kIdArguments, 1, "struct job_info(struct {job_id})",
     "All that is on record about a job.\n@job_id, the id, or {'job_id': id}", &job_info},
    {"job_stop", kIdArguments, 1, "struct job_stop(string job_id)",
     "End a job that is queued, ask one that runs to stop.\n@job_id, as job_start returned it", &job_stop},
    {"job_history", kHistoryArguments, 0, "array job_history(struct filter)",
     "Recent jobs, newest first.\n@filter, {'state', 'user', 'job', 'since', 'until', 'limit'}, all "
     "optional, limit 100 by default",
     &job_history},
};

}  // namespace

std::span<const RpcMethod> job_methods() {
  return kMethods;
}

void call_job(const RpcCallPtr& call, const std::string& job, Value params, RpcServices& services) {
  const Value options = Struct{{"params", std::move(params)}};
  exec(call, submission(call, job, &options), services);
}

}  // namespace confd::daemon
