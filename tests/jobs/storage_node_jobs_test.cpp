// st_node_*, st_device_*, st_get_partition_id.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "storage/link_speed.h"
#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::kGibibyte;
using test::StorageJobTest;
using test::volume_section;

struct Nodes : StorageJobTest {
  Nodes()
      : StorageJobTest(volume_section("v", "11,12",
                                      "    ID = 0\n    NumMasterNodes = 1\n    Redundancy = 2\n", "8 GiB")) {
    make_segments();
  }
  std::string key(int node, const std::string& name) const {
    const std::string* value = config().get("Node : " + std::to_string(node), name);
    return value == nullptr ? "none" : *value;
  }
  std::string disk(int node, const std::string& name) const {
    const exaconf::Section* section =
        config().section("Node", std::to_string(node))->section("Disk : " + name);
    return section == nullptr ? "no disk" : section->value_or("Devices", "");
  }
  std::string node(const std::string& number, const std::string& name) {
    return base::render_json(*run("st_node_list").output->find(number)->find(name));
  }
};

}  // namespace

TEST_CASE("st_node_list tells of every storage node, by its number") {
  Nodes test;
  const JobRun run = test.run("st_node_list", "{}", "alice");
  REQUIRE(run.text == "");
  CHECK(run.output->as_struct().size() == 3);
  CHECK(test.node("0", "name") == R"("n11")");
  CHECK(test.node("0", "phys_nid") == "11");
  CHECK(test.node("0", "nid") == "0");
  CHECK(test.node("0", "state") == R"("ONLINE")");
  CHECK(test.node("0", "hdd_free_space") == R"({"disk1":"24 GiB"})");
  CHECK(test.node("2", "hdd_free_space") == R"({"disk1":"32 GiB"})");
  CHECK(test.node("0", "space_warn_threshold") == "90");
  CHECK(test.node("0", "bg_recovery_enabled") == "true");
  CHECK(test.node("0", "bg_rec_limit") == "0");
  CHECK(test.node("0", "auto_bg_rec_limit") == "0");
  test.storage.auto_bg_rec_limit = 80;
  CHECK(test.node("1", "auto_bg_rec_limit") == "80");
  const base::Value& device = run.output->find("0")->find("hdds")->as_array()[0];
  CHECK(device.find("name")->as_string() == "/exa/data/storage/dev.1");
  CHECK(device.find("type")->as_string() == "disk1");
  CHECK(device.find("state")->as_string() == "ONLINE");
}

TEST_CASE("st_node_list shows who is offline with what EXAConf says of it, and who is suspended") {
  Nodes test;
  REQUIRE(test.run("st_node_suspend", R"({"nid": 13})").text == "");
  test.members.live = {11, 13};
  CHECK(test.node("1", "state") == R"("OFFLINE")");
  CHECK(test.node("1", "hdds") == R"([{"name":"dev.1","type":"disk1","state":"OFFLINE"}])");
  CHECK(test.node("2", "state") == R"("SUSPENDED")");
}

TEST_CASE("A disk beyond the threshold is told") {
  Nodes test;
  REQUIRE(test.run("st_node_set_space_warn_threshold", R"({"node": 11, "threshold": 20})").text == "");
  CHECK(test.node("0", "space_warnings") == R"(["disk1"])");
  CHECK(test.node("1", "space_warnings") == "[]");
  REQUIRE(test.run("st_node_set_space_warn_threshold", R"({"node": 11, "threshold": 0})").text == "");
  CHECK(test.node("0", "space_warnings") == "[]");
  CHECK(test.run("st_node_set_space_warn_threshold", R"({"node": 11, "threshold": 101})")
            .says("between 0 and 100"));
}

TEST_CASE("st_node_suspend locks the volumes of the node until st_node_resume") {
  Nodes test;
  REQUIRE(test.run("st_node_suspend", R"({"nid": 12})", "dave").text == "");
  CHECK(test.key(12, "StorageState") == "suspended");
  CHECK(test.state("v") == "LOCKED");
  CHECK(test.run("st_node_suspend", R"({"nid": 12})").code == Code::wrong_state);
  REQUIRE(test.run("st_node_resume", R"({"nid": 12})").text == "");
  CHECK(test.key(12, "StorageState") == "none");
  CHECK(test.state("v") == "ONLINE");
  CHECK(test.run("st_node_resume", R"({"nid": 12})").says("is not suspended"));
  test.members.live = {11, 13};
  CHECK(test.run("st_node_suspend", R"({"nid": 12})").says("node 12 is offline"));
  CHECK(test.run("st_node_suspend", R"({"nid": 44})").code == Code::not_found);
}

TEST_CASE("Background recovery is switched for each node") {
  Nodes test;
  REQUIRE(test.run("st_node_set_bg_recovery", R"({"node": 11, "enabled": false})").text == "");
  CHECK(test.node("0", "bg_recovery_enabled") == "false");
  CHECK(test.node("1", "bg_recovery_enabled") == "true");
  CHECK(test.run("st_node_set_bg_recovery", R"({"node": 44, "enabled": false})").code == Code::not_found);
}

TEST_CASE("The limit of recovery is set for one node or for all, also as the published example calls it") {
  Nodes test;
  REQUIRE(test.run("st_node_set_bg_recovery_limit", R"({"nid": 11, "limit": 50})").text == "");
  REQUIRE(test.run("st_node_set_bg_recovery_limit", R"({"nid": "12", "threshold": 60})").text == "");
  CHECK(test.node("0", "bg_rec_limit") == "50");
  CHECK(test.node("1", "bg_rec_limit") == "60");
  REQUIRE(test.run("st_node_set_bg_recovery_limit", R"({"nid": "all_nodes", "limit": 70})").text == "");
  for (const char* number : {"0", "1", "2"}) CHECK(test.node(number, "bg_rec_limit") == "70");
  CHECK(*test.config().get("EXAStorage", "BgRecLimit") == "70");
  CHECK(
      test.run("st_node_set_bg_recovery_limit", R"({"nid": "some", "limit": 1})").says("neither a node id"));
  CHECK(test.run("st_node_set_bg_recovery_limit", R"({"nid": 11, "limit": -1})").code == Code::bad_parameter);
}

TEST_CASE("st_get_partition_id is the group of processes that storage runs in") {
  Nodes test;
  CHECK(test.run("st_get_partition_id").output->as_int() == ::getpgrp());
}

TEST_CASE("The speed of a link is that of the slowest interface that tells it") {
  test::FakeFileSystem files;
  files.put("/sys/class/net/eth0/speed", "10000\n");
  files.put("/sys/class/net/eth1/speed", "1000\n");
  files.put("/sys/class/net/tun0/speed", "-1\n");
  CHECK(*storage::slowest_speed(files, {"eth0", "eth1", "tun0"}) == 1000);
  CHECK(storage::slowest_speed(files, {"tun0", "lo"}).error().text ==
        "the network interface tun0, lo does not tell its speed");
  CHECK(storage::slowest_speed(files, {}).error().code == Code::unsupported);
}

TEST_CASE("st_node_get_link_speed asks the node for the interfaces of its addresses") {
  Nodes test;
  storage::register_link_speed(test.nodes, test.files);
  test.files.put("/sys/class/net/lo/speed", "2500\n");
  CHECK(test.run("st_node_get_link_speed", R"({"nid": 11})").output_json() == "2500");
  CHECK(test.run("st_node_get_link_speed", R"({"nid": 44})").code == Code::not_found);
}

// --- devices ---

TEST_CASE("st_device_info describes a device by name and by path") {
  Nodes test;
  for (const char* name : {"dev.1", "/exa/data/storage/dev.1"}) {
    const JobRun run =
        test.run("st_device_info", std::string(R"({"node_id": 12, "devname": ")") + name + "\"}");
    REQUIRE(run.text == "");
    CHECK(run.output->find("num_sectors")->as_int() == 32 * kGibibyte / 4096);
    CHECK(run.output->find("superblock_size")->as_string() == "4 MiB");
    CHECK(run.output->find("checksum_algorithm")->as_string() == "FLETCHER2");
  }
  CHECK(test.run("st_device_info", R"({"node_id": 12, "devname": "dev.9"})").text ==
        "node 12 has no device 'dev.9'; it has dev.1");
  test.storage.unreachable = {12};
  CHECK(test.run("st_device_info", R"({"node_id": 12, "devname": "dev.1"})").code == Code::node_unreachable);
}

TEST_CASE("st_device_add takes a device into use and writes it to the disk, or to a new one") {
  Nodes test;
  REQUIRE(test.run("st_device_add", R"({"node": 12, "disk": "disk1", "devname": "/exa/data/storage/dev.2"})")
              .text == "");
  CHECK(test.disk(12, "disk1") == "dev.1, dev.2");
  CHECK(test.storage.nodes[12].devices.size() == 2);
  REQUIRE(test.run("st_device_add",
                   R"({"node": 12, "disk": "fast", "devname": "/dev/nvme2n1", "direct_io": false})")
              .text == "");
  CHECK(test.disk(12, "fast") == "/dev/nvme2n1,");
  CHECK(*test.config().section("Node", "12")->section("Disk : fast")->find("DirectIO") == "False");
  CHECK(test.run("st_device_add", R"({"node": 12, "disk": "disk1", "devname": "dev.1"})").code ==
        Code::exists);
  CHECK(test.run("st_device_add", R"({"node": 12, "disk": "a/b", "devname": "dev.5"})").code ==
        Code::bad_parameter);
  CHECK(test.run("st_device_add", R"({"node": 12, "disk": "disk1", "devname": "../dev"})").code ==
        Code::bad_parameter);
  CHECK(test.run("st_device_add",
                 R"({"node": 12, "disk": "disk1", "devname": "dev.6", "sector_size": "3 KiB"})")
            .says("power of two"));
}

TEST_CASE("st_device_add opens a device as the disk's others are opened, unless it is told otherwise") {
  Nodes test;
  const auto direct_io = [&] { return test.storage.added.find("direct_io")->as_bool(); };
  REQUIRE(
      test.run("st_device_add",
               R"({"node": 12, "disk": "slow", "devname": "dev.2", "direct_io": false, "ephemeral": true})")
          .text == "");
  CHECK_FALSE(direct_io());
  REQUIRE(test.run("st_device_add", R"({"node": 12, "disk": "slow", "devname": "dev.3"})").text == "");
  CHECK_FALSE(direct_io());
  CHECK(test.storage.added.find("ephemeral")->as_bool());
  REQUIRE(test.run("st_device_add", R"({"node": 12, "disk": "slow", "devname": "dev.4", "direct_io": true})")
              .text == "");
  CHECK(direct_io());
  REQUIRE(test.run("st_device_add", R"({"node": 12, "disk": "disk1", "devname": "dev.5"})").text == "");
  CHECK(direct_io());
  CHECK_FALSE(test.storage.added.find("ephemeral")->as_bool());
}

TEST_CASE("st_device_add names no device in EXAConf that the node refused") {
  Nodes test;
  test.storage.refuse = [](int, const std::string& operation,
                           const base::Struct&) -> std::optional<base::Error> {
    if (operation == "storage.device_add") return base::Error{Code::not_found, "no such file"};
    return std::nullopt;
  };
  CHECK(
      test.run("st_device_add", R"({"node": 12, "disk": "disk1", "devname": "dev.2"})").says("no such file"));
  CHECK(test.disk(12, "disk1") == "dev.1");
}

TEST_CASE("st_device_add lets segments onto a device when EXAConf names it, not before") {
  Nodes test;
  std::string named;
  test.storage.refuse = [&](int, const std::string& operation,
                            const base::Struct&) -> std::optional<base::Error> {
    if (operation != "storage.device_use") return std::nullopt;
    named = test.disk(12, "disk1");
    return base::Error{Code::node_unreachable, "it just ended"};
  };
  // It is in EXAConf, which the node takes up when it is back.
  REQUIRE(test.run("st_device_add", R"({"node": 12, "disk": "disk1", "devname": "dev.2"})").text == "");
  CHECK(named == "dev.1, dev.2");
  CHECK(test.disk(12, "disk1") == "dev.1, dev.2");
}

TEST_CASE("st_device_remove takes a device out of use and out of EXAConf") {
  Nodes test;
  REQUIRE(test.run("st_device_remove", R"({"node": 13, "devname": "dev.1"})").text == "");
  CHECK(test.disk(13, "disk1") == ",");
  CHECK(test.storage.nodes[13].devices.empty());
  CHECK(test.run("st_device_remove", R"({"node": 13, "devname": "dev.1"})").says("it has none"));
}

TEST_CASE("st_device_disable, _enable, _clear_errors, _enlarge reach the device") {
  Nodes test;
  const std::string device = R"({"node": 12, "devname": "dev.1"})";
  REQUIRE(test.run("st_device_disable", device, "dave").text == "");
  CHECK(test.storage.nodes[12].devices[0].state == "DISABLED");
  REQUIRE(test.run("st_device_enable", device).text == "");
  CHECK(test.storage.nodes[12].devices[0].state == "ONLINE");
  test.storage.nodes[12].devices[0].io_error = true;
  REQUIRE(test.run("st_device_clear_errors", device).text == "");
  CHECK_FALSE(test.storage.nodes[12].devices[0].io_error);
  REQUIRE(test.run("st_device_enlarge", R"({"node": 12, "devname": "dev.1", "num_sectors": 9999999})").text ==
          "");
  CHECK(test.storage.nodes[12].devices[0].sectors == 9999999);
  CHECK(test.run("st_device_enlarge", R"({"node": 12, "devname": "dev.1", "num_sectors": -1})").code ==
        Code::bad_parameter);
}

TEST_CASE("st_device_modify moves a device to another disk, in EXAConf too") {
  Nodes test;
  REQUIRE(test.run("st_device_modify", R"({"node": 13, "devname": "dev.1", "disk": "fast"})").text == "");
  CHECK(test.disk(13, "disk1") == ",");
  CHECK(test.disk(13, "fast") == "dev.1,");
  CHECK(test.storage.nodes[13].devices[0].disk == "fast");
  CHECK(test.run("st_device_modify", R"({"node": 13, "devname": "dev.1"})").says("nothing to change"));
}

}  // namespace confd::jobs
