// node_add, node_add_batch, node_clone_batch.
#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"
#include "tests/support/node_config_text.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

// The section as EXAConf has it, up to the next one, or the end of the file; the UUID, which is random, as U.
std::string section_text(const JobTest& test, int id) {
  const std::string& text = test.config().text();
  const std::size_t begin = text.find("[Node : " + std::to_string(id) + "]");
  if (begin == std::string::npos) return {};
  std::string section = text.substr(begin, text.find("\n[", begin + 1) - begin);
  const std::size_t uuid = section.find("UUID = ") + 7;
  CHECK(section.substr(uuid, 40).find_first_not_of("0123456789ABCDEF") == std::string::npos);
  CHECK(section[uuid + 40] == '\n');
  return section.replace(uuid, 40, "U");
}

std::string wanted_section(const std::string& id, const std::string& net, const std::string& more) {
  return "[Node : " + id + "]\n    PrivateNet = " + net + "\n    PublicNet = \n    Name = n" + id +
         "\n    Affinity = " + id + "\n    UUID = U\n" + more +
         "    [[Disk : disk1]]\n        Component = exastorage\n        Devices = dev.1\n";
}

struct Cluster : JobTest {
  explicit Cluster(const std::string& text = test::small_config_text()) : JobTest(text) {
    members.cluster_on = true;
  }
};

struct Refusal {
  std::string params;
  Code code;
  std::string text;
};

template <std::size_t N>
void check_refusals(const std::string& job, const std::string& config, const Refusal (&refusals)[N]) {
  for (const Refusal& refusal : refusals) {
    CAPTURE(refusal.params);
    Cluster test(config);
    const JobRun run = test.run(job, refusal.params);
    CAPTURE(run.text);
    CHECK(run.code == refusal.code);
    CHECK(run.says(refusal.text));
    CHECK(test.config().revision() == 3);
  }
}

}  // namespace

// --- node_add ---

TEST_CASE("node_add writes a suspended node with the next id") {
  Cluster test;
  const JobRun run = test.run("node_add", R"({"priv_net": "127.0.0.12/8"})", "alice");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "12");
  CHECK(section_text(test, 12) == wanted_section("12", "127.0.0.12/8", "    State = suspended\n"));
  CHECK(test.config().nodes().at(12).state == "suspended");
  CHECK(test.config().nodes().at(12).affinity == 12);
  CHECK(test.last_locks == std::vector<Lock>{{LockLevel::node, "set of nodes"}});
}

TEST_CASE("node_add takes all that may be said of a node") {
  Cluster test;
  const JobRun run = test.run(
      "node_add",
      R"({"priv_net": "127.0.0.20", "nid": "20", "name": "data-20", "pub_net": "192.168.0.20/24", "offline": true,)"
      R"( "no_partition_extend": true, "space_warn_threshold": 80, "bg_rec_limit": 120})");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "20");
  CHECK(section_text(test, 20) ==
        "[Node : 20]\n    PrivateNet = 127.0.0.20/8\n    PublicNet = 192.168.0.20/24\n    Name = data-20\n"
        "    Affinity = 20\n    UUID = U\n    NoPartitionExtend = True\n    SpaceWarnThreshold = 80\n"
        "    BgRecLimit = 120\n    [[Disk : disk1]]\n        Component = exastorage\n        Devices = "
        "dev.1\n");
}

TEST_CASE("node_add on Docker gives the node a folder and ports of its own") {
  std::string text = test::small_config_text();
  text.replace(text.find("Platform = Vm"), 13, "Platform = Docker");
  text.insert(text.find("[Logging]"), "[Docker]\n    RootDir = /exa/etc\n\n");
  text.insert(text.find("    UUID = "), "    DockerVolume = n11\n    ExposedPorts = 8563:8574, 2581:2592\n");
  Cluster test(text);
  REQUIRE(test.run("node_add", R"({"priv_net": "127.0.0.12/8", "offline": true})").text == "");
  CHECK(section_text(test, 12) == wanted_section("12", "127.0.0.12/8",
                                                 "    DockerVolume = n12\n"
                                                 "    ExposedPorts = 8563:8575, 2581:2593\n"));
}

TEST_CASE("node_add refuses what is taken and what no node can have") {
  const Refusal refusals[] = {
      {R"({"priv_net": "127.0.0.11/8"})", Code::exists, "127.0.0.11 of node 12 belongs to node 11"},
      {R"({"priv_net": "127.0.0.11/24"})", Code::exists, "127.0.0.11"},
      {R"({"priv_net": "127.0.0.12/8", "pub_net": "127.0.0.11/8"})", Code::exists, "127.0.0.11"},
      {R"({"priv_net": "127.0.0.12/8", "nid": 11})", Code::exists, "node 11 exists"},
      {R"({"priv_net": "127.0.0.12/8", "name": "n11"})", Code::exists, "'n11' is taken"},
      {R"({"priv_net": "127.0.0.12/8", "nid": 10})", Code::bad_parameter, "between 11 and"},
      {R"({"priv_net": "127.0.0.12/8", "nid": 99999999999})", Code::bad_parameter, "between 11 and"},
      {R"({"priv_net": "127.0.0.12/8", "name": "a b"})", Code::bad_parameter, "is no name"},
      {R"({"priv_net": "127.0.0.12/33"})", Code::bad_parameter, "'priv_net'"},
      {R"({"priv_net": "n12"})", Code::bad_parameter, "'priv_net'"},
      {R"({"priv_net": "10.0.0.12"})", Code::bad_parameter, "network of no node"},
      {R"({"priv_net": "127.0.0.12/8", "pub_net": "192.168.0.1"})", Code::bad_parameter, "'pub_net'"},
      {R"({"priv_net": "127.0.0.12/8", "space_warn_threshold": 101})", Code::bad_parameter, "0 and 100"},
      {R"({"priv_net": "127.0.0.12/8", "bg_rec_limit": -1})", Code::bad_parameter, "'bg_rec_limit'"},
      {R"({"priv_net": 12})", Code::bad_parameter, "'priv_net'"},
      {R"({"priv_net": "127.0.0.12/8", "offline": "yes"})", Code::bad_parameter, "'offline': must be"},
  };
  check_refusals("node_add", test::small_config_text(), refusals);
}

TEST_CASE("node_add wants a public address where EXAConf has a public network") {
  std::string text = test::small_config_text();
  text.replace(text.find("Networks = private"), 18, "Networks = private, public");
  text.replace(text.find("PublicNet = "), 12, "PublicNet = 192.168.0.11/24");
  Cluster test(text);
  CHECK(test.run("node_add", R"({"priv_net": "127.0.0.12/8"})").says("a public address is needed"));
  REQUIRE(test.run("node_add", R"({"priv_net": "127.0.0.12", "pub_net": "192.168.0.12"})").text == "");
  CHECK(test.config().nodes().at(12).public_net == "192.168.0.12/24");
}

TEST_CASE("Nodes are added by administrators only, and not where EXAConf is kept on one node") {
  const std::pair<std::string, std::string> calls[] = {
      {"node_add", R"({"priv_net": "127.0.0.12/8"})"},
      {"node_add_batch", R"({"nodes": [{"private_ip": "127.0.0.12"}]})"},
      {"node_clone_batch", R"({"nid": 11, "num_nodes": 1})"}};
  for (const auto& [job, params] : calls) {
    CAPTURE(job);
    JobTest alone;
    const JobRun run = alone.run(job, params);
    CHECK(run.code == Code::unsupported);
    CHECK(run.says("etc/confd.yaml"));
    Cluster test;
    CHECK(test.run(job, params, "dave").code == Code::forbidden);
    CHECK(test.run(job, params, "root", true).ok());
    CHECK(test.config().nodes().size() == 1);
    CHECK(test.run(job, params).ok());
    CHECK(test.config().nodes().size() == 2);
  }
}

// --- node_add_batch ---

TEST_CASE("node_add_batch adds the nodes it describes") {
  Cluster test;
  const JobRun run = test.run(
      "node_add_batch",
      R"({"nodes": [{"nid": 13, "private_ip": "127.0.0.13", "uuid": "7eaa8def9df7483cabad93774a4f130ebf2ce77f",)"
      R"( "name": "n13", "colour": "red"}, {"private_net": "127.0.0.14/8", "offline": true}]})");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "no output");
  CHECK(run.warns("'colour' is ignored"));
  CHECK(test.config().nodes().at(13).uuid == "7EAA8DEF9DF7483CABAD93774A4F130EBF2CE77F");
  CHECK(section_text(test, 13) == wanted_section("13", "127.0.0.13/8", "    State = suspended\n"));
  CHECK(section_text(test, 14) == wanted_section("14", "127.0.0.14/8", ""));
}

TEST_CASE("node_add_batch adds all nodes or none") {
  const std::string good = R"({"nid": 12, "private_ip": "127.0.0.12"})";
  const Refusal refusals[] = {
      {R"({"nodes": []})", Code::bad_parameter, "between 1 and"},
      {R"({"nodes": [)" + good + R"(, 13]})", Code::bad_parameter, "item 2 must be a struct"},
      {R"({"nodes": [)" + good + R"(, {"nid": 13}]})", Code::bad_parameter, "private_ip is missing"},
      {R"({"nodes": [)" + good + R"(, {"nid": "x", "private_ip": "127.0.0.13"}]})", Code::bad_parameter,
       "nid must be"},
      {R"({"nodes": [)" + good + R"(, {"private_ip": 13}]})", Code::bad_parameter, "must be a string"},
      {R"({"nodes": [)" + good + R"(, {"private_ip": "127.0.0.13", "offline": 1}]})", Code::bad_parameter,
       "offline must be"},
      {R"({"nodes": [)" + good + R"(, {"private_ip": "10.1.1.1"}]})", Code::bad_parameter,
       "item 2: '10.1.1.1'"},
      {R"({"nodes": [)" + good + R"(, {"private_ip": "127.0.0.12"}]})", Code::exists, "127.0.0.12"},
      {R"({"nodes": [)" + good + R"(, {"nid": 12, "private_ip": "127.0.0.13"}]})", Code::exists, "node 12"},
      {R"({"nodes": [)" + good + R"(, {"name": "n11", "private_ip": "127.0.0.13"}]})", Code::exists, "'n11'"},
      {R"({"nodes": [)" + good + R"(, {"uuid": "12", "private_ip": "127.0.0.13"}]})", Code::bad_parameter,
       "40 upper-case"},
      {R"({"nodes": [)" + good +
           R"(, {"uuid": "644BACF4A4E14D008AC08F522FFE90E59C879D59", "private_ip": "127.0.0.13"}]})",
       Code::exists, "UUID"},
      {R"({"nodes": "12"})", Code::bad_parameter, "'nodes': must be"},
  };
  check_refusals("node_add_batch", test::small_config_text(), refusals);
}

// --- node_clone_batch ---

TEST_CASE("node_clone_batch goes on from the highest id and address and copies what is the node's kind") {
  std::string text =
      test::three_nodes("    State = suspended\n    Enabled = False\n    PrivateInterface = eth0\n");
  Cluster test(text);
  const JobRun run = test.run("node_clone_batch", R"({"nid": 12, "num_nodes": 2})");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "[14,15]");
  const std::string more = "    PrivateInterface = eth0\n    State = suspended\n";
  CHECK(section_text(test, 14) == wanted_section("14", "127.0.0.14/8", more));
  CHECK(section_text(test, 15) == wanted_section("15", "127.0.0.15/8", more));
  CHECK(test.config().nodes().at(14).uuid != test.config().nodes().at(15).uuid);
  CHECK(test.last_locks ==
        std::vector<Lock>{{LockLevel::node, "set of nodes"}, {LockLevel::node, "node 12"}});
}

TEST_CASE("node_clone_batch gives the disks it is told") {
  Cluster test;
  const JobRun run =
      test.run("node_clone_batch",
               R"({"nid": 11, "num_nodes": 1, "disks": ["disk1", {"name": "disk2", "component": "db",)"
               R"( "devices": ["dev.2", "dev.3"], "direct_io": false, "ephemeral": true}]})");
  REQUIRE(run.text == "");
  CHECK(section_text(test, 12).find(
            "    [[Disk : disk1]]\n        Component = exastorage\n        Devices = dev.1,\n"
            "    [[Disk : disk2]]\n        Component = db\n        Devices = dev.2, dev.3\n"
            "        DirectIO = False\n        Ephemeral = True\n") != std::string::npos);
}

TEST_CASE("node_clone_batch refuses nodes, numbers and disks that can't be") {
  const std::string one = R"({"nid": 11, "num_nodes": 1, "disks": )";
  const Refusal refusals[] = {
      {R"({"nid": 12, "num_nodes": 1})", Code::not_found, "node 12 does not exist"},
      {R"({"nid": 11, "num_nodes": 0})", Code::bad_parameter, "between 1 and"},
      {R"({"nid": 11, "num_nodes": 1001})", Code::bad_parameter, "between 1 and"},
      {R"({"nid": 11, "num_nodes": "two"})", Code::bad_parameter, "'num_nodes': must be"},
      {one + R"(["disk9"]})", Code::bad_parameter, "[Node : 11]"},
      {one + R"([{"devices": ["dev.1"]}]})", Code::bad_parameter, "needs a name"},
      {one + R"([{"name": "d"}]})", Code::bad_parameter, "devices or drives"},
      {one + R"([{"name": "d", "devices": "dev.1"}]})", Code::bad_parameter, "must be a list"},
      {one + R"([{"name": "d", "devices": ["a,b"]}]})", Code::bad_parameter, "without commas"},
      {one + R"([{"name": "d", "devices": ["a"], "component": "tape"}]})", Code::bad_parameter, "component"},
      {one + R"([{"name": "d", "devices": ["a"], "direct_io": 1}]})", Code::bad_parameter, "direct_io"},
      {one + R"([{"name": "d", "devices": ["a"], "size": 1}]})", Code::bad_parameter, "'size' is not known"},
      {one + R"(["disk1", "disk1"]})", Code::bad_parameter, "two disks"},
  };
  check_refusals("node_clone_batch", test::small_config_text(), refusals);
}

TEST_CASE("node_clone_batch stays inside the network, as far as that goes") {
  struct Case {
    std::string net;
    int num_nodes;
    std::string last;  // empty: refused
  };
  const Case cases[] = {
      {"10.0.0.253/24", 1, "10.0.0.254/24"},
      {"10.0.0.253/24", 2, ""},
      {"10.0.0.255/16", 2, "10.0.1.1/16"},
      {"10.0.0.1/32", 1, ""},
      {"10.0.0.1/30", 1, "10.0.0.2/30"},
      {"10.0.0.2/30", 1, ""},
      {"fd00::ffff/64", 1, "fd00::1:0/64"},
      {"fd00::fffe/112", 1, "fd00::ffff/112"},
      {"fd00::ffff/112", 1, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.net, c.num_nodes);
    std::string text = test::small_config_text();
    text.replace(text.find("127.0.0.11/8"), 12, c.net);
    Cluster test(text);
    const JobRun run =
        test.run("node_clone_batch", R"({"nid": 11, "num_nodes": )" + std::to_string(c.num_nodes) + "}");
    if (c.last.empty()) {
      CHECK(run.code == Code::wrong_state);
      CHECK(run.says("no room"));
      CHECK(test.config().nodes().size() == 1);
    } else {
      REQUIRE(run.text == "");
      CHECK(test.config().nodes().at(11 + c.num_nodes).private_net == c.last);
    }
  }
}

}  // namespace confd::jobs
