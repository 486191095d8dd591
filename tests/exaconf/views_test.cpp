#include "exaconf/views.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/exaconf/samples.h"

using namespace confd;
using namespace confd::exaconf;

namespace {

base::Value all_views(const Config& config) {
  base::Struct views;
  views.append("nodes", nodes_view(config));
  views.append("volumes", volumes_view(config));
  views.append("object_volumes", object_volumes_view(config));
  views.append("remote_volumes", remote_volumes_view(config));
  views.append("databases", databases_view(config));
  views.append("bucketfs", bucketfs_view(config));
  views.append("users", users_view(config));
  views.append("groups", groups_view(config));
  views.append("ssl_conf", ssl_view(config));
  views.append("storage_conf", storage_view(config));
  return views;
}

ConfigPtr config_with(const std::string& more) {
  const auto config =
      Config::load("[Global]\n    Revision = 1\n    Checksum = NONE\n    Networks = private\n" + more);
  REQUIRE(config.ok());
  return *config;
}

}  // namespace

TEST_CASE("the views of a sample are those of the reference, in its order") {
  int compared = 0;
  for (const test::Sample& sample : test::all_samples()) {
    const std::string expected = test::sample_file("expected/" + sample.name() + ".views.json");
    if (expected.empty()) continue;
    INFO(sample.file);
    const auto config = Config::load(sample.text());
    REQUIRE(config.ok());
    CHECK(base::render_json_indented(all_views(**config)) ==
          base::render_json_indented(*base::parse_json(expected)));
    ++compared;
  }
  CHECK(compared == 5);
}

TEST_CASE("backup schedules are shown with their times and expiry in seconds") {
  const auto config = config_with(
      "[DB : X]\n    MemSize = 2 GiB\n    [[Backup : b1]]\n        Enabled = False\n        Volume = Arch\n"
      "        Level = 1\n        Hour = 1-6\n        Expire = 2w 1d\n");
  const base::Value view = databases_view(*config);
  const base::Value* backup = view.find("X")->find("backups")->find("b1");
  REQUIRE(backup);
  CHECK(base::render_json(*backup) ==
        R"({"name":"b1","enabled":false,"volume":"Arch","level":1,"minute":"*","hour":"1-6","day":"*",)"
        R"("month":"*","weekday":"*","expire":1296000})");
  CHECK(view.find("X")->find("mem_size")->as_int() == 2048);
}

TEST_CASE("a value that is not of its type is shown as it stands") {
  const auto config = config_with("[EXAVolume : v]\n    Size = lots\n    Owner = nobody\n    Nodes = a,b\n");
  const base::Value view = volumes_view(*config);
  CHECK(view.find("v")->find("size")->as_string() == "lots");
  CHECK(view.find("v")->find("owner")->as_string() == "nobody");
  CHECK(view.find("v")->find("num_master_nodes")->as_int() == 0);
}

TEST_CASE("a database of a worker cluster is never started by itself") {
  const auto config = config_with("[DB : W]\n    AutoStart = True\n    MasterDatabase = Main\n");
  CHECK_FALSE(databases_view(*config).find("W")->find("auto_start")->as_bool());
}
