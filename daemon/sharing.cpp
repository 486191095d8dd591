#include "daemon/sharing.h"

#include <algorithm>
#include <future>

#include "base/json.h"
#include "base/mutex.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;
using cluster::JobNote;
using scheduler::JobId;
using scheduler::JobRecord;

namespace {

constexpr std::chrono::seconds kBoardPatience{2};
constexpr std::chrono::seconds kPeerPatience{3};
constexpr std::chrono::hours kLongestJob{24};
// From one master to the next, at most; election takes two fifths of a second for each candidate.
constexpr std::chrono::seconds kHandOver{3};
constexpr std::chrono::milliseconds kLookForMaster{10};
constexpr std::chrono::seconds kEditPatience{15};  // the master agrees with the store, at most for its lease
// Results of modify jobs are kept that long, and not more of them: etcd holds them in memory.
constexpr std::chrono::hours kKeepEnds{24};
constexpr std::size_t kMostEnds = 2000;

cluster::JobBoard::Limits soon() {
  return {std::chrono::steady_clock::now() + kBoardPatience, {}};
}

bool lives(Membership& membership, int node) {
  const std::vector<int> live = membership.live_nodes();
  return std::find(live.begin(), live.end(), node) != live.end();
}

Result<JobRecord> find_elsewhere(Membership& membership, cluster::NodeControl& nodes, JobId id) {
  const auto noted = membership.board().find(id.text(), soon());
  std::optional<JobRecord> record;
  if (noted && *noted) {
    const auto value = base::parse_json((*noted)->text);
    auto parsed = value ? scheduler::from_value(*value) : Result<JobRecord>(value.error());
    if (parsed && (*noted)->has_ended) return parsed;
    if (parsed) record = std::move(*parsed);
  }
  // Its own node knows more than the board, which has the end only; of read jobs the board has nothing.
  if (id.node != nodes.own_node()) {
    const auto asked = nodes.run(id.node, "job.find", Struct{{"job_id", id.text()}}, {});
    if (asked) return scheduler::from_value(*asked);
    if (!record && asked.error().code != Code::unknown_job_id)
      return Error{asked.error().code == Code::internal ? Code::unknown_job_id : asked.error().code,
                   "Job " + id.text() + " is not on record here, and node " + std::to_string(id.node) +
                       ", which gave the id, can't be asked: " + asked.error().text};
  }
  if (record) return *record;
  if (!noted) return noted.error();
  return Error{Code::unknown_job_id,
               "There is no job " + id.text() + " on record; it was never started or its record has expired"};
}

}  // namespace

void share_jobs(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes,
                base::Clock& clock) {
  scheduler::JobBoardHooks board;
  board.post = [&membership](const std::vector<JobNote>& notes) -> Status {
    // It will run at the next master, which posts it under an id of its own.
    if (membership.is_handing_over()) return {};
    return membership.as_master(
        [&](cluster::AgreedStore::Term term, const cluster::AgreedStore::Limits& limits) {
          return membership.board().post(term, notes, limits);
        });
  };
  board.end = [&membership](const std::vector<JobNote>& notes) {
    return membership.board().end(notes, soon());
  };
  board.find = [&membership](const std::string& id) { return membership.board().find(id, soon()); };
  board.stranded = [&membership, &nodes]() -> Result<std::vector<JobNote>> {
    std::vector<JobNote> stranded;
    if (!membership.master_view().here) return stranded;
    auto open = membership.board().open_jobs(soon());
    if (!open) return open.error();
    for (JobNote& note : *open)
      if (const auto id = JobId::parse(note.id);
          id && (id->node == nodes.own_node() || !lives(membership, id->node)))
        stranded.push_back(std::move(note));
    return stranded;
  };
  board.prune = [&membership, &clock] {
    return membership.board().prune(kMostEnds, clock.now() - kKeepEnds, soon());
  };
  hooks.board = std::move(board);
  hooks.find_elsewhere = [&membership, &nodes](JobId id) { return find_elsewhere(membership, nodes, id); };
  hooks.stop_elsewhere = [&nodes](JobId id, const std::string& by) -> Status {
    const auto asked = nodes.run(id.node, "job.stop", Struct{{"job_id", id.text()}, {"by", by}}, {});
    return asked ? Status() : Status(asked.error());
  };
}

void share_work(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes) {
  hooks.run_elsewhere = [&membership, &nodes](const JobRecord& job, const Struct& params,
                                              std::stop_token stop) -> std::optional<Result<JobRecord>> {
    base::Mutex mutex;
    base::CondVar pause;
    const auto until = std::chrono::steady_clock::now() + kHandOver;
    while (!stop.stop_requested()) {
      const MasterView view = membership.master_view();
      if (view.here) return std::nullopt;
      if (view.node && *view.node != nodes.own_node()) {
        auto asked = nodes.run(
            *view.node, "job.run",
            Struct{{"job", job.job}, {"params", params}, {"user", job.user}, {"login", job.login}}, stop);
        if (asked) return scheduler::from_value(*asked);
        // Refused before anything was done: it is not master yet, or not any more.
        if (asked.error().code != Code::no_quorum && asked.error().code != Code::node_unreachable)
          return asked.error();
      }
      if (std::chrono::steady_clock::now() >= until) return std::nullopt;  // fails here, with the reason
      base::MutexLock lock(mutex);
      pause.wait_until(mutex, std::min(until, std::chrono::steady_clock::now() + kLookForMaster));
    }
    return std::nullopt;
  };
}

void share_edits(scheduler::Scheduler::Hooks& hooks, Membership& membership, cluster::NodeControl& nodes) {
  hooks.propose = [&membership, &nodes](
                      const exaconf::Config& base,
                      const exaconf::Config& edited) -> std::optional<Result<exaconf::ConfigPtr>> {
    const MasterView view = membership.master_view();
    if (view.here || !view.node) return std::nullopt;
    const auto asked = nodes.run(
        *view.node, "exaconf.edit",
        Struct{
            {"base_revision", base.revision()}, {"base_checksum", base.checksum()}, {"text", edited.text()}},
        {});
    if (!asked) return asked.error();
    if (!asked->is_string()) return Error{Code::internal, "the master's answer is no EXAConf"};
    return exaconf::Config::load(asked->as_string());
  };
}

namespace {

// A job of another node's user, waited for.
Result<Value> run_job(scheduler::Scheduler& scheduler, const Struct& params, const std::stop_token& stop) {
  const auto text = [&](std::string_view name) { return params.find(name)->as_string(); };
  const exaconf::ConfigPtr config = scheduler.config();
  const std::string user = text("user");
  if (user != "root" && !config->user(user))
    return Error{Code::forbidden, "there is no user " + user + " in EXAConf"};
  scheduler::Submission submission;
  submission.job = text("job");
  submission.params = *params.find("params");
  submission.caller = std::make_shared<const auth::Identity>(auth::identify(*config, user, text("login")));
  struct Outcome {
    base::Mutex mutex;
    base::CondVar came;
    std::optional<Result<scheduler::RecordPtr>> record;
  };
  const auto outcome = std::make_shared<Outcome>();
  const auto tell = [outcome](Result<scheduler::RecordPtr> record) {
    base::MutexLock lock(outcome->mutex);
    if (!outcome->record) outcome->record = std::move(record);
    outcome->came.notify_all();
  };
  scheduler.submit(
      std::move(submission),
      [tell](Result<JobId> accepted) {
        if (!accepted) tell(accepted.error());
      },
      [tell](scheduler::RecordPtr record) { tell(std::move(record)); });
  const std::stop_callback on_stop(stop, [tell] {
    tell(Error{Code::stopped, "nobody waits for the job any more"});
  });
  base::MutexLock lock(outcome->mutex);
  const auto until = std::chrono::steady_clock::now() + kLongestJob;
  while (!outcome->record && std::chrono::steady_clock::now() < until)
    outcome->came.wait_until(outcome->mutex, until);
  if (!outcome->record) return Error{Code::timeout, "the job did not end in time"};
  if (!*outcome->record) return outcome->record->error();
  const scheduler::JobRecord& record = ***outcome->record;
  // Not master: nothing was done, and the caller looks for the one that is.
  if (record.code == Code::no_quorum && record.scheduling == "declined")
    return Error{record.code, record.text};
  return scheduler::to_value(record);
}

}  // namespace

void register_job_operations(cluster::NodeControl& nodes, scheduler::Scheduler& scheduler) {
  cluster::OperationTraits run;
  run.timeout = kLongestJob;
  run.params = {{"job", Value::Type::string},
                {"params", Value::Type::structure},
                {"user", Value::Type::string},
                {"login", Value::Type::string}};
  nodes.register_operation(
      "job.run",
      [&scheduler](const Struct& params, std::stop_token stop) { return run_job(scheduler, params, stop); },
      run);

  cluster::OperationTraits edit;
  edit.timeout = kEditPatience;
  edit.params = {{"base_revision", Value::Type::integer},
                 {"base_checksum", Value::Type::string},
                 {"text", Value::Type::string}};
  nodes.register_operation(
      "exaconf.edit",
      [&scheduler](const Struct& params, std::stop_token) -> Result<Value> {
        auto edited = exaconf::Config::load(params.find("text")->as_string());
        if (!edited) return edited.error();
        std::promise<Result<exaconf::ConfigPtr>> promise;
        auto taken = promise.get_future();
        scheduler.take_edit(
            {params.find("base_revision")->as_int(), params.find("base_checksum")->as_string()},
            std::move(*edited),
            [&promise](Result<exaconf::ConfigPtr> config) { promise.set_value(std::move(config)); });
        const Result<exaconf::ConfigPtr> config = taken.get();
        if (!config) return config.error();
        return Value((*config)->text());
      },
      edit);

  const auto id_of = [](const Struct& params) -> Result<JobId> {
    const auto id = JobId::parse(params.find("job_id")->as_string());
    if (!id) return Error{Code::bad_parameter, "job_id is no job id"};
    return *id;
  };
  cluster::OperationTraits find;
  find.repeatable = true;
  find.timeout = kPeerPatience;
  find.params = {{"job_id", Value::Type::string}};
  nodes.register_operation(
      "job.find",
      [&scheduler, id_of, own = nodes.own_node()](const Struct& params, std::stop_token) -> Result<Value> {
        const auto id = id_of(params);
        if (!id) return id.error();
        // Its own jobs only: otherwise two nodes could ask each other for ever.
        if (id->node != own) return Error{Code::unknown_job_id, "job " + id->text() + " is not of this node"};
        std::promise<Result<scheduler::RecordPtr>> promise;
        auto found = promise.get_future();
        scheduler.find_here(
            *id, [&promise](Result<scheduler::RecordPtr> record) { promise.set_value(std::move(record)); });
        const Result<scheduler::RecordPtr> record = found.get();
        if (!record) return record.error();
        return scheduler::to_value(**record);
      },
      find);
  cluster::OperationTraits stop = find;
  stop.params.emplace_back("by", Value::Type::string);
  nodes.register_operation(
      "job.stop",
      [&scheduler, id_of, own = nodes.own_node()](const Struct& params, std::stop_token) -> Result<Value> {
        const auto id = id_of(params);
        if (!id) return id.error();
        if (id->node != own) return Error{Code::unknown_job_id, "job " + id->text() + " is not of this node"};
        if (const Status done = scheduler.stop_job(*id, params.find("by")->as_string()); !done)
          return done.error();
        return Value();
      },
      stop);
}

}  // namespace confd::daemon
