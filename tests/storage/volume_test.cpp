#include "storage/volume.h"

#include <catch2/catch.hpp>

#include "tests/support/volume_text.h"

namespace confd::storage {
namespace {

using test::load_config;
using test::only_volume;
using test::storage_config_text;
using test::volume_section;

std::string text_of(const Placement& placement) {
  std::string text;
  for (const auto& row : placement) {
    if (!text.empty()) text += " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += "/";
      text += std::to_string(row[i].node);
      if (row[i].next) text += ">" + std::to_string(*row[i].next);
    }
  }
  return text;
}

std::string by_rule(const std::vector<int>& nodes, int masters, int redundancy) {
  const auto placement = placed_by_rule(nodes, masters, redundancy);
  return placement ? text_of(*placement) : placement.error().text;
}

std::vector<int> range(int first, int last) {
  std::vector<int> nodes;
  for (int id = first; id <= last; ++id) nodes.push_back(id);
  return nodes;
}

}  // namespace

TEST_CASE("A volume's section is read with its types and defaults") {
  const Volume volume = only_volume(
      "[EXAVolume : DataVolume1]\n    Type = data\n    Size = 10 GiB\n    Disk = disk1\n    Nodes = 11\n");
  CHECK(volume.problem == "");
  CHECK(volume.name == "DataVolume1");
  CHECK(volume.id == 0);
  CHECK_FALSE(volume.has_id);
  CHECK(volume.size == 10ull << 30);
  CHECK(volume.masters == 1);
  CHECK(volume.redundancy == 1);
  CHECK(volume.block_size == 4096);
  CHECK(volume.stripe_size == 262144);
  CHECK(volume.owner.uid == 500);
  CHECK(volume.permissions == "rwx------");
  CHECK(volume.shared);
  CHECK(volume.priority == 10);
  CHECK(volume.app_io);
  CHECK_FALSE(volume.locked);
}

TEST_CASE("Defaults depend on the kind of the volume and on its nodes") {
  const Volume data = only_volume(volume_section("a", "11,12,13", ""));
  CHECK(data.masters == 3);
  CHECK(data.redundancy == 2);
  std::string section = volume_section("a", "11,12,13", "");
  section.replace(section.find("= data"), 6, "= archive");
  const Volume archive = only_volume(section);
  CHECK(archive.kind == VolumeKind::archive);
  CHECK(archive.redundancy == 1);
  CHECK(archive.block_size == 65536);
  CHECK(archive.stripe_size == 65536);
}

TEST_CASE("All keys of a volume are read") {
  const Volume volume = only_volume(volume_section(
      "v", "11,12",
      "    ID = 7\n    NumMasterNodes = 1\n    Redundancy = 2\n    BlockSize = 64 KiB\n    StripeSize = 128 "
      "KiB\n"
      "    PartitionSize = 4 GiB\n    Permissions = rwxr-x---\n    Labels = temporary, pub:DB1_temporary\n"
      "    HttpPort = 8080\n    SftpPort = 2022\n    FtpPort = 0\n    Shared = False\n    Priority = 3\n"
      "    Locked = True\n    AppIO = False\n    IntIO = False\n    ForcedRedundancy = 2\n"
      "    ClearedConditions = node 12 is resumed,\n"));
  CHECK(volume.problem == "");
  CHECK(volume.has_id);
  CHECK(volume.id == 7);
  CHECK(volume.partition_size == 4ull << 30);
  CHECK(volume.permissions == "rwxr-x---");
  CHECK(volume.is_temporary());
  CHECK(volume.ports == std::map<std::string, int>{{"HttpPort", 8080}, {"SftpPort", 2022}});
  CHECK_FALSE(volume.shared);
  CHECK(volume.priority == 3);
  CHECK(volume.locked);
  CHECK_FALSE(volume.app_io);
  CHECK_FALSE(volume.int_io);
  CHECK(volume.forced_redundancy == 2);
  CHECK(volume.cleared_conditions == std::vector<std::string>{"node 12 is resumed"});
}

TEST_CASE("A mistake in a volume's section is told and hides no other volume") {
  const std::pair<const char*, const char*> mistakes[] = {
      {"    BlockSize = many\n", "'many' for BlockSize is no size"},
      {"    BlockSize = 0\n", "'0' for BlockSize is no size"},
      {"    StripeSize = 6 KiB\n", "StripeSize 6 KiB is no multiple of BlockSize 4 KiB"},
      {"    NumMasterNodes = 3\n", "'3' for NumMasterNodes is no number from 1 to 2"},
      {"    Redundancy = 0\n", "'0' for Redundancy"},
      {"    NumMasterNodes = 2\n    Redundancy = 2\n    Placement = 11/12\n", "does not fit NumMasterNodes"},
      {"    NumMasterNodes = 1\n    Redundancy = 2\n    Placement = 11/11\n", "two copies of segment 0"},
      {"    NumMasterNodes = 1\n    Redundancy = 1\n    Placement = 11>11\n", "does not fit"},
      {"    ID = minus\n", "'minus' for ID"},
      {"    ID = 10000\n", "'10000' for ID is no number from 0 to 9999"},
      {"    Permissions = 640\n", "'640' for Permissions are not made of"},
      {"    Priority = 21\n", "'21' for Priority"},
      {"    HttpPort = 70000\n", "'70000' for HttpPort"},
      {"    Locked = perhaps\n", "'perhaps' for Locked is neither True nor False"},
  };
  for (const auto& [line, text] : mistakes) {
    CAPTURE(line);
    const auto volumes = volumes_of(*load_config(
        storage_config_text(volume_section("bad", "11,12", line) + volume_section("good", "11", ""))));
    REQUIRE(volumes->size() == 2);
    CHECK_THAT(find_volume(*volumes, "bad")->problem, Catch::Contains(text));
    CHECK(find_volume(*volumes, "good")->problem == "");
  }
  const Volume unknown = only_volume("[EXAVolume : x]\n    Type = tape\n");
  CHECK_THAT(unknown.problem, Catch::Contains("'tape' for Type"));
  CHECK_THAT(only_volume("[EXAVolume : x]\n    Type = data\n").problem, Catch::Contains("no Size"));
}

TEST_CASE("A volume without an ID gets the lowest free one, in the order of the file") {
  const auto volumes = volumes_of(*load_config(storage_config_text(volume_section("c", "11", "") +
                                                                   volume_section("b", "11", "    ID = 1\n") +
                                                                   volume_section("a", "11", ""))));
  REQUIRE(volumes->size() == 3);
  CHECK((*volumes)[0].name == "c");
  CHECK((*volumes)[1].name == "b");
  CHECK((*volumes)[2].name == "a");
  CHECK((*volumes)[2].id == 2);
  CHECK(free_id(*volumes) == 3);
  CHECK(find_volume(*volumes, 1)->name == "b");
  CHECK(find_volume(*volumes, 9) == nullptr);
  CHECK(find_volume(*volumes, "d") == nullptr);
}

TEST_CASE("Of two volumes with one ID the second has a problem") {
  const auto volumes = volumes_of(*load_config(storage_config_text(
      volume_section("a", "11", "    ID = 1\n") + volume_section("b", "11", "    ID = 1\n"))));
  CHECK(find_volume(*volumes, "a")->problem == "");
  CHECK(find_volume(*volumes, "b")->problem == "ID 1 is that of volume 'a' too");
}

TEST_CASE("Redundancy nodes come after the masters, in the same order") {
  // The sample of the documentation: masters 11 to 21, copies on 23 to 33.
  std::vector<int> nodes = range(11, 21);
  for (const int id : range(23, 33)) nodes.push_back(id);
  const auto placement = placed_by_rule(nodes, 11, 2);
  REQUIRE(placement.ok());
  CHECK((*placement)[0] == std::vector<Holder>{{11, {}}, {23, {}}});
  CHECK((*placement)[1] == std::vector<Holder>{{12, {}}, {24, {}}});
  CHECK((*placement)[10] == std::vector<Holder>{{21, {}}, {33, {}}});
}

TEST_CASE("Where all nodes are masters the copy of a node lies on its neighbour") {
  CHECK(by_rule({11, 12}, 2, 2) == "11/12 12/11");
  CHECK(by_rule({11, 12, 13}, 3, 2) == "11/12 12/13 13/11");
  CHECK(by_rule({11, 12, 13}, 3, 3) == "11/12/13 12/13/11 13/11/12");
  CHECK(by_rule({11}, 1, 1) == "11");
}

TEST_CASE("Levels that are not given are spread over the last one given") {
  CHECK(by_rule({11, 12, 13, 14}, 2, 3) == "11/13/14 12/14/13");
  CHECK(by_rule({11, 12, 13}, 1, 3) == "11/12/13");
  // Nodes beyond what the redundancy needs hold nothing.
  CHECK(by_rule({11, 12, 13}, 2, 1) == "11 12");
}

TEST_CASE("Two copies never lie on one node") {
  CHECK_THAT(by_rule({11}, 1, 2), Catch::Contains("two copies of segment 0 would lie on node 11"));
  CHECK_THAT(by_rule({11, 12, 13, 14}, 2, 4), Catch::Contains("needs more nodes"));
  CHECK_THAT(by_rule({11, 12}, 3, 1), Catch::Contains("do not fit 2 nodes"));
}

TEST_CASE("Any placement by the rule has each segment once on each of its nodes") {
  for (int count = 1; count <= 9; ++count)
    for (int masters = 1; masters <= count; ++masters)
      for (int redundancy = 1; redundancy <= count; ++redundancy) {
        const auto placement = placed_by_rule(range(11, 10 + count), masters, redundancy);
        if (!placement) continue;
        CAPTURE(count, masters, redundancy);
        std::map<int, int> load;
        for (std::size_t i = 0; i < placement->size(); ++i) {
          CHECK((*placement)[i].front().node == 11 + static_cast<int>(i));
          CHECK(static_cast<int>((*placement)[i].size()) == redundancy);
          for (const Holder& holder : (*placement)[i]) ++load[holder.node];
        }
        for (const auto& [node, segments] : load) CHECK(segments <= redundancy);
      }
}

TEST_CASE("A placement that is not the rule's is written, and read back") {
  const auto config = load_config(storage_config_text(volume_section("v", "11", "    Redundancy = 1\n")));
  const auto written = [&](const Placement& placement) {
    exaconf::Transaction edits(config);
    REQUIRE(write_placement(edits, "EXAVolume : v", placement).ok());
    const auto sealed = exaconf::seal(edits.document(), 4);
    REQUIRE(sealed.ok());
    const Volume volume = volumes_of(**sealed)->front();
    CHECK(volume.problem == "");
    CHECK(volume.placement == placement);
    return *(*sealed)->section("EXAVolume", "v");
  };
  const auto ring = written({{{11, {}}, {12, {}}}, {{12, {}}, {11, {}}}});
  CHECK(*ring.find("Nodes") == "11,12");
  CHECK(ring.find("Placement") == nullptr);
  const auto appended = written({{{11, {}}, {12, {}}}, {{12, {}}, {11, {}}}, {{13, {}}, {14, {}}}});
  CHECK(*appended.find("Nodes") == "11,12,13,14");
  CHECK(*appended.find("NumMasterNodes") == "3");
  CHECK(*appended.find("Placement") == "11/12, 12/11, 13/14");
  const auto moving = written({{{11, 12}}});
  CHECK(*moving.find("Nodes") == "11,12");
  CHECK(*moving.find("Placement") == "11>12,");
}

TEST_CASE("Permissions are nine characters") {
  CHECK(full_permissions("rwx") == "rwx------");
  CHECK(full_permissions("rwxr-x--x") == "rwxr-x--x");
  CHECK(full_permissions("xwr") == std::nullopt);
  CHECK(full_permissions("") == std::nullopt);
  CHECK(full_permissions("rwxrwxrwxr") == std::nullopt);
}

TEST_CASE("Sizes are written so that they come back exactly") {
  CHECK(exact_size(1ull << 40) == "1 TiB");
  CHECK(exact_size((1ull << 30) + 4096) == "1048580 KiB");
  CHECK(exact_size(513) == "513 B");
  for (std::uint64_t bytes = 1; bytes < (1ull << 60); bytes = bytes * 7 + 3)
    CHECK(exaconf::parse_size(exact_size(bytes)) == bytes);
  CHECK(default_name(1) == "v0001");
}

}  // namespace confd::storage
