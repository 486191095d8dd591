// What lies in the store in etcd (apt-get install etcd-server): deflated, forgotten in time, made anew.
#include "cluster/etcd_agreed_store.h"

#include <catch2/catch.hpp>

#include "cluster/deflated_text.h"
#include "tests/support/etcd_process.h"

using namespace confd;
using namespace confd::cluster;
using namespace std::chrono_literals;
using base::Code;
using confd::test::EtcdProcess;

namespace {

AgreedStore::Limits within(std::chrono::milliseconds time = 20s) {
  return {std::chrono::steady_clock::now() + time, {}};
}

EtcdClient::Call call() {
  return {std::chrono::steady_clock::now() + 20s, {}};
}

AgreedRevision revision(std::int64_t number) {
  const std::string checksum = "C" + std::to_string(number);
  return {number, checksum,
          "[Global]\n    Revision = " + std::to_string(number) + "\n    Checksum = " + checksum +
              "\n    Filler = " + std::string(4000, 'x') + "\n",
          0};
}

// A store of its own in one etcd for all.
struct Fixture {
  static EtcdProcess& etcd() {
    static EtcdProcess process({{"--experimental-watch-progress-notify-interval=200ms"}, false});
    return process;
  }
  static std::string next_prefix() {
    static int number = 0;
    return "/confd-" + std::to_string(++number) + "/";
  }
  std::shared_ptr<const rpc::ClientTls> tls = *rpc::ClientTls::create(
      {etcd().client_certificate(), etcd().client_key(), etcd().authority(), std::string()});
  EtcdClient client{tls, {{"127.0.0.1", etcd().client_port()}}};
  const std::string prefix = next_prefix();
  EtcdAgreedStore store{client, prefix, 5s};
  AgreedStore::Lease lease = *store.open_lease(60s, within());
  AgreedStore::Term term = *store.become_master(lease, 11, 0, within());

  std::int64_t publish(std::int64_t base, std::int64_t number) {
    const auto put = store.publish(base, term, revision(number), {}, within());
    REQUIRE(put);
    return *put;
  }
};

}  // namespace

TEST_CASE("EXAConf lies deflated in the store and is read whole") {
  Fixture f;
  const std::int64_t position = f.publish(0, 7);
  const auto raw = f.client.range(f.prefix + "conf", {}, call());
  REQUIRE(raw);
  CHECK(raw->at(0).value.size() < 300);
  const auto view = f.store.read(within());
  REQUIRE(view);
  CHECK(view->head->text == revision(7).text);
  CHECK(view->head->position == position);
  // What is put again by a fence is the same.
  AgreedRevision head = revision(7);
  head.position = position;
  REQUIRE(f.store.fence(head, f.term, within()));
  CHECK(f.store.read(within())->head->text == revision(7).text);
}

TEST_CASE("a store whose EXAConf was put by an earlier confd, not deflated, is read and gone on with") {
  Fixture f;
  const auto put = f.client.transact(
      {}, {{EtcdOperation::Kind::put, f.prefix + "conf", {}, revision(7).text, 0}}, {}, call());
  REQUIRE(put);
  const auto view = f.store.read(within());
  REQUIRE(view);
  CHECK(view->head->revision == 7);
  CHECK(view->head->text == revision(7).text);
  f.publish(view->head->position, 8);
  CHECK(f.store.read(within())->head->text == revision(8).text);
}

TEST_CASE("a damaged value is told with its key") {
  Fixture f;
  REQUIRE(f.client.transact(
      {}, {{EtcdOperation::Kind::put, f.prefix + "conf", {}, deflated("x").substr(0, 18), 0}}, {}, call()));
  const auto view = f.store.read(within());
  REQUIRE_FALSE(view);
  CHECK(view.error().text.find(f.prefix + "conf") != std::string::npos);
}

TEST_CASE("the store forgets what is more than a hundred publications ago, and nothing younger") {
  Fixture f;
  std::vector<std::int64_t> positions = {0};
  for (int number = 1; number < 200; ++number) positions.push_back(f.publish(positions.back(), number));
  REQUIRE(f.store.tidy(within()));
  const auto watch_from = [&](std::int64_t position) {
    return f.client.watch(f.prefix + "conf", {}, position, [](std::int64_t, const auto&) { return false; },
                          10s, {});
  };
  CHECK(watch_from(positions[1]));  // a hundred more had to come
  positions.push_back(f.publish(positions.back(), 200));
  REQUIRE(f.store.tidy(within()));
  const auto forgotten = watch_from(positions[100]);
  REQUIRE_FALSE(forgotten);
  CHECK(forgotten.error().code == Code::not_found);
  CHECK(watch_from(positions[101]));
  // The head and the history are there whole.
  CHECK(f.store.read(within())->head->revision == 200);
  CHECK(*f.store.was_published({3, "C3"}, within()) == positions[3]);
  REQUIRE(f.store.tidy(within()));
}

TEST_CASE("a store that was made anew does not take what it never knew for never published") {
  Fixture f;
  REQUIRE(f.store.restore(revision(50), within()));
  CHECK(f.store.read(within())->head->revision == 50);
  CHECK(*f.store.was_published({50, "C50"}, within()));
  const auto before = f.store.was_published({49, "C49"}, within());
  REQUIRE_FALSE(before);
  CHECK(before.error().code == Code::unknown_outcome);
  const auto after = f.store.was_published({51, "C51"}, within());
  REQUIRE(after);
  CHECK_FALSE(*after);
}
