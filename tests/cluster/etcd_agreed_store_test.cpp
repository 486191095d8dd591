// EtcdAgreedStore against a real etcd: what the coordinator's tests over a store in memory take for granted.
#include "cluster/etcd_agreed_store.h"

#include <catch2/catch.hpp>

#include "tests/support/etcd_process.h"
#include "tests/support/eventually.h"

using namespace confd;
using namespace confd::cluster;
using namespace std::chrono_literals;
using base::Code;

namespace {

test::EtcdProcess& shared_etcd() {
  static test::EtcdProcess etcd({{}, false});
  return etcd;
}

struct Fixture {
  static inline int count = 0;
  std::shared_ptr<const rpc::ClientTls> tls = *rpc::ClientTls::create(
      {shared_etcd().client_certificate(), shared_etcd().client_key(), shared_etcd().authority(), ""});
  EtcdClient etcd{tls, {{"127.0.0.1", shared_etcd().client_port()}}};
  EtcdAgreedStore store{etcd, "/agreed" + std::to_string(++count) + "/", 5s};
  AgreedStore::Lease lease = *store.open_lease(60s, soon());
  AgreedStore::Term term = *store.become_master(lease, 11, 0, soon());

  static AgreedStore::Limits soon() { return {std::chrono::steady_clock::now() + test::kDeadline, {}}; }
  static AgreedRevision revision(int number) {
    return {number, "ABC" + std::to_string(number),
            "[Global]\n    Revision = " + std::to_string(number) + "\n    Checksum = ABC" +
                std::to_string(number) + "\n",
            0};
  }
};

TEST_CASE_METHOD(Fixture, "A revision follows the one at its position, once") {
  const auto first = store.publish(0, term, revision(1), {}, soon());
  REQUIRE(first.ok());
  CHECK(store.publish(0, term, revision(2), {}, soon()).error().code == Code::conflict);
  const auto second = store.publish(*first, term, revision(2), {}, soon());
  REQUIRE(second.ok());
  CHECK(store.publish(*second, term, revision(2), {}, soon()).error().code ==
        Code::conflict);  // a number twice
  const auto view = store.read(soon());
  REQUIRE(view.ok());
  CHECK(view->head->revision == 2);
  CHECK(view->head->text == revision(2).text);
  CHECK(view->head->position == *second);
  CHECK((*store.was_published({1, "ABC1"}, soon())) == *first);
  CHECK_FALSE(store.was_published({1, "other"}, soon())->has_value());
}

TEST_CASE_METHOD(Fixture, "A node that lives says so only of what is in force") {
  const auto first = store.publish(0, term, revision(1), {}, soon());
  REQUIRE(first.ok());
  REQUIRE(store.report(lease, 12, {1, "ABC1"}, *first, soon()).ok());
  const auto second = store.publish(*first, term, revision(2), {}, soon());
  REQUIRE(second.ok());
  // It looked before the second revision, and asks after it.
  CHECK(store.report(lease, 13, {1, "ABC1"}, *first, soon()).error().code == Code::conflict);
  CHECK_FALSE(store.read(soon())->live.contains(13));
  REQUIRE(store.report(lease, 13, {2, "ABC2"}, *second, soon()).ok());
  CHECK(store.read(soon())->live.at(13) == HeldRevision{2, "ABC2"});
  // Who is counted already says what it holds, whatever is in force.
  REQUIRE(store.report(lease, 12, {1, "ABC1"}, 0, soon()).ok());
}

TEST_CASE_METHOD(Fixture, "A node that is behind does not become master") {
  const auto first = store.publish(0, term, revision(1), {}, soon());
  const auto second = store.publish(*first, term, revision(2), {}, soon());
  REQUIRE(second.ok());
  // The key is ours already: an answer that got lost is asked for again.
  CHECK(*store.become_master(lease, 11, *second, soon()) == term);
  REQUIRE(store.resign(term, lease, 0, soon()).ok());
  CHECK(store.become_master(lease, 12, *first, soon()).error().code == Code::conflict);
  CHECK(store.become_master(lease, 12, 0, soon()).error().code == Code::conflict);
  CHECK_FALSE(store.read(soon())->master.has_value());
  CHECK(*store.become_master(lease, 12, *second, soon()) > term);
  // Another lease finds the place taken.
  const AgreedStore::Lease other = *store.open_lease(60s, soon());
  CHECK(*store.become_master(other, 13, *second, soon()) == 0);
  CHECK(*store.become_master(other, 13, *first, soon()) == 0);
  // A key that is ours while the head moved on is given back.
  CHECK(store.become_master(lease, 12, *first, soon()).error().code == Code::conflict);
  CHECK_FALSE(store.read(soon())->master.has_value());
}

TEST_CASE_METHOD(Fixture, "What is done as master ends with the term, though the lease lives") {
  const auto first = store.publish(0, term, revision(1), {}, soon());
  REQUIRE(store.resign(term, lease, 0, soon()).ok());
  CHECK(store.publish(*first, term, revision(2), {}, soon()).error().code == Code::wrong_state);
  CHECK(store.fence(revision(1), term, soon()).error().code == Code::wrong_state);
  const auto next = store.become_master(lease, 11, *first, soon());
  REQUIRE(next.ok());
  CHECK(*next > term);
  CHECK(store.publish(*first, term, revision(2), {}, soon()).error().code == Code::wrong_state);
  CHECK(store.publish(*first, *next, revision(2), {}, soon()).ok());
}

}  // namespace
