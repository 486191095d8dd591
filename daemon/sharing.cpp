#include "daemon/sharing.h"

#include <algorithm>
#include <future>

#include "base/json.h"

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
  board.post = [&membership](const std::vector<JobNote>& notes) {
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

void register_job_operations(cluster::NodeControl& nodes, scheduler::Scheduler& scheduler) {
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
