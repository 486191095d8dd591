// update_system (spec/jobs/other.yaml): a rolling update, one node at a time, the master last. How far it has
// come is on record on all nodes (services/update_record.h): a call after a failure, a stop or a crash goes
// on there. What updates one node is the operator's program (docs/platform.md).
#include <algorithm>

#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/node_waiting.h"
#include "jobs/platform_rules.h"

namespace confd::jobs {
namespace {

using services::PlatformAction;

constexpr std::string_view kRootGroup[] = {"root"};
constexpr std::string_view kExamples[] = {R"({"tags": true})"};
constexpr Param kOptions[] = {
    {.name = "tags", .types = kBool, .help = "update every tag from the artifact repository service"},
    {.name = "target", .help = "what to update to", .default_text = "what the update hook takes by itself"},
};

std::vector<Lock> lock_all_nodes(const base::Struct&) {
  return {{LockLevel::node, "*"}};
}

services::Platform& updater_of(JobContext& context) {
  services::Platform* updater = context.services().updater;
  if (updater == nullptr)
    throw JobError{base::Code::unsupported,
                   "no update hook is configured, so no node can be updated: set `platform: update_hook` in "
                   "etc/confd.yaml (or the provider hook, whose program is then asked) on all nodes and "
                   "start confd again"};
  or_throw(updater->check(PlatformAction::update_system));
  return *updater;
}

// The nodes in service, this one (the master) last.
std::vector<int> in_turn(JobContext& context) {
  const int own = context.services().nodes.own_node();
  std::vector<int> nodes;
  for (const auto& [id, node] : context.config().nodes())
    if (id != own && !is_suspended(node)) nodes.push_back(id);
  nodes.push_back(own);
  return nodes;
}

// The state of one update, and its copies on the nodes.
class Update {
 public:
  // The newest state that this node and the live ones know.
  explicit Update(JobContext& context) : context_(context) {
    for (const int id : live_nodes(context)) {
      const auto answer = context.services().nodes.run(id, "update_record.read", {}, context.stop());
      if (!answer) {
        if (id == own()) throw JobError{answer.error().code, answer.error().text};
        context.warn("node " + std::to_string(id) +
                     " did not tell how far an update had come: " + answer.error().text);
        continue;
      }
      const base::Struct& record = answer->find("record")->as_struct();
      if (sequence_of(record) > sequence_of(record_)) record_ = record;
    }
  }

  // Goes on with the last update when that was one of the same kind and did not end.
  void begin() {
    const base::Struct wanted = given(context_, {"tags", "target"});
    const base::Value* ended = record_.find("ended");
    const bool goes_on = !record_.empty() && ended != nullptr && ended->is_null();
    const base::Value* kind = record_.find("wanted");
    const bool same = kind != nullptr && *kind == base::Value(wanted);
    if (goes_on && !same)
      context_.warn("an update that was asked for with other parameters had not ended; this one begins anew");
    if (goes_on && same) {
      context_.warn("goes on with the update begun at " + record_.find("begun")->as_string());
    } else {
      const std::int64_t sequence = sequence_of(record_);
      record_ = base::Struct{{"sequence", sequence},
                             {"wanted", wanted},
                             {"begun", now()},
                             {"ended", nullptr},
                             {"nodes", base::Struct()}};
    }
  }

  bool is_done(int id) const {
    const base::Value* node = record_.find("nodes")->find(std::to_string(id));
    const base::Value* state = node == nullptr ? nullptr : node->find("state");
    return state != nullptr && *state == base::Value("updated");
  }

  // "updating", "updated", "failed"; durable here before it returns.
  void set(int id, std::string_view state, const base::Struct& more = {}) {
    base::Struct node{{"state", state}, {"time", now()}};
    for (const auto& [name, value] : more) node.set(name, value);
    record_.find("nodes")->as_struct().set(std::to_string(id), std::move(node));
    save();
  }

  void end() {
    record_.set("ended", now());
    save();
  }

 private:
  int own() const { return context_.services().nodes.own_node(); }
  std::string now() const { return base::format_utc(context_.services().clock.now()); }
  static std::int64_t sequence_of(const base::Struct& record) {
    const base::Value* sequence = record.find("sequence");
    return sequence == nullptr ? 0 : sequence->as_int();
  }

  // Copies that do not get through are not worth a command in the job's record, nor a failure: the next
  // master takes the newest one it finds, and at worst updates one node again.
  void save() {
    record_.set("sequence", sequence_of(record_) + 1);
    const base::Struct params{{"record", record_}};
    cluster::NodeControl& nodes = context_.services().nodes;
    or_throw(nodes.run(own(), "update_record.write", params, {}));
    for (const int id : live_nodes(context_))
      if (id != own()) {
        const auto copied = nodes.run(id, "update_record.write", params, context_.stop());
        if (!copied && copied.error().code == base::Code::conflict)
          throw JobError{copied.error().code, copied.error().text};
      }
  }

  JobContext& context_;
  base::Struct record_;
};

// Back = online, and its confd answers. Its version, for the record.
std::string version_when_back(JobContext& context, int id) {
  const std::chrono::seconds patience = context.services().return_timeout;
  const auto deadline = context.services().clock.steady_now() + patience;
  std::string version;
  const auto is_back = [&] {
    if (!live_nodes(context).contains(id)) return false;
    const auto report = context.services().nodes.run(id, "node.report", {}, context.stop());
    if (!report) return false;
    version = report->find("confd_version")->as_string();
    return true;
  };
  if (!wait_until(context, is_back, deadline))
    throw JobError{base::Code::timeout, "node " + std::to_string(id) + " did not come back within " +
                                            std::to_string(patience.count()) + " s after its update"};
  return version;
}

void update_node(JobContext& context, Update& update, int id) {
  const bool self = id == context.services().nodes.own_node();
  base::Struct request = given(context, {"tags", "target"});
  request.set("node", described_nodes(context.config(), {id}).front());
  request.set("self", self);
  update.set(id, "updating");
  try {
    ask_platform(context, updater_of(context), PlatformAction::update_system, request,
                 context.services().update_timeout);
    // Of this very process nothing can be awaited here: its hook restarts it after the job has ended.
    if (self) {
      update.set(id, "updated");
    } else {
      update.set(id, "updated", base::Struct{{"confd_version", version_when_back(context, id)}});
    }
  } catch (const JobError& error) {
    update.set(id, "failed", base::Struct{{"error", error.text}});
    throw;
  }
}

void check_update_system(JobContext& context) {
  updater_of(context);
  check_all_online(context);
}

std::optional<base::Value> update_system(JobContext& context) {
  Update update(context);
  update.begin();
  const std::vector<int> nodes = in_turn(context);
  std::size_t done = 0;
  for (const int id : nodes) {
    context.progress(std::to_string(done) + " of " + std::to_string(nodes.size()) +
                         " nodes updated, now node " + std::to_string(id),
                     static_cast<int>(done * 100 / nodes.size()));
    try {
      if (!update.is_done(id)) {
        check_all_online(context, {id});
        update_node(context, update, id);
      }
    } catch (const JobError& error) {
      throw JobError{error.code, "the update stopped at node " + std::to_string(id) + ", " +
                                     std::to_string(done) + " of " + std::to_string(nodes.size()) +
                                     " nodes are updated: " + error.text +
                                     "; call update_system again to go on there"};
    }
    ++done;
  }
  update.end();
  for (const auto& [id, node] : context.config().nodes())
    if (is_suspended(node)) context.warn("node " + std::to_string(id) + " is suspended and was not updated");
  return std::nullopt;
}

constexpr JobDescriptor kUpdateJobs[] = {
    {.name = "update_system",
     .help = "Update the system packages of the nodes, one node after the other",
     .long_help =
         "The operator's update hook is run for each node in service, for the master last; the next "
         "node has its turn when the one before is online again and answers. The job stops at the first "
         "that does not come back. Called again with the same parameters it goes on there. How far it has "
         "come is shown by `infra_overview_get`.",
     .kind = JobKind::modify,
     .optional = kOptions,
     .groups = kRootGroup,
     .examples = kExamples,
     .locks = &lock_all_nodes,
     .check = &check_update_system,
     .execute = &update_system},
};

}  // namespace

std::span<const JobDescriptor> update_jobs() {
  return kUpdateJobs;
}

}  // namespace confd::jobs
