// Jobs of the family `node` that wait (spec/jobs/node.yaml): node_wait_ready, node_wait_offline.
#include <algorithm>
#include <chrono>
#include <stop_token>

#include "base/mutex.h"
#include "jobs/context.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kAdmins[] = {"root", "exaadm"};

// Never published (spec); 1800 s is what the infra_instances_* jobs wait.
constexpr std::int64_t kDefaultTimeout = 1800;
constexpr std::int64_t kLeastTimeout = 1;
constexpr std::int64_t kMostTimeout = 7 * 86400;
constexpr std::chrono::milliseconds kBetweenLooks{100};

constexpr Param kWaitParams[] = {
    {.name = "nids", .types = kList, .help = "ids of the nodes to wait for", .completion = Completion::node},
};
constexpr Param kWaitOptions[] = {
    {.name = "timeout",
     .types = kInt,
     .help = "seconds to wait, at least 1, at most 604800",
     .default_text = "1800"},
};
constexpr std::string_view kWaitExamples[] = {R"({"nids": [12, 13]})"};

std::chrono::seconds timeout_of(JobContext& context) {
  const std::int64_t seconds = context.number_or("timeout", kDefaultTimeout);
  if (seconds < kLeastTimeout || seconds > kMostTimeout)
    refuse_parameter("timeout", std::to_string(seconds) + " is not between " + std::to_string(kLeastTimeout) +
                                    " and " + std::to_string(kMostTimeout));
  return std::chrono::seconds(seconds);
}

void check_wait(JobContext& context) {
  known_nodes(context, "nids");
  timeout_of(context);
}

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

// Those of the nodes that made it in time, as a list of ids.
base::Value wait_for(JobContext& context, bool alive, const std::string& state) {
  const std::vector<int> nodes = known_nodes(context, "nids");
  const auto deadline = context.services().clock.steady_now() + timeout_of(context);
  std::optional<std::size_t> told;
  for (;;) {
    context.check_stop();
    const auto live = live_nodes(context);
    base::Array reached;
    std::vector<int> missing;
    for (const int id : nodes) {
      if (live.contains(id) == alive) {
        reached.emplace_back(id);
      } else {
        missing.push_back(id);
      }
    }
    if (told != reached.size()) {
      told = reached.size();
      context.progress(
          std::to_string(reached.size()) + " of " + std::to_string(nodes.size()) + " nodes " + state,
          static_cast<int>(reached.size() * 100 / nodes.size()));
    }
    if (missing.empty()) return reached;
    if (context.services().clock.steady_now() >= deadline) {
      context.warn(nodes_text(missing) + ": not " + state + " in time");
      return reached;
    }
    pause(context.stop());
  }
}

std::optional<base::Value> node_wait_ready(JobContext& context) {
  return wait_for(context, true, "ready");
}

std::optional<base::Value> node_wait_offline(JobContext& context) {
  return wait_for(context, false, "offline");
}

constexpr JobDescriptor kNodeWaitJobs[] = {
    {.name = "node_wait_offline",
     .help = "Wait until nodes have shut down",
     .long_help = "A node is offline when its lease in the cluster's store has ended, up to 3 s after its "
                  "confd.",
     .kind = JobKind::read,
     .mandatory = kWaitParams,
     .optional = kWaitOptions,
     .groups = kAdmins,
     .examples = kWaitExamples,
     .returns = "list of the ids of the nodes that are offline, maybe empty after the timeout",
     .check = &check_wait,
     .execute = &node_wait_offline},
    {.name = "node_wait_ready",
     .help = "Wait until nodes have booted and accept ConfD jobs",
     .kind = JobKind::read,
     .mandatory = kWaitParams,
     .optional = kWaitOptions,
     .groups = kAdmins,
     .examples = kWaitExamples,
     .returns = "list of the ids of the nodes that are ready, maybe empty after the timeout",
     .check = &check_wait,
     .execute = &node_wait_ready},
};

}  // namespace

std::span<const JobDescriptor> node_wait_jobs() {
  return kNodeWaitJobs;
}

}  // namespace confd::jobs
