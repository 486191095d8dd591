// Settings of volumes: lock, unlock, I/O switches, priority, shared, ports, forced level, labels, owner,
// permissions.
#include <catch2/catch.hpp>

#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::StorageJobTest;
using test::volume_section;

struct OneVolume : StorageJobTest {
  explicit OneVolume(const std::string& more = {}, const std::string& type = "data")
      : StorageJobTest(section(more, type)) {
    make_segments();
  }
  static std::string section(const std::string& more, const std::string& type) {
    std::string text =
        volume_section("v", "11,12", "    ID = 0\n    NumMasterNodes = 1\n    Redundancy = 2\n" + more);
    return text.replace(text.find("= data"), 6, "= " + type);
  }
  std::string info(const std::string& name) {
    return base::render_json(*run("st_volume_info", R"({"vid": 0})").output->find(name));
  }
};

}  // namespace

TEST_CASE("st_volume_lock locks until st_volume_unlock, without a condition") {
  OneVolume test;
  REQUIRE(test.run("st_volume_lock", R"({"vname": "v"})").text == "");
  CHECK(test.key("v", "Locked") == "True");
  CHECK(test.info("state") == R"("LOCKED")");
  CHECK(test.info("unlock_conditions") == "[]");
  REQUIRE(test.run("st_volume_unlock", R"({"vid": 0})").text == "");
  CHECK(test.key("v", "Locked") == "none");
  CHECK(test.info("state") == R"("ONLINE")");
}

TEST_CASE("st_volume_unlock clears the conditions there are, and leaves their causes") {
  OneVolume test;
  test.storage.nodes[11].segments.at({0, 0, 1}).state = "OFFLINE";
  test.storage.nodes[12].segments.at({0, 0, 2}).state = "OFFLINE";
  CHECK(test.info("unlock_conditions") == R"(["segment 0 is online on node 11 or 12"])");
  REQUIRE(test.run("st_volume_unlock", R"({"vid": 0})").text == "");
  CHECK(test.key("v", "ClearedConditions") == "segment 0 is online on node 11 or 12,");
  CHECK(test.info("unlock_conditions") == "[]");
  CHECK(test.info("state") == R"("DEGRADED")");
}

TEST_CASE("st_volume_set_io_status switches I/O, and writes only what differs") {
  OneVolume test;
  REQUIRE(test.run("st_volume_set_io_status", R"({"vid": 0, "app_io": false, "int_io": true})").text == "");
  CHECK(test.key("v", "AppIO") == "False");
  CHECK(test.key("v", "IntIO") == "none");
  CHECK(test.info("app_io_enabled") == "false");
  CHECK(test.info("int_io_enabled") == "true");
  REQUIRE(test.run("st_volume_set_io_status", R"({"vid": 0, "app_io": true, "int_io": true})").text == "");
  CHECK(test.key("v", "AppIO") == "none");
}

TEST_CASE("st_volume_set_priority and st_volume_set_shared") {
  OneVolume test;
  REQUIRE(test.run("st_volume_set_priority", R"({"vname": "v", "prio": 0})").text == "");
  CHECK(test.info("priority") == "0");
  CHECK(test.run("st_volume_set_priority", R"({"vname": "v", "prio": 21})").says("between 0 and 20"));
  REQUIRE(test.run("st_volume_set_shared", R"({"vname": "v", "shared": false})").text == "");
  CHECK(test.info("shared") == "false");
}

TEST_CASE("st_volume_set_ports sets, exchanges and removes ports of an archive volume") {
  OneVolume test({}, "archive");
  REQUIRE(test.run("st_volume_set_ports", R"({"ftp_port": 23023, "ftps_port": 21021, "vname": "v"})", "dave")
              .text == "");
  CHECK(test.key("v", "FtpPort") == "23023");
  CHECK(test.key("v", "FtpsPort") == "21021");
  REQUIRE(test.run("st_volume_set_ports", R"({"ftp_port": 21021, "ftps_port": 23023, "vname": "v"})").text ==
          "");
  CHECK(test.key("v", "FtpPort") == "21021");
  REQUIRE(test.run("st_volume_set_ports", R"({"ftp_port": 0, "vname": "v"})").text == "");
  CHECK(test.key("v", "FtpPort") == "none");
  CHECK(test.key("v", "FtpsPort") == "23023");
}

TEST_CASE("st_volume_set_ports refuses what can't be") {
  OneVolume data;
  CHECK(data.run("st_volume_set_ports", R"({"http_port": 8080, "vid": 0})").code == Code::unsupported);
  OneVolume test({}, "archive");
  CHECK(test.run("st_volume_set_ports", R"({"vid": 0})").says("at least one of http_port"));
  CHECK(test.run("st_volume_set_ports", R"({"vid": 0, "http_port": 65536})").code == Code::bad_parameter);
  CHECK(test.run("st_volume_set_ports", R"({"vid": 0, "http_port": 8080, "ftp_port": 8080})").says("too"));
  CHECK(test.run("st_volume_set_ports", R"({"vid": 0, "http_port": 20003})").says("confd itself"));
  CHECK(test.run("st_volume_set_ports", R"({"vid": 0, "http_port": 2580})")
            .says("HttpPort of BucketFS 'bfsdefault'"));
}

TEST_CASE("st_volume_set_forced_red_level pins a level that there is") {
  OneVolume test;
  REQUIRE(test.run("st_volume_set_forced_red_level", R"({"vid": 0, "force_red_level": 2})").text == "");
  CHECK(test.key("v", "ForcedRedundancy") == "2");
  CHECK(test.run("st_volume_set_forced_red_level", R"({"vid": 0, "force_red_level": 3})")
            .says("between 1 and 2"));
  REQUIRE(test.run("st_volume_set_forced_red_level", R"({"vid": 0, "force_red_level": 1})").text == "");
  CHECK(test.key("v", "ForcedRedundancy") == "none");
  CHECK(test.run("st_volume_set_forced_red_level", R"({"vid": 0, "force_red_level": 1})", "alice").code ==
        Code::forbidden);
}

TEST_CASE("Labels are kept in the order added, and taken off") {
  OneVolume test;
  REQUIRE(test.run("st_volume_add_label", R"({"vid": 0, "label": "FunVolume"})").text == "");
  REQUIRE(test.run("st_volume_add_label", R"({"vid": 0, "label": "Another one"})").text == "");
  CHECK(test.info("labels") == R"(["#Name#v","FunVolume","Another one"])");
  CHECK(test.run("st_volume_add_label", R"({"vid": 0, "label": "FunVolume"})").code == Code::exists);
  REQUIRE(test.run("st_volume_remove_label", R"({"vid": 0, "label": "FunVolume"})").text == "");
  CHECK(test.info("labels") == R"(["#Name#v","Another one"])");
  CHECK(test.run("st_volume_remove_label", R"({"vid": 0, "label": "FunVolume"})").code == Code::not_found);
  CHECK(test.run("st_volume_remove_label", R"({"vid": 0, "label": "#Name#v"})").code == Code::wrong_state);
  REQUIRE(test.run("st_volume_remove_label", R"({"vid": 0, "label": "Another one"})").text == "");
  CHECK(test.key("v", "Labels") == "none");
  for (const char* label : {"", "a,b", "a#b", " a", "a\\nb"}) {
    CAPTURE(label);
    CHECK(test.run("st_volume_add_label", std::string(R"({"vid": 0, "label": ")") + label + "\"}").code ==
          Code::bad_parameter);
  }
}

TEST_CASE("Owner and permissions are changed by the owner and by root alone") {
  OneVolume test;
  CHECK(test.run("st_volume_change_owner", R"({"vid": 0, "vol_user": 1001, "vol_grp": 500})", "alice").code ==
        Code::forbidden);
  CHECK(test.run("st_volume_change_permissions", R"({"vid": 0, "mode": "rwxrwxrwx"})", "alice").code ==
        Code::forbidden);
  REQUIRE(test.run("st_volume_change_owner", R"({"vid": 0, "vol_user": 1001, "vol_grp": 2000})").text == "");
  CHECK(test.info("owner") == "1001");
  CHECK(test.info("group") == "2000");
  REQUIRE(test.run("st_volume_change_permissions", R"({"vid": 0, "mode": "rwxrwxrwx"})", "alice").text == "");
  CHECK(test.info("permissions") == R"("rwxrwxrwx")");
  CHECK(test.run("st_volume_change_permissions", R"({"vid": 0, "mode": "777"})").says("'777' is no text"));
  CHECK(test.run("st_volume_change_owner", R"({"vid": 0, "vol_user": 77, "vol_grp": 500})")
            .says("no user with id 77"));
  CHECK(test.run("st_volume_change_owner", R"({"vid": 0, "vol_user": 500, "vol_grp": 77})")
            .says("no group with id 77"));
}

TEST_CASE("Settings of a volume that does not exist are refused by name and by id") {
  OneVolume test;
  const std::pair<const char*, const char*> jobs[] = {
      {"st_volume_lock", ""},
      {"st_volume_unlock", ""},
      {"st_volume_set_io_status", R"(, "app_io": true, "int_io": true)"},
      {"st_volume_set_priority", R"(, "prio": 1)"},
      {"st_volume_set_shared", R"(, "shared": true)"},
      {"st_volume_set_ports", R"(, "ftp_port": 1)"},
      {"st_volume_set_forced_red_level", R"(, "force_red_level": 1)"},
      {"st_volume_add_label", R"(, "label": "x")"},
      {"st_volume_remove_label", R"(, "label": "x")"},
      {"st_volume_change_owner", R"(, "vol_user": 0, "vol_grp": 0)"},
      {"st_volume_change_permissions", R"(, "mode": "rwx")"}};
  for (const auto& [job, more] : jobs) {
    CAPTURE(job);
    CHECK(test.run(job, std::string(R"({"vid": 8)") + more + "}").text ==
          "volume 8 does not exist; see st_volume_list");
    CHECK(test.run(job, std::string(R"({"vname": "w")") + more + "}").code == Code::not_found);
    CHECK(test.last_locks == std::vector<Lock>{{LockLevel::volume, "*"}});
  }
  CHECK(test.config().revision() == 3);
}

}  // namespace confd::jobs
