#include "jobs/node_waiting.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "base/mutex.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

// Never published (spec); 1800 s is what the infra_instances_* jobs wait.
constexpr std::int64_t kDefaultTimeout = 1800;
constexpr std::int64_t kLeastTimeout = 1;
constexpr std::int64_t kMostTimeout = 7 * 86400;
constexpr std::chrono::milliseconds kBetweenLooks{100};

void pause(const std::stop_token& stop) {
  base::Mutex mutex;
  base::CondVar wake;
  const std::stop_callback on_stop(stop, [&] {
    base::MutexLock lock(mutex);
    wake.notify_all();
  });
  const auto until = std::chrono::steady_clock::now() + kBetweenLooks;
  base::MutexLock lock(mutex);
  while (!stop.stop_requested() && wake.wait_until(mutex, until) == std::cv_status::no_timeout) {
  }
}

}  // namespace

std::chrono::seconds timeout_of(JobContext& context) {
  const std::int64_t seconds = context.number_or("timeout", kDefaultTimeout);
  if (seconds < kLeastTimeout || seconds > kMostTimeout)
    refuse_parameter("timeout", std::to_string(seconds) + " is not between " + std::to_string(kLeastTimeout) +
                                    " and " + std::to_string(kMostTimeout));
  return std::chrono::seconds(seconds);
}

std::chrono::milliseconds left_until(JobContext& context, base::SteadyTime deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - context.services().clock.steady_now());
  return std::max(left, std::chrono::milliseconds(1));
}

bool wait_until(JobContext& context, const std::function<bool()>& holds, base::SteadyTime deadline) {
  for (;;) {
    context.check_stop();
    if (holds()) return true;
    if (context.services().clock.steady_now() >= deadline) return false;
    pause(context.stop());
  }
}

NodesReached wait_for_nodes(JobContext& context, const std::vector<int>& nodes, bool alive,
                            std::string_view state, base::SteadyTime deadline) {
  std::optional<std::size_t> told;
  NodesReached nodes_now;
  const auto look = [&] {
    const auto live = live_nodes(context);
    nodes_now = {};
    for (const int id : nodes)
      (live.contains(id) == alive ? nodes_now.reached : nodes_now.missing).push_back(id);
    if (told != nodes_now.reached.size() && !nodes.empty()) {
      told = nodes_now.reached.size();
      context.progress(
          std::to_string(*told) + " of " + std::to_string(nodes.size()) + " nodes " + std::string(state),
          static_cast<int>(*told * 100 / nodes.size()));
    }
    return nodes_now.missing.empty();
  };
  wait_until(context, look, deadline);
  return nodes_now;
}

}  // namespace confd::jobs
