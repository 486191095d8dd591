#include "storage/overview.h"

#include <optional>
#include <thread>

#include "base/mutex.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;

namespace {

Result<NodeReport> ask(cluster::NodeControl& control, int node, std::stop_token stop) {
  const auto answer = control.run(node, "storage.report", {}, std::move(stop));
  if (!answer) return answer.error();
  return parse_report(*answer);
}

struct Answers {
  base::Mutex mutex;
  base::CondVar came;
  std::map<int, Result<NodeReport>> by_node GUARDED_BY(mutex);
};

}  // namespace

Overview ask_nodes(cluster::NodeControl& control, const std::vector<int>& nodes,
                   std::chrono::milliseconds patience, const std::stop_token& stop) {
  Answers answers;
  std::stop_source give_up;
  const std::stop_callback on_stop(stop, [&] { give_up.request_stop(); });
  const auto until = std::chrono::steady_clock::now() + patience;
  std::vector<std::jthread> threads;
  std::size_t asked = 0;
  for (const int node : nodes) {
    if (node == control.own_node()) continue;
    ++asked;
    threads.emplace_back([&, node] {
      Result<NodeReport> answer = ask(control, node, give_up.get_token());
      base::MutexLock lock(answers.mutex);
      answers.by_node.emplace(node, std::move(answer));
      answers.came.notify_one();
    });
  }
  std::optional<Result<NodeReport>> own;
  for (const int node : nodes)
    if (node == control.own_node() && !own) own = ask(control, node, stop);
  {
    base::MutexLock lock(answers.mutex);
    while (answers.by_node.size() < asked &&
           answers.came.wait_until(answers.mutex, until) != std::cv_status::timeout) {
    }
  }
  const bool was_late = std::chrono::steady_clock::now() >= until;
  give_up.request_stop();
  threads.clear();

  Overview overview;
  const auto take = [&](int node, Result<NodeReport> answer) {
    if (answer) {
      overview.reports.emplace(node, std::move(*answer));
      return;
    }
    Error error = answer.error();
    if (was_late && error.code == Code::stopped && !stop.stop_requested())
      error = {Code::timeout, "node " + std::to_string(node) + " did not tell of its storage within " +
                                  std::to_string(patience.count()) + " ms"};
    overview.failures.emplace(node, std::move(error));
  };
  if (own) take(control.own_node(), std::move(*own));
  base::MutexLock lock(answers.mutex);
  for (auto& [node, answer] : answers.by_node) take(node, std::move(answer));
  return overview;
}

}  // namespace confd::storage
