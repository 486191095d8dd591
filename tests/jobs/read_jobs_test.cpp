// node_list, node_state, node_info, conn_get_remote_nid, db_list, bucketfs_list, bucketfs_info.
#include <sys/utsname.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"
#include "tests/support/node_config_text.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

std::string with_state(const std::string& state) {
  std::string text = test::small_config_text();
  text.replace(text.find("    Affinity"), 0, "    State = " + state + "\n");
  return text;
}

std::string with_second_node(const std::string& more = {}) {
  std::string text = test::small_config_text();
  text.replace(text.find("[EXAVolume"), 0,
               "[Node : 12]\n    PrivateNet = 127.0.0.12/8\n    Name = n12\n    UUID = "
               "39103D5FA93C46D3B8359918D01156ABD33B36EC\n" +
                   more + "\n");
  return text;
}

}  // namespace

TEST_CASE("node_list shows the nodes of EXAConf without empty settings and states") {
  JobTest test(with_state("suspended"));
  CHECK(
      test.run("node_list", "{}", "alice").output_json() ==
      R"({"11":{"id":"11","name":"n11","private_net":"127.0.0.11/8","private_ip":"127.0.0.11",)"
      R"("uuid":"644BACF4A4E14D008AC08F522FFE90E59C879D59","affinity":"11","disks":{"disk1":)"
      R"({"name":"disk1","component":"exastorage","devices":["dev.1"],"ephemeral":false,"direct_io":true}}}})");
  CHECK(test.run("node_list", "{}", "dave").code == Code::forbidden);
}

TEST_CASE("node_state shows the own node online, with its boot time, as a command of the node") {
  JobTest test;
  const JobRun run = test.run("node_state", "{}", "alice");
  CHECK(run.output_json() == R"({"11":"online","booted":{"11":")" +
                                 base::format_ctime(base::WallTime(std::chrono::seconds(1594131247))) +
                                 "\"}}");
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].name == "node.boot_time");
  CHECK(run.commands[0].node == 11);
  CHECK(run.commands[0].exit == 0);
  CHECK(test.run("node_state", "{}", "dave").code == Code::forbidden);
}

TEST_CASE("node_state shows suspensions of EXAConf") {
  JobTest own(with_state("Suspended"));
  CHECK(own.run("node_state").output->find("11")->as_string() == "suspended");
  JobTest other(with_second_node("    State = suspended\n"));
  const JobRun run = other.run("node_state");
  REQUIRE(run.ok());
  CHECK(run.output->find("11")->as_string() == "online");
  CHECK(run.output->find("12")->as_string() == "suspended");
  CHECK(run.output->find("booted")->find("12") == nullptr);
}

TEST_CASE("node_state tells who is alive; who does not answer has no boot time") {
  JobTest test(test::three_nodes({}, "    State = suspended\n"));
  test.members.live = {11, 12};
  const JobRun run = test.run("node_state");
  REQUIRE(run.text == "");
  CHECK(run.output->find("12")->as_string() == "online");
  CHECK(run.output->find("13")->as_string() == "suspended");
  CHECK(run.output->find("booted")->as_struct().size() == 1);
  CHECK(run.warns("node 12 did not answer"));
  REQUIRE(run.commands.size() == 2);
  CHECK(run.commands[1].exit == static_cast<int>(Code::node_unreachable));

  test.members.live = {};
  const JobRun alone = test.run("node_state");
  CHECK(alone.output->find("11")->as_string() == "online");
  CHECK(alone.output->find("12")->as_string() == "offline");
  CHECK(alone.commands.size() == 1);
}

TEST_CASE("node_info of a node that is away is short") {
  JobTest test(test::three_nodes());
  CHECK(test.run("node_info", R"({"nid": 12})").output_json() ==
        R"({"id":"12","name":"n12","state":"offline"})");
  test.members.live = {11, 12};
  const JobRun run = test.run("node_info", R"({"nid": 12})");
  CHECK(run.output_json() == R"({"id":"12","name":"n12","state":"online"})");
  CHECK(run.warns("node 12 did not answer"));
}

TEST_CASE("node_info tells what the kernel tells") {
  JobTest test;
  const JobRun run = test.run("node_info", R"({"nid": 11})", "alice");
  REQUIRE(run.text == "");
  const base::Value& info = *run.output;
  utsname names{};
  REQUIRE(uname(&names) == 0);
  CHECK(info.find("id")->as_string() == "11");
  CHECK(info.find("name")->as_string() == "n11");
  CHECK(info.find("state")->as_string() == "online");
  CHECK(info.find("hostname")->as_string() == names.nodename);
  CHECK(info.find("kernel")->as_string() == names.release);
  CHECK(info.find("cores")->as_int() == sysconf(_SC_NPROCESSORS_ONLN));
  CHECK(info.find("load")->as_array().size() == 3);
  CHECK(info.find("uptime")->as_int() == 2308);
  CHECK(base::render_json(*info.find("memory")) ==
        R"({"total":1024000,"free":409600,"available":614400,"swap_total":10240,"swap_free":5120})");
  CHECK(info.find("disk")->find("path")->as_string() == test.root);
  CHECK(info.find("disk")->find("total")->as_int() > 0);
  CHECK(info.find("confd_version")->as_string() == "1.2.3");
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].name == "node.report");
}

TEST_CASE("node_info refuses unknown nodes, wrong types and callers") {
  JobTest test;
  CHECK(test.run("node_info", R"({"nid": 12})").code == Code::not_found);
  CHECK(test.run("node_info", R"({"nid": -1})").code == Code::not_found);
  CHECK(test.run("node_info", R"({"nid": 99999999999})").code == Code::not_found);
  CHECK(test.run("node_info").says("'nid': is missing"));
  CHECK(test.run("node_info", R"({"nid": "n11"})").says("'nid': must be an integer"));
  CHECK(test.run("node_info", R"({"nid": "11"})").ok());
  CHECK(test.run("node_info", R"({"nid": 11})", "dave").code == Code::forbidden);
}

TEST_CASE("node_info fails when the kernel's figures can't be read") {
  JobTest test;
  test.files.put("/proc/meminfo", "MemTotal: lots\n");
  const JobRun run = test.run("node_info", R"({"nid": 11})");
  CHECK(run.code == Code::internal);
  CHECK(run.says("MemTotal"));
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].exit == static_cast<int>(Code::internal));
}

TEST_CASE("A stopped job runs no further command") {
  JobTest test;
  test.stop.request_stop();
  const JobRun run = test.run("node_state");
  CHECK(run.code == Code::stopped);
  CHECK(run.commands.empty());
}

TEST_CASE("conn_get_remote_nid is the own node") {
  JobTest test;
  CHECK(test.run("conn_get_remote_nid", "{}", "alice").output_json() == "11");
  CHECK(test.run("conn_get_remote_nid", "{}", "dave").code == Code::forbidden);
}

TEST_CASE("db_list shows names, also to plain users") {
  JobTest test;
  CHECK(test.run("db_list", "{}", "carol").output_json() == R"(["exa"])");
  CHECK(test.run("db_list", "{}", "dave").output_json() == R"(["exa"])");
  CHECK(test.run("db_list", "{}", "nobody").code == Code::forbidden);
}

TEST_CASE("A job called without parameters at all runs, one with a list does not") {
  JobTest test;
  CHECK(test.run_with("db_list", base::Value()).ok());
  const JobRun list = test.run("db_list", "[]");
  CHECK(list.code == Code::bad_parameter);
  CHECK(list.says("must be a struct"));
}

TEST_CASE("bucketfs_list and bucketfs_info show services with their buckets") {
  JobTest test;
  CHECK(test.run("bucketfs_list").output_json() == R"(["bfsdefault"])");
  CHECK(
      test.run("bucketfs_info", R"({"bucketfs_name": "bfsdefault"})").output_json() ==
      R"({"_sec_name":"BucketFS : bfsdefault","name":"bfsdefault","owner":[500,500],"http_port":2580,)"
      R"("https_port":0,"sync_key":"c3luY2tleQ==","sync_period":"30000","mode":"rsync","bucketvolume":"None",)"
      R"("buckets":{"default":{"_sec_name":"Bucket : default","name":"default","read_passwd":"cmVhZHJlYWQ=",)"
      R"("write_passwd":"d3JpdGV3cml0ZQ==","public":true}}})");
}

TEST_CASE("bucketfs_info of a service without buckets has an empty struct of them") {
  std::string text = test::small_config_text();
  JobTest test(text.substr(0, text.find("    [[Bucket")));
  const JobRun run = test.run("bucketfs_info", R"({"bucketfs_name": "bfsdefault"})");
  REQUIRE(run.ok());
  CHECK(run.output->find("buckets")->as_struct().empty());
}

TEST_CASE("bucketfs jobs refuse unknown services, missing names and callers") {
  JobTest test;
  CHECK(test.run("bucketfs_info", R"({"bucketfs_name": "other"})").code == Code::not_found);
  CHECK(test.run("bucketfs_info").says("'bucketfs_name': is missing"));
  CHECK(test.run("bucketfs_info", R"({"bucketfs_name": []})").code == Code::bad_parameter);
  CHECK(test.run("bucketfs_info", R"({"bucketfs_name": "bfsdefault"})", "dave").code == Code::forbidden);
  CHECK(test.run("bucketfs_list", "{}", "carol").code == Code::forbidden);
}

}  // namespace confd::jobs
