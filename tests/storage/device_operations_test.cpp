// What the st_device_* jobs ask of a node's storage.
#include <catch2/catch.hpp>

#include "cluster/node_control.h"
#include "storage/node_storage_operations.h"
#include "storage/space.h"
#include "tests/storage/storage_node.h"

namespace confd::storage {
namespace {

using base::Code;
using base::Struct;
using base::Value;
using test::config_with_disks;
using test::disk;
using test::StorageNode;

const SegmentId kFirst{0, 0, 1};

DeviceSpec spec_of(const std::string& name, const std::string& disk_name = "disk1") {
  DeviceSpec spec;
  spec.name = name;
  spec.disk = disk_name;
  return spec;
}

TEST_CASE("a device is added and used, and stays when EXAConf names it") {
  StorageNode storage;
  storage.files.put_device(StorageNode::path("dev.2"), kGiB);
  DeviceSpec spec = spec_of("dev.2", "disk2");
  spec.sector_size = 1024;
  spec.flags.use_crc = false;
  REQUIRE(storage.node->add_device(spec, {}).ok());
  CHECK(storage.device("dev.2").superblock.geometry.data_sectors == (kGiB - 4 * kMiB) / 1024);
  // Other revisions of EXAConf may come before the one that names it.
  REQUIRE(storage.node->apply(*storage.config).ok());
  REQUIRE(storage.node->use_device("dev.2", {}).ok());
  REQUIRE(storage.allocate(kFirst, 100, "disk2"));
  CHECK(storage.node->segment(kFirst)->partitions == std::vector<Partition>{{"dev.2", 0, 400}});
  storage.config = config_with_disks(disk("disk1", "dev.1,") + disk("disk2", "dev.2,"));
  storage.restart();
  CHECK(storage.device("dev.2").superblock.geometry.sector_size == 1024);
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
}

// S1 of docs/faults-findings.md: what ended here left a segment on a device that EXAConf never named.
TEST_CASE("nothing is put on a device before EXAConf names it") {
  StorageNode storage;
  const std::uint64_t all = free_blocks(storage.device("dev.1").superblock, 4096);
  REQUIRE(storage.allocate(kFirst, all - 10));
  storage.files.put_device(StorageNode::path("dev.2"), kGiB);
  REQUIRE(storage.node->add_device(spec_of("dev.2"), {}).ok());
  const auto early = storage.node->resize(kFirst, all + 100, {});
  CHECK(early.error().code == Code::busy);
  CHECK(early.error().text.find("device dev.2 is being added: EXAConf does not name it yet") !=
        std::string::npos);
  CHECK(storage.allocate({1, 0, 1}, 100).error().code == Code::busy);
  SECTION("it never comes to: the device can be added again") {
    storage.node->watch_once({});
    CHECK(storage.allocate({1, 0, 1}, 100).error().code == Code::busy);
    REQUIRE(storage.node->add_device(spec_of("dev.2"), {}).ok());
    storage.restart();
    CHECK(storage.node->devices().size() == 1);
    CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
  }
  SECTION("the job says so") {
    REQUIRE(storage.node->use_device("dev.2", {}).ok());
    REQUIRE(storage.node->resize(kFirst, all + 100, {}).ok());
  }
  SECTION("a revision does") {
    storage.config = config_with_disks(disk("disk1", "dev.1, dev.2"));
    REQUIRE(storage.node->apply(*storage.config).ok());
    REQUIRE(storage.node->resize(kFirst, all + 100, {}).ok());
    storage.restart();
    CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
  }
}

TEST_CASE("devices that can't be added are refused with the reason") {
  StorageNode storage;
  CHECK(storage.node->add_device(spec_of("dev.1"), {}).error().code == Code::exists);
  CHECK(storage.node->add_device(spec_of(StorageNode::path("dev.1")), {}).error().code == Code::exists);
  CHECK(storage.node->add_device(spec_of("dev.2"), {}).error().code == Code::not_found);
  CHECK(storage.node->add_device(spec_of(""), {}).error().code == Code::bad_parameter);
  storage.files.put_device(StorageNode::path("dev.2"), kGiB);
  storage.files.write_device(StorageNode::path("dev.2"), 0, "MZ");
  CHECK(storage.node->add_device(spec_of("dev.2"), {}).error().text.find("is not confd's") !=
        std::string::npos);
  storage.files.put_device(StorageNode::path("dev.3"), kGiB);
  DeviceSpec wrong = spec_of("dev.3");
  wrong.sector_size = 1000;
  CHECK(storage.node->add_device(wrong, {}).error().text.find("sector size of 1000") != std::string::npos);
  CHECK(storage.node->devices().size() == 1);
}

TEST_CASE("a device is removed when it is unused, and blank afterwards") {
  StorageNode storage({kGiB, kGiB});
  REQUIRE(storage.allocate(kFirst, 10));
  const auto used = storage.node->remove_device("dev.2", {});
  CHECK(used.error().code == Code::wrong_state);
  CHECK(used.error().text ==
        "device dev.2 can't be removed: volume 0 has segments on it; delete or move them first");
  REQUIRE(storage.node->free(kFirst, {}).ok());
  REQUIRE(storage.node->remove_device("dev.2", {}).ok());
  CHECK(storage.files.read_device(StorageNode::path("dev.2"), 0, 4 * kMiB) == std::string(4 * kMiB, '\0'));
  // EXAConf names it until the job is published.
  REQUIRE(storage.node->apply(*storage.config).ok());
  CHECK(storage.node->devices().size() == 1);
  REQUIRE(storage.node->apply(*config_with_disks(disk("disk1", "dev.1,"))).ok());
  REQUIRE(storage.node->apply(*storage.config).ok());
  CHECK(storage.node->devices().size() == 2);
  CHECK(storage.node->remove_device("dev.7", {}).error().text ==
        "node 11 has no device 'dev.7'; it has dev.1, dev.2");
}

TEST_CASE("a device that EXAConf no longer names is let go of when nothing is on it") {
  StorageNode storage({kGiB, kGiB});
  REQUIRE(storage.node->apply(*config_with_disks(disk("disk1", "dev.2,"))).ok());
  CHECK(storage.node->devices().size() == 1);
  REQUIRE(storage.allocate(kFirst, 10));
  REQUIRE(storage.node->apply(*config_with_disks(disk("disk1", "dev.1,"))).ok());
  CHECK(storage.node->devices().size() == 2);
}

TEST_CASE("a disabled device takes nothing, its segments are offline until it is enabled") {
  StorageNode storage({kGiB, kGiB});
  REQUIRE(storage.allocate(kFirst, 10));
  REQUIRE(storage.node->disable_device("dev.2", {}).ok());
  REQUIRE(storage.node->disable_device("dev.2", {}).ok());
  storage.restart();
  CHECK(storage.device("dev.2").state() == "DISABLED");
  CHECK(storage.node->segment(kFirst)->state == SegmentState::offline);
  CHECK(storage.node->segment(kFirst)->reason == "device dev.2 is disabled");
  REQUIRE(storage.allocate({1, 0, 1}, 10));
  CHECK(storage.node->segment({1, 0, 1})->partitions == std::vector<Partition>{{"dev.1", 5, 10}});
  REQUIRE(storage.node->enable_device(StorageNode::path("dev.2"), {}).ok());
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
}

TEST_CASE("a read-only device keeps what it has and takes nothing") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 10));
  DeviceChange change;
  change.read_only = true;
  REQUIRE(storage.node->modify_device("dev.1", change, {}).ok());
  storage.restart();
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
  CHECK(storage.allocate({1, 0, 1}, 10).error().text.find("dev.1 is read-only") != std::string::npos);
  CHECK(storage.node->free(kFirst, {}).error().code == Code::wrong_state);
  change.read_only = false;
  REQUIRE(storage.node->modify_device("dev.1", change, {}).ok());
  CHECK(storage.node->free(kFirst, {}).ok());
}

TEST_CASE("another sector size makes a device anew, which is refused while it is in use") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 10));
  DeviceChange change;
  change.sector_size = 1024;
  CHECK(storage.node->modify_device("dev.1", change, {}).error().code == Code::wrong_state);
  REQUIRE(storage.node->free(kFirst, {}).ok());
  REQUIRE(storage.node->modify_device("dev.1", change, {}).ok());
  storage.power_cut();
  CHECK(storage.device("dev.1").superblock.geometry.sector_size == 1024);
  CHECK(storage.device("dev.1").superblock.geometry.all_sectors() == kGiB / 1024);
  change = {};
  change.num_sectors = 100000;
  REQUIRE(storage.node->modify_device("dev.1", change, {}).ok());
  CHECK(storage.device("dev.1").superblock.geometry.all_sectors() == 100000);
  change.num_sectors = kGiB;
  CHECK(storage.node->modify_device("dev.1", change, {}).error().code == Code::bad_parameter);
  CHECK(storage.device("dev.1").superblock.geometry.all_sectors() == 100000);
}

TEST_CASE("a device that grew gives what it has more") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 10));
  REQUIRE(storage.node->enlarge_device("dev.1", 0, {}).ok());
  storage.files.enlarge_device(StorageNode::path("dev.1"), 2 * kGiB);
  CHECK(storage.node->enlarge_device("dev.1", 3 * kGiB / 4096, {}).error().code == Code::bad_parameter);
  REQUIRE(storage.node->enlarge_device("dev.1", 0, {}).ok());
  storage.power_cut();
  CHECK(storage.device("dev.1").superblock.geometry == *device_geometry(2 * kGiB, 4096, true));
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
  CHECK(storage.node->enlarge_device("dev.1", kGiB / 4096, {}).error().text.find("fewer data sectors") !=
        std::string::npos);
}

TEST_CASE("one file under two names is one device") {
  StorageNode storage;
  storage.config =
      config_with_disks(disk("disk1", "dev.1,") + disk("disk2", StorageNode::path("dev.1") + ","));
  storage.restart();
  CHECK(storage.node->devices()[0].state() == "ONLINE");
  CHECK(storage.node->devices()[1].reason == "it is the same device as dev.1");
}

// As other nodes call them.
struct Operations {
  Operations() { register_storage_operations(control, *storage.node); }
  Value run(const std::string& name, const Struct& params) {
    auto result = control.run_here(name, params, {});
    if (!result) FAIL(name << ": " << result.error().text);
    return *result;
  }
  base::Error error(const std::string& name, const Struct& params) {
    return control.run_here(name, params, {}).error();
  }
  StorageNode storage{{32 * kGiB}};
  cluster::NodeControl control{11};
};

Struct allocation(std::int64_t vid) {
  return {{"vid", vid},         {"index", 0},      {"level", 1},     {"blocks", 5242880},
          {"block_size", 4096}, {"disk", "disk1"}, {"kind", "data"}, {"state", "ONLINE"}};
}

TEST_CASE("the report has devices and segments with the numbers of the spec's sample") {
  Operations operations;
  const Value placed = operations.run("storage.allocate", allocation(0));
  CHECK(placed.find("partitions")->as_array().size() == 1);
  const Value report = operations.run("storage.report", {});
  CHECK(report.find("node")->as_int() == 11);
  const Struct& device = report.find("devices")->as_array().at(0).as_struct();
  for (const auto& [key, value] : Struct{{"name", "dev.1"},
                                         {"disk", "disk1"},
                                         {"path", "/exa/data/storage/dev.1"},
                                         {"state", "ONLINE"},
                                         {"reason", ""},
                                         {"sector_size", 4096},
                                         {"sectors", 8387584},
                                         {"data_sectors", 8378368},
                                         {"free_sectors", 8378368 - 5242880},
                                         {"superblock_bytes", 4194304},
                                         {"checksum_algorithm", "CRC32C"},
                                         {"read_only", false},
                                         {"sync_crc", true},
                                         {"use_crc", true},
                                         {"direct_io", true},
                                         {"ephemeral", false},
                                         {"io_error", false},
                                         {"crc_error", false}}) {
    CAPTURE(key);
    REQUIRE(device.find(key) != nullptr);
    CHECK(*device.find(key) == value);
  }
  const Struct& segment = report.find("segments")->as_array().at(0).as_struct();
  for (const auto& [key, value] :
       Struct{{"vid", 0},
              {"index", 0},
              {"level", 1},
              {"blocks", 5242880},
              {"block_size", 4096},
              {"disk", "disk1"},
              {"kind", "data"},
              {"state", "ONLINE"},
              {"reason", ""},
              {"used_bytes", Value()},  // not measured yet
              {"partitions",
               base::Array{Struct{{"device", "dev.1"}, {"start_sector", 0}, {"sectors", 5242880}}}},
              {"folder", "/exa/data/storage/dev.1.d/0/0.1"}}) {
    CAPTURE(key);
    REQUIRE(segment.find(key) != nullptr);
    CHECK(*segment.find(key) == value);
  }
}

TEST_CASE("every operation does what its name says") {
  Operations operations;
  const Struct first{{"vid", 3}, {"index", 0}, {"level", 1}};
  const auto and_more = [&](const char* name, Value value) {
    Struct params = first;
    params.set(name, std::move(value));
    return params;
  };
  operations.run("storage.allocate", allocation(3));
  operations.run("storage.resize", and_more("blocks", 10));
  operations.run("storage.set_state", and_more("state", "RECOVERING"));
  operations.run("storage.clear", and_more("num_bytes", 0));
  const auto segment = operations.storage.node->segment({3, 0, 1});
  REQUIRE(segment);
  CHECK(segment->blocks == 10);
  CHECK(segment->state == SegmentState::recovering);
  operations.run("storage.free", first);
  CHECK(operations.storage.node->segments().empty());

  operations.storage.files.put_device(StorageNode::path("dev.2"), kGiB);
  operations.run("storage.device_add",
                 {{"devname", "dev.2"}, {"disk", "disk2"}, {"sector_size", "1 KiB"}, {"use_crc", false}});
  operations.run("storage.device_modify",
                 {{"devname", "dev.2"}, {"sector_size", "4 KiB"}, {"disk", "disk3"}});
  CHECK(operations.storage.device("dev.2").spec.disk == "disk3");
  CHECK(operations.storage.device("dev.2").superblock.geometry.sector_size == 4096);
  CHECK_FALSE(operations.storage.device("dev.2").superblock.flags.use_crc);
  operations.run("storage.device_disable", {{"devname", "dev.2"}});
  CHECK(operations.storage.device("dev.2").state() == "DISABLED");
  operations.run("storage.device_enable", {{"devname", "dev.2"}});
  operations.run("storage.device_clear_errors", {{"devname", "dev.2"}});
  operations.storage.files.enlarge_device(StorageNode::path("dev.2"), 2 * kGiB);
  operations.run("storage.device_enlarge", {{"devname", "dev.2"}, {"num_sectors", 0}});
  CHECK(operations.storage.device("dev.2").superblock.geometry.all_sectors() == 2 * kGiB / 4096);
  operations.run("storage.device_remove", {{"devname", "dev.2"}});
  CHECK(operations.storage.node->devices().size() == 1);
}

TEST_CASE("callers with wrong parameters are told so") {
  Operations operations;
  CHECK(operations.error("storage.allocate", {{"vid", 0}}).code == Code::bad_parameter);
  Struct params = allocation(-1);
  CHECK(operations.error("storage.allocate", params).text == "parameter 'vid' can't be -1");
  params = allocation(0);
  params.set("kind", "what");
  CHECK(operations.error("storage.allocate", params).code == Code::bad_parameter);
  params = allocation(0);
  params.set("state", "online");
  CHECK(operations.error("storage.allocate", params).code == Code::bad_parameter);
  CHECK(operations.error("storage.free", {{"vid", 0}, {"index", 0}, {"level", 0}}).code ==
        Code::bad_parameter);
  CHECK(operations.error("storage.device_add", {{"devname", "x"}, {"disk", "d"}, {"sector_size", "much"}})
            .code == Code::bad_parameter);
  CHECK(operations.error("storage.device_add", {{"devname", "x"}, {"disk", "d"}, {"use_crc", 1}}).code ==
        Code::bad_parameter);
  CHECK(operations.error("storage.device_enlarge", {{"devname", "dev.1"}, {"num_sectors", -4}}).code ==
        Code::bad_parameter);
}

}  // namespace
}  // namespace confd::storage
