#include "daemon/client/commands.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/yaml.h"
#include "daemon/client/completion.h"
#include "daemon/client/connection.h"
#include "daemon/client/file_substitution.h"
#include "daemon/client/history.h"
#include "daemon/client/output.h"
#include "daemon/client/parameters.h"
#include "daemon/client/waiting.h"

namespace confd::client {
namespace {

using base::Struct;
using base::Value;

constexpr std::int64_t kUnknownJob = 4;  // base::Code::unknown_job

void write_all(int file, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(file, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Failure{kFailed, {}};  // nobody reads any more
    at += static_cast<std::size_t>(written);
  }
}
void print(const std::string& text) {
  write_all(STDOUT_FILENO, text);
}

std::string text_member(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member && member->is_string() ? member->as_string() : std::string();
}

// NAME: DESCRIPTION; an unknown job is said without a name (spec/confd_client.md §4).
std::string failure_text(const Value& envelope) {
  const std::string name = text_member(envelope, "result_name");
  const std::string text = text_member(envelope, "result_desc");
  const Value* code = envelope.find("result_code");
  if (name.empty() || (code->is_int() && code->as_int() == kUnknownJob))
    return text.empty() ? "the job failed" : text;
  return name + ": " + text;
}

bool is_envelope(const Value& value) {
  return value.find("result_code") != nullptr;
}

void require_success(const Value& envelope) {
  const Value* code = envelope.find("result_code");
  if (!code || !code->is_int() || code->as_int() != 0) throw Failure{kFailed, failure_text(envelope)};
}

// -v: the envelope and the job's record.
void print_verbose(Confd& confd, const Value& envelope, Format format) {
  Struct all = envelope.as_struct();
  const std::string id = text_member(envelope, "result_jobid");
  if (!id.empty()) {
    const Value info = confd.call("job_info", Struct{{"job_id", id}});
    if (!is_envelope(info)) all.set("job_info", info);  // a volatile job may have no record
  }
  print(render(all, format));
}

int finish(Confd& confd, const Value& envelope, const Options& options) {
  if (!is_envelope(envelope))
    throw Failure{kFailed, "the answer of confd is no job result: " + render(envelope, Format::json)};
  if (options.verbose) {
    print_verbose(confd, envelope, options.format);
    require_success(envelope);
    return kDone;
  }
  require_success(envelope);
  const Value* output = envelope.find("result_output");
  print(output ? render(*output, options.format) : render_ok(options.format));
  return kDone;
}

int run_job_command(Confd& confd, const Options& options, Struct parameters) {
  const Struct request{
      {"params", std::move(parameters)}, {"dry_run", options.dry_run}, {"volatile", options.is_volatile}};
  const std::string& job = *options.command;
  if (options.start) {
    const Value started = confd.call_job("job_start", job, request);
    if (!started.is_string()) {
      require_success(started);
      throw Failure{kFailed, "confd gave no job id for " + job};
    }
    print(render_text(started.as_string(), options.format));
    return kDone;
  }
  // A volatile job is a short read, and leaves nothing behind to ask for.
  const bool display = on_terminal() && !options.is_volatile;
  return finish(confd, display ? run_job_with_display(confd, job, request) : run_job(confd, job, request),
                options);
}

std::string required_argument(const Options& options, std::string_view what) {
  std::string argument = bare_argument(options);
  if (argument.empty())
    throw UsageError{*options.command + " wants " + std::string(what) + ": confd_client " + *options.command +
                     " " + (what == "a job id" ? "11.89" : "db_list")};
  return argument;
}

int list(Confd& confd, const Options& options) {
  print(render(confd.call("job_list", {}), options.format));
  return kDone;
}

int help(Confd& confd, const Options& options) {
  const Value text = confd.call("job_help", Struct{{"name", required_argument(options, "a job")}});
  if (is_envelope(text)) require_success(text);
  if (text.is_string() && text.as_string().starts_with("Job does not exist"))
    throw Failure{kFailed, text.as_string()};
  print(text.is_string() ? render_text(text.as_string(), options.format) : render(text, options.format));
  return kDone;
}

int desc(Confd& confd, const Options& options) {
  const Value answer = confd.call("job_desc", Struct{{"name", required_argument(options, "a job")}});
  if (is_envelope(answer)) require_success(answer);
  // [ok, payload]
  if (answer.is_array() && answer.as_array().size() == 2 && answer.as_array()[0].is_bool()) {
    const Value& payload = answer.as_array()[1];
    if (!answer.as_array()[0].as_bool())
      throw Failure{kFailed, payload.is_string() ? payload.as_string() : render(payload, Format::json)};
    print(render(payload, options.format));
  } else {
    print(render(answer, options.format));
  }
  return kDone;
}

int args(Confd& confd, const Options& options) {
  const Value answer = confd.call("job_args", Struct{{"name", required_argument(options, "a job")}});
  if (is_envelope(answer)) require_success(answer);
  print(render(answer, options.format));
  return kDone;
}

int result(Confd& confd, const Options& options) {
  return finish(confd, confd.call("job_result", Struct{{"job_id", required_argument(options, "a job id")}}),
                options);
}

int stop(Confd& confd, const Options& options) {
  return finish(confd, confd.call("job_stop", Struct{{"job_id", required_argument(options, "a job id")}}),
                options);
}

int master(Confd& confd, const Options& options) {
  print(render_text(confd.get("/master"), options.format));
  return kDone;
}

// The output of a read job, or nothing (and why, on stderr) when it fails.
std::optional<Value> read_output(Confd& confd, const std::string& job) {
  const Value envelope =
      confd.call_job("job_exec", job, Struct{{"params", Struct{}}, {"dry_run", false}, {"volatile", true}});
  const Value* code = envelope.find("result_code");
  const Value* output = envelope.find("result_output");
  if (code && code->is_int() && code->as_int() == 0 && output) return *output;
  write_all(STDERR_FILENO, job + ": " + failure_text(envelope) + "\n");
  return std::nullopt;
}

int info(Confd& confd, const Options& options) {
  Struct all{{"master", confd.get("/master")}};
  if (auto nodes = read_output(confd, "node_list")) all.append("nodes", std::move(*nodes));
  if (auto states = read_output(confd, "node_state")) all.append("state", std::move(*states));
  print(render(all, options.format));
  return kDone;
}

int history(Confd& confd, const Options& options) {
  const Value rows = confd.call("job_history", history_request(options.history, base::system_clock().now()));
  if (is_envelope(rows)) require_success(rows);
  const bool table = !options.format_given && ::isatty(STDOUT_FILENO) == 1;
  print(table ? history_table(rows) : render(rows, options.format));
  return kDone;
}

using Command = int (*)(Confd&, const Options&);
constexpr std::pair<std::string_view, Command> kCommands[] = {
    {"list", list}, {"help", help},     {"desc", desc}, {"args", args},       {"result", result},
    {"stop", stop}, {"master", master}, {"info", info}, {"history", history},
};

Command built_in(std::string_view name) {
  for (const auto& [command, function] : kCommands)
    if (command == name) return function;
  return nullptr;
}

}  // namespace

std::string root_of(const Options& options) {
  if (options.root) return *options.root;
  const char* root = std::getenv("CONFD_ROOT");
  return root && *root ? root : "/exa";
}

int run_command(const Options& options) {
  if (options.platform_reference)
    throw UsageError{
        "SaaS platforms are not available on this system; leave -s out to use this node's confd"};
  if (const Command command = built_in(*options.command)) {
    if (*options.command == "history")
      static_cast<void>(history_request(options.history, base::system_clock().now()));  // usage errors first
    Confd confd = Confd::connect(root_of(options), options.user);
    return command(confd, options);
  }
  Struct parameters = job_parameters(options);
  substitute_files(parameters, read_parameter_file);
  Confd confd = Confd::connect(root_of(options), options.user);
  return run_job_command(confd, options, std::move(parameters));
}

int run_program(const std::vector<std::string>& arguments) {
  try {
    const Options options = parse_options(arguments);
    if (options.complete) {
      print(complete(options));
      return kDone;
    }
    if (options.help || arguments.empty()) {
      print(help_text());
      return kDone;
    }
    if (options.version) {
      print("confd_client " CONFD_VERSION "\n");
      return kDone;
    }
    if (options.completion) {
      print(completion_script(*options.completion));
      return kDone;
    }
    return run_command(options);
  } catch (const UsageError& error) {
    write_all(STDERR_FILENO, usage_line() + "confd_client: error: " + error.text + "\n");
    return kWrongUsage;
  } catch (const Failure& failure) {
    if (!failure.text.empty()) write_all(STDERR_FILENO, failure.text + "\n");
    return failure.exit_code;
  }
}

}  // namespace confd::client
