// Engine: what carries out a database on one node. confd knows databases through this only; PostgreSQL is
// behind it (postgres_engine.h), and a double of a few lines in tests.
//
// An instance is the server of one database on one node, over one folder. Several nodes: one instance is the
// primary, the others are standbys that follow it. No instance is a child of confd: it is started detached
// below a guard (guard/main.cpp), found again by its pid file, executable and data folder, and outlives
// confd. Errors everywhere: Code::stopped, Code::timeout, Code::io_error, Code::wrong_state with the way out.
// All functions may be called again after a failure or a crash: what is done is left as it is. Thread-safety:
// any thread, but for one instance one call at a time (look() aside); never an I/O thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/program.h"
#include "base/result.h"

namespace confd::services {

struct InstanceSpec {
  std::string database;  // name
  std::string folder;    // of the segment; the data folder is <folder>/data
  // Settings, lease and socket. confd's own: what confd writes is never below a folder that the server's
  // owner could change under its hands.
  std::string run_folder;
  std::string log_folder;
  base::OsUser owner;        // whom the server runs as, never root
  std::uint64_t memory = 0;  // bytes that it may use on this node, roughly
  int port = 0;
  std::vector<std::string> addresses;   // to listen on
  std::vector<std::string> parameters;  // "-name=value", later ones win
  bool auditing = false;
  // PEM files that the server's TLS uses, readable by the owner; empty: no TLS.
  std::string certificate_path, key_path;
};

// When the database is made, or started for the first time.
struct FirstSettings {
  std::string sys_password_hash;        // of the role sys, in the engine's own form; empty: none
  std::vector<std::string> statements;  // initial SQL
};

struct EngineLimits {
  std::chrono::milliseconds timeout{std::chrono::minutes(10)};
  std::stop_token stop;
};

enum class InstanceState {
  absent,  // no data folder
  stopped,
  starting,  // there is a process that takes no logins yet
  running,
  stopping,
};
std::string_view state_name(InstanceState state);  // absent, stopped, ...

struct InstanceReport {
  InstanceState state = InstanceState::absent;
  bool is_standby = false;  // what it runs, or would start, as
  bool needs_first_start = false;
  std::optional<pid_t> process;
};

enum class StopMode {
  fast,       // sessions are ended, everything is written
  immediate,  // at once; the next start recovers
};

class Engine {
 public:
  virtual ~Engine() = default;
  // "PostgreSQL 15.18"; error: it is not installed, with what is missing.
  virtual base::Result<std::string> version() = 0;
  // An empty database in the folder, durable, not started. Errors: Code::exists when there is one.
  virtual base::Status create(const InstanceSpec& spec, const EngineLimits& limits) = 0;
  // Returns when logins work. The first time also carries out `first`; a failing statement is Code::job_error
  // with the server's text, and the first start is repeated as a whole. Code::job_error with the server's own
  // message when it does not start. Fine when it runs already.
  virtual base::Status start(const InstanceSpec& spec, const FirstSettings& first,
                             const EngineLimits& limits) = 0;
  // Fine when it does not run. After Code::timeout and Code::stopped it may still come to its end.
  virtual base::Status stop(const InstanceSpec& spec, StopMode mode, const EngineLimits& limits) = 0;
  // Takes milliseconds and asks no server.
  virtual InstanceReport look(const InstanceSpec& spec) = 0;
  // A login and a query. Error: why not.
  virtual base::Status check_login(const InstanceSpec& spec, const EngineLimits& limits) = 0;
  // Data folder and what the server keeps beside it. Code::wrong_state while it runs.
  virtual base::Status remove(const InstanceSpec& spec, const EngineLimits& limits) = 0;
};

// Until when the node's instances may run, in the file that the guard of `run_folder` reads: milliseconds of
// CLOCK_BOOTTIME; nothing: no limit.
base::Status write_lease(const std::string& run_folder, std::optional<std::int64_t> until_ms);
std::int64_t boot_time_ms();

}  // namespace confd::services
