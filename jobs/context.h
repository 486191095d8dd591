// JobContext: all a handler sees: its parameters, EXAConf, the services it may use, the record of its
// commands, a stop token.
//
// No globals. A handler runs on one worker thread and throws JobError to fail. Thread-safety: the worker's
// thread only.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "auth/identity.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "base/result.h"
#include "base/value.h"
#include "cluster/members.h"
#include "cluster/node_control.h"
#include "exaconf/config.h"
#include "exaconf/transaction.h"
#include "services/platform.h"

namespace confd::jobs {

struct JobError {
  base::Code code = base::Code::job_error;
  std::string text;  // names the thing, the reason and the way out
};

// Throws JobError from a Result's Error.
template <class T>
T or_throw(base::Result<T> result) {
  if (!result) throw JobError{result.error().code, result.error().text};
  return std::move(result).value();
}
inline void or_throw(const base::Status& status) {
  if (!status.ok()) throw JobError{status.error().code, status.error().text};
}

// What handlers may use; owned by the daemon, outlives all jobs.
struct JobServices {
  cluster::NodeControl& nodes;
  cluster::Members& members;
  base::Clock& clock;
  base::FileSystem& files;
  base::Random& random;
  std::string root_directory;
  // What makes, starts and stops the machines of nodes, and what updates one; nullptr: none is configured.
  services::Platform* platform = nullptr;
  services::Platform* updater = nullptr;
  std::chrono::seconds update_timeout{3600};  // of one node
  std::chrono::seconds return_timeout{900};   // until a node that was updated is back
  // Puts edits in force before the job ends and returns a configuration that has them; set by what runs
  // jobs. For JobContext::publish_now().
  std::function<base::Result<exaconf::ConfigPtr>(exaconf::Transaction)> publish = {};
  // A one-time token with which a node of EXAConf may join this node's cluster; empty: nodes can't join here.
  std::function<base::Result<std::string>(int node)> join_token = {};
  std::function<base::Status()> join_check = {};  // why it can't be made here, if so
};

// One command of a job, as the job file shows it.
struct CommandRecord {
  std::string name;  // node operation or program
  int node = 0;
  base::Value arguments;  // secrets masked
  base::WallTime started, ended;
  int exit = 0;        // 0 = done; else the result code
  base::Value output;  // result, or the error's text
};

// What came of a command, and what the job file shows of it.
struct CommandOutcome {
  base::Result<base::Value> result;
  base::Value shown;
};

// What the job file keeps of a command's result: all of it, or (log events) only how much there was.
enum class Recorded { whole, size_only };

class JobContext {
 public:
  JobContext(const base::Struct& params, const auth::Identity& caller, exaconf::ConfigPtr config,
             JobServices& services, std::stop_token stop, bool dry_run = false)
      : params_(params),
        caller_(caller),
        config_(std::move(config)),
        services_(services),
        stop_(std::move(stop)),
        dry_run_(dry_run) {}

  const base::Struct& params() const { return params_; }
  // The value as given (types are already right), or nullptr.
  const base::Value* param(std::string_view name) const { return params_.find(name); }
  // REQUIRES: mandatory, or known to be given.
  const std::string& text(std::string_view name) const { return params_.find(name)->as_string(); }
  std::int64_t number(std::string_view name) const { return params_.find(name)->as_int(); }
  bool flag_or(std::string_view name, bool otherwise) const;
  std::string text_or(std::string_view name, std::string_view otherwise) const;
  std::int64_t number_or(std::string_view name, std::int64_t otherwise) const;
  // A list parameter as texts; a single text counts as a list of one. Throws JobError for other members.
  std::vector<std::string> texts(std::string_view name) const;

  const auth::Identity& caller() const { return caller_; }
  const exaconf::Config& config() const { return *config_; }
  exaconf::ConfigPtr config_ptr() const { return config_; }
  JobServices& services() { return services_; }
  const std::stop_token& stop() const { return stop_; }
  bool dry_run() const { return dry_run_; }
  // Throws JobError{stopped} when job_stop was called.
  void check_stop() const;

  // The edits of a modify job; made at the first call.
  exaconf::Transaction& transaction();
  bool has_transaction() const { return transaction_.has_value(); }
  // Puts the edits made so far in force, and waits for the live nodes: for work that needs them there. What
  // follows sees them in config(), also when the job fails later. REQUIRES: the job's descriptor says
  // `publishes_early`.
  void publish_now();
  exaconf::Transaction take_transaction() { return std::move(*transaction_); }

  // Runs a node operation, recorded as a command. Throws JobError with the operation's error.
  base::Value run(int node, std::string_view operation, const base::Struct& params = {},
                  Recorded recorded = Recorded::whole);
  // The same operation on several nodes at the same time, a record each; the answers in order of `nodes`.
  // Throws Code::stopped only: what else went wrong at a node is its answer.
  std::vector<base::Result<base::Value>> run_on(const std::vector<int>& nodes, std::string_view operation,
                                                const base::Struct& params);
  // The same for work on this node that is no node operation.
  base::Value command(std::string name, const base::Struct& arguments,
                      const std::function<CommandOutcome()>& work);
  const std::vector<CommandRecord>& commands() const { return commands_; }

  // 0..100, or a text such as "copied 3 of 8 GiB"; shown by job_info and confd_client.
  void progress(std::string text, std::optional<int> percent = std::nullopt);
  std::function<void(const std::string&, std::optional<int>)> on_progress;

  // A line for the job file that the caller should know.
  void warn(std::string text) { warnings_.push_back(std::move(text)); }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  base::Value recorded(std::string name, int node, const base::Struct& arguments,
                       const std::function<CommandOutcome()>& work);
  void record(CommandRecord command, const CommandOutcome& outcome);

  const base::Struct& params_;
  const auth::Identity& caller_;
  exaconf::ConfigPtr config_;
  JobServices& services_;
  std::stop_token stop_;
  const bool dry_run_;
  std::optional<exaconf::Transaction> transaction_;
  std::vector<CommandRecord> commands_;
  std::vector<std::string> warnings_;
};

}  // namespace confd::jobs
