// st_node_restore, st_node_stop_restore, st_node_force_bg_recovery_limit_calibration, and
// st_volume_clear_data of archive volumes.
#include <catch2/catch.hpp>

#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::StorageJobTest;
using test::volume_section;

std::string archive_section(const std::string& name, const std::string& nodes, const std::string& more) {
  std::string section = volume_section(name, nodes, more);
  return section.replace(section.find("= data"), 6, "= archive");
}

struct Archives : StorageJobTest {
  Archives()
      : StorageJobTest(
            archive_section("arch", "11,12", "    ID = 3\n    NumMasterNodes = 2\n    Redundancy = 2\n") +
            archive_section("single", "11,", "    ID = 4\n    NumMasterNodes = 1\n    Redundancy = 1\n") +
            volume_section("data", "11,12", "    ID = 5\n    NumMasterNodes = 1\n    Redundancy = 2\n")) {
    make_segments();
    storage.others["archive.find"] = {{"state", "ONLINE"},
                                      {"in_step", true},
                                      {"counter", 7},
                                      {"digest", 1},
                                      {"damaged", 0},
                                      {"free_bytes", 1},
                                      {"missed", base::Array()},
                                      {"entry", base::Value()}};
  }
};

}  // namespace

TEST_CASE("st_node_restore has the node restore its copies of the volume") {
  Archives test;
  REQUIRE(test.run("st_node_restore", R"({"vname": "arch", "nid": 12})", "dave").text == "");
  CHECK(test.storage.calls == std::vector<std::string>{"12 recovery.restore"});
  CHECK(test.storage.asked.at(0).find("vid")->as_int() == 3);
  const JobRun run = test.run("st_node_restore", R"({"vid": 3, "nid": 11})");
  CHECK(run.text == "");
  CHECK(run.output_json() == "no output");
}

TEST_CASE("st_node_restore wants another copy of each segment that is online") {
  Archives test;
  test.storage.nodes[11].segments.at({3, 1, 2}).state = "RECOVERING";
  CHECK(test.run("st_node_restore", R"({"vid": 3, "nid": 12})")
            .says("can't be restored on node 12: no other copy of segment 1 is online"));
  test.storage.nodes[11].segments.at({3, 1, 2}).state = "ONLINE";
  test.members.live = {11, 13};
  CHECK(test.run("st_node_restore", R"({"vid": 3, "nid": 12})").says("node 12 is offline"));
  CHECK(test.storage.calls.empty());
}

TEST_CASE("st_node_restore refuses volumes without copies, data volumes, and nodes that hold nothing") {
  Archives test;
  CHECK(test.run("st_node_restore", R"({"vid": 4, "nid": 11})").says("has redundancy 1"));
  CHECK(test.run("st_node_restore", R"({"vid": 5, "nid": 11})").code == Code::unsupported);
  CHECK(test.run("st_node_restore", R"({"vid": 3, "nid": 13})").says("node 13 holds nothing"));
  CHECK(test.run("st_node_restore", R"({"vid": 3, "nid": 44})").code == Code::not_found);
  CHECK(test.run("st_node_restore", R"({"vid": 44, "nid": 11})").code == Code::not_found);
  CHECK(test.run("st_node_restore", R"({"vid": 3, "nid": 11})", "mallory").code == Code::forbidden);
}

TEST_CASE("st_node_stop_restore has the node stop copying for the volume") {
  Archives test;
  REQUIRE(test.run("st_node_stop_restore", R"({"vid": 3, "nid": 12})").text == "");
  CHECK(test.storage.calls == std::vector<std::string>{"12 recovery.stop"});
  CHECK(test.storage.asked.at(0).find("vid")->as_int() == 3);
  CHECK(test.run("st_node_stop_restore", R"({"vid": 5, "nid": 11})").code == Code::unsupported);
  test.storage.unreachable = {12};
  CHECK(test.run("st_node_stop_restore", R"({"vid": 3, "nid": 12})").code == Code::node_unreachable);
}

TEST_CASE("st_node_force_bg_recovery_limit_calibration has the node measure") {
  Archives test;
  REQUIRE(test.run("st_node_force_bg_recovery_limit_calibration", R"({"nid": 12})").text == "");
  CHECK(test.storage.calls == std::vector<std::string>{"12 recovery.calibrate"});
  test.storage.refuse = [](int, const std::string& operation,
                           const base::Struct&) -> std::optional<base::Error> {
    if (operation == "recovery.calibrate") return base::Error{Code::busy, "the recovery is being calibrated"};
    return std::nullopt;
  };
  CHECK(test.run("st_node_force_bg_recovery_limit_calibration", R"({"nid": 12})").code == Code::busy);
  CHECK(test.run("st_node_force_bg_recovery_limit_calibration", R"({"nid": 44})").code == Code::not_found);
}

TEST_CASE("st_volume_clear_data empties the segments of an archive volume on all their copies") {
  Archives test;
  REQUIRE(test.run("st_volume_clear_data", R"({"vid": 4, "num_bytes": 0, "node_ids": []})").text == "");
  CHECK(test.storage.calls == std::vector<std::string>{"11 archive.find", "11 archive.clear"});
  CHECK(test.storage.asked.at(1).find("version")->as_int() == 8);
  test.storage.calls.clear();
  // Both segments have a copy on node 12, and both copies of each are emptied.
  REQUIRE(test.run("st_volume_clear_data", R"({"vid": 3, "num_bytes": 0, "node_ids": [12]})").text == "");
  CHECK(std::count(test.storage.calls.begin(), test.storage.calls.end(), "11 archive.clear") == 2);
  CHECK(std::count(test.storage.calls.begin(), test.storage.calls.end(), "12 archive.clear") == 2);
  CHECK(std::count(test.storage.calls.begin(), test.storage.calls.end(), "12 storage.clear") == 0);
  CHECK(test.run("st_volume_clear_data", R"({"vid": 3, "num_bytes": 4096, "node_ids": []})")
            .says("must be 0: volume 'arch' is an archive volume"));
}

TEST_CASE("st_volume_clear_data goes on without a copy that is away, and notes it") {
  Archives test;
  test.storage.unreachable = {12};
  REQUIRE(test.run("st_volume_clear_data", R"({"vid": 3, "num_bytes": 0, "node_ids": []})").text == "");
  CHECK(base::render_json(*test.storage.asked.at(1).find("without")) == "[12]");
  test.storage.unreachable = {11, 12};
  CHECK(test.run("st_volume_clear_data", R"({"vid": 3, "num_bytes": 0, "node_ids": []})").code ==
        Code::wrong_state);
}

}  // namespace confd::jobs
