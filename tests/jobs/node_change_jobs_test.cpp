// node_ip_batch, node_remove, node_suspend, node_resume, node_wait_ready, node_wait_offline, master_change,
// affinity_reset.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"
#include "tests/support/node_config_text.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

const std::string kSuspended = "    State = suspended\n";

struct ThreeNodes : JobTest {
  explicit ThreeNodes(const std::string& more_12 = {}, const std::string& more_13 = {})
      : JobTest(test::three_nodes(more_12, more_13)) {
    members.cluster_on = true;
    members.live = {11, 12, 13};
  }
  std::string value(int node, const std::string& key) const {
    const std::string* found = config().get("Node : " + std::to_string(node), key);
    return found == nullptr ? "none" : *found;
  }
};

struct Refusal {
  std::string job, params;
  Code code;
  std::string text;
};

template <std::size_t N>
void check_refusals(const Refusal (&refusals)[N], const std::string& more_12 = {},
                    const std::string& more_13 = {}) {
  for (const Refusal& refusal : refusals) {
    CAPTURE(refusal.job, refusal.params);
    ThreeNodes test(more_12, more_13);
    const JobRun run = test.run(refusal.job, refusal.params);
    CAPTURE(run.text);
    CHECK(run.code == refusal.code);
    CHECK(run.says(refusal.text));
    CHECK(test.config().revision() == 3);
    CHECK(test.members.handed_to.empty());
  }
}

}  // namespace

// --- node_ip_batch ---

TEST_CASE("node_ip_batch changes addresses, also swaps them, and keeps prefixes") {
  ThreeNodes test;
  test.members.live = {11, 13};
  const JobRun run = test.run(
      "node_ip_batch",
      R"({"nodes": [{"nid": 12, "private": "127.0.0.13", "public": "192.168.0.12/24"}, {"nid": "13", "private": "127.0.0.12"}]})");
  REQUIRE(run.text == "");
  CHECK(test.value(12, "PrivateNet") == "127.0.0.13/8");
  CHECK(test.value(12, "PublicNet") == "192.168.0.12/24");
  CHECK(test.value(13, "PrivateNet") == "127.0.0.12/8");
  CHECK(run.warns("node 13: confd listens on the new address when it starts again"));
}

TEST_CASE("node_ip_batch refuses what it can't do, and then changes nothing") {
  const std::string good = R"({"nodes": [{"nid": 12, "private": "127.0.0.20"}, )";
  const Refusal refusals[] = {
      {"node_ip_batch", R"({"nodes": []})", Code::bad_parameter, "at least one"},
      {"node_ip_batch", good + "13]}", Code::bad_parameter, "item 2 must be a struct"},
      {"node_ip_batch", good + R"({"private": "127.0.0.21"}]})", Code::bad_parameter, "nid is missing"},
      {"node_ip_batch", good + R"({"nid": 13}]})", Code::bad_parameter, "private or public"},
      {"node_ip_batch", good + R"({"nid": 13, "private": 5}]})", Code::bad_parameter, "must be a string"},
      {"node_ip_batch", good + R"({"nid": 13, "private": "n13"}]})", Code::bad_parameter, "'n13' is not"},
      {"node_ip_batch", good + R"({"nid": 13, "public": "10.0.0.1"}]})", Code::bad_parameter, "no node"},
      {"node_ip_batch", good + R"({"nid": 12, "private": "127.0.0.22"}]})", Code::bad_parameter, "twice"},
      {"node_ip_batch", good + R"({"nid": 14, "private": "127.0.0.22"}]})", Code::not_found, "node 14"},
      {"node_ip_batch", good + R"({"nid": 13, "private": "127.0.0.11"}]})", Code::exists,
       "belongs to node 11"},
      {"node_ip_batch", good + R"({"nid": 13, "private": "127.0.0.20"}]})", Code::exists, "127.0.0.20"},
      {"node_ip_batch", R"({"nodes": {}})", Code::bad_parameter, "'nodes': must be"},
  };
  check_refusals(refusals);
}

// --- node_remove ---

TEST_CASE("node_remove takes out one node or a list of them") {
  ThreeNodes test;
  REQUIRE(test.run("node_remove", R"({"nid": 12})", "alice").text == "");
  CHECK(test.config().nodes().size() == 2);
  CHECK(test.last_locks ==
        std::vector<Lock>{{LockLevel::node, "set of nodes"}, {LockLevel::node, "node 12"}});
  ThreeNodes both;
  REQUIRE(both.run("node_remove", R"({"nid": ["12", 13, 12]})").text == "");
  CHECK(both.config().nodes().size() == 1);
}

TEST_CASE("node_remove refuses the master, the last ones, suspended and unknown nodes") {
  const Refusal refusals[] = {
      {"node_remove", R"({"nid": 11})", Code::wrong_state, "it is master"},
      {"node_remove", R"({"nid": 11, "force": true})", Code::wrong_state, "it is master"},
      {"node_remove", R"({"nid": [11, 12, 13]})", Code::wrong_state, "at least one node"},
      {"node_remove", R"({"nid": 13})", Code::wrong_state, "node_resume first"},
      {"node_remove", R"({"nid": 13, "force": true})", Code::wrong_state, "node_resume first"},
      {"node_remove", R"({"nid": [12, 14]})", Code::not_found, "node 14"},
      {"node_remove", R"({"nid": []})", Code::bad_parameter, "at least one"},
      {"node_remove", R"({"nid": [true]})", Code::bad_parameter, "list of node ids"},
      {"node_remove", R"({"nid": "n12"})", Code::bad_parameter, "'nid'"},
  };
  check_refusals(refusals, {}, kSuspended);
}

TEST_CASE("node_remove takes a node out of a volume's or database's hands only by force") {
  for (const auto& [line, user] :
       {std::pair("    Nodes = 11,\n", "volume 'data1'"), std::pair("    Nodes = 11\n", "database 'exa'")}) {
    CAPTURE(user);
    std::string text = test::three_nodes();
    text.insert(text.find(line) + 14, ",12");  // behind "    Nodes = 11"
    JobTest test(text);
    const JobRun refused = test.run("node_remove", R"({"nid": 12})");
    CHECK(refused.code == Code::busy);
    CHECK(refused.says(user));
    CHECK(test.config().nodes().size() == 3);
    const JobRun forced = test.run("node_remove", R"({"nid": 12, "force": true})");
    REQUIRE(forced.text == "");
    CHECK(forced.warns(std::string("still named by ") + user));
    CHECK(test.config().nodes().size() == 2);
  }
}

// --- node_suspend, node_resume ---

TEST_CASE("node_suspend and node_resume set and clear what EXAConf says of the nodes") {
  ThreeNodes test;
  REQUIRE(test.run("node_suspend", R"({"nid": 12, "disable": true})").text == "");
  CHECK(test.value(12, "State") == "suspended");
  CHECK(test.value(12, "Enabled") == "False");
  CHECK(test.value(13, "State") == "none");
  REQUIRE(test.run("node_suspend", R"({"nid": [12, 13]})").text == "");
  CHECK(test.value(13, "State") == "suspended");
  CHECK(test.value(13, "Enabled") == "none");
  REQUIRE(test.run("node_resume", R"({"nid": [12, 13]})").text == "");
  CHECK(test.value(12, "State") == "none");
  CHECK(test.value(12, "Enabled") == "False");
  REQUIRE(test.run("node_resume", R"({"nid": 12, "enable": true})").text == "");
  CHECK(test.value(12, "Enabled") == "none");
}

TEST_CASE("node_suspend leaves a node in service, and the master") {
  const Refusal refusals[] = {
      {"node_suspend", R"({"nid": [11, 12]})", Code::wrong_state, "no node would be left in service"},
      {"node_suspend", R"({"nid": [11, 12, 13]})", Code::wrong_state, "no node would be left in service"},
      {"node_suspend", R"({"nid": 11})", Code::wrong_state, "it is master"},
      {"node_suspend", R"({"nid": 14})", Code::not_found, "node 14"},
      {"node_suspend", R"({"nid": {}})", Code::bad_parameter, "'nid': must be"},
      {"node_suspend", R"({"nid": 12, "disable": 1})", Code::bad_parameter, "'disable': must be"},
      {"node_resume", R"({"nid": [13, 12]})", Code::wrong_state, "node 12 can't be resumed"},
      {"node_resume", R"({"nid": 12, "enable": true})", Code::wrong_state, "not suspended"},
      {"node_resume", R"({"nid": 14})", Code::not_found, "node 14"},
      {"node_resume", R"({"nid": []})", Code::bad_parameter, "at least one"},
  };
  check_refusals(refusals, {}, kSuspended);
}

// --- node_wait_ready, node_wait_offline ---

TEST_CASE("The waiting jobs return when all nodes have made it") {
  struct Case {
    std::string job;
    std::vector<int> before, after;
  };
  for (const Case& c :
       {Case{"node_wait_ready", {11}, {11, 12, 13}}, Case{"node_wait_offline", {11, 12}, {11}}}) {
    CAPTURE(c.job);
    ThreeNodes test;
    test.members.live = c.before;
    int looks = 0;
    test.members.on_look = [&] {
      if (++looks == 2) test.members.live = c.after;
    };
    const JobRun run = test.run(c.job, R"({"nids": [12, "13"]})");
    REQUIRE(run.text == "");
    CHECK(run.output_json() == "[12,13]");
    CHECK(run.warnings.empty());
    CHECK(looks == 2);
  }
}

TEST_CASE("The waiting jobs return after their timeout those that made it") {
  for (const auto& [timeout, seconds] : {std::pair("", 1800), std::pair(R"(, "timeout": 5)", 5)}) {
    CAPTURE(seconds);
    ThreeNodes test;
    test.members.live = {11, 12};
    const base::SteadyTime start = test.clock.steady_now();
    test.members.on_look = [&] { test.clock.advance(std::chrono::seconds(seconds) / 2); };
    const JobRun run = test.run("node_wait_ready", R"({"nids": [12, 13])" + std::string(timeout) + "}");
    REQUIRE(run.text == "");
    CHECK(run.output_json() == "[12]");
    CHECK(run.warns("node 13: not ready in time"));
    CHECK(test.clock.steady_now() - start < std::chrono::seconds(seconds) * 2);
    CHECK(test.clock.steady_now() - start >= std::chrono::seconds(seconds));
  }
}

TEST_CASE("The waiting jobs can be stopped and refuse what they can't wait for") {
  ThreeNodes test;
  test.members.live = {11};
  test.members.on_look = [&] { test.stop.request_stop(); };
  CHECK(test.run("node_wait_ready", R"({"nids": [12]})").code == Code::stopped);
  const Refusal refusals[] = {
      {"node_wait_ready", R"({"nids": [14]})", Code::not_found, "node 14"},
      {"node_wait_ready", R"({"nids": []})", Code::bad_parameter, "at least one"},
      {"node_wait_ready", R"({"nids": 12})", Code::bad_parameter, "'nids': must be"},
      {"node_wait_ready", R"({"nids": [12], "timeout": 0})", Code::bad_parameter, "'timeout'"},
      {"node_wait_offline", R"({"nids": [12], "timeout": 604801})", Code::bad_parameter, "'timeout'"},
      {"node_wait_offline", R"({"nids": ["n12"]})", Code::bad_parameter, "list of node ids"},
  };
  check_refusals(refusals);
}

// --- master_change, affinity_reset ---

TEST_CASE("master_change hands over to the candidate that goes first") {
  struct Case {
    std::string nids;
    std::vector<int> live, handed_to;
  };
  const Case cases[] = {{"[11, 12, 13]", {11, 12, 13}, {12}},
                        {"[13, 11]", {11, 12, 13}, {13}},
                        {"[12, 13]", {11, 13}, {13}},
                        {"[\"13\"]", {11, 12, 13}, {13}},
                        {"[11]", {11, 12, 13}, {}}};
  for (const Case& c : cases) {
    CAPTURE(c.nids);
    ThreeNodes test;
    test.members.live = c.live;
    const std::string params = R"({"nids": )" + c.nids + "}";
    CHECK(test.run("master_change", params, "alice", true).ok());
    CHECK(test.members.handed_to.empty());
    const JobRun run = test.run("master_change", params, "alice");
    REQUIRE(run.text == "");
    CHECK(test.members.handed_to == c.handed_to);
    CHECK(run.warns("is master already") == c.handed_to.empty());
    CHECK(test.config().revision() == 3);
  }
}

TEST_CASE("master_change runs beside no other modify job") {
  ThreeNodes test;
  REQUIRE(test.run("master_change", R"({"nids": [12]})").ok());
  const auto other = [](const std::string& job, const std::string& params) {
    return find_job(job)->locks(base::parse_json(params)->as_struct());
  };
  for (const auto& locks :
       {other("node_suspend", R"({"nid": 12})"), other("group_delete", R"({"groupname": "x"})")})
    CHECK(std::any_of(locks.begin(), locks.end(), [&](const Lock& lock) {
      return std::any_of(test.last_locks.begin(), test.last_locks.end(),
                         [&](const Lock& held) { return in_conflict(lock, held); });
    }));
}

TEST_CASE("master_change refuses nodes that can't be master") {
  const Refusal refusals[] = {
      {"master_change", R"({"nids": [12, 13]})", Code::wrong_state, "node 13 can't become master"},
      {"master_change", R"({"nids": [12, 14]})", Code::not_found, "node 14"},
      {"master_change", R"({"nids": []})", Code::bad_parameter, "at least one"},
      {"master_change", R"({"nids": 12})", Code::bad_parameter, "'nids': must be"},
      {"master_change", R"({"nids": ["n12"]})", Code::bad_parameter, "list of node ids"},
  };
  check_refusals(refusals, {}, kSuspended);
  ThreeNodes dead;
  dead.members.live = {11};
  CHECK(dead.run("master_change", R"({"nids": [11, 12, 13]})").code == Code::node_unreachable);
  ThreeNodes refused;
  refused.members.hand_over_result = base::Error{Code::wrong_state, "this node is not master"};
  CHECK(refused.run("master_change", R"({"nids": [12]})").says("not master"));
  ThreeNodes alone;
  alone.members.cluster_on = false;
  CHECK(alone.run("master_change", R"({"nids": [12]})").code == Code::unsupported);
}

TEST_CASE("affinity_reset sets each affinity to the id, and hands over when that is done") {
  std::string text = test::three_nodes();
  text.replace(text.find("Affinity = 12"), 13, "Affinity = 99");
  JobTest test(text);
  test.members.cluster_on = true;
  test.members.live = {11, 12, 13};
  const JobRun first = test.run("affinity_reset", "{}", "alice");
  REQUIRE(first.text == "");
  CHECK(test.config().nodes().at(12).affinity == 12);
  CHECK(test.config().revision() == 4);
  CHECK(test.members.handed_to.empty());  // 11 is master and goes first
  REQUIRE(test.run("affinity_reset").ok());
  CHECK(test.config().revision() == 4);
  CHECK(test.run("affinity_reset", "{}", "dave").code == Code::forbidden);
}

TEST_CASE("affinity_reset makes the first node in turn master, after new affinities are in force") {
  std::string text = test::three_nodes();
  text.insert(text.find("    PrivateNet = 127.0.0.11/8"), kSuspended);  // 12 goes first
  text.replace(text.find("Affinity = 13"), 13, "Affinity = 1");
  JobTest test(text, 13);
  test.members.cluster_on = true;
  test.members.live = {11, 12, 13};
  test.members.master_node = 13;
  CHECK(test.run("affinity_reset").warns("node 12 should be master now"));
  CHECK(test.members.handed_to.empty());
  REQUIRE(test.run("affinity_reset").text == "");
  CHECK(test.members.handed_to == std::vector<int>{12});
}

}  // namespace confd::jobs
