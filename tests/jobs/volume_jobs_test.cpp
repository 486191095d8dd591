// st_volume_create, st_volume_delete.
#include <catch2/catch.hpp>

#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::kGibibyte;
using test::StorageJobTest;
using test::volume_section;

const std::string kCreate =
    R"({"disk": "disk1", "name": "new", "nodes": [11], "redundancy": 1, "size": "1 GiB", "type": "data")";

const std::string kMirrored = volume_section("v", "11,12", "    ID = 4\n    Redundancy = 2\n");

}  // namespace

TEST_CASE("st_volume_create takes the space and writes the volume") {
  StorageJobTest test;
  const JobRun run = test.run("st_volume_create", kCreate + "}", "dave");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == R"({"vid":0})");
  CHECK(test.segments() == "11: 0.0.1 ONLINE");
  CHECK(test.storage.free_bytes(11, "disk1") == 31 * kGibibyte);
  CHECK(test.key("new", "Type") == "data");
  CHECK(test.key("new", "Size") == "1 GiB");
  CHECK(test.key("new", "Disk") == "disk1");
  CHECK(test.key("new", "Nodes") == "11");
  CHECK(test.key("new", "NumMasterNodes") == "1");
  CHECK(test.key("new", "Redundancy") == "1");
  CHECK(test.key("new", "BlockSize") == "4 KiB");
  CHECK(test.key("new", "StripeSize") == "256 KiB");
  CHECK(test.key("new", "Owner") == "500 : 500");
  CHECK(test.key("new", "Permissions") == "rwx");
  CHECK(test.key("new", "Shared") == "True");
  CHECK(test.key("new", "Priority") == "10");
  CHECK(test.key("new", "ID") == "0");
  CHECK(test.state("new") == "ONLINE");
}

TEST_CASE("st_volume_create makes the archive volume of the documentation") {
  StorageJobTest test({}, 14);
  for (auto& [id, node] : test.storage.nodes) node.devices[0].sectors = 2 * 1024 * kGibibyte / 4096;
  const JobRun run = test.run(
      "st_volume_create",
      R"({"name": "LocalArchiveVolume1", "disk": "disk1", "type": "archive", "size": "2 TiB", "num_master_nodes": 4,
          "nodes": [11, 12, 13, 14], "redundancy": 2, "block_size": "512 KiB", "stripe_size": "512 KiB",
          "partition_size": 274877906944, "shared": true, "owner": [500, 500], "ftp_port": 2021})");
  REQUIRE(run.text == "");
  CHECK(test.key("LocalArchiveVolume1", "BlockSize") == "512 KiB");
  CHECK(test.key("LocalArchiveVolume1", "PartitionSize") == "256 GiB");
  CHECK(test.key("LocalArchiveVolume1", "FtpPort") == "2021");
  CHECK(test.storage.free_bytes(13, "disk1") == 1024 * kGibibyte);  // 512 GiB of its own, 512 GiB of a copy
  CHECK(test.storage.nodes[12].segments.contains({0, 0, 2}));
  CHECK(test.storage.nodes[11].segments.at({0, 3, 2}).kind == "archive");
}

TEST_CASE("st_volume_create puts copies on the nodes that come last") {
  StorageJobTest test({}, 14);
  REQUIRE(test.run("st_volume_create",
                   R"({"disk": "disk1", "name": "new", "nodes": [11, 12, 13, 14], "redundancy": 2,
                       "num_master_nodes": 2, "size": "2 GiB", "type": "data", "owner": ["alice", "reporting"],
                       "permissions": "rwxr-----", "shared": false, "priority": "3"})")
              .text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE; 12: 0.1.1 ONLINE; 13: 0.0.2 ONLINE; 14: 0.1.2 ONLINE");
  CHECK(test.key("new", "Owner") == "1001 : 2000");
  CHECK(test.key("new", "Shared") == "False");
  CHECK(test.key("new", "Priority") == "3");
}

TEST_CASE("st_volume_create gives the lowest free id, but none that a node still has segments of") {
  StorageJobTest test(volume_section("a", "11", "    ID = 0\n    Redundancy = 1\n"));
  test.storage.nodes[12].segments[{1, 0, 1}] = {64, 4096, "disk1", "data", "ONLINE", 0};
  CHECK(test.run("st_volume_create", kCreate + "}").output_json() == R"({"vid":2})");
}

TEST_CASE("st_volume_create says how much is free where when it does not fit") {
  StorageJobTest test;
  test.storage.nodes[12].devices[0].sectors = kGibibyte / 4096;
  const JobRun run = test.run(
      "st_volume_create",
      R"({"disk": "disk1", "name": "new", "nodes": [11, 12], "redundancy": 1, "size": "8 GiB", "type": "data"})");
  CHECK(run.code == Code::busy);
  CHECK(run.says(
      "node 11 needs 4 GiB on disk1 and has 32 GiB free, node 12 needs 4 GiB on disk1 and has 1 GiB"));
  CHECK(test.segments() == "");
  CHECK(test.key("new", "Type") == "no volume");
}

TEST_CASE("st_volume_create frees what it took when a node fails") {
  StorageJobTest test;
  const std::string params =
      R"({"disk": "disk1", "name": "new", "nodes": [11, 12, 13], "redundancy": 2, "size": "3 GiB", "type": "data"})";
  for (int failing = 0; failing < 6; ++failing) {
    CAPTURE(failing);
    int asked = 0;
    test.storage.refuse = [&](int, const std::string& operation,
                              const base::Struct&) -> std::optional<base::Error> {
      if (operation == "storage.allocate" && asked++ == failing)
        return base::Error{Code::io_error, "disk on fire"};
      return std::nullopt;
    };
    const JobRun run = test.run("st_volume_create", params);
    CHECK(run.code == Code::io_error);
    CHECK(run.says("disk on fire"));
    CHECK(test.segments() == "");
    CHECK(test.config().revision() == 3);
  }
  test.storage.refuse = nullptr;
  CHECK(test.run("st_volume_create", params).ok());
}

TEST_CASE("st_volume_create refuses what can't be, and then takes nothing") {
  const auto with = [](const std::string& more) { return kCreate + ", " + more + "}"; };
  const auto params = [](const std::string& nodes, const std::string& more) {
    return R"({"disk": "disk1", "name": "new", "size": "1 GiB", "type": "data", "nodes": )" + nodes + ", " +
           more + "}";
  };
  const std::tuple<std::string, Code, std::string> refusals[] = {
      {params("[]", R"("redundancy": 1)"), Code::bad_parameter, "at least one node"},
      {params("[11, 11]", R"("redundancy": 1)"), Code::bad_parameter, "node 11 is there twice"},
      {params("[11, 44]", R"("redundancy": 1)"), Code::not_found, "node 44 does not exist"},
      {params("[true]", R"("redundancy": 1)"), Code::bad_parameter, "list of node ids"},
      {params("[11]", R"("redundancy": 2)"), Code::bad_parameter, "two copies of segment 0"},
      {params("[11]", R"("redundancy": 0)"), Code::bad_parameter, "'redundancy': 0 is not between"},
      {params("[11, 12, 13]", R"("redundancy": 2, "num_master_nodes": 2)"), Code::bad_parameter,
       "no multiple"},
      {params("[11, 12]", R"("redundancy": 1, "num_master_nodes": 1)"), Code::bad_parameter,
       "would hold nothing"},
      {params("[11]", R"("redundancy": 1, "num_master_nodes": 2)"), Code::bad_parameter, "between 1 and 1"},
      {with(R"("owner": [500])"), Code::bad_parameter, "a user and a group"},
      {with(R"("owner": [500, "nobody"])"), Code::not_found, "'nobody'"},
      {with(R"("owner": [77, 500])"), Code::not_found, "the id 77"},
      {with(R"("block_size": "1 KiB")"), Code::bad_parameter, "no multiple of 4 KiB"},
      {with(R"("block_size": "64 KiB", "stripe_size": "96 KiB")"), Code::bad_parameter,
       "no multiple of the block"},
      {with(R"("partition_size": "4 GiB")"), Code::bad_parameter, "archive volumes only"},
      {with(R"("http_port": 80)"), Code::bad_parameter, "archive volumes only"},
      {with(R"("permissions": "777")"), Code::bad_parameter, "rwxr-x---"},
      {with(R"("priority": "21")"), Code::bad_parameter, "0 to 20"},
  };
  for (const auto& [given, code, text] : refusals) {
    CAPTURE(given);
    StorageJobTest test;
    const JobRun run = test.run("st_volume_create", given);
    CAPTURE(run.text);
    CHECK(run.code == code);
    CHECK(run.says(text));
    CHECK(test.segments() == "");
    CHECK(test.config().revision() == 3);
  }
}

TEST_CASE("st_volume_create refuses names, sizes, disks and nodes that can't be used") {
  const auto refused = [](const std::string& from, const std::string& to, const std::string& volumes = {}) {
    StorageJobTest test(volumes);
    test.members.live = {11, 12};
    std::string params = kCreate + "}";
    params.replace(params.find(from), from.size(), to);
    const JobRun run = test.run("st_volume_create", params);
    CHECK(test.segments() == "");
    return run.text;
  };
  CHECK_THAT(refused("\"new\"", "\"a/b\""), Catch::Contains("can't be the name of a volume"));
  CHECK_THAT(refused("\"new\"", "\"\""), Catch::Contains("can't be the name of a volume"));
  CHECK_THAT(refused("\"new\"", "\"a\x7F\""), Catch::Contains("can't be the name of a volume"));
  CHECK_THAT(refused("\"new\"", "\"backups\""), Catch::Contains("[RemoteVolume : backups]"));
  CHECK_THAT(refused("\"new\"", "\"v\"", kMirrored), Catch::Contains("'v' exists already"));
  CHECK_THAT(refused("\"1 GiB\"", "\"much\""), Catch::Contains("'much' is no size"));
  CHECK_THAT(refused("\"1 GiB\"", "\"0\""), Catch::Contains("is no size"));
  CHECK_THAT(refused("\"disk1\"", "\"disk9\""), Catch::Contains("node 11 has no disk 'disk9'"));
  CHECK_THAT(refused("\"data\"", "\"tape\""), Catch::Contains("'type'"));
  CHECK_THAT(refused("[11]", "[13]"), Catch::Contains("node 13 is offline"));
}

TEST_CASE("st_volume_create takes no suspended node") {
  StorageJobTest test;
  REQUIRE(test.run("st_node_suspend", R"({"nid": 12})").text == "");
  std::string params = kCreate + "}";
  params.replace(params.find("[11]"), 4, "[12]");
  CHECK(test.run("st_volume_create", params)
            .says("node 12 is suspended; resume its storage with st_node_resume"));
}

TEST_CASE("st_volume_delete takes the volume out of EXAConf and frees its space") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.storage.nodes[13].segments[{4, 7, 1}] = {64, 4096, "disk1", "data", "ONLINE", 0};  // left over
  REQUIRE(test.run("st_volume_delete", R"({"vname": "v"})").text == "");
  CHECK(test.key("v", "Type") == "no volume");
  CHECK(test.segments() == "");
}

TEST_CASE("st_volume_delete leaves a node that is away to later") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.members.live = {11, 13};
  const JobRun run = test.run("st_volume_delete", R"({"vid": 4})");
  REQUIRE(run.text == "");
  CHECK(run.warns("node 12 frees its part of volume 'v' when it is back"));
  CHECK(test.segments() == "12: 4.0.2 ONLINE, 4.1.1 ONLINE");
}

TEST_CASE("st_volume_delete keeps the space while EXAConf could not be changed") {
  StorageJobTest test(kMirrored);
  test.make_segments();
  test.publish_error = base::Error{Code::no_quorum, "no quorum"};
  CHECK(test.run("st_volume_delete", R"({"vid": 4})").code == Code::no_quorum);
  CHECK(test.state("v") == "ONLINE");
}

TEST_CASE("st_volume_delete is open to the owner and to root") {
  const std::string owned = volume_section("v", "11", "    ID = 0\n    Redundancy = 1\n");
  StorageJobTest other(owned);
  other.make_segments();
  const JobRun refused = other.run("st_volume_delete", R"({"vid": 0})", "alice");
  CHECK(refused.code == Code::forbidden);
  CHECK(refused.says("open to its owner (exadefusr) and to root"));
  std::string alices = owned;
  alices.replace(alices.find("500 : 500"), 9, "1001 : 500");
  StorageJobTest test(alices);
  test.make_segments();
  CHECK(test.run("st_volume_delete", R"({"vid": 0})", "alice").text == "");
}

TEST_CASE("st_volume_delete refuses a volume that a database uses") {
  StorageJobTest test(volume_section("data1", "11", "    ID = 0\n") +
                      "[DB : exa]\n    DataVolume = data1\n    Nodes = 11\n    Owner = 500 : 500\n"
                      "    [[Backup : daily]]\n        Volume = data1\n        Level = 0\n\n");
  const JobRun run = test.run("st_volume_delete", R"({"vname": "data1"})");
  CHECK(run.code == Code::busy);
  CHECK(run.says("DataVolume of database 'exa', backup schedule 'daily' of database 'exa'"));
}

TEST_CASE("Of two volumes with one id neither's space is freed with the other") {
  StorageJobTest test(volume_section("a", "11", "    ID = 0\n    Redundancy = 1\n") +
                      volume_section("b", "11", "    ID = 0\n    Redundancy = 1\n"));
  test.storage.nodes[11].segments[{0, 0, 1}] = {262144, 4096, "disk1", "data", "ONLINE", 0};
  REQUIRE(test.run("st_volume_delete", R"({"vname": "b"})").text == "");
  CHECK(test.segments() == "11: 0.0.1 ONLINE");
}

TEST_CASE("vid and vname must not name two volumes") {
  StorageJobTest test(kMirrored + volume_section("w", "11", "    ID = 1\n"));
  CHECK(test.run("st_volume_delete", R"({"vid": 1, "vname": "v"})").says("name two volumes: 'w' and 'v'"));
}

}  // namespace confd::jobs
