// st_volume_append_node, st_volume_move_node, st_volume_increase_redundancy, st_volume_decrease_redundancy.
#include <catch2/catch.hpp>

#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::StorageJobTest;
using test::volume_section;

struct Volumes : StorageJobTest {
  explicit Volumes(const std::string& on, const std::string& more, int last = 15)
      : StorageJobTest(volume_section("v", on, "    ID = 0\n" + more), last) {
    make_segments();
  }
  void recover() {  // what recovery does in the end
    for (auto& [id, node] : storage.nodes)
      for (auto& [key, segment] : node.segments) segment.state = "ONLINE";
  }
};

}  // namespace

TEST_CASE("st_volume_append_node adds masters at the end, online at once") {
  Volumes test("11", "    Redundancy = 1\n");
  REQUIRE(test.run("st_volume_append_node", R"({"vid": 0, "node_num": 1, "node_ids": [12]})").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE; 12: 0.1.1 ONLINE");
  CHECK(test.key("v", "Nodes") == "11,12");
  CHECK(test.key("v", "NumMasterNodes") == "2");
  CHECK(test.key("v", "Size") == "2 GiB");
  CHECK(test.key("v", "Placement") == "none");
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("Copies of appended masters lie on the appended nodes") {
  Volumes test("11,12", "    Redundancy = 2\n");
  REQUIRE(test.run("st_volume_append_node", R"({"vid": 0, "node_num": 2, "node_ids": [13, 14]})").text == "");
  CHECK(test.key("v", "Placement") == "11/12, 12/11, 13/14, 14/13");
  CHECK(test.key("v", "Nodes") == "11,12,13,14");
  CHECK(test.storage.nodes[14].segments.contains({0, 2, 2}));
  CHECK(test.state("v") == "ONLINE");
  Volumes one("11,12", "    NumMasterNodes = 1\n    Redundancy = 2\n");
  REQUIRE(one.run("st_volume_append_node", R"({"vid": 0, "node_num": 1, "node_ids": [13, 14]})").text == "");
  CHECK(one.key("v", "Nodes") == "11,13,12,14");
  CHECK(one.key("v", "Placement") == "none");
  CHECK(one.segments() == "11: 0.0.1 ONLINE; 12: 0.0.2 ONLINE; 13: 0.1.1 ONLINE; 14: 0.1.2 ONLINE");
}

TEST_CASE("st_volume_append_node refuses what can't be") {
  Volumes test("11,12", "    Redundancy = 2\n");
  const auto text = [&](const std::string& params) {
    return test.run("st_volume_append_node", R"({"vid": 0, )" + params + "}").text;
  };
  CHECK_THAT(text(R"("node_num": 1, "node_ids": [13])"), Catch::Contains("needs at least as many new nodes"));
  CHECK_THAT(text(R"("node_num": 2, "node_ids": [13, 14, 15])"), Catch::Contains("no multiple"));
  CHECK_THAT(text(R"("node_num": 1, "node_ids": [12, 13])"),
             Catch::Contains("node 12 is part of volume 'v'"));
  CHECK_THAT(text(R"("node_num": 0, "node_ids": [13])"), Catch::Contains("'node_num'"));
  CHECK_THAT(text(R"("node_num": 1, "node_ids": [13, 14, 15])"), Catch::Contains("would hold nothing"));
  test.members.live = {11, 12, 13};
  CHECK_THAT(text(R"("node_num": 2, "node_ids": [13, 14])"), Catch::Contains("node 14 is offline"));
  CHECK(test.config().revision() == 3);
}

TEST_CASE("st_volume_increase_redundancy makes copies that are to be filled") {
  Volumes test("11,12", "    Redundancy = 1\n");
  REQUIRE(test.run("st_volume_increase_redundancy", R"({"vname": "v", "delta": 1})").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE, 0.1.2 RECOVERING; 12: 0.0.2 RECOVERING, 0.1.1 ONLINE");
  CHECK(test.key("v", "Redundancy") == "2");
  CHECK(test.key("v", "Placement") == "none");
  CHECK(test.state("v") == "RECOVERING");
  test.recover();
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("st_volume_increase_redundancy takes the nodes it is given") {
  Volumes test("11,12", "    Redundancy = 1\n");
  REQUIRE(test.run("st_volume_increase_redundancy", R"({"vid": 0, "delta": 2, "nodes": [13, 14]})").text ==
          "");
  CHECK(test.key("v", "Nodes") == "11,12,13,14");
  CHECK(test.key("v", "Redundancy") == "3");
  CHECK(test.storage.nodes[14].segments.contains({0, 0, 3}));  // spread over the last level given
  CHECK(test.storage.nodes[13].segments.contains({0, 1, 3}));
}

TEST_CASE("st_volume_increase_redundancy uses the nodes that are online when some are not") {
  Volumes test("11,12,13,14", "    Redundancy = 1\n");
  test.members.live = {11, 13, 15};
  REQUIRE(test.run("st_volume_increase_redundancy", R"({"vid": 0, "delta": 1})").text == "");
  CHECK(test.key("v", "Placement") == "11/13, 12/13, 13/11, 14/11");
  CHECK(test.state("v") == "LOCKED");  // segments 1 and 3 have no copy that is whole
}

TEST_CASE("st_volume_increase_redundancy refuses what can't be") {
  Volumes test("11,12", "    Redundancy = 2\n");
  const auto text = [&](const std::string& params) {
    return test.run("st_volume_increase_redundancy", R"({"vid": 0, )" + params + "}").text;
  };
  CHECK_THAT(text(R"("delta": 1)"), Catch::Contains("no further node that is online"));
  CHECK_THAT(text(R"("delta": 0)"), Catch::Contains("'delta'"));
  CHECK_THAT(text(R"("delta": 1, "nodes": [13])"), Catch::Contains("no multiple of the 2 master nodes"));
  CHECK_THAT(text(R"("delta": 1, "nodes": [12, 13])"), Catch::Contains("two copies of segment 0"));
  CHECK_THAT(text(R"("delta": 1, "nodes": [13, 14, 15, 11])"), Catch::Contains("more nodes than"));
  CHECK(test.config().revision() == 3);
}

TEST_CASE("st_volume_decrease_redundancy frees the highest levels") {
  Volumes test("11,12,13", "    Redundancy = 3\n");
  REQUIRE(test.run("st_volume_decrease_redundancy", R"({"vname": "v", "delta": 2})").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE; 12: 0.1.1 ONLINE; 13: 0.2.1 ONLINE");
  CHECK(test.key("v", "Redundancy") == "1");
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("st_volume_decrease_redundancy takes the nid of the published example") {
  Volumes test("11,12", "    NumMasterNodes = 1\n    Redundancy = 2\n");
  CHECK(test.run("st_volume_decrease_redundancy", R"({"vname": "v", "delta": 1, "nid": 11})").code ==
        Code::unsupported);
  REQUIRE(test.run("st_volume_decrease_redundancy", R"({"vname": "v", "delta": 1, "nid": 12})").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE");
  CHECK(test.key("v", "Nodes") == "11");
}

TEST_CASE("st_volume_decrease_redundancy keeps the last copy that is whole") {
  Volumes test("11,12", "    NumMasterNodes = 1\n    Redundancy = 2\n");
  test.storage.nodes[11].segments.at({0, 0, 1}).state = "RECOVERING";
  const JobRun run = test.run("st_volume_decrease_redundancy", R"({"vid": 0, "delta": 1})");
  CHECK(run.code == Code::wrong_state);
  CHECK(run.says("of segment 0 only a copy that would be removed is online"));
  CHECK(test.run("st_volume_decrease_redundancy", R"({"vid": 0, "delta": 2})").says("1 must stay"));
  CHECK(test.config().revision() == 3);
}

TEST_CASE("st_volume_decrease_redundancy ends a forced level that is gone") {
  Volumes test("11,12", "    NumMasterNodes = 1\n    Redundancy = 2\n    ForcedRedundancy = 2\n");
  REQUIRE(test.run("st_volume_decrease_redundancy", R"({"vid": 0, "delta": 1})").text == "");
  CHECK(test.key("v", "ForcedRedundancy") == "none");
}

TEST_CASE("st_volume_move_node takes space there, and gives up the old when the new has everything") {
  Volumes test("11,12", "    NumMasterNodes = 1\n    Redundancy = 2\n");
  REQUIRE(test.run("st_volume_move_node", R"({"vname": "v", "src_nodes": [11], "dst_nodes": [13]})").text ==
          "");
  CHECK(test.key("v", "Placement") == "11>13/12,");
  CHECK(test.segments() == "11: 0.0.1 ONLINE; 12: 0.0.2 ONLINE; 13: 0.0.1 RECOVERING");
  CHECK(test.state("v") == "RECOVERING");
  CHECK(test.run("st_volume_move_node", R"({"vid": 0, "src_nodes": [12], "dst_nodes": [14]})").code ==
        Code::busy);
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.key("v", "Placement") == "11>13/12,");
  test.recover();
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.key("v", "Nodes") == "13,12");
  CHECK(test.key("v", "Placement") == "none");
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.segments() == "12: 0.0.2 ONLINE; 13: 0.0.1 ONLINE");
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("st_volume_move_node leaves a node that is away when another copy is there") {
  Volumes test("11,12", "    NumMasterNodes = 1\n    Redundancy = 2\n");
  test.members.live = {11, 13, 14};
  REQUIRE(test.run("st_volume_move_node", R"({"vid": 0, "src_nodes": [12], "dest_nodes": [14]})").text == "");
  CHECK(test.storage.nodes[14].segments.at({0, 0, 2}).state == "RECOVERING");
  Volumes alone("12", "    Redundancy = 1\n");
  alone.members.live = {11, 13, 14};
  const JobRun run = alone.run("st_volume_move_node", R"({"vid": 0, "src_nodes": [12], "dst_nodes": [14]})");
  CHECK(run.code == Code::wrong_state);
  CHECK(run.says("no copy of segment 0 is online, its data would be lost"));
}

TEST_CASE("After a move a node may have the masters of two segments") {
  Volumes test("11,12", "    Redundancy = 1\n");
  REQUIRE(test.run("st_volume_move_node", R"({"vid": 0, "src_nodes": [11], "dst_nodes": [12]})").text == "");
  test.recover();
  REQUIRE(test.run("storage_reconcile").text == "");
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.key("v", "Placement") == "12, 12");
  CHECK(test.key("v", "NumMasterNodes") == "2");
  CHECK(test.segments() == "12: 0.0.1 ONLINE, 0.1.1 ONLINE");
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("st_volume_move_node refuses what can't be") {
  Volumes test("11,12", "    Redundancy = 2\n");
  const auto text = [&](const std::string& from, const std::string& to) {
    return test
        .run("st_volume_move_node", R"({"vid": 0, "src_nodes": )" + from + R"(, "dst_nodes": )" + to + "}")
        .text;
  };
  CHECK_THAT(text("[11]", "[12]"), Catch::Contains("node 12 holds another copy of segment 0"));
  CHECK_THAT(text("[11, 12]", "[13]"), Catch::Contains("as many nodes as src_nodes"));
  CHECK_THAT(text("[13]", "[14]"), Catch::Contains("node 13 holds nothing"));
  CHECK_THAT(text("[]", "[]"), Catch::Contains("at least one node"));
  test.members.live = {11, 12, 13};
  CHECK_THAT(text("[11]", "[14]"), Catch::Contains("node 14 is offline"));
  CHECK(test.config().revision() == 3);
}

}  // namespace confd::jobs
