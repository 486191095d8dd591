// The infra jobs and nodes_terminate, over a platform provider as the test wants it.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/fake_platform.h"
#include "tests/support/job_fixture.h"
#include "tests/support/node_config_text.h"

namespace confd::jobs {
namespace {

using base::Code;
using services::PlatformAction;
using test::FakePlatform;
using test::JobRun;
using test::JobTest;
using Texts = std::vector<std::string>;

const std::string kSuspended = "    State = suspended\n";

struct Cluster : JobTest {
  explicit Cluster(const std::string& more_12 = {}, const std::string& more_13 = {})
      : JobTest(test::three_nodes(more_12, more_13)) {
    members.cluster_on = true;
    members.live = {11, 12, 13};
    services().platform = &platform;
    // A provider that does what it is asked for.
    platform.on_run = [this](const FakePlatform::Call& call) {
      const base::Value* nodes_asked = call.request.find("nodes");
      if (nodes_asked == nullptr) return;
      for (const base::Value& node : nodes_asked->as_array()) {
        const int id = static_cast<int>(node.find("nid")->as_int());
        std::erase(members.live, id);
        if (call.action == PlatformAction::start_nodes || call.action == PlatformAction::add_nodes ||
            call.action == PlatformAction::update_nodes)
          members.live.push_back(id);
      }
    };
  }
  std::string state(int node) const {
    const std::string* found = config().get("Node : " + std::to_string(node), "State");
    return found == nullptr ? "" : *found;
  }
  // Time passes with every look at who lives.
  void let_time_pass() {
    members.on_look = [this] { clock.advance(std::chrono::minutes(10)); };
  }
  FakePlatform platform;
};

const Texts kChanging = {
    R"(infra_firewall_update {"ingress_rules": [{"CidrIp": "0.0.0.0/0", "FromPort": 22, "ToPort": 22, "IpProtocol": "tcp"}]})",
    R"(infra_instances_add {"nid": 11, "num_nodes": 1})",
    R"(infra_instances_remove {"nids": [13]})",
    R"(infra_instances_start {"nids": [13]})",
    R"(infra_instances_stop {"nids": [13]})",
    R"(infra_instances_update {"nids": [13], "node_platform_config": {}})",
    R"(infra_resources_update {"node_platform_config": {}})",
    R"(nodes_terminate {"nids": [13]})",
};

JobRun run(JobTest& test, const std::string& call, const std::string& user = "root") {
  const std::size_t blank = call.find(' ');
  return test.run(call.substr(0, blank), call.substr(blank + 1), user);
}

void check_refused(const JobRun& run, Code code, const std::string& part) {
  CAPTURE(run.text);
  CHECK(run.code == code);
  CHECK(run.says(part));
}

}  // namespace

TEST_CASE("without a platform provider nothing is changed, and the setting is named") {
  for (const std::string& call : kChanging) {
    CAPTURE(call);
    Cluster test;
    test.services().platform = nullptr;
    check_refused(run(test, call), Code::unsupported, "set `platform: provider` in etc/confd.yaml");
    CHECK(test.config().revision() == 3);
  }
}

TEST_CASE("what the provider can't do is refused before anything is changed") {
  for (const std::string& call : kChanging) {
    CAPTURE(call);
    Cluster test;
    for (int i = 0; i < services::kPlatformActions; ++i)
      test.platform.can_not.insert(static_cast<PlatformAction>(i));
    check_refused(run(test, call), Code::unsupported, "the provider can't do");
    CHECK(test.config().revision() == 3);
    CHECK(test.platform.calls.empty());
  }
}

TEST_CASE("a failure of the provider fails the job, with its words on record") {
  for (const std::string& call : kChanging) {
    CAPTURE(call);
    Cluster test;
    test.members.live = {11, 12};
    if (call.starts_with("infra_instances_start") == false) test.members.live.push_back(13);
    test.platform.on_run = nullptr;
    test.platform.failure = base::Error{Code::job_error, "the cloud is full"};
    test.platform.log = "asked\nfull\n";
    const JobRun failed = run(test, call);
    check_refused(failed, Code::job_error, "the cloud is full");
    const CommandRecord& command = failed.commands.back();
    CHECK(command.name.starts_with("platform."));
    CHECK(command.exit == static_cast<int>(Code::job_error));
    CHECK(command.output.find("log")->as_string() == "asked\nfull\n");
  }
}

TEST_CASE("who may run the infra jobs") {
  for (const std::string& call : kChanging) {
    Cluster test;
    CHECK(run(test, call, "carol").code == Code::forbidden);
    CHECK(run(test, call, "alice").code != Code::forbidden);
  }
  for (const JobDescriptor* job : all_jobs()) {
    if (!job->name.starts_with("infra_")) continue;
    CHECK(job->users.size() == 1);
    CHECK(job->groups.size() == 3);
  }
}

TEST_CASE("jobs that need running databases are not there") {
  for (const char* name :
       {"infra_db_scale", "infra_db_start", "infra_db_stop", "infra_worker_db_add", "infra_worker_db_remove"})
    CHECK(find_job(name) == nullptr);
}

// --- start, stop, terminate, update ---

TEST_CASE("infra_instances_start starts those that do not run and resumes what was suspended") {
  Cluster test(kSuspended);
  test.members.live = {11, 13};
  const JobRun started = test.run("infra_instances_start", R"({"nids": [12, 13]})");
  REQUIRE(started.text == "");
  CHECK(test.platform.asked() == Texts{"start_nodes 12"});
  CHECK(started.warns("node 13 runs already"));
  CHECK(test.state(12) == "");
  CHECK(base::render_json(test.platform.calls[0].request.find("nodes")->as_array()[0])
            .starts_with(R"({"nid":12,"name":"n12","private_ip":"127.0.0.12","disks":{"disk1":)"));
}

TEST_CASE("infra_instances_start does not return before the nodes are online, nor wait for ever") {
  Cluster test(kSuspended);
  test.members.live = {11, 13};
  test.platform.on_run = nullptr;
  test.let_time_pass();
  check_refused(test.run("infra_instances_start", R"({"nids": [12]})"), Code::timeout,
                "node 12 did not come online in time");
  CHECK(test.state(12) == "suspended");
}

TEST_CASE("infra_instances_stop and nodes_terminate wait until the nodes are down") {
  for (const auto& [job, action] : {std::pair("infra_instances_stop", "stop_nodes 13"),
                                    std::pair("nodes_terminate", "terminate_nodes 13")}) {
    CAPTURE(job);
    Cluster test;
    REQUIRE(test.run(job, R"({"nids": [13]})").text == "");
    CHECK(test.platform.asked() == Texts{action});
    CHECK(test.last_locks ==
          std::vector<Lock>{{LockLevel::node, "set of nodes"}, {LockLevel::node, "node 13"}});
    CHECK(test.config().revision() == 3);
    Cluster stubborn;
    stubborn.platform.on_run = nullptr;
    stubborn.let_time_pass();
    check_refused(stubborn.run(job, R"({"nids": [13]})"), Code::timeout, "node 13 still answered");
  }
}

TEST_CASE("infra_instances_stop hands the timeout on") {
  Cluster test;
  REQUIRE(test.run("infra_instances_stop", R"({"nids": [13], "timeout": 20})").ok());
  CHECK(test.platform.calls[0].timeout <= std::chrono::seconds(20));
  CHECK(*test.platform.calls[0].request.find("timeout") == base::Value(20));
}

TEST_CASE("neither the master nor the majority is stopped") {
  for (const char* job : {"infra_instances_stop", "nodes_terminate"}) {
    CAPTURE(job);
    Cluster test;
    check_refused(test.run(job, R"({"nids": [11]})"), Code::wrong_state, "hand over with master_change");
    check_refused(test.run(job, R"({"nids": [12, 13]})"), Code::wrong_state, "only 1 of 3 nodes in service");
    check_refused(test.run(job, R"({"nids": [14]})"), Code::not_found, "node 14");
    check_refused(test.run(job, R"({"nids": []})"), Code::bad_parameter, "at least one");
    test.members.live = {11, 12};
    check_refused(test.run(job, R"({"nids": [12]})"), Code::wrong_state, "only 1 of 3");
    CHECK(test.platform.calls.empty());
    Cluster suspended(kSuspended, kSuspended);
    CHECK(suspended.run(job, R"({"nids": [12, 13]})").ok());
  }
}

TEST_CASE("the majority of the nodes that a store of our own runs on is not stopped") {
  JobTest test(test::config_with(test::node_section(12) + test::node_section(13) + test::node_section(14) +
                                 test::node_section(15)));
  FakePlatform platform;
  test.services().platform = &platform;
  test.members.cluster_on = true;
  test.members.live = {11, 12, 13, 14, 15};
  test.members.store_nodes = {11, 12, 13};
  check_refused(test.run("infra_instances_stop", R"({"nids": [12, 13]})"), Code::wrong_state,
                "the store of EXAConf runs on nodes 11, 12, 13");
  CHECK(platform.calls.empty());
}

TEST_CASE("infra_instances_update takes one node after the other, and only while all others are online") {
  Cluster test;
  Texts live_at;
  const auto update = test.platform.on_run;
  test.platform.on_run = [&](const FakePlatform::Call& call) {
    live_at.push_back(std::to_string(test.members.live.size()));
    update(call);
  };
  const JobRun done = test.run(
      "infra_instances_update",
      R"({"nids": [13, 12], "node_platfrom_config": {"InstanceType": "r5d.large"}, "metadata": {"a": "b"}})");
  REQUIRE(done.text == "");
  CHECK(test.platform.asked() == Texts{"update_nodes 13", "update_nodes 12"});
  CHECK(live_at == Texts{"3", "3"});
  CHECK(base::render_json(*test.platform.calls[0].request.find("node_platform_config")) ==
        R"({"InstanceType":"r5d.large"})");
  test.members.live = {11, 13};
  check_refused(test.run("infra_instances_update", R"({"nids": [13], "node_platform_config": {}})"),
                Code::wrong_state, "node 12 must be online first");
  check_refused(test.run("infra_instances_update", R"({"nids": [11], "node_platform_config": {}})"),
                Code::wrong_state, "it is master");
}

TEST_CASE("infra_instances_update stops at a node that does not come back") {
  Cluster test;
  test.platform.on_run = [&](const FakePlatform::Call&) { std::erase(test.members.live, 12); };
  test.let_time_pass();
  check_refused(test.run("infra_instances_update", R"({"nids": [12, 13], "node_platform_config": {}})"),
                Code::timeout, "node 12 did not come online");
  CHECK(test.platform.calls.size() == 1);
}

// --- add, remove ---

TEST_CASE("infra_instances_add enters nodes, has them made with a token each, and resumes them") {
  Cluster test;
  std::string state_when_made;
  const auto make = test.platform.on_run;
  test.platform.on_run = [&](const FakePlatform::Call& call) {
    state_when_made = test.state(14);
    make(call);
  };
  test.services().join_token = [](int node) -> base::Result<std::string> {
    return std::to_string(node) + ".secret";
  };
  const JobRun added =
      test.run("infra_instances_add",
               R"({"nid": 12, "num_nodes": 2, "cloud_zone": "eu-central-1", "is_workernode": true})");
  REQUIRE(added.text == "");
  CHECK(added.output_json() == "[14,15]");
  CHECK(state_when_made == "suspended");
  CHECK(test.state(14) == "");
  CHECK(test.config().nodes().at(15).private_ip == "127.0.0.15");
  CHECK(test.platform.asked() == Texts{"add_nodes 14 15"});
  const base::Struct& request = test.platform.calls[0].request;
  CHECK(base::render_json(*request.find("join")) ==
        R"({"address":"127.0.0.11","tokens":{"14":"14.secret","15":"15.secret"}})");
  CHECK(*request.find("cloud_zone") == base::Value("eu-central-1"));
  CHECK(*request.find("source") == base::Value(12));
  REQUIRE(added.commands.size() == 2);
  CHECK(added.commands[0].name == "exaconf.publish");
  CHECK(base::render_json(added.commands[1].arguments).find("secret") == std::string::npos);
}

TEST_CASE("nodes that could not be made stay in EXAConf, suspended, and the job says so") {
  Cluster test;
  test.platform.on_run = nullptr;
  test.let_time_pass();
  check_refused(test.run("infra_instances_add", R"({"nid": 12, "num_nodes": 1})"), Code::timeout,
                "node 14 did not come online in time; node 14 stayed in EXAConf, suspended");
  CHECK(test.state(14) == "suspended");
  test.members.on_look = nullptr;
  test.members.live = {11, 12, 13};
  REQUIRE(test.run("infra_instances_remove", R"({"nids": [14]})").text == "");
  CHECK_FALSE(test.config().nodes().contains(14));
}

TEST_CASE("infra_instances_add changes nothing when EXAConf can't be changed") {
  Cluster test;
  test.publish_error = base::Error{Code::no_quorum, "EXAConf was not changed: no quorum"};
  check_refused(test.run("infra_instances_add", R"({"nid": 12, "num_nodes": 1})"), Code::no_quorum,
                "no quorum");
  CHECK(test.platform.calls.empty());
  CHECK(test.config().revision() == 3);
}

TEST_CASE("infra_instances_add refuses what it can't do") {
  Cluster test;
  check_refused(test.run("infra_instances_add", R"({"nid": 14, "num_nodes": 1})"), Code::not_found,
                "node 14");
  check_refused(test.run("infra_instances_add", R"({"nid": 11, "num_nodes": 0})"), Code::bad_parameter,
                "num_nodes");
  check_refused(test.run("infra_instances_add", R"({"nid": 11, "num_nodes": 1, "disks": ["disk9"]})"),
                Code::bad_parameter, "disks");
  check_refused(test.run("infra_instances_add", R"({"nid": 11, "num_nodes": 1, "timeout": 0})"),
                Code::bad_parameter, "timeout");
  test.members.cluster_on = false;
  check_refused(test.run("infra_instances_add", R"({"nid": 11, "num_nodes": 1})"), Code::unsupported,
                "cluster: store");
  CHECK(test.config().revision() == 3);
}

TEST_CASE(
    "infra_instances_remove takes nodes out one by one, those that are down first, before their machines") {
  Cluster test;
  test.members.live = {11, 12};
  test.services().platform = &test.platform;
  Texts nodes_then;
  test.platform.on_run = [&](const FakePlatform::Call&) {
    nodes_then.push_back(std::to_string(test.config().nodes().size()));
  };
  const JobRun removed = test.run("infra_instances_remove", R"({"nids": [12, 13], "metadata": {"a": "b"}})");
  REQUIRE(removed.text == "");
  CHECK(test.platform.asked() == Texts{"remove_nodes 13", "remove_nodes 12"});
  CHECK(nodes_then == Texts{"2", "1"});
  CHECK(test.config().nodes().size() == 1);
  CHECK(base::render_json(*test.platform.calls[0].request.find("metadata")) == R"({"a":"b"})");
}

TEST_CASE("a machine goes only when a store of our own does not count on it any more") {
  Cluster test;
  test.members.store_nodes = {11, 12, 13};
  int looks = 0;
  test.members.on_store_look = [&] {
    if (++looks == 3) test.members.store_nodes = {11};
  };
  Texts members_then;
  test.platform.on_run = [&](const FakePlatform::Call&) {
    members_then.push_back(std::to_string(test.members.store_nodes.size()));
  };
  REQUIRE(test.run("infra_instances_remove", R"({"nids": [13]})").text == "");
  CHECK(members_then == Texts{"1"});

  Cluster stuck;
  stuck.members.store_nodes = {11, 12, 13};
  stuck.members.on_store_look = [&] { stuck.clock.advance(std::chrono::minutes(10)); };
  check_refused(stuck.run("infra_instances_remove", R"({"nids": [13]})"), Code::timeout,
                "still counts on it");
  CHECK(stuck.platform.calls.empty());
}

TEST_CASE("infra_instances_remove refuses the master, the last ones and nodes in use") {
  Cluster test;
  check_refused(test.run("infra_instances_remove", R"({"nids": [11]})"), Code::wrong_state, "it is master");
  test.members.live = {11, 13};
  check_refused(test.run("infra_instances_remove", R"({"nids": [13]})"), Code::wrong_state, "only 1 of 2");
  check_refused(test.run("infra_instances_remove", R"({"nids": [14]})"), Code::not_found, "node 14");
  std::string text = test::three_nodes();
  const std::string line = "    Nodes = 11,\n";
  text.insert(text.find(line) + 14, ",12");
  JobTest in_use(text);
  FakePlatform platform;
  in_use.services().platform = &platform;
  in_use.members.live = {11, 12, 13};
  check_refused(in_use.run("infra_instances_remove", R"({"nids": [12]})"), Code::busy, "volume 'data1'");
  CHECK(platform.calls.empty());
}

// --- firewall, resources ---

TEST_CASE("infra_firewall_update and infra_resources_update hand on what they are given") {
  Cluster test;
  test.platform.on_run = nullptr;
  REQUIRE(
      test.run("infra_firewall_update",
               R"({"egress_rules": [{"CidrIp": "::/0", "FromPort": -1, "ToPort": -1, "IpProtocol": "-1"}]})")
          .text == "");
  CHECK(base::render_json(test.platform.calls[0].request) ==
        R"({"egress_rules":[{"CidrIp":"::/0","FromPort":-1,"ToPort":-1,"IpProtocol":"-1"}]})");
  REQUIRE(
      test.run("infra_resources_update", R"({"node_platform_config": {"a": 1}, "metadata": {"b": 2}})").ok());
  CHECK(base::render_json(test.platform.calls[1].request) ==
        R"({"node_platform_config":{"a":1},"metadata":{"b":2}})");
}

TEST_CASE("infra_firewall_update refuses rules that are none") {
  Cluster test;
  const auto rule = [](const std::string& text) { return R"({"ingress_rules": [)" + text + "]}"; };
  for (const auto& [params, part] : {
           std::pair(std::string("{}"), "must be given"),
           std::pair(rule("5"), "rule 1: must be a struct"),
           std::pair(rule(R"({"CidrIp": "anywhere", "FromPort": 1, "ToPort": 1, "IpProtocol": "tcp"})"),
                     "CidrIp"),
           std::pair(rule(R"({"CidrIp": "0.0.0.0/0", "FromPort": 1, "ToPort": 99999, "IpProtocol": "tcp"})"),
                     "65535"),
           std::pair(rule(R"({"CidrIp": "0.0.0.0/0", "FromPort": 2, "ToPort": 1, "IpProtocol": "tcp"})"),
                     "above"),
           std::pair(rule(R"({"CidrIp": "0.0.0.0/0", "FromPort": 1, "ToPort": 2})"), "IpProtocol"),
           std::pair(rule(R"({"CidrIp": "0.0.0.0/0", "Colour": 1})"), "'Colour' is not known"),
       }) {
    CAPTURE(params);
    check_refused(test.run("infra_firewall_update", params), Code::bad_parameter, part);
  }
  CHECK(test.platform.calls.empty());
}

// --- overview, metadata ---

TEST_CASE(
    "infra_overview_get shows the provider's view beside confd's own, also of machines without a node") {
  Cluster test({}, kSuspended);
  test.platform.on_run = nullptr;
  test.members.live = {11};
  test.platform.answer =
      base::parse_json(R"({"nodes": {"11": {"state": "running", "pid": 7}, "12": {"state": "stopped"},
      "20": {"state": "running"}}})")
          ->as_struct();
  const JobRun overview = test.run("infra_overview_get", "{}", "alice");
  REQUIRE(overview.text == "");
  CHECK(overview.output_json() == R"({"provider":"fake","nodes":{)"
                                  R"("11":{"name":"n11","state":"running","node_state":"online","pid":7},)"
                                  R"("12":{"name":"n12","state":"stopped","node_state":"offline"},)"
                                  R"("13":{"name":"n13","state":"unknown","node_state":"suspended"},)"
                                  R"("20":{"state":"running","node_state":"not in EXAConf"}}})");
  CHECK(test.run("infra_overview_get", "{}", "carol").code == Code::forbidden);
}

TEST_CASE("infra_overview_get without a provider, or with one that does not tell, says only what is known") {
  Cluster test;
  test.members.live = {11, 13};
  test.services().platform = nullptr;
  const std::string known = R"("nodes":{"11":{"name":"n11","state":"running","node_state":"online"},)"
                            R"("12":{"name":"n12","state":"unknown","node_state":"offline"},)"
                            R"("13":{"name":"n13","state":"running","node_state":"online"}}})";
  CHECK(test.run("infra_overview_get").output_json() == R"({"provider":"none",)" + known);
  test.services().platform = &test.platform;
  test.platform.on_run = nullptr;
  test.platform.failure = base::Error{Code::job_error, "no network"};
  const JobRun failed = test.run("infra_overview_get");
  CHECK(failed.output_json() == R"({"provider":"fake",)" + known);
  CHECK(failed.warns("the platform provider 'fake' did not tell: no network"));
  test.platform.failure.reset();
  CHECK(test.run("infra_overview_get").warns("no struct 'nodes'"));
}

TEST_CASE("infra_deployment_metadata_get tells what there is") {
  Cluster test;
  test.platform.on_run = nullptr;
  test.platform.answer = base::parse_json(R"({"metadata": {"region": "eu"}})")->as_struct();
  test.platform.can_not = {PlatformAction::update_firewall, PlatformAction::update_resources,
                           PlatformAction::update_system,   PlatformAction::update_nodes,
                           PlatformAction::remove_nodes,    PlatformAction::add_nodes,
                           PlatformAction::terminate_nodes};
  const JobRun told = test.run("infra_deployment_metadata_get");
  REQUIRE(told.text == "");
  CHECK(told.output_json() ==
        R"({"provider":"fake","actions":["nodes","metadata","start_nodes","stop_nodes"],)"
        R"("platform":"Vm","cluster_name":"","metadata":{"region":"eu"}})");
  test.services().platform = nullptr;
  CHECK(test.run("infra_deployment_metadata_get").output_json() ==
        R"({"provider":"none","actions":[],"platform":"Vm","cluster_name":"","metadata":{}})");
}

}  // namespace confd::jobs
