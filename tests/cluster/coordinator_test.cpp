#include "cluster/coordinator.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "cluster/publisher.h"
#include "tests/support/config_text.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_agreed_store.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

namespace confd::cluster {
namespace {

using base::Code;
using base::Result;
using base::Status;
using std::chrono::milliseconds;
using test::Answer;
using test::FakeCluster;

constexpr milliseconds kLease{1000};
const std::string kPath = "/exa/etc/EXAConf";

std::string three_nodes(const std::string& affinity_13 = "13", const std::string& state_12 = "") {
  std::string text = test::small_config_text();
  for (const auto& [id, affinity] : {std::pair<std::string, std::string>{"12", "12"}, {"13", affinity_13}})
    text += "\n[Node : " + id + "]\n    PrivateNet = 127.0.0." + id + "/8\n    PublicNet = \n    Name = n" +
            id + "\n    Affinity = " + affinity + "\n    UUID = 644BACF4A4E14D008AC08F522FFE90E59C879D" + id +
            "\n" + (id == "12" && !state_12.empty() ? "    State = " + state_12 + "\n" : "") +
            "    [[Disk : disk1]]\n        Component = exastorage\n        Devices = dev.1,\n";
  return text;
}

// A node without its jobs: file, publisher, coordinator.
struct Node {
  // How it tells the master what it holds past the store, if at all.
  using Teller = std::function<Status(int node, int master, const HeldRevision& held)>;
  Node(std::shared_ptr<FakeCluster> cluster, int number, const std::string& text, base::Log& log,
       const Teller& teller = {})
      : id(number), agreed(std::move(cluster), number, kLease) {
    files.put(kPath, text);
    auto opened = exaconf::Store::open(files, kPath, random);
    if (!opened) FAIL(opened.error().text);
    store = std::move(*opened);
    Coordinator::Options options;
    options.node = id;
    options.lease = kLease;
    options.turn = milliseconds(150);
    options.hold_patience = milliseconds(1500);
    options.first_patience = milliseconds(400);
    Coordinator::Hooks hooks;
    hooks.current = [this] { return store->current(); };
    hooks.adopt = [this](exaconf::ConfigPtr config) {
      publisher->adopt(std::move(config), [this](const Status& done) {
        if (done) coordinator->held();
      });
    };
    if (teller)
      hooks.tell = [this, teller](int master, const HeldRevision& held, const AgreedStore::Limits&) {
        return teller(id, master, held);
      };
    hooks.on_role = [this](bool is_master) { is_master ? ++times_master : ++times_demoted; };
    Publisher::Hooks publishing;
    publishing.sync_records = [] { return Status(); };
    publishing.agree = [this](const exaconf::Config& base, const exaconf::Config& next) {
      return coordinator->agree(base, next);
    };
    publishing.when_held = [this](std::int64_t revision, std::function<void(std::vector<int>)> done) {
      coordinator->when_held(revision, std::move(done));
    };
    publishing.on_revision = [this](const exaconf::ConfigPtr& config) {
      if (config->revision() <= newest) went_back = true;
      newest = config->revision();
      coordinator->held();
    };
    publishing.look_every = milliseconds(50);
    publisher = std::make_unique<Publisher>(*store, store->current()->revision() + 1, std::move(publishing));
    auto started = Coordinator::start(options, agreed, log, std::move(hooks));
    if (!started) FAIL(started.error().text);
    coordinator = std::move(*started);
  }
  ~Node() {
    coordinator->end();  // nothing is adopted any more
    publisher.reset();
    coordinator.reset();
  }

  Result<Publication> set(const std::string& value) {
    exaconf::Transaction transaction(store->current());
    REQUIRE(transaction.set("Global", "NameServers", value).ok());
    Answer<Result<Publication>> done;
    publisher->publish({std::move(transaction), [](const Publication&) {}, done.callback()});
    return done.get();
  }
  std::string value() const { return *store->current()->get("Global", "NameServers"); }

  const int id;
  test::FakeFileSystem files;
  test::FakeRandom random;
  test::FakeAgreedStore agreed;
  std::unique_ptr<exaconf::Store> store;
  std::atomic<int> times_master{0}, times_demoted{0};
  std::atomic<std::int64_t> newest{0};  // revision taken up last
  std::atomic<bool> went_back{false};
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Publisher> publisher;
};

struct Cluster {
  explicit Cluster(const std::vector<std::string>& texts, const Node::Teller& teller = {}) {
    for (std::size_t i = 0; i < texts.size(); ++i)
      nodes.push_back(std::make_unique<Node>(shared, 11 + static_cast<int>(i), texts[i], *log, teller));
    watcher = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        int masters = 0;
        for (const auto& node : nodes) masters += node->coordinator->is_master();
        if (masters > 1) two_masters = true;
        std::this_thread::sleep_for(milliseconds(1));
      }
    });
  }
  ~Cluster() {
    watcher.request_stop();
    watcher.join();
    CHECK_FALSE(two_masters);
  }
  explicit Cluster(const std::string& text) : Cluster(std::vector<std::string>{text, text, text}) {}
  Node& operator[](int id) { return *nodes[static_cast<std::size_t>(id - 11)]; }
  bool becomes_master(int id) {
    return test::eventually([&] { return (*this)[id].coordinator->is_master(); });
  }
  bool all_hold(const std::string& value) {
    return test::eventually([&] {
      for (const auto& node : nodes)
        if (node->value() != value) return false;
      return true;
    });
  }

  std::shared_ptr<FakeCluster> shared = std::make_shared<FakeCluster>();
  std::unique_ptr<base::Log> log = std::move(*base::Log::open({}));
  std::vector<std::unique_ptr<Node>> nodes;
  std::atomic<bool> two_masters{false};
  std::jthread watcher;
};

}  // namespace

TEST_CASE("The node with the lowest affinity becomes master; all nodes know it") {
  Cluster cluster(three_nodes("5"));
  REQUIRE(cluster.becomes_master(13));
  for (int id : {11, 12, 13})
    CHECK(test::eventually([&] { return cluster[id].coordinator->master() == 13; }));
  CHECK(test::eventually([&] {
    return cluster[11].coordinator->live_nodes() == std::vector<int>{11, 12, 13};
  }));
}

TEST_CASE("What the master publishes is held by all nodes before it is told") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  for (int i = 1; i <= 5; ++i) {
    const std::string value = "10.0.0." + std::to_string(i);
    const auto done = cluster[11].set(value);
    REQUIRE(done.ok());
    CHECK(done->behind.empty());
    for (int id : {11, 12, 13}) {
      CHECK(cluster[id].value() == value);
      const auto on_disk = exaconf::Config::load(*cluster[id].files.read(kPath));
      REQUIRE(on_disk);
      CHECK((*on_disk)->revision() == done->revision);
    }
  }
}

TEST_CASE("Followers tell the master itself what they hold, and the store a little later") {
  Cluster* all = nullptr;
  std::atomic<bool> can_tell{true};
  const std::string text = three_nodes();
  Cluster cluster({text, text, text}, [&](int node, int master, const HeldRevision& held) -> Status {
    if (!can_tell) return base::Error{Code::node_unreachable, "cut"};
    (*all)[master].coordinator->told(node, held);
    return {};
  });
  all = &cluster;
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(test::eventually([&] { return cluster[11].coordinator->live_nodes().size() == 3; }));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  const int before = cluster.shared->reports();
  for (int i = 1; i <= 40; ++i) {
    const auto done = cluster[11].set("10.0.1." + std::to_string(i));
    REQUIRE(done.ok());
    CHECK(done->behind.empty());
    for (int id : {12, 13}) CHECK(cluster[id].value() == "10.0.1." + std::to_string(i));
  }
  CHECK(cluster.shared->reports() - before < 60);  // 80 without
  const std::int64_t newest = cluster[11].store->current()->revision();
  CHECK(test::eventually([&] {
    const auto live = cluster.shared->view().live;
    return live.at(12).revision == newest && live.at(13).revision == newest;
  }));
  // Who can't be told hears it from the store.
  can_tell = false;
  const auto done = cluster[11].set("10.0.0.2");
  REQUIRE(done.ok());
  CHECK(done->behind.empty());
}

TEST_CASE("Nobody but the master changes EXAConf") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  const auto refused = cluster[12].set("10.0.0.2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::no_quorum);
  CHECK(cluster.all_hold("10.0.0.1"));
}

TEST_CASE("A master that is cut off stops before another begins, and catches up when it is back") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  cluster.shared->cut(11, true);
  const auto refused = cluster[11].set("10.0.0.9");
  REQUIRE_FALSE(refused);
  REQUIRE(cluster.becomes_master(12));
  CHECK_FALSE(cluster[11].coordinator->is_master());
  const auto done = cluster[12].set("10.0.0.2");
  REQUIRE(done.ok());
  CHECK(cluster[11].value() == "10.0.0.1");
  cluster.shared->cut(11, false);
  CHECK(cluster.all_hold("10.0.0.2"));
  CHECK(cluster[11].times_demoted == 1);
}

TEST_CASE("Without the store nothing is published and nobody is master; afterwards work goes on") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  for (int id : {11, 12, 13}) cluster.shared->cut(id, true);
  const auto refused = cluster[11].set("10.0.0.2");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::no_quorum);
  CHECK(test::eventually([&] { return !cluster[11].coordinator->is_master(); }));
  for (int id : {11, 12, 13}) cluster.shared->cut(id, false);
  REQUIRE(test::eventually([&] { return cluster.shared->view().master.has_value(); }));
  const int master = *cluster.shared->view().master;
  REQUIRE(cluster.becomes_master(master));
  CHECK(cluster[master].set("10.0.0.3").ok());
  CHECK(cluster.all_hold("10.0.0.3"));
}

TEST_CASE("A suspended node never becomes master") {
  std::string text = three_nodes("13", "suspended");
  Cluster cluster(text);
  REQUIRE(cluster.becomes_master(11));
  cluster.shared->cut(11, true);
  REQUIRE(cluster.becomes_master(13));
  CHECK(cluster[12].times_master == 0);
}

TEST_CASE("A node that is behind takes up the head before it may be master") {
  // 11 has the lowest affinity and an old file; 12 and 13 hold a later revision.
  const std::string old = three_nodes();
  std::string later = old;
  later.replace(later.find("Revision = 3"), 12, "Revision = 7");
  later.replace(later.find("NameServers = "), 14, "NameServers = 10.0.0.7");
  Cluster cluster({old, later, later});
  REQUIRE(test::eventually([&] { return cluster.shared->view().head.has_value(); }));
  CHECK(cluster.shared->heads().front().first.revision == 7);
  CHECK(cluster.all_hold("10.0.0.7"));
  CHECK(cluster.becomes_master(12));
}

TEST_CASE("A lost answer: what happened counts, what did not never happens later") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  SECTION("it had happened") {
    cluster.shared->next_publication(FakeCluster::Answers::lost_after);
    const auto done = cluster[11].set("10.0.0.1");
    REQUIRE(done.ok());
    CHECK(cluster.all_hold("10.0.0.1"));
  }
  SECTION("it had not") {
    cluster.shared->next_publication(FakeCluster::Answers::lost_before);
    const auto done = cluster[11].set("10.0.0.1");
    REQUIRE_FALSE(done);
    CHECK(done.error().code == Code::no_quorum);
  }
  SECTION("it was still on its way") {
    cluster.shared->next_publication(FakeCluster::Answers::late);
    const auto done = cluster[11].set("10.0.0.1");
    REQUIRE_FALSE(done);
    CHECK_FALSE(cluster.shared->deliver());
  }
  const auto next = cluster[11].set("10.0.0.2");
  REQUIRE(next.ok());
  CHECK(cluster.all_hold("10.0.0.2"));
}

TEST_CASE("A node that can't be reached does not hold up a commit for long and is named") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  cluster.shared->cut(13, true);
  const auto done = cluster[11].set("10.0.0.2");
  REQUIRE(done.ok());
  // Its live key may have gone in time: then it is no node that can be reached.
  CHECK((done->behind.empty() || done->behind == std::vector<int>{13}));
  CHECK(cluster[12].value() == "10.0.0.2");
  cluster.shared->cut(13, false);
  CHECK(cluster.all_hold("10.0.0.2"));
}

TEST_CASE("A live node that can't write is named and holds up one commit, not each") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  REQUIRE(cluster.all_hold("10.0.0.1"));
  cluster[13].files.fail_from(cluster[13].files.calls() + 1);
  constexpr int kChanges = 20;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kChanges; ++i) {
    const auto done = cluster[11].set("10.0.1." + std::to_string(i));
    REQUIRE(done.ok());
    CHECK(done->behind == std::vector<int>{13});
  }
  // Each waiting for its patience of 1.5 s would take longer than this.
  CHECK(std::chrono::steady_clock::now() - began < kChanges * milliseconds(1500));
  cluster[13].files.fail_from(0);
  REQUIRE(cluster.all_hold("10.0.1.19"));
  const auto done = cluster[11].set("10.0.2.1");
  REQUIRE(done.ok());
  CHECK(done->behind.empty());
}

TEST_CASE("A master hands over in less than a lease") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  // 12 has the lower affinity; the wish counts.
  cluster[11].coordinator->hand_over(13);
  CHECK_FALSE(cluster[11].coordinator->is_master());
  REQUIRE(cluster.becomes_master(13));
  CHECK(cluster[12].times_master == 0);
  CHECK(cluster[13].set("10.0.0.2").ok());
  CHECK(cluster.all_hold("10.0.0.2"));
  // Back at once: 11 lets the others go first for a while, but not when it is the one wished for.
  cluster[13].coordinator->hand_over(11);
  REQUIRE(cluster.becomes_master(11));
  CHECK(cluster[12].times_master == 0);
}

TEST_CASE("A view from before the master's own publication takes nothing back") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  REQUIRE(cluster.all_hold("10.0.0.1"));
  cluster.shared->hold_view(11, true);
  cluster.shared->nudge();
  REQUIRE(test::eventually([&] { return cluster.shared->holds_view(11); }));
  exaconf::Transaction transaction(cluster[11].store->current());
  REQUIRE(transaction.set("Global", "NameServers", "10.0.0.2").ok());
  Answer<Result<Publication>> done;
  cluster[11].publisher->publish({std::move(transaction), [](const Publication&) {}, done.callback()});
  REQUIRE(test::eventually([&] { return cluster[12].value() == "10.0.0.2"; }));
  cluster.shared->hold_view(11, false);
  REQUIRE(done.get().ok());
  CHECK(cluster[11].set("10.0.0.3").ok());
  CHECK(cluster.all_hold("10.0.0.3"));
  for (int id : {11, 12, 13}) CHECK_FALSE(cluster[id].went_back);
}

TEST_CASE("A hand edit on the master reaches all nodes, one on another node is refused and told") {
  Cluster cluster(three_nodes());
  REQUIRE(cluster.becomes_master(11));
  REQUIRE(cluster[11].set("10.0.0.1").ok());
  std::string text = cluster[11].store->current()->text();
  text.replace(text.find("10.0.0.1"), 8, "10.0.0.4");
  const std::size_t at = text.find("Checksum = ");
  text.replace(at, text.find('\n', at) - at, "Checksum = COMMIT");
  cluster[11].files.put(kPath, text);
  CHECK(cluster.all_hold("10.0.0.4"));

  text.replace(text.find("10.0.0.4"), 8, "10.0.0.5");
  cluster[12].files.put(kPath, text);
  REQUIRE(cluster[11].set("10.0.0.6").ok());
  CHECK(cluster.all_hold("10.0.0.6"));
  CHECK(cluster[12].files.read(kPath + ".refused").ok());
}

TEST_CASE("Times that make no sense together are refused") {
  const auto shared = std::make_shared<FakeCluster>();
  test::FakeAgreedStore store(shared, 11, kLease);
  const auto log = std::move(*base::Log::open({}));
  Coordinator::Options options;
  options.lease = milliseconds(1000);
  options.turn = milliseconds(600);
  CHECK_FALSE(Coordinator::start(options, store, *log, {}));
  options.lease = milliseconds(300);
  CHECK_FALSE(Coordinator::start(options, store, *log, {}));
}

}  // namespace confd::cluster
