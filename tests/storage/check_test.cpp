#include "storage/check.h"

#include <catch2/catch.hpp>

#include "tests/storage/storage_node.h"

namespace confd::storage {
namespace {

using test::config_with_disks;
using test::disk;
using test::StorageNode;

const SegmentId kFirst{0, 0, 1};

// A node whose EXAConf has volume data1 (1 GiB) with ID 0, made.
struct Site {
  Site() {
    std::string text = storage.config->text();
    const std::string type = "[EXAVolume : data1]\n";
    text.insert(text.find(type) + type.size(), "    ID = 0\n");
    text.replace(text.find("Checksum = "),
                 text.find('\n', text.find("Checksum = ")) - text.find("Checksum = "), "Checksum = NONE");
    storage.config = test::load_config(text);
    REQUIRE(storage.allocate(kFirst, 262144));
  }
  CheckReport check(bool repair = false) {
    return check_storage(storage.files, {11, StorageNode::kFolder, {}}, *storage.config, repair);
  }
  void only_problem(const std::string& text) {
    const CheckReport report = check();
    CAPTURE(report.problems);
    REQUIRE(report.problems.size() == 1);
    CHECK(report.problems[0].find(text) != std::string::npos);
    CHECK_FALSE(report.clean());
  }
  StorageNode storage{{2 * kGiB, 2 * kGiB}};
  const std::string first = StorageNode::path("dev.1");
};

TEST_CASE("a sound node is clean, and described") {
  Site site;
  const CheckReport report = site.check();
  CAPTURE(report.problems);
  CHECK(report.clean());
  CHECK(report.notes.empty());
  REQUIRE(report.facts.size() == 2);
  CHECK(report.facts[0].find("device dev.1 of disk disk1: ") == 0);
  CHECK(report.facts[0].find("generation 3, 1.9883 GiB, 1.4883 GiB free, 1 segments") != std::string::npos);
}

TEST_CASE("a copy of a superblock that is not valid is a problem, and the one that is repaired") {
  Site site;
  site.storage.files.write_device(site.first, 200, "x");
  site.only_problem("one copy of its superblock is not valid (copy 0: the superblock has a wrong checksum)");
  const CheckReport repaired = site.check(true);
  CHECK(repaired.clean());
  CHECK(repaired.repaired.size() == 1);
  CHECK(site.check().clean());
  site.storage.files.write_device(site.first, 2 * kMiB + 200, "x");
  site.storage.files.write_device(site.first, 200, "x");
  CHECK(site.check(true).problems[0].find("both copies") != std::string::npos);
}

TEST_CASE("the next start writes a torn copy anew") {
  Site site;
  site.storage.files.write_device(site.first, 200, "x");
  site.storage.restart();
  CHECK(site.check().clean());
}

TEST_CASE("devices that can't be used are problems") {
  Site site;
  SECTION("gone") {
    site.storage.files.take_device_away(site.first);
    CHECK(site.check().problems.at(0).find("device dev.1 can't be used: ") == 0);
    CHECK(site.check().problems.at(1).find("device dev.2 holds a part of segment 0") == 0);
    CHECK(site.check().problems.at(2).find("is in EXAConf, but on no device") != std::string::npos);
  }
  SECTION("foreign") {
    site.storage.files.put_device(site.first, 2 * kGiB);
    site.storage.files.write_device(site.first, 512, "EFI PART");
    CHECK(site.check().problems.at(0).find("holds something that is not confd's") != std::string::npos);
  }
  SECTION("of another node") {
    const CheckReport report =
        check_storage(site.storage.files, {12, StorageNode::kFolder, {}}, *test::load_config([&] {
                        std::string text = test::small_config_text();
                        text.replace(text.find("[Node : 11]"), 11, "[Node : 12]");
                        for (std::size_t at; (at = text.find("Nodes = 11")) != std::string::npos;)
                          text.replace(at, 10, "Nodes = 12");
                        return text;
                      }()),
                      false);
    CHECK(report.problems.at(0) == "device dev.1 is a device of node 11");
  }
  SECTION("smaller") {
    site.storage.files.enlarge_device(site.first, kGiB);
    site.only_problem("has become smaller: 1 GiB are left of 2 GiB");
  }
}

TEST_CASE("a blank device is a note") {
  Site site;
  site.storage.files.put_device(StorageNode::path("dev.3"), kGiB);
  site.storage.config = config_with_disks(disk("disk1", "dev.1, dev.2, dev.3"));
  CHECK(site.check().notes.at(0).find("device dev.3 is blank") == 0);
}

TEST_CASE("sectors with two owners are a problem") {
  Site site;
  auto file = *site.storage.files.open_device(site.first, {});
  Superblock superblock = read_region(*file)->superblock;
  SegmentRecord second = superblock.segments[0];
  second.id.vid = 5;
  superblock.segments.push_back(second);
  REQUIRE(write_next(*file, superblock).ok());
  const CheckReport report = site.check();
  CHECK(report.problems.at(0).find("of segment 0, level 1, of volume 0 as well") != std::string::npos);
  // And such a device is not used.
  site.storage.restart();
  CHECK(site.storage.device("dev.1").reason.find("its allocation map is wrong") == 0);
}

TEST_CASE("parts that do not fit together are problems, unfinished changes are notes") {
  Site site;
  auto file = *site.storage.files.open_device(StorageNode::path("dev.2"), {});
  Superblock superblock = read_region(*file)->superblock;
  SECTION("the other device does not know of it") {
    superblock.claims.clear();
    REQUIRE(write_next(*file, superblock).ok());
    site.only_problem("has a part on device dev.2 that the device does not know of");
  }
  SECTION("space that nobody records") {
    superblock.claims.push_back({{4, 0, 1}, superblock.claims[0].home, 400000, 10, 10});
    REQUIRE(write_next(*file, superblock).ok());
    CHECK(site.check().clean());
    CHECK(site.check().notes.at(0).find("from a change that was not completed") != std::string::npos);
    site.storage.restart();
    CHECK(site.check().notes.empty());
  }
}

TEST_CASE("folders and segments belong together") {
  Site site;
  const std::string folder = StorageNode::folder(kFirst);
  SECTION("a segment without a folder") {
    REQUIRE(site.storage.files.remove_folder(folder, {}).ok());
    site.only_problem("has lost its folder " + folder);
  }
  SECTION("files without a segment") {
    site.storage.files.put_file(StorageNode::folder({9, 0, 1}) + "/file", 5);
    site.only_problem("/9/0.1 holds 5 B of files that belong to no segment");
  }
  SECTION("an empty folder is what an unfinished allocation leaves") {
    REQUIRE(site.storage.files.make_folder(StorageNode::folder({9, 0, 1})).ok());
    CHECK(site.check().clean());
    CHECK(site.check().notes.size() == 1);
  }
  SECTION("more files than the segment may have") {
    site.storage.files.put_file(folder + "/file", 2 * kGiB);
    site.only_problem("holds 2 GiB of files, more than the 1 GiB of segment 0");
  }
}

TEST_CASE("EXAConf and the devices say the same") {
  Site site;
  SECTION("a segment that EXAConf does not know") {
    REQUIRE(site.storage.allocate({7, 0, 1}, 256));
    site.only_problem("segment 0, level 1, of volume 7 takes 1 MiB, but EXAConf has no such segment");
  }
  SECTION("a segment that is not there") {
    REQUIRE(site.storage.node->free(kFirst, {}).ok());
    site.only_problem("segment 0, level 1, of volume 0 (data1) is in EXAConf, but on no device of this node");
  }
  SECTION("another size") {
    REQUIRE(site.storage.node->resize(kFirst, 262400, {}));
    site.only_problem("has 1.001 GiB, EXAConf says 1 GiB");
  }
  SECTION("a volume that was not made yet") {
    REQUIRE(site.storage.node->free(kFirst, {}).ok());
    site.storage.config = config_with_disks(disk("disk1", "dev.1, dev.2"));
    CHECK(site.check().clean());
    CHECK(site.check().notes.at(0).find("not made yet") != std::string::npos);
  }
}

}  // namespace
}  // namespace confd::storage
