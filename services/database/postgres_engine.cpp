#include "services/database/postgres_engine.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <utility>

#include "base/file_system.h"
#include "base/program.h"
#include "base/text.h"
#include "services/database/postgres_connection.h"
#include "services/database/postgres_files.h"
#include "services/database/postgres_settings.h"
#include "storage/storage_files.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::ProcessHandle;
using base::Program;
using base::Result;
using base::Status;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds kLook{5};          // between two looks at a server that starts
constexpr milliseconds kToKill{5000};     // for an immediate end before SIGKILL
constexpr milliseconds kToClear{10'000};  // for the guard to clear up

std::string first_start_mark(const InstanceSpec& spec) {
  return spec.folder + "/first_start";
}
std::string lease_path(const InstanceSpec& spec) {
  return spec.run_folder + "/lease";
}
std::string named(const InstanceSpec& spec) {
  return "database '" + spec.database + "'";
}

bool is_there(const std::string& path) {
  return base::system_file_system().status(path).ok();
}

// Debian has one folder for each version.
std::string newest_programs() {
  const std::string root = "/usr/lib/postgresql";
  const auto names = base::system_file_system().list(root);
  std::int64_t newest = 0;
  if (names)
    for (const std::string& name : *names) newest = std::max(newest, base::parse_int(name).value_or(0));
  return root + "/" + std::to_string(newest) + "/bin";
}

// What a program of PostgreSQL's said, in one line.
std::string said(const base::ProgramEnd& end) {
  std::vector<std::string> lines;
  for (const std::string& line : base::split(end.errors, '\n'))
    if (const auto text = base::trim(line); !text.empty()) lines.emplace_back(text);
  if (lines.size() > 4) lines.erase(lines.begin(), lines.end() - 4);
  return base::join(lines, "; ");
}

}  // namespace

std::string_view state_name(InstanceState state) {
  switch (state) {
    case InstanceState::absent:
      return "absent";
    case InstanceState::stopped:
      return "stopped";
    case InstanceState::starting:
      return "starting";
    case InstanceState::running:
      return "running";
    case InstanceState::stopping:
      return "stopping";
  }
  return "";
}

// When a call has to end, however many steps it has.
struct PostgresEngine::Deadline {
  explicit Deadline(const EngineLimits& limits) : until(Clock::now() + limits.timeout), stop(limits.stop) {}
  Deadline(Clock::time_point at, std::stop_token token) : until(at), stop(std::move(token)) {}
  milliseconds left() const {
    return std::max(std::chrono::ceil<milliseconds>(until - Clock::now()), milliseconds(0));
  }
  SqlLimits sql() const { return {until, stop}; }
  base::ProgramLimits program() const {
    base::ProgramLimits limits;
    limits.timeout = left();
    return limits;
  }
  Status may_go_on(const std::string& what) const {
    if (stop.stop_requested()) return Error{Code::stopped, what + ": stopped"};
    if (left() == milliseconds(0)) return Error{Code::timeout, what + ": the time for it has passed"};
    return {};
  }
  // Error as above; ok after `time`, or earlier.
  Status pause(milliseconds time, const std::string& what) const {
    std::mutex mutex;
    std::condition_variable_any woken;
    std::unique_lock lock(mutex);
    woken.wait_for(lock, stop, std::min(time, left()), [] { return false; });
    return may_go_on(what);
  }
  Clock::time_point until;
  std::stop_token stop;
};

PostgresEngine::PostgresEngine(Settings settings) : settings_(std::move(settings)) {
  if (settings_.programs.empty()) settings_.programs = newest_programs();
}

Result<std::string> PostgresEngine::version() {
  const auto end =
      base::run_program({{program("postgres"), "--version"}, {}}, {}, {milliseconds(10'000)}, {});
  if (!end || end->status != 0)
    return Error{Code::not_found,
                 "PostgreSQL is not installed at " + settings_.programs +
                     " (Debian's package postgresql): " + (end ? said(*end) : end.error().text)};
  // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
  std::vector<std::string> words = base::split(std::string(base::trim(end->output)), ' ');
  if (words.size() < 3) return Error{Code::internal, "'" + end->output + "' names no version"};
  return "PostgreSQL " + words[2];
}

// --- create, remove ---

Status PostgresEngine::initialise(const InstanceSpec& spec, const std::string& folder,
                                  const Deadline& deadline) {
  Program initdb{{program("initdb"), "--pgdata=" + folder, "--username=sys", "--auth-local=peer",
                  "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums",
                  "--no-instructions"},
                 base::plain_environment()};
  initdb.user = spec.owner;
  const auto end = base::run_program(initdb, {}, deadline.program(), deadline.stop);
  if (!end) return end.error();
  if (end->why == base::ProgramEnd::Why::exited && end->status == 0) return {};
  if (Status time = deadline.may_go_on("making " + named(spec)); !time) return time;
  return Error{Code::job_error, named(spec) + " could not be made: " + said(*end)};
}

Status PostgresEngine::create(const InstanceSpec& spec, const EngineLimits& limits) {
  const Deadline deadline(limits);
  if (const auto name = owner_name(spec.owner); !name) return name.error();
  const std::string data = data_folder(spec), next = data + ".new";
  if (is_there(data))
    return Error{Code::exists, spec.folder + " holds a database already; db_reset empties it"};
  base::FileSystem& files = base::system_file_system();
  storage::StorageFiles& folders = storage::system_storage_files();
  if (Status done = folders.remove_folder(next, limits.stop); !done) return done;
  if (Status done = make_folder_for(spec.owner, next, 0700); !done) return done;
  if (Status done = initialise(spec, next, deadline); !done) {
    (void)folders.remove_folder(next, {}).ok();  // the next try does it again
    return done;
  }
  if (Status done = base::replace_file(files, first_start_mark(spec), "", 0600); !done) return done;
  if (Status done = files.rename(next, data); !done) return done;
  return files.sync_directory(spec.folder);
}

Status PostgresEngine::remove(const InstanceSpec& spec, const EngineLimits& limits) {
  const InstanceReport now = look(spec);
  if (now.state != InstanceState::absent && now.state != InstanceState::stopped)
    return Error{Code::wrong_state, named(spec) + " is " + std::string(state_name(now.state)) +
                                        "; it must be stopped before it can be removed"};
  storage::StorageFiles& folders = storage::system_storage_files();
  // Out of the way first: what is half removed is no database any more.
  base::FileSystem& files = base::system_file_system();
  const std::string data = data_folder(spec), gone = data + ".gone";
  if (Status done = folders.remove_folder(gone, limits.stop); !done) return done;
  if (is_there(data)) {
    if (Status done = files.rename(data, gone); !done) return done;
    if (Status done = files.sync_directory(spec.folder); !done) return done;
  }
  for (const std::string& folder : {gone, data + ".new", spec.run_folder})
    if (Status done = folders.remove_folder(folder, limits.stop); !done) return done;
  if (!is_there(first_start_mark(spec))) return {};
  return files.remove(first_start_mark(spec));
}

// --- look ---

namespace {

struct Found {
  std::optional<ProcessHandle> server;
  std::string status;  // as in the pid file
};

Found find_server(const std::string& executable, const InstanceSpec& spec) {
  const auto file = read_pid_file(spec);
  if (!file) return {};
  return {ProcessHandle::find(file->process, executable, data_folder(spec)), file->status};
}

}  // namespace

InstanceReport PostgresEngine::look(const InstanceSpec& spec) {
  InstanceReport report;
  if (!is_there(data_folder(spec) + "/PG_VERSION")) return report;
  report.is_standby = is_there(data_folder(spec) + "/standby.signal");
  report.needs_first_start = is_there(first_start_mark(spec));
  const Found found = find_server(program("postgres"), spec);
  if (!found.server) {
    report.state = InstanceState::stopped;
    return report;
  }
  report.process = found.server->id();
  report.state = found.status == "ready" || found.status == "standby" ? InstanceState::running
                 : found.status == "stopping"                         ? InstanceState::stopping
                                                                      : InstanceState::starting;
  return report;
}

// --- start ---

Status PostgresEngine::launch(const InstanceSpec& spec, const Deadline& deadline) {
  const auto name = owner_name(spec.owner);
  if (!name) return name.error();
  const auto settings = postgres_files(spec, *name);
  if (!settings) return settings.error();
  base::FileSystem& files = base::system_file_system();
  if (!is_there(lease_path(spec)))
    return Error{Code::wrong_state, "node has no lease for " + named(spec) + " (" + lease_path(spec) + ")"};
  if (Status done = make_folder_for({base::own_os_user().id, spec.owner.group}, spec.run_folder, 0750); !done)
    return done;
  if (Status done = make_folder_for(spec.owner, socket_folder(spec), 0700); !done) return done;
  if (Status done = make_folder_for(spec.owner, spec.log_folder, 0750); !done) return done;
  for (const auto& [file, text] :
       {std::pair("postgresql.conf", settings->server), std::pair("pg_hba.conf", settings->access),
        std::pair("pg_ident.conf", settings->names)})
    if (Status done = write_for(spec.owner, spec.run_folder + "/" + file, text); !done) return done;
  const std::string start_log = spec.run_folder + "/start.log";
  if (auto emptied = files.create(start_log, 0600); !emptied) return emptied.error();
  if (Status time = deadline.may_go_on("starting " + named(spec)); !time) return time;
  Program guard{{settings_.guard, lease_path(spec), program("postgres"), "-D", data_folder(spec), "-c",
                 "config_file=" + spec.run_folder + "/postgresql.conf"},
                base::plain_environment()};
  guard.user = spec.owner;
  const auto started = base::start_detached(guard, start_log);
  if (!started) return started.error();
  // Until the server has written its pid file, the guard tells whether it will.
  const std::string what = "starting " + named(spec);
  for (;;) {
    const auto running = ProcessHandle::find(*started, settings_.guard, lease_path(spec));
    const InstanceReport now = look(spec);
    if (now.state == InstanceState::running) return {};
    if (!running && now.state == InstanceState::stopped)
      return Error{Code::job_error, named(spec) + " did not start"};
    if (Status time = deadline.pause(kLook, what); !time) return time;
  }
}

Status PostgresEngine::wait_until_ready(const InstanceSpec& spec, const Deadline& deadline) {
  for (;;) {
    const InstanceReport now = look(spec);
    if (now.state == InstanceState::running) return {};
    if (now.state != InstanceState::starting)
      return Error{Code::job_error, named(spec) + " ended while it started"};
    if (Status time = deadline.pause(kLook, "starting " + named(spec)); !time) return time;
  }
}

Status PostgresEngine::start(const InstanceSpec& spec, const FirstSettings& first,
                             const EngineLimits& limits) {
  const Deadline deadline(limits);
  InstanceReport now = look(spec);
  if (now.state == InstanceState::absent)
    return Error{Code::wrong_state, "node has no data of " + named(spec) + " in " + spec.folder};
  if (now.state == InstanceState::stopping) {
    const Found found = find_server(program("postgres"), spec);
    if (found.server && !found.server->wait_until_gone(deadline.left(), deadline.stop)) {
      const Status time = deadline.may_go_on("waiting for the end of " + named(spec));
      return time ? Error{Code::busy, named(spec) + " still stops"} : time.error();
    }
    now = look(spec);
  }
  const LogMark log(spec);
  Status done =
      now.state == InstanceState::stopped ? launch(spec, deadline) : wait_until_ready(spec, deadline);
  if (done) done = log_in(spec, deadline);
  if (done && now.needs_first_start) done = first_start(spec, first, deadline);
  if (done) return {};
  // What the caller is told did not start must not run.
  const Error problem = done.error();
  (void)stop(spec, StopMode::immediate, {kToKill + kToClear, {}}).ok();
  const std::string said = log.problems();
  return Error{problem.code, problem.text + (said.empty() ? "" : ": " + said)};
}

Status PostgresEngine::log_in(const InstanceSpec& spec, const Deadline& deadline) {
  for (;;) {
    auto connection = PostgresConnection::open(socket_folder(spec), spec.port, "postgres", deadline.sql());
    if (connection) {
      const auto answer = connection->query("SELECT 1", deadline.sql());
      return answer ? Status() : answer.error();
    }
    // "the database system is starting up"
    if (connection.error().code != Code::io_error || look(spec).state != InstanceState::running)
      return connection.error();
    if (Status time = deadline.pause(kLook, "logging in at " + named(spec)); !time)
      return Error{time.error().code, time.error().text + ": " + connection.error().text};
  }
}

Status PostgresEngine::check_login(const InstanceSpec& spec, const EngineLimits& limits) {
  const Deadline deadline(limits);
  auto connection = PostgresConnection::open(socket_folder(spec), spec.port, "postgres", deadline.sql());
  if (!connection) return connection.error();
  const auto answer = connection->query("SELECT 1", deadline.sql());
  return answer ? Status() : answer.error();
}

Status PostgresEngine::first_start(const InstanceSpec& spec, const FirstSettings& first,
                                   const Deadline& deadline) {
  auto outside = PostgresConnection::open(socket_folder(spec), spec.port, "postgres", deadline.sql());
  if (!outside) return outside.error();
  const auto there = outside->query(
      "SELECT 1 FROM pg_database WHERE datname = " + outside->quoted_text(spec.database), deadline.sql());
  if (!there) return there.error();
  if (there->empty())
    if (const auto made =
            outside->query("CREATE DATABASE " + outside->quoted_name(spec.database), deadline.sql());
        !made)
      return made.error();
  auto inside = PostgresConnection::open(socket_folder(spec), spec.port, spec.database, deadline.sql());
  if (!inside) return inside.error();
  // All or none, so that a first start that failed can be repeated.
  if (const auto begun = inside->query("BEGIN", deadline.sql()); !begun) return begun.error();
  if (!first.sys_password_hash.empty()) {
    const auto set = inside->query("ALTER ROLE sys PASSWORD " + inside->quoted_text(first.sys_password_hash),
                                   deadline.sql());
    if (!set) return Error{set.error().code, "the password hash of sys: " + set.error().text};
  }
  for (std::size_t i = 0; i < first.statements.size(); ++i)
    if (const auto done = inside->query(first.statements[i], deadline.sql()); !done)
      return Error{done.error().code,
                   "statement " + std::to_string(i + 1) + " of the initial SQL: " + done.error().text};
  if (const auto ended = inside->query("COMMIT", deadline.sql()); !ended) return ended.error();
  base::FileSystem& files = base::system_file_system();
  if (Status done = files.remove(first_start_mark(spec)); !done) return done;
  return files.sync_directory(spec.folder);
}

// --- stop ---

Status PostgresEngine::stop(const InstanceSpec& spec, StopMode mode, const EngineLimits& limits) {
  const Deadline deadline(limits);
  const Found found = find_server(program("postgres"), spec);
  if (!found.server) return {};
  const auto guard_id = base::parent_of(found.server->id());
  const auto guard =
      guard_id ? ProcessHandle::find(*guard_id, settings_.guard, lease_path(spec)) : std::nullopt;
  const auto not_gone = [&](const std::string& what) {
    const Status time = deadline.may_go_on(what);
    return time ? Error{Code::timeout, what + ": the time for it has passed"} : time.error();
  };
  if (Status sent = found.server->signal(mode == StopMode::fast ? SIGINT : SIGQUIT); !sent) return sent;
  if (mode == StopMode::immediate &&
      !found.server->wait_until_gone(std::min(kToKill, deadline.left()), deadline.stop))
    if (Status sent = found.server->signal(SIGKILL); !sent) return sent;
  if (!found.server->wait_until_gone(deadline.left(), deadline.stop))
    return not_gone("stopping " + named(spec));
  // It sees to it that nothing is left that could write.
  if (guard && !guard->wait_until_gone(std::min(kToClear, std::max(deadline.left(), milliseconds(1000))),
                                       deadline.stop))
    return not_gone("waiting for what " + named(spec) + " left");
  return {};
}

}  // namespace confd::services
