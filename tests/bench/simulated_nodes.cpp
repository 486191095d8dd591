// Many nodes in one process: real coordinators, publishers and EXAConf stores over a store in memory, a file
// system in memory, and a network that answers after a while. How long a change takes until all hold it, and
// what the nodes cost, both when nothing happens and for each change; etcd, TLS and disks are not in it.
//
// bench_simulated_nodes NODES LATENCY_MILLISECONDS CHANGES
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/text.h"
#include "cluster/coordinator.h"
#include "cluster/publisher.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_agreed_store.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

using namespace confd;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr milliseconds kLease{3000};
const std::string kPath = "/exa/etc/EXAConf";

double process_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double milliseconds_since(Clock::time_point from) {
  return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
}

void pass_time(milliseconds time) {
  base::Mutex mutex;
  base::CondVar never;
  base::MutexLock lock(mutex);
  const auto until = Clock::now() + time;
  while (Clock::now() < until) never.wait_until(mutex, until);
}

// A store at the other end of a network.
class FarStore : public test::FakeAgreedStore {
 public:
  FarStore(std::shared_ptr<test::FakeCluster> cluster, int node, milliseconds latency)
      : FakeAgreedStore(std::move(cluster), node, kLease), latency_(latency) {}
  base::Result<cluster::AgreedView> read(const Limits& limits) override {
    pass_time(latency_);
    return FakeAgreedStore::read(limits);
  }
  base::Status renew(Lease lease, const Limits& limits) override {
    pass_time(latency_);
    return FakeAgreedStore::renew(lease, limits);
  }
  base::Status report(Lease lease, int node, const cluster::HeldRevision& held, std::int64_t at,
                      const Limits& limits) override {
    pass_time(latency_);
    return FakeAgreedStore::report(lease, node, held, at, limits);
  }
  base::Result<std::int64_t> publish(std::int64_t base, Term term, const cluster::AgreedRevision& next,
                                     const std::vector<cluster::JobNote>& ends,
                                     const Limits& limits) override {
    pass_time(latency_);
    return FakeAgreedStore::publish(base, term, next, ends, limits);
  }

 private:
  const milliseconds latency_;
};

struct Node {
  Node(std::shared_ptr<test::FakeCluster> shared, int id, milliseconds latency, const std::string& text,
       base::Log& log)
      : agreed(std::move(shared), id, latency) {
    files.put(kPath, text);
    store = std::move(exaconf::Store::open(files, kPath, random).value());
    cluster::Coordinator::Options options;
    options.node = id;
    options.lease = kLease;
    options.first_patience = milliseconds(60000);
    options.hold_patience = milliseconds(60000);
    cluster::Coordinator::Hooks hooks;
    hooks.current = [this] { return store->current(); };
    hooks.adopt = [this](exaconf::ConfigPtr config) {
      publisher->adopt(std::move(config), [this](const base::Status& done) {
        if (done) coordinator->held();
      });
    };
    cluster::Publisher::Hooks publishing;
    publishing.sync_records = [] { return base::Status(); };
    publishing.agree = [this](const exaconf::Config& base, const exaconf::Config& next) {
      return coordinator->agree(base, next);
    };
    publishing.when_held = [this](std::int64_t revision, std::function<void(std::vector<int>)> done) {
      coordinator->when_held(revision, std::move(done));
    };
    publishing.on_revision = [this](const exaconf::ConfigPtr&) { coordinator->held(); };
    publisher =
        std::make_unique<cluster::Publisher>(*store, store->current()->revision() + 1, std::move(publishing));
    coordinator = std::move(cluster::Coordinator::start(options, agreed, log, std::move(hooks)).value());
  }
  ~Node() {
    coordinator->end();
    publisher.reset();
    coordinator.reset();
  }
  test::FakeFileSystem files;
  test::FakeRandom random;
  FarStore agreed;
  std::unique_ptr<exaconf::Store> store;
  std::unique_ptr<cluster::Coordinator> coordinator;
  std::unique_ptr<cluster::Publisher> publisher;
};

std::string with_nodes(int count) {
  std::string text = test::small_config_text();
  for (int id = 12; id < 11 + count; ++id) {
    const std::string number = std::to_string(id);
    text += "\n[Node : " + number + "]\n    PrivateNet = 127.0.0." + number +
            "/8\n    PublicNet = \n    Name = n" + number + "\n    Affinity = " + number +
            "\n    UUID = " + std::string(37, 'A') + (id < 100 ? "0" : "") + number +
            "\n    [[Disk : disk1]]\n        Component = exastorage\n        Devices = dev.1,\n";
  }
  return text;
}

}  // namespace

int main(int count, char** arguments) {
  const auto size = count == 4 ? base::parse_int(arguments[1]) : std::nullopt;
  const auto latency = count == 4 ? base::parse_int(arguments[2]) : std::nullopt;
  const auto changes = count == 4 ? base::parse_int(arguments[3]) : std::nullopt;
  if (!size || *size < 1 || *size > 240 || !latency || !changes || *changes < 1) {
    std::cerr << "usage: bench_simulated_nodes NODES(1 to 240) LATENCY_MILLISECONDS CHANGES\n";
    return 2;
  }
  const auto log = std::move(*base::Log::open({}));
  const auto shared = std::make_shared<test::FakeCluster>();
  const std::string text = with_nodes(static_cast<int>(*size));
  std::vector<std::unique_ptr<Node>> nodes;
  const auto began = Clock::now();
  for (int id = 11; id < 11 + *size; ++id)
    nodes.push_back(std::make_unique<Node>(shared, id, milliseconds(*latency), text, *log));
  const auto master = [&]() -> Node* {
    for (const auto& node : nodes)
      if (node->coordinator->is_master()) return node.get();
    return nullptr;
  };
  const auto all_live = [&] {
    const Node* found = master();
    return found && found->coordinator->live_nodes().size() == static_cast<std::size_t>(*size);
  };
  while (!all_live() && milliseconds_since(began) < 60000) pass_time(milliseconds(20));
  if (!all_live()) {
    std::cerr << "the nodes did not find each other within a minute\n";
    return 1;
  }
  const double start_ms = milliseconds_since(began);
  pass_time(milliseconds(1000));
  const double idle_from = process_seconds();
  pass_time(milliseconds(5000));
  const double idle = (process_seconds() - idle_from) / 5;
  std::vector<double> took;
  const double busy_from = process_seconds();
  for (int change = 0; change < *changes; ++change) {
    Node* const node = master();
    if (!node) {
      std::cerr << "no node is master any more\n";
      return 1;
    }
    exaconf::Transaction transaction(node->store->current());
    if (!transaction.set("Global", "NameServers", "10.0.0." + std::to_string(1 + change % 250)).ok())
      return 1;
    auto done = std::make_shared<std::promise<base::Result<cluster::Publication>>>();
    const auto from = Clock::now();
    node->publisher->publish(
        {std::move(transaction), [](const cluster::Publication&) {},
         [done](base::Result<cluster::Publication> result) { done->set_value(std::move(result)); }});
    auto future = done->get_future();
    if (future.wait_for(std::chrono::seconds(90)) != std::future_status::ready) {
      std::cerr << "a change was not committed within 90 s\n";
      return 1;
    }
    const auto answer = future.get();
    if (!answer || !answer->behind.empty()) {
      std::cerr << (answer ? std::to_string(answer->behind.size()) + " nodes were behind"
                           : answer.error().text)
                << '\n';
      return 1;
    }
    took.push_back(milliseconds_since(from));
  }
  const double busy = (process_seconds() - busy_from) / static_cast<double>(*changes);
  std::sort(took.begin(), took.end());
  std::printf(
      "{\"nodes\": %d, \"latency_ms\": %d, \"exaconf_bytes\": %zu, \"start_ms\": %.0f, "
      "\"idle_ms_per_s_a_node\": %.3f, \"committed_p50_ms\": %.1f, \"committed_max_ms\": %.1f, "
      "\"cpu_ms_a_change\": %.1f}\n",
      static_cast<int>(*size), static_cast<int>(*latency), text.size(), start_ms,
      idle * 1e3 / static_cast<double>(*size), took[took.size() / 2], took.back(), busy * 1e3);
}
