#include "daemon/storage_keeper.h"

#include <algorithm>

#include "auth/identity.h"
#include "base/mutex.h"
#include "storage/overview.h"
#include "storage/reconcile.h"

namespace confd::daemon {

namespace {

constexpr std::chrono::milliseconds kStep{500};
constexpr std::chrono::seconds kLookAnyway{60};
// While a volume moves: no revision and no node tells that the new copy has everything.
constexpr std::chrono::seconds kLookAtMove{2};
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::minutes kTryAgain{10};
constexpr std::chrono::minutes kLongestJob{30};

// Returns at once when stop is asked for.
void pause(const std::stop_token& stop, std::chrono::steady_clock::time_point until) {
  base::Mutex mutex;
  base::CondVar woken;
  const std::stop_callback on_stop(stop, [&] {
    const base::MutexLock lock(mutex);
    woken.notify_all();
  });
  base::MutexLock lock(mutex);
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) woken.wait_until(mutex, until);
}

}  // namespace

StorageKeeper::StorageKeeper(scheduler::Scheduler& scheduler, cluster::Members& members,
                             cluster::NodeControl& nodes, base::Log& log)
    : scheduler_(scheduler), members_(members), nodes_(nodes), log_(log) {
  if (auto* record = nodes.sync_record()) leftover_.emplace(*record);
}

StorageKeeper::~StorageKeeper() = default;

void StorageKeeper::look_first(std::chrono::seconds at_most) {
  if (is_due()) look(std::stop_token(), at_most);
}

void StorageKeeper::begin() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void StorageKeeper::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (members_.master() == nodes_.own_node()) {
      if (is_due()) look(stop, kLongestJob);
    } else {
      seen_config_ = 0;  // a new master looks at once
      tried_plan_.clear();
    }
    pause(stop, std::chrono::steady_clock::now() + kStep);
  }
}

bool StorageKeeper::is_due() {
  std::vector<int> live = members_.live_nodes();
  std::sort(live.begin(), live.end());
  const std::uint64_t config = scheduler_.config()->serial();
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::seconds again = is_moving_ ? kLookAtMove : kLookAnyway;
  if (config == seen_config_ && live == seen_live_ && now < looked_ + again) return false;
  seen_config_ = config;
  seen_live_ = std::move(live);
  looked_ = now;
  return true;
}

void StorageKeeper::look(const std::stop_token& stop, std::chrono::seconds at_most) {
  const exaconf::ConfigPtr config = scheduler_.config();
  if (leftover_) leftover_->look(*storage::volumes_of(*config), std::chrono::steady_clock::now(), stop);
  std::vector<int> asked;
  for (const int id : seen_live_)
    if (config->nodes().contains(id)) asked.push_back(id);
  const storage::Overview overview = storage::ask_nodes(nodes_, asked, kPatience, stop);
  const storage::NodeStatuses statuses = storage::node_statuses(*config, overview.reports);
  const auto volumes = storage::volumes_of(*config);
  is_moving_ = std::any_of(volumes->begin(), volumes->end(), storage::is_moving);
  const std::string plan = storage::reconciliation(*volumes, statuses).text();
  if (plan.empty() || stop.stop_requested()) return;
  const auto now = std::chrono::steady_clock::now();
  if (plan == tried_plan_ && now < tried_ + kTryAgain) return;
  tried_plan_ = plan;
  tried_ = now;
  log_.notice("storage: " + plan);
  reconcile(stop, at_most);
  seen_config_ = 0;  // what is left is seen soon
}

void StorageKeeper::reconcile(const std::stop_token& stop, std::chrono::seconds at_most) {
  struct Outcome {
    base::Mutex mutex;
    base::CondVar came;
    bool has_ended GUARDED_BY(mutex) = false;
    std::string problem GUARDED_BY(mutex);
  };
  const auto outcome = std::make_shared<Outcome>();
  const auto tell = [outcome](const std::string& problem) {
    base::MutexLock lock(outcome->mutex);
    outcome->has_ended = true;
    if (outcome->problem.empty()) outcome->problem = problem;
    outcome->came.notify_all();
  };
  scheduler::Submission submission;
  submission.job = "storage_reconcile";
  submission.params = base::Struct{};
  submission.caller =
      std::make_shared<const auth::Identity>(auth::identify(*scheduler_.config(), "root", "local"));
  scheduler_.submit(
      std::move(submission),
      [tell](base::Result<scheduler::JobId> accepted) {
        if (!accepted) tell(accepted.error().text);
      },
      [tell](scheduler::RecordPtr record) {
        tell(record->code == base::Code::ok ? std::string() : record->text);
      });
  const auto until = std::chrono::steady_clock::now() + at_most;
  const std::stop_callback on_stop(stop, [tell] { tell({}); });
  base::MutexLock lock(outcome->mutex);
  while (!outcome->has_ended && std::chrono::steady_clock::now() < until)
    outcome->came.wait_until(outcome->mutex, until);
  if (!outcome->problem.empty()) log_.warn("storage: what was to be done was not: " + outcome->problem);
}

}  // namespace confd::daemon
