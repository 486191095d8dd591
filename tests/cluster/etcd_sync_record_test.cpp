// EtcdSyncRecord against a real etcd.
#include "cluster/etcd_sync_record.h"

#include <catch2/catch.hpp>

#include "tests/support/etcd_process.h"
#include "tests/support/eventually.h"

using namespace confd;
using namespace confd::cluster;
using base::Code;

namespace {

test::EtcdProcess& shared_etcd() {
  static test::EtcdProcess etcd({{}, false});
  return etcd;
}

struct Fixture {
  static inline int count = 0;
  std::string prefix = "/copies" + std::to_string(++count) + "/";
  std::shared_ptr<const rpc::ClientTls> tls = *rpc::ClientTls::create(
      {shared_etcd().client_certificate(), shared_etcd().client_key(), shared_etcd().authority(), ""});
  EtcdClient etcd{tls, {{"127.0.0.1", shared_etcd().client_port()}}};
  EtcdSyncRecord record{etcd, prefix};

  static SyncRecord::Limits soon() { return {std::chrono::steady_clock::now() + test::kDeadline, {}}; }
  SyncRecord::Marks marks(const std::string& segment = "7/0") {
    const auto found = record.read(segment, soon());
    REQUIRE(found.ok());
    return *found;
  }
};

TEST_CASE_METHOD(Fixture, "A copy that missed something has a mark until it has everything") {
  CHECK(marks().empty());
  REQUIRE(record.leave_behind("7/0", {12, 13}, {11}, soon()).ok());
  CHECK(marks().size() == 2);
  CHECK(!marks().at(12).is_returning);
  const auto position = marks().at(12).position;
  // Once more changes nothing.
  REQUIRE(record.leave_behind("7/0", {12}, {11}, soon()).ok());
  CHECK(marks().at(12).position == position);

  const auto begun = record.begin_return("7/0", 12, soon());
  REQUIRE(begun.ok());
  CHECK(begun->at(12).is_returning);
  CHECK(begun->size() == 2);
  CHECK(record.begin_return("7/0", 12, soon())->at(12).position == begun->at(12).position);
  REQUIRE(record.remove("7/0", 12, begun->at(12).position, soon()).ok());
  CHECK(marks().size() == 1);
  CHECK(record.remove("7/0", 12, begun->at(12).position, soon()).error().code == Code::conflict);
  CHECK(record.begin_return("7/0", 12, soon())->size() == 1);
}

TEST_CASE_METHOD(Fixture, "A copy that misses more while it comes back does not get rid of its mark") {
  REQUIRE(record.leave_behind("7/0", {12}, {11}, soon()).ok());
  const auto begun = record.begin_return("7/0", 12, soon());
  REQUIRE(begun.ok());
  REQUIRE(record.leave_behind("7/0", {12}, {11}, soon()).ok());
  CHECK(record.remove("7/0", 12, begun->at(12).position, soon()).error().code == Code::conflict);
  CHECK(!marks().at(12).is_returning);
}

TEST_CASE_METHOD(Fixture, "Copies that were left behind leave nobody behind") {
  REQUIRE(record.leave_behind("7/0", {12}, {11}, soon()).ok());
  CHECK(record.leave_behind("7/0", {11}, {12}, soon()).error().code == Code::wrong_state);
  CHECK(marks().size() == 1);
  // Of another segment it is another copy.
  CHECK(record.leave_behind("7/1", {11}, {12}, soon()).ok());
  CHECK(record.leave_behind("17/0", {13}, {12}, soon()).ok());
  CHECK(marks("7/1").contains(11));
  const auto all = record.read_all(soon());
  REQUIRE(all.ok());
  CHECK(all->size() == 3);
  CHECK(all->at("17/0").contains(13));
}

TEST_CASE_METHOD(Fixture, "Without a store there is no answer, in time") {
  EtcdClient nobody(tls, {{"127.0.0.1", 1}});
  EtcdSyncRecord lost(nobody, prefix);
  const SyncRecord::Limits now{std::chrono::steady_clock::now() + std::chrono::milliseconds(300), {}};
  CHECK(!lost.read("7/0", now).ok());
  CHECK(!lost.leave_behind("7/0", {12}, {11}, now).ok());
  CHECK(!lost.begin_return("7/0", 12, now).ok());
  CHECK(!lost.remove("7/0", 12, 1, now).ok());
}

}  // namespace
