// EtcdJobBoard against a real etcd.
#include "cluster/etcd_job_board.h"

#include <catch2/catch.hpp>

#include "cluster/etcd_agreed_store.h"
#include "tests/support/etcd_process.h"
#include "tests/support/eventually.h"

using namespace confd;
using namespace confd::cluster;
using namespace std::chrono_literals;
using base::Code;
using base::WallTime;

namespace {

test::EtcdProcess& shared_etcd() {
  static test::EtcdProcess etcd({{}, false});
  return etcd;
}

struct Fixture {
  static inline int count = 0;
  std::string prefix = "/board" + std::to_string(++count) + "/";
  std::shared_ptr<const rpc::ClientTls> tls = *rpc::ClientTls::create(
      {shared_etcd().client_certificate(), shared_etcd().client_key(), shared_etcd().authority(), ""});
  EtcdClient etcd{tls, {{"127.0.0.1", shared_etcd().client_port()}}};
  EtcdAgreedStore store{etcd, prefix, 5s};
  EtcdJobBoard board{etcd, prefix};

  static AgreedStore::Limits soon() { return {std::chrono::steady_clock::now() + test::kDeadline, {}}; }
  AgreedStore::Term become_master() {
    const auto lease = store.open_lease(60s, soon());
    REQUIRE(lease.ok());
    const auto term = store.become_master(*lease, 11, 0, soon());
    REQUIRE(term.ok());
    return *term;
  }
  static JobNote note(const std::string& id, const std::string& text, int seconds = 1000) {
    return {id, text, WallTime(std::chrono::seconds(seconds))};
  }
};

TEST_CASE_METHOD(Fixture, "A job is open until its end is put") {
  const auto term = become_master();
  CHECK_FALSE(board.find("11.1", soon())->has_value());
  REQUIRE(board.post(term, {note("11.1", "running"), note("11.2", "queued")}, soon()).ok());
  CHECK((*board.find("11.1", soon()))->text == "running");
  CHECK_FALSE((*board.find("11.1", soon()))->has_ended);
  CHECK(board.open_jobs(soon())->size() == 2);
  const auto ends = board.end({note("11.1", "done")}, soon());
  REQUIRE(ends.ok());
  CHECK_FALSE((*ends)[0].has_value());
  CHECK((*board.find("11.1", soon()))->text == "done");
  CHECK((*board.find("11.1", soon()))->has_ended);
  REQUIRE(board.open_jobs(soon())->size() == 1);
  CHECK(board.open_jobs(soon())->front().id == "11.2");
}

TEST_CASE_METHOD(Fixture, "Nothing is posted in a term that is over") {
  const auto term = become_master();
  REQUIRE(store.resign(term, 0, 0, soon()).ok());
  CHECK(board.post(term, {note("11.1", "running")}, soon()).error().code == Code::wrong_state);
  CHECK(board.open_jobs(soon())->empty());
}

TEST_CASE_METHOD(Fixture, "The first end counts, whoever comes second is told it") {
  const auto term = become_master();
  REQUIRE(board.post(term, {note("11.1", "a"), note("11.2", "b"), note("11.3", "c")}, soon()).ok());
  REQUIRE(board.end({note("11.2", "interrupted")}, soon()).ok());
  const auto ends = board.end({note("11.1", "ok 1"), note("11.2", "ok 2"), note("11.3", "ok 3")}, soon());
  REQUIRE(ends.ok());
  CHECK_FALSE((*ends)[0].has_value());
  CHECK((*ends)[1] == "interrupted");
  CHECK_FALSE((*ends)[2].has_value());
  CHECK(board.open_jobs(soon())->empty());
  // The same again, as after an answer that got lost.
  CHECK_FALSE((*board.end({note("11.1", "ok 1")}, soon()))[0].has_value());
}

TEST_CASE_METHOD(Fixture, "An end that is there already takes a late post away") {
  const auto term = become_master();
  REQUIRE(board.end({note("11.1", "done")}, soon()).ok());
  REQUIRE(board.post(term, {note("11.1", "running")}, soon()).ok());
  CHECK(board.open_jobs(soon())->size() == 1);
  CHECK((*board.end({note("11.1", "interrupted")}, soon()))[0] == "done");
  CHECK(board.open_jobs(soon())->empty());
}

TEST_CASE_METHOD(Fixture, "Ends come with the revision, or not at all") {
  const auto term = become_master();
  REQUIRE(board.post(term, {note("11.1", "running")}, soon()).ok());
  const AgreedRevision first{1, "ABC", "[Global]\n    Revision = 1\n    Checksum = ABC\n", 0};
  REQUIRE(store.publish(0, term, first, {note("11.1", "committed")}, soon()).ok());
  CHECK((*board.find("11.1", soon()))->has_ended);
  CHECK(board.open_jobs(soon())->empty());
  AgreedRevision second = first;
  second.revision = 2;
  CHECK(store.publish(0, term, second, {note("11.2", "committed")}, soon()).error().code == Code::conflict);
  CHECK_FALSE(board.find("11.2", soon())->has_value());
}

TEST_CASE_METHOD(Fixture, "More ends than fit into one transaction are put in several") {
  std::vector<JobNote> many;
  for (int i = 1; i <= 230; ++i) many.push_back(note("11." + std::to_string(i), std::string(9000, 'x')));
  const auto ends = board.end(many, soon());
  REQUIRE(ends.ok());
  CHECK(ends->size() == many.size());
  CHECK((*board.find("11.230", soon()))->has_ended);
}

TEST_CASE_METHOD(Fixture, "Old ends go, by age and by number") {
  std::vector<JobNote> many;
  for (int i = 1; i <= 250; ++i) many.push_back(note("11." + std::to_string(i), "done", i));
  for (const JobNote& one : many) REQUIRE(board.end({one}, soon()).ok());
  REQUIRE(board.prune(1000, WallTime(std::chrono::seconds(121)), soon()).ok());
  CHECK_FALSE(board.find("11.120", soon())->has_value());
  CHECK(board.find("11.121", soon())->has_value());
  REQUIRE(board.prune(10, WallTime(std::chrono::seconds(121)), soon()).ok());
  CHECK_FALSE(board.find("11.240", soon())->has_value());
  CHECK(board.find("11.241", soon())->has_value());
  REQUIRE(board.prune(10, WallTime(std::chrono::seconds(121)), soon()).ok());
  CHECK(board.find("11.241", soon())->has_value());
}

}  // namespace
