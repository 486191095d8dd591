// EtcdClient against a real etcd (apt-get install etcd-server), with TLS and certificates of clients.
#include "cluster/etcd_client.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <future>

#include "base/mutex.h"
#include "tests/support/etcd_process.h"
#include "tests/support/eventually.h"

using namespace confd;
using namespace confd::cluster;
using namespace std::chrono_literals;
using base::Code;
using confd::test::EtcdProcess;
using confd::test::eventually;
using confd::test::kDeadline;
using Field = EtcdCompare::Field;
using Is = EtcdCompare::Is;
using Kind = EtcdOperation::Kind;
using Clock = std::chrono::steady_clock;

namespace {

// For all tests that do not hurt it; each uses keys of its own.
EtcdProcess& shared_etcd() {
  static EtcdProcess etcd({{"--experimental-watch-progress-notify-interval=200ms"}, false});
  return etcd;
}

std::shared_ptr<const rpc::ClientTls> tls_for(const EtcdProcess& etcd) {
  auto tls = rpc::ClientTls::create({etcd.client_certificate(), etcd.client_key(), etcd.authority(), ""});
  REQUIRE(tls.ok());
  return *tls;
}

EtcdClient::Call within(std::chrono::milliseconds time = kDeadline) {
  return {Clock::now() + time, {}};
}

EtcdOperation put(const std::string& key, const std::string& value, std::int64_t lease = 0) {
  return {Kind::put, key, "", value, lease};
}
EtcdOperation remove(const std::string& key, const std::string& range_end = "") {
  return {Kind::remove, key, range_end, "", 0};
}
EtcdOperation range(const std::string& key, const std::string& range_end = "") {
  return {Kind::range, key, range_end, "", 0};
}
EtcdCompare unchanged(const std::string& key, std::int64_t mod_revision) {
  return {Field::mod_revision, Is::equal, key, mod_revision, ""};
}

struct Fixture {
  EtcdProcess& etcd = shared_etcd();
  EtcdClient client{tls_for(etcd), {{"127.0.0.1", etcd.client_port()}}};

  std::int64_t write(const std::vector<EtcdOperation>& operations) {
    const auto result = client.transact({}, operations, {}, within());
    INFO((result ? std::string() : result.error().text));
    REQUIRE(result.ok());
    REQUIRE(result->succeeded);
    return result->revision;
  }
  std::vector<KeyValue> read(const std::string& key, const std::string& range_end = "") {
    auto values = client.range(key, range_end, within());
    INFO((values ? std::string() : values.error().text));
    REQUIRE(values.ok());
    return *values;
  }
};

// A watch in a thread of its own, and what it brought.
class Watch {
 public:
  Watch(EtcdClient& client, const std::string& key, const std::string& range_end, std::int64_t from,
        std::chrono::milliseconds silence = kDeadline)
      : ended_(std::async(std::launch::async, [=, this, &client] {
          return client.watch(
              key, range_end, from,
              [this](std::int64_t revision, const std::vector<EtcdClient::Event>& events) {
                base::MutexLock lock(mutex_);
                ++batches_;
                revision_ = revision;
                for (const auto& event : events) {
                  lines_.push_back((event.removed ? "-" : "+") + event.value.key + "=" + event.value.value);
                }
                return true;
              },
              silence, stop_.get_token());
        })) {}
  ~Watch() { stop_.request_stop(); }

  bool brings(const std::vector<std::string>& lines) {
    return eventually([&] {
      base::MutexLock lock(mutex_);
      return lines_ == lines;
    });
  }
  std::int64_t revision() {
    base::MutexLock lock(mutex_);
    return revision_;
  }
  int batches() {
    base::MutexLock lock(mutex_);
    return batches_;
  }
  void stop() { stop_.request_stop(); }
  base::Status outcome() {
    REQUIRE(ended_.wait_for(kDeadline) == std::future_status::ready);
    return ended_.get();
  }

 private:
  std::stop_source stop_;
  base::Mutex mutex_;
  std::vector<std::string> lines_ GUARDED_BY(mutex_);
  std::int64_t revision_ GUARDED_BY(mutex_) = 0;
  int batches_ GUARDED_BY(mutex_) = 0;
  std::future<base::Status> ended_;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "etcd keeps bytes as they are") {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const std::string key = "bytes/" + bytes;
  const std::int64_t revision = write({put(key, bytes), put("bytes0/empty", "")});
  const auto values = read(key);
  REQUIRE(values.size() == 1);
  CHECK(values[0].key == key);
  CHECK(values[0].value == bytes);
  CHECK(values[0].create_revision == revision);
  CHECK(values[0].mod_revision == revision);
  CHECK(values[0].version == 1);
  REQUIRE(read("bytes0/empty").size() == 1);
  CHECK(read("bytes0/empty")[0].value.empty());
  CHECK(read("bytes0/absent").empty());
}

TEST_CASE_METHOD(Fixture, "etcd gives ranges in order, and the revision they are of") {
  const std::int64_t revision = write({put("range/b", "2"), put("range/a", "1"), put("range0", "outside")});
  const auto values = read("range/", "range0");
  REQUIRE(values.size() == 2);
  CHECK(values[0].key == "range/a");
  CHECK(values[1].key == "range/b");
  const auto snapshot = client.snapshot("range/", "range0", within());
  REQUIRE(snapshot.ok());
  CHECK(snapshot->values.size() == 2);
  CHECK(snapshot->revision >= revision);
  CHECK(client.range("range/", "range0", within(), true)->size() == 2);  // serializable
}

TEST_CASE_METHOD(Fixture, "compare-and-swap is won once") {
  const std::int64_t first = write({put("swap", "0")});
  const auto won = client.transact({unchanged("swap", first)}, {put("swap", "1")}, {range("swap")}, within());
  REQUIRE(won.ok());
  CHECK(won->succeeded);
  CHECK(won->ranges.empty());
  const auto lost =
      client.transact({unchanged("swap", first)}, {put("swap", "2")}, {range("swap")}, within());
  REQUIRE(lost.ok());
  CHECK_FALSE(lost->succeeded);
  REQUIRE(lost->ranges.size() == 1);
  REQUIRE(lost->ranges[0].size() == 1);
  CHECK(lost->ranges[0][0].value == "1");
  CHECK(lost->ranges[0][0].mod_revision == won->revision);
  CHECK(read("swap")[0].value == "1");
}

TEST_CASE_METHOD(Fixture, "every kind of comparison is understood by etcd") {
  write({put("compared", "x"), remove("never there")});
  const std::int64_t mod = read("compared")[0].mod_revision;
  const auto holds = [&](const EtcdCompare& compare) {
    const auto result = client.transact({compare}, {}, {}, within());
    INFO((result ? std::string() : result.error().text));
    REQUIRE(result.ok());
    return result->succeeded;
  };
  CHECK(holds({Field::create_revision, Is::equal, "never there", 0, ""}));
  CHECK_FALSE(holds({Field::create_revision, Is::equal, "compared", 0, ""}));
  CHECK(holds({Field::mod_revision, Is::less, "compared", mod + 1, ""}));
  CHECK(holds({Field::version, Is::greater, "compared", 0, ""}));
  CHECK(holds({Field::value, Is::equal, "compared", 0, "x"}));
  CHECK(holds({Field::value, Is::not_equal, "compared", 0, ""}));
  CHECK(holds({Field::lease, Is::equal, "compared", 0, ""}));
}

TEST_CASE_METHOD(Fixture, "a transaction reads several ranges of one moment") {
  write({put("multi/a", "1"), put("multi/b", "2")});
  const auto result =
      client.transact({}, {range("multi/a"), range("multi/none"), range("multi/", "multi0")}, {}, within());
  REQUIRE(result.ok());
  REQUIRE(result->ranges.size() == 3);
  CHECK(result->ranges[0].size() == 1);
  CHECK(result->ranges[1].empty());
  CHECK(result->ranges[2].size() == 2);
}

TEST_CASE_METHOD(Fixture, "a lease that ends takes its keys along") {
  const auto lease = client.grant_lease(60s, within());
  REQUIRE(lease.ok());
  write({put("leased", "x", *lease)});
  CHECK(read("leased")[0].lease == *lease);
  const auto left = client.keep_alive(*lease, within());
  REQUIRE(left.ok());
  CHECK(*left == 60s);
  REQUIRE(client.revoke_lease(*lease, within()).ok());
  CHECK(read("leased").empty());
  CHECK(client.keep_alive(*lease, within()).error().code == Code::not_found);
  CHECK(client.revoke_lease(*lease, within()).ok());  // it has ended, as wanted
  CHECK(client.transact({}, {put("leased", "x", *lease)}, {}, within()).error().code == Code::not_found);

  SECTION("also by itself") {
    const auto brief = client.grant_lease(1s, within());
    REQUIRE(brief.ok());
    write({put("leased/briefly", "x", *brief)});
    CHECK(eventually([&] { return read("leased/briefly").empty(); }));
    CHECK(client.keep_alive(*brief, within()).error().code == Code::not_found);
  }
}

TEST_CASE_METHOD(Fixture, "a watch brings everything from its revision on") {
  const std::int64_t first = write({put("watched/a", "1")});
  write({put("watched/b", "2")});
  Watch watch(client, "watched/", "watched0", first);
  CHECK(watch.brings({"+watched/a=1", "+watched/b=2"}));
  const std::int64_t last = write({remove("watched/a"), put("watched/c", "3")});
  write({put("elsewhere", "x")});
  CHECK(watch.brings({"+watched/a=1", "+watched/b=2", "-watched/a=", "+watched/c=3"}));
  CHECK(watch.revision() >= last);
  watch.stop();
  CHECK(watch.outcome().error().code == Code::stopped);
}

TEST_CASE_METHOD(Fixture, "progress of etcd comes as a batch without events") {
  const std::int64_t revision = write({put("progress", "1")});
  Watch watch(client, "progress/none", "", revision + 1, kDeadline);
  CHECK(eventually([&] { return watch.batches() >= 2; }));
  CHECK(watch.revision() >= revision);
}

TEST_CASE_METHOD(Fixture, "a watch of one key ends when its callback says so") {
  const std::int64_t from = write({put("single", "1"), put("single2", "no")});
  std::vector<std::string> seen;
  const auto ended = client.watch("single", "", from,
                                  [&](std::int64_t, const std::vector<EtcdClient::Event>& events) {
                                    for (const auto& event : events) seen.push_back(event.value.value);
                                    return seen.empty();
                                  },
                                  kDeadline, {});
  CHECK(ended.ok());
  CHECK(seen == std::vector<std::string>{"1"});
}

TEST_CASE_METHOD(Fixture, "many events of megabytes come whole") {
  const std::string big(300'000, 'b');
  const std::int64_t from = write({put("big/0", big)});
  for (int i = 1; i < 10; ++i) write({put("big/" + std::to_string(i), big)});
  std::size_t bytes = 0;
  const auto ended = client.watch("big/", "big0", from,
                                  [&](std::int64_t, const std::vector<EtcdClient::Event>& events) {
                                    for (const auto& event : events)
                                      bytes += event.value.value == big ? big.size() : 0;
                                    return bytes < 10 * big.size();
                                  },
                                  kDeadline, {});
  CHECK(ended.ok());
  CHECK(bytes == 10 * big.size());
}

TEST_CASE_METHOD(Fixture, "a watch from a revision that is compacted away says so") {
  const std::int64_t old = write({put("compacted", "1")});
  const std::int64_t now = write({put("compacted", "2")});
  REQUIRE(client.compact(now, within()).ok());
  CHECK(client.compact(old, within()).ok());  // done already
  Watch watch(client, "compacted", "", old);
  const base::Status outcome = watch.outcome();
  REQUIRE_FALSE(outcome.ok());
  CHECK(outcome.error().code == Code::not_found);
  CHECK(outcome.error().text.find("read a snapshot") != std::string::npos);
  CHECK_FALSE(client.compact(now + 1'000'000, within()).ok());
}

TEST_CASE_METHOD(Fixture, "etcd tells its state and its members") {
  const auto status = client.status({"127.0.0.1", etcd.client_port()}, within());
  REQUIRE(status.ok());
  CHECK(status->member != 0);
  CHECK(status->leader == status->member);
  CHECK(status->database_bytes > 0);
  CHECK(status->database_bytes_in_use <= status->database_bytes);
  CHECK(status->raft_index > 0);
  CHECK(status->version.substr(0, 2) == "3.");
  CHECK(client.defragment({"127.0.0.1", etcd.client_port()}, within()).ok());
  const auto members = client.members(within());
  REQUIRE(members.ok());
  REQUIRE(members->size() == 1);
  CHECK(members->front().id == status->member);
  CHECK(members->front().name == "test");
}

TEST_CASE_METHOD(Fixture, "learners join and leave") {
  const std::string url = "http://127.0.0.1:" + std::to_string(confd::test::free_port());
  const auto added = client.add_learner(url, within());
  INFO((added ? std::string() : added.error().text));
  REQUIRE(added.ok());
  CHECK(added->id != 0);
  CHECK(added->is_learner);
  CHECK(added->peer_urls == std::vector<std::string>{url});
  CHECK(client.members(within())->size() == 2);
  CHECK(client.add_learner(url, within()).error().code == Code::exists);
  const auto promoted = client.promote(added->id, within());  // nobody runs it
  REQUIRE_FALSE(promoted.ok());
  CHECK(promoted.error().code == Code::wrong_state);
  const std::string other = "http://127.0.0.1:" + std::to_string(confd::test::free_port());
  CHECK(client.move_member(added->id, other, within()).ok());
  const auto moved = client.members(within());
  REQUIRE(moved.ok());
  CHECK((moved->at(0).id == added->id ? moved->at(0) : moved->at(1)).peer_urls ==
        std::vector<std::string>{other});
  CHECK(client.remove_member(added->id, within()).ok());
  CHECK(client.members(within())->size() == 1);
  CHECK(client.remove_member(added->id, within()).error().code == Code::not_found);
}

TEST_CASE_METHOD(Fixture, "endpoints may change while it is used") {
  const EtcdClient::Endpoint dead{"127.0.0.1", confd::test::free_port()},
      good{"127.0.0.1", etcd.client_port()};
  EtcdClient moving(tls_for(etcd), {dead});
  CHECK(moving.members(within(2s)).error().code == Code::no_quorum);
  moving.set_endpoints({dead, good});
  CHECK(moving.members(within()).ok());
  moving.set_endpoints({good});  // the kept connection goes on
  CHECK(moving.members(within()).ok());
  moving.set_endpoints({});
  CHECK(moving.members(within(2s)).error().code == Code::no_quorum);
  moving.set_endpoints({good, dead});
  CHECK(moving.members(within()).ok());
}

TEST_CASE_METHOD(Fixture, "etcd refuses strangers, and we refuse a strange etcd") {
  EtcdProcess other;
  EtcdClient stranger(tls_for(other), {{"127.0.0.1", etcd.client_port()}});
  const auto refused = stranger.range("x", "", within());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::no_quorum);
  CHECK(refused.error().text.find("certificate") != std::string::npos);

  auto bare = rpc::ClientTls::create({"", "", etcd.authority(), ""});
  REQUIRE(bare.ok());
  EtcdClient without(*bare, {{"127.0.0.1", etcd.client_port()}});
  CHECK(without.transact({}, {put("x", "y")}, {}, within()).error().code == Code::no_quorum);
}

TEST_CASE_METHOD(Fixture, "threads share a client") {
  std::vector<std::future<bool>> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.push_back(std::async(std::launch::async, [this, thread] {
      for (int i = 0; i < 20; ++i) {
        const std::string value = std::to_string(thread) + "." + std::to_string(i);
        const std::string key = "threads/" + std::to_string(thread);
        if (!client.transact({}, {put(key, value)}, {}, within())) return false;
        const auto values = client.range(key, "", within());
        if (!values || values->size() != 1 || values->front().value != value) return false;
      }
      return true;
    }));
  }
  for (auto& thread : threads) CHECK(thread.get());
}

TEST_CASE("etcd that was killed is missed in time, and found again") {
  EtcdProcess etcd({{}, true});
  EtcdClient client(tls_for(etcd), {{"127.0.0.1", etcd.client_port()}});
  const auto first = client.transact({}, {put("k", "1")}, {}, within());
  REQUIRE(first.ok());
  Watch watch(client, "k", "", first->revision + 1);
  REQUIRE(client.transact({}, {put("k", "2")}, {}, within()).ok());
  CHECK(watch.brings({"+k=2"}));

  etcd.kill();
  CHECK(watch.outcome().error().code == Code::node_unreachable);
  CHECK(client.range("k", "", within()).error().code == Code::no_quorum);
  const auto lost = client.transact({}, {put("k", "3")}, {}, within());
  REQUIRE_FALSE(lost.ok());
  CHECK(lost.error().code == Code::no_quorum);  // surely not done: nobody was there to hear it
  CHECK(lost.error().text.find("127.0.0.1:" + std::to_string(etcd.client_port())) != std::string::npos);

  etcd.start();
  const auto values = client.range("k", "", within());
  INFO((values ? std::string() : values.error().text));
  REQUIRE(values.ok());
  CHECK(values->front().value == "2");
  Watch again(client, "k", "", watch.revision() + 1);
  REQUIRE(client.transact({}, {put("k", "4")}, {}, within()).ok());
  CHECK(again.brings({"+k=4"}));
}

TEST_CASE("an etcd that hangs ends no later than the deadline, the stop or the silence") {
  EtcdProcess etcd;
  EtcdClient client(tls_for(etcd), {{"127.0.0.1", etcd.client_port()}});
  REQUIRE(client.transact({}, {put("k", "1")}, {}, within()).ok());
  Watch silent(client, "k", "", 1, 300ms);
  CHECK(silent.brings({"+k=1"}));
  etcd.freeze();
  CHECK(silent.outcome().error().code == Code::timeout);
  CHECK(client.range("k", "", within(100ms)).error().code == Code::timeout);
  etcd.thaw();
  REQUIRE(client.range("k", "", within()).ok());
  etcd.freeze();
  // A kept connection takes the request, so it may yet be done.
  const auto unknown = client.transact({}, {put("k", "2")}, {}, within(100ms));
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().code == Code::unknown_outcome);
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] {
    return client.range("k", "", {Clock::now() + kDeadline, stop.get_token()});
  });
  CHECK(waiting.wait_for(50ms) == std::future_status::timeout);
  stop.request_stop();
  REQUIRE(waiting.wait_for(kDeadline / 2) == std::future_status::ready);
  CHECK(waiting.get().error().code == Code::stopped);
  etcd.thaw();
  const auto values = client.range("k", "", within());
  REQUIRE(values.ok());
  REQUIRE(values->size() == 1);
  CHECK((values->front().value == "1" || values->front().value == "2"));
}

TEST_CASE_METHOD(Fixture, "of two endpoints one may be dead or hang") {
  SECTION("dead") {
    EtcdClient both(tls_for(etcd),
                    {{"127.0.0.1", confd::test::free_port()}, {"127.0.0.1", etcd.client_port()}});
    REQUIRE(both.transact({}, {put("two", "1")}, {}, within()).ok());
    CHECK(both.range("two", "", within())->front().value == "1");
    const auto ended =
        both.watch("two", "", 1, [](std::int64_t, const std::vector<EtcdClient::Event>&) { return false; },
                   kDeadline, {});
    CHECK((ended.ok() || ended.error().code == Code::not_found));  // another test may have compacted
  }
  SECTION("hanging") {
    EtcdProcess hanging;
    EtcdClient both(tls_for(hanging),
                    {{"127.0.0.1", hanging.client_port()}, {"127.0.0.1", etcd.client_port()}});
    hanging.freeze();
    // The live one is a stranger here and refuses, which shows that it was asked.
    const auto asked = both.range("two", "", within(1s));
    REQUIRE_FALSE(asked.ok());
    CHECK(asked.error().text.find(std::to_string(etcd.client_port())) != std::string::npos);
    hanging.thaw();
  }
}

TEST_CASE("without an endpoint there is no quorum") {
  EtcdClient client(nullptr, {});
  CHECK(client.range("k", "", within()).error().code == Code::no_quorum);
}
