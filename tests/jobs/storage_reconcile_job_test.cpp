// storage_reconcile: what the nodes hold becomes what EXAConf says.
#include <catch2/catch.hpp>

#include "jobs/catalogue.h"
#include "storage/reconcile.h"
#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::StorageJobTest;
using test::volume_section;

const std::string kMirrored =
    volume_section("v", "11,12", "    ID = 0\n    NumMasterNodes = 1\n    Redundancy = 2\n");

test::FakeSegment segment(std::int64_t blocks = 262144) {
  return {blocks, 4096, "disk1", "data", "ONLINE", 0};
}

}  // namespace

TEST_CASE("storage_reconcile is found by confd and shown to nobody") {
  CHECK(find_job("storage_reconcile") != nullptr);
  for (const JobDescriptor* job : all_jobs()) CHECK(job->name != "storage_reconcile");
  StorageJobTest test;
  CHECK(test.run("storage_reconcile", "{}", "alice").code == Code::forbidden);
}

TEST_CASE("Volumes that have no space yet get it, and an id") {
  StorageJobTest test(volume_section("a", "11", "    Redundancy = 1\n") +
                      volume_section("b", "11,12", "    ID = 0\n    Redundancy = 2\n") +
                      volume_section("c", "13", "    Redundancy = 1\n"));
  const auto b = storage::volumes_of(test.config());
  for (const auto& [node, index, level] : {std::tuple(11, 0, 1), {12, 0, 2}, {12, 1, 1}, {11, 1, 2}})
    test.storage.nodes[node].segments[{0, index, level}] = segment(131072);
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.key("a", "ID") == "1");
  CHECK(test.key("b", "ID") == "0");
  CHECK(test.key("c", "ID") == "2");
  for (const char* name : {"a", "b", "c"}) CHECK(test.state(name) == "ONLINE");
  CHECK(test.run("storage_reconcile").output_json() == R"({"done":""})");
}

TEST_CASE("A volume waits for its space until all its nodes are there") {
  StorageJobTest test(volume_section("v", "11,12", "    Redundancy = 1\n"));
  test.members.live = {11, 13};
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.key("v", "ID") == "none");
  CHECK(test.segments() == "");
  test.members.live = {11, 12, 13};
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("One volume that does not fit keeps no other from its space") {
  StorageJobTest test(volume_section("big", "11", "    Redundancy = 1\n", "1 TiB") +
                      volume_section("small", "11", "    Redundancy = 1\n"));
  const JobRun run = test.run("storage_reconcile");
  REQUIRE(run.text == "");
  CHECK(run.warns("node 11 needs 1 TiB on disk1 and has 32 GiB free"));
  CHECK(test.key("big", "ID") == "none");
  CHECK(test.state("small") == "ONLINE");
}

TEST_CASE("Space that belongs to no volume is freed") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.storage.nodes[13].segments[{9, 0, 1}] = segment();  // of a volume that was deleted
  test.storage.nodes[13].segments[{0, 0, 1}] = segment();  // the volume lies elsewhere
  test.storage.nodes[12].segments[{0, 0, 3}] = segment();  // a copy that was taken away
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE; 12: 0.0.2 ONLINE");
}

TEST_CASE("While a section of EXAConf is wrong nothing is freed") {
  StorageJobTest test(kMirrored + volume_section("bad", "11", "    ID = seven\n"));
  test.storage.nodes[13].segments[{7, 0, 1}] = segment();
  test.storage.nodes[11].segments[{0, 0, 1}] = segment();
  test.storage.nodes[12].segments[{0, 0, 2}] = segment();
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.storage.nodes[13].segments.size() == 1);
}

TEST_CASE(
    "A copy that is missing on a node is made anew, to be filled; a volume without copies stays locked") {
  StorageJobTest test(kMirrored + volume_section("w", "13", "    ID = 1\n    Redundancy = 1\n"));
  test.make_segments();
  test.storage.nodes[12].segments.clear();
  test.storage.nodes[13].segments.clear();
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE; 12: 0.0.2 RECOVERING");
  CHECK(test.state("w") == "LOCKED");
}

TEST_CASE("A copy that may lie on a device that is off is not made anew") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.storage.nodes[12].segments.clear();
  test.storage.nodes[12].devices[0].state = "OFFLINE";
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.storage.nodes[12].segments.empty());
}

TEST_CASE("Segments get the size that EXAConf says") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.storage.nodes[11].segments.at({0, 0, 1}).blocks = 262144 + 64;
  test.storage.nodes[12].segments.at({0, 0, 2}).blocks = 64;
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.storage.nodes[11].segments.at({0, 0, 1}).blocks == 262144);
  CHECK(test.storage.nodes[12].segments.at({0, 0, 2}).blocks == 262144);
}

TEST_CASE("What is left by a crash in st_volume_create is freed by the next reconcile, whatever it was") {
  // The job ended after any of its allocations, and EXAConf was not changed.
  const std::string params =
      R"({"disk": "disk1", "name": "new", "nodes": [11, 12, 13], "redundancy": 2, "size": "3 GiB", "type": "data"})";
  for (int done = 0; done <= 6; ++done) {
    CAPTURE(done);
    StorageJobTest test(kMirrored);
    test.make_segments();
    const std::string before = test.segments();
    int asked = 0;
    test.storage.refuse = [&](int, const std::string& operation,
                              const base::Struct&) -> std::optional<base::Error> {
      // From here on this confd does nothing any more.
      if (operation == "storage.report") return std::nullopt;
      if (asked++ >= done) return base::Error{Code::interrupted, "killed"};
      return std::nullopt;
    };
    const test::JobRun killed = test.run("st_volume_create", params);
    CHECK(killed.ok() == (done == 6));
    test.storage.refuse = nullptr;
    REQUIRE(test.run("storage_reconcile").text == "");
    if (done == 6) {
      CHECK(test.state("new") == "ONLINE");
    } else {
      CHECK(test.segments() == before);
    }
    CHECK(test.state("v") == "ONLINE");
  }
}

TEST_CASE("Cleared conditions whose causes are gone are forgotten, so that they lock again") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  REQUIRE(test.run("st_node_suspend", R"({"nid": 12})").text == "");
  CHECK(test.state("v") == "LOCKED");
  REQUIRE(test.run("st_volume_unlock", R"({"vname": "v"})").text == "");
  CHECK(test.state("v") == "DEGRADED");
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.state("v") == "DEGRADED");
  REQUIRE(test.run("st_node_resume", R"({"nid": 12})").text == "");
  CHECK(test.state("v") == "ONLINE");
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.key("v", "ClearedConditions") == "none");
  REQUIRE(test.run("st_node_suspend", R"({"nid": 12})").text == "");
  CHECK(test.state("v") == "LOCKED");
}

TEST_CASE("A node that fails keeps the others from nothing") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.storage.nodes[12].segments[{9, 0, 1}] = segment();
  test.storage.nodes[13].segments[{9, 0, 1}] = segment();
  test.storage.refuse = [](int node, const std::string& operation,
                           const base::Struct&) -> std::optional<base::Error> {
    if (node == 12 && operation == "storage.free") return base::Error{Code::io_error, "disk on fire"};
    return std::nullopt;
  };
  const JobRun run = test.run("storage_reconcile");
  REQUIRE(run.text == "");
  CHECK(run.warns("freeing segment 0 of volume 9 on node 12: disk on fire"));
  CHECK(test.storage.nodes[13].segments.empty());
}

}  // namespace confd::jobs
