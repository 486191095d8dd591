#include "storage/node_storage.h"

#include <catch2/catch.hpp>

#include "storage/space.h"
#include "tests/storage/storage_node.h"

namespace confd::storage {
namespace {

using base::Code;
using test::config_with_disks;
using test::disk;
using test::StorageNode;

const SegmentId kFirst{0, 0, 1};

std::uint64_t free_on(const StorageNode& storage, const std::string& device) {
  return free_sectors(storage.device(device).superblock);
}

TEST_CASE("a blank device that EXAConf names is taken into use") {
  StorageNode storage({32 * kGiB});
  const Device device = storage.device("dev.1");
  CHECK(device.state() == "ONLINE");
  CHECK(device.made_now);
  CHECK(device.superblock.geometry.data_sectors == 8378368);
  CHECK(device.superblock.node == 11);
  CHECK(device.superblock.flags.direct_io);
  storage.restart();
  CHECK_FALSE(storage.device("dev.1").made_now);
  CHECK(storage.device("dev.1").superblock == device.superblock);
}

TEST_CASE("a device that can't be used is offline with the reason, and left as it is") {
  StorageNode storage;
  const auto reason_of = [&] {
    storage.restart();
    CHECK(storage.device("dev.1").state() == "OFFLINE");
    return storage.device("dev.1").reason;
  };
  SECTION("it has no file") {
    storage.files.take_device_away(StorageNode::path("dev.1"));
    CHECK(reason_of().find("No such file") != std::string::npos);
    CHECK_FALSE(storage.files.identity(StorageNode::path("dev.1")));
  }
  SECTION("it is somebody else's") {
    storage.files.put_device(StorageNode::path("dev.1"), kGiB);
    storage.files.write_device(StorageNode::path("dev.1"), 1080, "\x53\xEF");
    CHECK(reason_of().find("is not confd's") != std::string::npos);
    CHECK(storage.files.read_device(StorageNode::path("dev.1"), 1080, 2) == "\x53\xEF");
  }
  SECTION("it is another node's") {
    storage.node = std::make_unique<NodeStorage>(
        NodeStorage::Options{12, StorageNode::kFolder, {}},
        NodeStorage::Services{storage.files, storage.clock, storage.random, nullptr});
    const auto config = test::load_config([] {
      std::string text = test::small_config_text();
      text.replace(text.find("[Node : 11]"), 11, "[Node : 12]");
      for (std::size_t at; (at = text.find("Nodes = 11")) != std::string::npos;)
        text.replace(at, 10, "Nodes = 12");
      return text;
    }());
    REQUIRE(storage.node->apply(*config).ok());
    CHECK(storage.device("dev.1").reason.find("is a device of node 11") != std::string::npos);
  }
  SECTION("it is too small") {
    storage.files.put_device(StorageNode::path("dev.1"), 8 * kMiB);
    CHECK(reason_of().find("too small") != std::string::npos);
    storage.files.put_device(StorageNode::path("dev.1"), kMiB);
    CHECK(reason_of().find("too few for the superblock") != std::string::npos);
  }
  SECTION("it has become smaller") {
    storage.files.enlarge_device(StorageNode::path("dev.1"), kGiB / 2);
    CHECK(reason_of().find("has become smaller") != std::string::npos);
  }
  SECTION("both copies of its superblock are damaged") {
    storage.files.write_device(StorageNode::path("dev.1"), 200, "x");
    storage.files.write_device(StorageNode::path("dev.1"), 2 * kMiB + 200, "x");
    CHECK(reason_of().find("both copies") != std::string::npos);
    CHECK(storage.device("dev.1").crc_error);
  }
  SECTION("its superblock is lost, but not the segments") {
    REQUIRE(storage.allocate(kFirst, 10));
    storage.files.put_device(StorageNode::path("dev.1"), kGiB);
    CHECK(reason_of().find("the superblock was lost") != std::string::npos);
    CHECK(storage.files.read_device(StorageNode::path("dev.1"), 0, 8) == std::string(8, '\0'));
  }
}

TEST_CASE("a volatile device that comes back blank is taken into use, what was on it is gone") {
  StorageNode storage;
  storage.files.put_device(StorageNode::path("dev.9"), kGiB);
  storage.config = config_with_disks(disk("fast", "dev.9,", "        Ephemeral = True\n"));
  storage.restart();
  CHECK(storage.device("dev.9").superblock.flags.ephemeral);
  REQUIRE(storage.allocate(kFirst, 10, "fast"));
  storage.files.put_device(StorageNode::path("dev.9"), kGiB);
  storage.restart();
  CHECK(storage.device("dev.9").online);
  CHECK(storage.node->segments().empty());
  CHECK_FALSE(*storage.files.has_folder(StorageNode::folder(kFirst, "dev.9")));
}

TEST_CASE("a segment takes exactly its blocks, is there after a restart, and gives them back") {
  StorageNode storage;
  const std::uint64_t before = free_on(storage, "dev.1");
  const auto segment = storage.allocate(kFirst, 2560);
  REQUIRE(segment);
  CHECK(segment->partitions == std::vector<Partition>{{"dev.1", 0, 2560}});
  CHECK(segment->folder == "/exa/data/storage/dev.1.d/0/0.1");
  CHECK(*storage.files.has_folder(segment->folder));
  CHECK(free_on(storage, "dev.1") == before - 2560);
  storage.power_cut();
  REQUIRE(storage.node->segments().size() == 1);
  CHECK(storage.node->segment(kFirst)->partitions == segment->partitions);
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);

  REQUIRE(storage.node->free(kFirst, {}).ok());
  CHECK(free_on(storage, "dev.1") == before);
  CHECK_FALSE(*storage.files.has_folder(segment->folder));
  CHECK(storage.node->free(kFirst, {}).ok());
  storage.power_cut();
  CHECK(storage.node->segments().empty());
}

TEST_CASE("the same allocation again changes nothing, another one of that number is refused") {
  StorageNode storage;
  const auto first = storage.allocate(kFirst, 100);
  const auto again = storage.allocate(kFirst, 100);
  REQUIRE(again);
  CHECK(again->partitions == first->partitions);
  CHECK(storage.allocate(kFirst, 101).error().code == Code::exists);
}

TEST_CASE("requests that can't be are refused") {
  StorageNode storage;
  CHECK(storage.allocate(kFirst, 0).error().code == Code::bad_parameter);
  CHECK(storage.allocate(kFirst, ~std::uint64_t{0}).error().code == Code::bad_parameter);
  CHECK(storage.allocate({0, 0, 0}, 1).error().code == Code::bad_parameter);
  CHECK(storage.node->allocate({kFirst, 1, 1000, "disk1"}, {}).error().code == Code::bad_parameter);
  CHECK(storage.allocate(kFirst, 1, "disk7").error().text ==
        "node 11 has no disk 'disk7' with a device; it has disk1");
  CHECK(storage.node->resize(kFirst, 5, {}).error().code == Code::not_found);
  CHECK(storage.node->set_state(kFirst, SegmentState::online, {}).error().code == Code::not_found);
  CHECK(storage.node->clear(kFirst, 0, {}).error().code == Code::not_found);
}

TEST_CASE("out of space says how much is free where, and changes nothing") {
  StorageNode storage({kGiB, 64 * kMiB});
  const auto before = storage.node->devices();
  const auto refused = storage.allocate(kFirst, blocks_for(2 * kGiB, 4096));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::busy);
  CHECK(refused.error().text ==
        "disk disk1 of node 11 has not enough free space: segment 0, level 1, of volume 0 wants 2 GiB, free "
        "are "
        "1.0391 GiB (dev.1 has 1012 MiB; dev.2 has 52 MiB)");
  CHECK(storage.device("dev.1").superblock == before[0].superblock);
  CHECK(storage.node->segments().empty());
}

TEST_CASE("the blocks of a segment are spread over the devices of its disk") {
  StorageNode storage({kGiB, kGiB, 64 * kMiB});
  const auto segment = storage.allocate(kFirst, 60000);
  REQUIRE(segment);
  // The third has 52 MiB, 13312 blocks; the others have the rest.
  CHECK(segment->partitions ==
        std::vector<Partition>{{"dev.1", 0, 23344}, {"dev.2", 0, 23344}, {"dev.3", 0, 13312}});
  const auto grown = storage.node->resize(kFirst, 60002, {});
  REQUIRE(grown);
  CHECK(grown->partitions ==
        std::vector<Partition>{{"dev.1", 0, 23345}, {"dev.2", 0, 23345}, {"dev.3", 0, 13312}});
  const auto shrunk = storage.node->resize(kFirst, 3, {});
  REQUIRE(shrunk);
  CHECK(shrunk->partitions == std::vector<Partition>{{"dev.1", 0, 1}, {"dev.2", 0, 1}, {"dev.3", 0, 1}});
  storage.power_cut();
  CHECK(storage.node->segment(kFirst)->partitions == shrunk->partitions);
  REQUIRE(storage.node->free(kFirst, {}).ok());
  for (const Device& device : storage.node->devices()) CHECK(used_sectors(device.superblock).empty());
}

TEST_CASE("a segment is offline while a device of it is away, and is back with it") {
  StorageNode storage({kGiB, kGiB});
  REQUIRE(storage.allocate(kFirst, 100));
  storage.files.take_device_away(StorageNode::path("dev.2"));
  CHECK(storage.device("dev.2").state() == "OFFLINE");
  CHECK(storage.node->segment(kFirst)->state == SegmentState::offline);
  CHECK(storage.node->segment(kFirst)->reason == "device dev.2 is offline");
  storage.restart();
  CHECK(storage.node->segment(kFirst)->state == SegmentState::offline);
  storage.files.put_device_back(StorageNode::path("dev.2"));
  storage.node->watch_once({});
  CHECK(storage.device("dev.2").state() == "ONLINE");
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
}

TEST_CASE("what was given back while a device was away is free when it returns") {
  StorageNode storage({kGiB, kGiB});
  REQUIRE(storage.allocate(kFirst, 100));
  storage.files.take_device_away(StorageNode::path("dev.2"));
  REQUIRE(storage.node->free(kFirst, {}).ok());
  storage.files.put_device_back(StorageNode::path("dev.2"));
  storage.restart();
  CHECK(used_sectors(storage.device("dev.2").superblock).empty());
}

TEST_CASE("space on a device stays taken while the home of the segment is away") {
  StorageNode storage({64 * kMiB, 64 * kMiB});
  REQUIRE(storage.allocate(kFirst, 100));
  storage.files.take_device_away(StorageNode::path("dev.1"));
  storage.restart();
  CHECK(free_on(storage, "dev.2") == storage.device("dev.2").superblock.geometry.data_sectors - 50);
  const auto other = storage.allocate({1, 0, 1}, 1000);
  REQUIRE(other);
  CHECK(other->partitions == std::vector<Partition>{{"dev.2", 50, 1000}});
}

TEST_CASE("a copy is filled anew elsewhere while its device is away, and the old one goes when it is whole") {
  StorageNode storage({kGiB, kGiB});
  storage.config = config_with_disks(disk("disk1", "dev.1,") + disk("disk2", "dev.2,"));
  storage.restart();
  REQUIRE(storage.allocate(kFirst, 100));
  storage.files.take_device_away(StorageNode::path("dev.1"));
  storage.node->watch_once({});
  CHECK(storage.allocate(kFirst, 100, "disk2").error().code == Code::wrong_state);
  storage.clock.advance(std::chrono::seconds(1));
  REQUIRE(
      storage.node->allocate({kFirst, 100, 4096, "disk2", SegmentKind::data, SegmentState::recovering}, {}));
  storage.files.put_device_back(StorageNode::path("dev.1"));
  storage.restart();
  // Not whole yet: both are there, the newer counts.
  CHECK(storage.node->segment(kFirst)->disk == "disk2");
  CHECK(storage.device("dev.1").superblock.segments.size() == 1);
  REQUIRE(storage.node->set_state(kFirst, SegmentState::online, {}).ok());
  storage.restart();
  CHECK(storage.device("dev.1").superblock.segments.empty());
  CHECK(storage.node->segment(kFirst)->disk == "disk2");
}

TEST_CASE("states are durable, and a missing folder is not hidden") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 100));
  REQUIRE(storage.node->set_state(kFirst, SegmentState::recovering, {}).ok());
  storage.power_cut();
  CHECK(storage.node->segment(kFirst)->state == SegmentState::recovering);
  REQUIRE(storage.node->set_state(kFirst, SegmentState::online, {}).ok());
  REQUIRE(storage.files.remove_folder(StorageNode::folder(kFirst), {}).ok());
  CHECK(storage.node->segment(kFirst)->state == SegmentState::offline);
  CHECK(storage.node->segment(kFirst)->reason.find("is gone") != std::string::npos);
  CHECK(storage.node->set_state(kFirst, SegmentState::online, {}).error().code == Code::wrong_state);
  CHECK(storage.allocate(kFirst, 100).error().text.find("its folder") != std::string::npos);
  REQUIRE(storage.node->set_state(kFirst, SegmentState::recovering, {}).ok());
  CHECK(storage.node->segment(kFirst)->state == SegmentState::recovering);
  CHECK(*storage.files.has_folder(StorageNode::folder(kFirst)));
}

TEST_CASE("files in the place of a new segment are not lost") {
  StorageNode storage;
  storage.files.put_file(StorageNode::folder(kFirst) + "/stray", 10);
  const auto refused = storage.allocate(kFirst, 100);
  CHECK(refused.error().code == Code::exists);
  CHECK(refused.error().text.find("belong to no segment") != std::string::npos);
  CHECK(storage.node->segments().empty());
}

TEST_CASE("usage is measured, and a full segment takes no more") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 1024));  // 4 MiB
  CHECK(*storage.node->used_bytes(kFirst, {}) == 0);
  CHECK(storage.node->has_room(kFirst, 3 * kMiB, {}).ok());
  // What was allowed counts before it is written.
  const auto full = storage.node->has_room(kFirst, 2 * kMiB, {});
  REQUIRE_FALSE(full.ok());
  CHECK(full.error().code == Code::busy);
  CHECK(
      full.error().text ==
      "segment 0, level 1, of volume 0 is full on node 11: 3 MiB of 4 MiB are used, too much for 2 MiB more; "
      "enlarge the volume or delete something from it");
  storage.files.put_file(StorageNode::folder(kFirst) + "/file", kMiB);
  storage.clock.advance(std::chrono::seconds(70));
  CHECK(*storage.node->used_bytes(kFirst, {}) == 3 * kMiB);  // told as last known: nobody waits for a measure
  CHECK(storage.node->has_room(kFirst, 2 * kMiB, {}).ok());  // while this may take its time
  storage.node->watch_once({});
  CHECK(*storage.node->used_bytes(kFirst, {}) == kMiB);
  storage.files.set_free_bytes(100);
  CHECK(storage.node->has_room(kFirst, 101, {}).error().text.find("the file system of") == 0);
  CHECK(storage.node->has_room({5, 0, 1}, 1, {}).error().code == Code::not_found);
}

TEST_CASE("what was never measured is not told, and telling measures nothing") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 1024));
  storage.files.put_file(StorageNode::folder(kFirst) + "/file", kMiB);
  CHECK_FALSE(storage.node->last_used_bytes(kFirst));
  storage.node->watch_once({});
  storage.files.put_file(StorageNode::folder(kFirst) + "/more", kMiB);
  storage.clock.advance(std::chrono::hours(1));
  CHECK(storage.node->last_used_bytes(kFirst) == kMiB);
  storage.node->watch_once({});
  CHECK(storage.node->last_used_bytes(kFirst) == 2 * kMiB);
}

TEST_CASE("a segment that looks full by an old measure is measured before anybody is refused") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 1024));  // 4 MiB
  storage.files.put_file(StorageNode::folder(kFirst) + "/file", 4 * kMiB);
  storage.node->watch_once({});
  storage.files.put_file(StorageNode::folder(kFirst) + "/file", kMiB);
  storage.clock.advance(std::chrono::seconds(5));
  CHECK(storage.node->has_room(kFirst, 3 * kMiB, {}).ok());
}

TEST_CASE("a segment does not shrink below what its files take") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 1024));
  storage.files.put_file(StorageNode::folder(kFirst) + "/file", 2 * kMiB);
  CHECK(storage.node->resize(kFirst, 511, {}).error().code == Code::wrong_state);
  CHECK(storage.node->resize(kFirst, 512, {}));
}

TEST_CASE("clearing empties the folder and keeps the segment") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 1024));
  storage.files.put_file(StorageNode::folder(kFirst) + "/a/file", kMiB);
  REQUIRE(storage.node->clear(kFirst, 0, {}).ok());
  CHECK(*storage.node->used_bytes(kFirst, {}) == 0);
  CHECK(storage.node->segment(kFirst)->state == SegmentState::online);
}

TEST_CASE("what is fuller than SpaceWarnThreshold is told, and once more when it is not") {
  StorageNode storage;
  storage.config = config_with_disks(disk("disk1", "dev.1,"), "    SpaceWarnThreshold = 50\n");
  storage.restart();
  REQUIRE(storage.allocate(kFirst, 140000));
  storage.files.put_file(StorageNode::folder(kFirst) + "/file", 400 * kMiB);
  storage.node->watch_once({});
  const auto warnings = storage.node->space_warnings();
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0] == "disk disk1 is 54 % full: 546.875 MiB of 1012 MiB (SpaceWarnThreshold is 50 %)");
  CHECK(warnings[1].find("segment 0, level 1, of volume 0 is 73 % full") == 0);
  REQUIRE(storage.node->free(kFirst, {}).ok());
  storage.node->watch_once({});
  CHECK(storage.node->space_warnings().empty());
}

TEST_CASE("a write that fails is not reported as done, and the device waits for somebody to see to it") {
  StorageNode storage;
  REQUIRE(storage.allocate(kFirst, 10));
  storage.files.fail_from(storage.files.calls() + 3);  // folder, write, sync of the superblock
  CHECK(storage.allocate({1, 0, 1}, 10).error().code == Code::io_error);
  storage.files.fail_from(0);
  CHECK(storage.device("dev.1").io_error);
  CHECK(storage.allocate({1, 0, 1}, 10).error().code == Code::wrong_state);
  CHECK(storage.allocate({2, 0, 1}, 10).error().text.find("dev.1 has an I/O error") != std::string::npos);
  REQUIRE(storage.node->clear_device_errors("dev.1", {}).ok());
  CHECK_FALSE(storage.device("dev.1").io_error);
  REQUIRE(storage.allocate({1, 0, 1}, 10));
  storage.power_cut();
  CHECK(storage.node->segments().size() == 2);
}

TEST_CASE("a superblock that is read back otherwise is a CRC error") {
  StorageNode storage;
  storage.files.corrupt_writes(true);
  CHECK(storage.allocate(kFirst, 10).error().code == Code::io_error);
  storage.files.corrupt_writes(false);
  CHECK(storage.device("dev.1").crc_error);
  CHECK(storage.allocate(kFirst, 10).error().text.find("CRC error") != std::string::npos);
  REQUIRE(storage.node->clear_device_errors("dev.1", {}).ok());
  CHECK(storage.allocate(kFirst, 10));
}

TEST_CASE("two confd on one device are noticed before anything is overwritten") {
  StorageNode storage;
  NodeStorage other({11, StorageNode::kFolder, {}}, {storage.files, storage.clock, storage.random, nullptr});
  REQUIRE(other.apply(*storage.config).ok());
  REQUIRE(storage.allocate(kFirst, 10));
  const auto refused = other.allocate({{1, 0, 1}, 10, 4096, "disk1"}, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("somebody else wrote its superblock") != std::string::npos);
  storage.restart();
  CHECK(storage.node->segments().size() == 1);
}

}  // namespace
}  // namespace confd::storage
