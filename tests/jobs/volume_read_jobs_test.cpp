// st_volume_list, st_volume_info: the samples of spec/jobs/storage.yaml, and what they show of trouble.
#include <catch2/catch.hpp>
#include <chrono>

#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::StorageJobTest;
using test::volume_section;

// The cluster of the published samples, but for the partition that has the volumes open.
struct SampleCluster : StorageJobTest {
  SampleCluster()
      : StorageJobTest(
            "[EXAVolume : DataVolume1]\n    Type = data\n    Size = 10 GiB\n    Disk = disk1\n"
            "    Nodes = 11\n    NumMasterNodes = 1\n    Redundancy = 1\n    BlockSize = 4 KiB\n"
            "    StripeSize = 256 KiB\n    Owner = 500 : 500\n    Permissions = rwx\n"
            "    Shared = True\n    Priority = 10\n    ID = 0\n\n"
            "[EXAVolume : v0001]\n    Type = data\n    Size = 1 GiB\n    Disk = disk1\n"
            "    Nodes = 11\n    Redundancy = 1\n    Owner = 500 : 500\n"
            "    Labels = temporary, pub:DB1_temporary\n    ID = 1\n\n"
            "[DB : DB1]\n    Version = 8.20.0\n    MemSize = 2 GiB\n    Port = 8563\n"
            "    Owner = 500 : 500\n    Nodes = 11\n    NumActiveNodes = 1\n"
            "    DataVolume = DataVolume1\n\n",
            11) {
    make_segments();
  }
};

const char* const kDataVolume =
    R"({"app_io_enabled":true,"block_distribution":"vertical","block_size":4096,"bytes_per_block":4096,)"
    R"("group":500,"hdd_type":"disk1","hdds_per_node":1,"id":"0","int_io_enabled":true,)"
    R"("labels":["#Name#DataVolume1","pub:DB1_persistent"],"name":"DataVolume1",)"
    R"("nodes_list":[{"id":11,"unrecovered_segments":0}],"num_master_nodes":1,"owner":500,)"
    R"("permissions":"rwx------","priority":10,"redundancy":1,)"
    R"("segments":[{"end_block":"2621439","index":"0","nid":0,"partitions":[],"phys_nid":11,"sid":"0",)"
    R"("start_block":"0","state":"ONLINE","type":"MASTER","vid":"0"}],)"
    R"("shared":true,"size":"10 GiB","snapshots":[],"state":"ONLINE","stripe_size":262144,"type":"MASTER",)"
    R"("unlock_conditions":[],"use_crc":true,"users":[],"volume_nodes":[11]})";
const char* const kTemporaryVolume =
    R"({"app_io_enabled":true,"block_distribution":"vertical","block_size":4096,"bytes_per_block":4096,)"
    R"("group":500,"hdd_type":"disk1","hdds_per_node":1,"id":"1","int_io_enabled":true,)"
    R"("labels":["temporary","pub:DB1_temporary"],"name":"v0001",)"
    R"("nodes_list":[{"id":11,"unrecovered_segments":0}],"num_master_nodes":1,"owner":500,)"
    R"("permissions":"rwx------","priority":10,"redundancy":1,)"
    R"("segments":[{"end_block":"262143","index":"0","nid":0,"partitions":[],"phys_nid":11,"sid":"0",)"
    R"("start_block":"0","state":"ONLINE","type":"MASTER","vid":"1"}],)"
    R"("shared":true,"size":"1 GiB","snapshots":[],"state":"ONLINE","stripe_size":262144,"type":"MASTER",)"
    R"("unlock_conditions":[],"use_crc":true,"users":[],"volume_nodes":[11]})";

std::string of(const JobRun& run, const std::string& key) {
  if (!run.ok()) return run.text;
  return base::render_json(*run.output->find(key));
}

}  // namespace

TEST_CASE("st_volume_list shows the volumes of the published sample") {
  SampleCluster test;
  const JobRun run = test.run("st_volume_list");
  REQUIRE(run.text == "");
  REQUIRE(run.output->as_array().size() == 2);
  CHECK(base::render_json(run.output->as_array()[0]) == kDataVolume);
  CHECK(base::render_json(run.output->as_array()[1]) == kTemporaryVolume);
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].name == "storage.report");
}

TEST_CASE("st_volume_info shows one volume, sizes as texts, by name and by id") {
  SampleCluster test;
  std::string expected = kDataVolume;
  expected.replace(expected.find(R"("block_size":4096)"), 17, R"("block_size":"4 KiB")");
  expected.replace(expected.find(R"("stripe_size":262144)"), 20, R"("stripe_size":"256 KiB")");
  for (const char* params : {R"({"vname": "DataVolume1"})", R"({"vid": 0})", R"({"vid": "0"})"}) {
    CAPTURE(params);
    CHECK(test.run("st_volume_info", params, "alice").output_json() == expected);
  }
}

TEST_CASE("st_volume_info of all volumes is a list of all") {
  SampleCluster test;
  const JobRun run = test.run("st_volume_info", R"({"vid": "all_volumes"})");
  REQUIRE(run.output->as_array().size() == 2);
  CHECK(run.output->as_array()[1].find("stripe_size")->as_string() == "256 KiB");
}

TEST_CASE("st_volume_info names what it can't find") {
  SampleCluster test;
  CHECK(test.run("st_volume_info", R"({"vid": 7})").text == "volume 7 does not exist; see st_volume_list");
  CHECK(test.run("st_volume_info", R"({"vname": "x"})").code == Code::not_found);
  CHECK(test.run("st_volume_info", R"({"vid": "both"})").says("neither a volume id nor all_volumes"));
}

TEST_CASE("A redundant volume shows its copies, and which of them are away") {
  StorageJobTest test(volume_section("v", "11,12", "    ID = 3\n    Redundancy = 2\n"));
  test.make_segments();
  const JobRun whole = test.run("st_volume_info", R"({"vid": 3})");
  CHECK(of(whole, "state") == R"("ONLINE")");
  CHECK(whole.output->find("segments")->as_array().size() == 4);
  CHECK(of(whole, "volume_nodes") == "[11,12]");
  CHECK(of(whole, "size") == R"("1 GiB")");
  test.members.live = {11, 13};
  const JobRun without = test.run("st_volume_info", R"({"vid": 3})");
  CHECK(of(without, "state") == R"("DEGRADED")");
  CHECK(of(without, "nodes_list") ==
        R"([{"id":11,"unrecovered_segments":0},{"id":12,"unrecovered_segments":2}])");
  CHECK(without.output->find("segments")->as_array()[3].find("type")->as_string() == "DEPUTY");
  CHECK(without.warnings.empty());
}

TEST_CASE("A node that does not answer counts as offline, and the record says why") {
  StorageJobTest test(volume_section("v", "12", "    ID = 0\n    Redundancy = 1\n"));
  test.make_segments();
  test.storage.unreachable = {12};
  const JobRun run = test.run("st_volume_info", R"({"vid": 0})");
  CHECK(of(run, "state") == R"("LOCKED")");
  CHECK(of(run, "unlock_conditions") == R"(["segment 0 is online on node 12"])");
  CHECK(run.warns("node 12 did not tell of its storage: no route to it"));
}

TEST_CASE("A volume whose section is wrong is shown locked beside the others") {
  StorageJobTest test(volume_section("bad", "11", "    BlockSize = x\n") +
                      volume_section("good", "11", "    ID = 0\n    Redundancy = 1\n"));
  test.storage.nodes[11].segments[{0, 0, 1}] = {262144, 4096, "disk1", "data", "ONLINE", 0};
  const JobRun run = test.run("st_volume_list");
  REQUIRE(run.output->as_array().size() == 2);
  CHECK(run.output->as_array()[0].find("state")->as_string() == "ONLINE");
  CHECK(run.output->as_array()[1].find("state")->as_string() == "LOCKED");
  CHECK(base::render_json(*run.output->as_array()[1].find("unlock_conditions")) ==
        R"(["its section of EXAConf is put right: 'x' for BlockSize is no size such as '4 GiB'"])");
}

TEST_CASE("A device without checksums shows in its volumes") {
  StorageJobTest test(volume_section("v", "11", "    ID = 0\n    Redundancy = 1\n"));
  test.make_segments();
  test.storage.nodes[11].devices[0].use_crc = false;
  CHECK(of(test.run("st_volume_info", R"({"vid": 0})"), "use_crc") == "false");
}

// The figure is printed by the benchmark; here only that a thousand volumes come, each whole.
TEST_CASE("A thousand volumes are listed") {
  std::string sections;
  for (int i = 0; i < 1000; ++i)
    sections += volume_section("vol" + std::to_string(i), "11",
                               "    ID = " + std::to_string(i) + "\n    Redundancy = 1\n", "4 MiB");
  StorageJobTest test(sections, 11);
  test.make_segments();
  const auto asked = std::chrono::steady_clock::now();
  CHECK(test.nodes.run(11, "storage.report", {}, {}).ok());
  const auto started = std::chrono::steady_clock::now();
  const JobRun run = test.run("st_volume_list");
  const auto took = std::chrono::steady_clock::now() - started;
  REQUIRE(run.ok());
  CHECK(run.output->as_array().size() == 1000);
  for (const base::Value& volume : run.output->as_array())
    CHECK(volume.find("state")->as_string() == "ONLINE");
  WARN("1,000 volumes in " << std::chrono::duration_cast<std::chrono::microseconds>(took).count()
                           << " us, of these "
                           << std::chrono::duration_cast<std::chrono::microseconds>(started - asked).count()
                           << " us for the report of the fake node");
}

}  // namespace confd::jobs
