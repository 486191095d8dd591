// st_volume_enlarge, st_volume_shrink, st_volume_clear_data.
#include <catch2/catch.hpp>

#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::kGibibyte;
using test::StorageJobTest;
using test::volume_section;

// Two masters of 512 MiB each, and their copies.
struct Mirrored : StorageJobTest {
  Mirrored() : StorageJobTest(volume_section("v", "11,12", "    ID = 4\n    Redundancy = 2\n")) {
    make_segments();
  }
  std::int64_t blocks(int node, int index, int level) {
    return storage.nodes[node].segments.at({4, index, level}).blocks;
  }
  bool all_have(std::int64_t wanted) {
    return blocks(11, 0, 1) == wanted && blocks(12, 0, 2) == wanted && blocks(12, 1, 1) == wanted &&
           blocks(11, 1, 2) == wanted;
  }
  void fail(const std::string& wanted, int nth) {
    storage.refuse = [this, wanted, nth, asked = 0](
                         int, const std::string& operation,
                         const base::Struct&) mutable -> std::optional<base::Error> {
      if (operation == wanted && asked++ == nth) return base::Error{Code::io_error, "disk on fire"};
      return std::nullopt;
    };
  }
};

}  // namespace

TEST_CASE("st_volume_enlarge grows every segment by whole stripes, and EXAConf says so") {
  Mirrored test;
  REQUIRE(test.run("st_volume_enlarge", R"({"vname": "v", "blocks_per_node": 4})").text == "");
  CHECK(test.all_have(131072 + 64));
  CHECK(test.key("v", "Size") == "1049088 KiB");
  CHECK(test.state("v") == "ONLINE");
  REQUIRE(test.run("st_volume_enlarge", R"({"vid": 4, "blocks_per_node": 65})").text == "");
  CHECK(test.all_have(131072 + 64 + 128));
}

TEST_CASE("st_volume_enlarge gives every segment its size back when one can't grow") {
  for (int failing = 0; failing < 4; ++failing) {
    CAPTURE(failing);
    Mirrored test;
    test.fail("storage.resize", failing);
    const JobRun run = test.run("st_volume_enlarge", R"({"vname": "v", "blocks_per_node": 64})");
    CHECK(run.says("disk on fire"));
    CHECK(test.all_have(131072));
    CHECK(test.config().revision() == 3);
  }
}

TEST_CASE("st_volume_enlarge refuses what does not fit, and volumes with nodes away") {
  Mirrored test;
  const JobRun full = test.run("st_volume_enlarge", R"({"vid": 4, "blocks_per_node": 8388608})");
  CHECK(full.code == Code::busy);
  CHECK(full.says("node 11 needs 64 GiB on disk1 and has 31 GiB free"));
  CHECK(test.run("st_volume_enlarge", R"({"vid": 4, "blocks_per_node": 0})").code == Code::bad_parameter);
  test.members.live = {11, 13};
  CHECK(test.run("st_volume_enlarge", R"({"vid": 4, "blocks_per_node": 4})").says("node 12 is offline"));
  CHECK(test.all_have(131072));
}

TEST_CASE("st_volume_shrink takes whole stripes, never more than asked") {
  Mirrored test;
  REQUIRE(test.run("st_volume_shrink", R"({"vid": 4, "blocks_per_node": 100})").text == "");
  CHECK(test.all_have(131072 - 64));
  CHECK(test.key("v", "Size") == "1048064 KiB");
  CHECK(test.run("st_volume_shrink", R"({"vid": 4, "blocks_per_node": 63})").says("less than a stripe"));
  CHECK(test.run("st_volume_shrink", R"({"vid": 4, "blocks_per_node": 131072})")
            .says("has only 131008 blocks"));
}

TEST_CASE("st_volume_shrink keeps what holds data, and the space until EXAConf is changed") {
  Mirrored test;
  test.storage.nodes[12].segments.at({4, 1, 1}).used_bytes = kGibibyte / 2;
  const JobRun run = test.run("st_volume_shrink", R"({"vid": 4, "blocks_per_node": 64})");
  CHECK(run.code == Code::wrong_state);
  CHECK(run.says("segment 1 of volume 4 on node 12 holds 512 MiB of data"));
  test.storage.nodes[12].segments.at({4, 1, 1}).used_bytes = 0;
  test.publish_error = base::Error{Code::no_quorum, "no quorum"};
  CHECK(test.run("st_volume_shrink", R"({"vid": 4, "blocks_per_node": 64})").code == Code::no_quorum);
  CHECK(test.all_have(131072));
}

TEST_CASE("st_volume_shrink leaves a segment that could not shrink to later") {
  Mirrored test;
  test.fail("storage.resize", 1);
  const JobRun run = test.run("st_volume_shrink", R"({"vid": 4, "blocks_per_node": 64})");
  REQUIRE(run.text == "");
  CHECK(run.warns("is freed later: disk on fire"));
  test.storage.refuse = nullptr;
  REQUIRE(test.run("storage_reconcile").text == "");
  CHECK(test.all_have(131072 - 64));
}

TEST_CASE("Archive volumes are never shrunk") {
  std::string section = volume_section("a", "11", "    ID = 0\n");
  section.replace(section.find("= data"), 6, "= archive");
  StorageJobTest test(section);
  test.make_segments();
  CHECK(test.run("st_volume_shrink", R"({"vid": 0, "blocks_per_node": 64})").code == Code::unsupported);
}

TEST_CASE("st_volume_clear_data overwrites all segments, or those of some nodes") {
  Mirrored test;
  for (auto& [id, node] : test.storage.nodes)
    for (auto& [key, segment] : node.segments) segment.used_bytes = 100;
  REQUIRE(test.run("st_volume_clear_data", R"({"vid": 4, "num_bytes": 0, "node_ids": [12]})").text == "");
  CHECK(test.storage.nodes[12].segments.at({4, 0, 2}).used_bytes == 0);
  CHECK(test.storage.nodes[11].segments.at({4, 0, 1}).used_bytes == 100);
  // The documented example names the first storage node.
  REQUIRE(test.run("st_volume_clear_data", R"({"vname": "v", "num_bytes": 0, "node_ids": [0]})").text == "");
  CHECK(test.storage.nodes[11].segments.at({4, 1, 2}).used_bytes == 0);
  test.storage.calls.clear();
  REQUIRE(test.run("st_volume_clear_data", R"({"vid": 4, "num_bytes": 4096, "node_ids": []})").text == "");
  CHECK(test.storage.calls == std::vector<std::string>{"11 storage.clear", "12 storage.clear",
                                                       "12 storage.clear", "11 storage.clear"});
}

TEST_CASE("st_volume_clear_data refuses nodes that hold nothing of the volume") {
  Mirrored test;
  const auto text = [&](const std::string& nodes) {
    return test.run("st_volume_clear_data", R"({"vid": 4, "num_bytes": 0, "node_ids": )" + nodes + "}").text;
  };
  CHECK_THAT(text("[13]"), Catch::Contains("node 13 holds nothing of volume 'v'"));
  CHECK_THAT(text("[5]"), Catch::Contains("storage node 5 does not exist"));
  CHECK_THAT(text("[44]"), Catch::Contains("node 44 does not exist"));
  CHECK_THAT(text("[\"x\"]"), Catch::Contains("list of node ids"));
  CHECK(test.run("st_volume_clear_data", R"({"vid": 4, "num_bytes": -1, "node_ids": []})").code ==
        Code::bad_parameter);
}

TEST_CASE("A volume that has no space yet, or whose section is wrong, is not worked with") {
  StorageJobTest test(volume_section("new", "11", "    Redundancy = 1\n") +
                      volume_section("bad", "11", "    Priority = x\n"));
  CHECK(test.run("st_volume_enlarge", R"({"vname": "new", "blocks_per_node": 4})").says("has no space yet"));
  CHECK(test.run("st_volume_enlarge", R"({"vname": "bad", "blocks_per_node": 4})").says("'x' for Priority"));
}

}  // namespace confd::jobs
