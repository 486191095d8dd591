// update_system: a rolling update over an updater as the test wants it.
#include <catch2/catch.hpp>
#include <map>
#include <set>

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

// The other nodes: each with a record of its own, as it is kept there.
struct Others : cluster::PeerLink {
  Others() : PeerLink(11, nullptr, [](int) { return std::nullopt; }) {}
  base::Result<base::Value> call(int node, std::string_view operation, const base::Struct& params,
                                 const Call&) override {
    if (unreachable.contains(node)) return base::Error{Code::node_unreachable, "no route"};
    if (operation == "node.report") return base::Value(base::Struct{{"confd_version", "2.0"}});
    if (operation == "update_record.read") return base::Value(base::Struct{{"record", records[node]}});
    REQUIRE(operation == "update_record.write");
    records[node] = params.find("record")->as_struct();
    return base::Value();
  }
  std::map<int, base::Struct> records;
  std::set<int> unreachable;
};

struct Cluster : JobTest {
  explicit Cluster(const std::string& more_13 = {}) : JobTest(test::three_nodes({}, more_13)) {
    members.cluster_on = true;
    members.live = {11};
    services().updater = &updater;
    services().return_timeout = std::chrono::seconds(60);
    nodes.set_peer_link(others);
  }
  // {"11": "updated", ...} as the record on this node has it.
  std::string states() {
    const auto text = files.read(root + "/spool/update_system.json");
    if (!text) return "none";
    base::Struct states;
    const auto record = base::parse_json(*text);
    for (const auto& [id, node] : record->find("nodes")->as_struct()) states.append(id, *node.find("state"));
    states.append("ended", !record->find("ended")->is_null());
    return base::render_json(states);
  }
  FakePlatform updater;
  Others others;
};

// One node only: what the job does with its own.
struct Single : JobTest {
  Single() { services().updater = &updater; }
  FakePlatform updater;
};

}  // namespace

TEST_CASE("update_system without a hook changes nothing and names the setting") {
  JobTest test;
  const JobRun run = test.run("update_system");
  CHECK(run.code == Code::unsupported);
  CHECK(run.says("`platform: update_hook`"));
}

TEST_CASE("update_system is for the group root alone") {
  Single test;
  CHECK(test.run("update_system", "{}", "alice").code == Code::forbidden);
  const JobDescriptor* job = find_job("update_system");
  CHECK(job->users.empty());
  REQUIRE(job->groups.size() == 1);
  CHECK(job->groups[0] == "root");
  CHECK(test.updater.calls.empty());
}

TEST_CASE("update_system of one node runs the hook for this very node") {
  Single test;
  const JobRun run = test.run("update_system", R"({"tags": true, "target": "2025.1.9"})");
  REQUIRE(run.text == "");
  CHECK(test.updater.asked() == Texts{"update_system 11"});
  const base::Struct& request = test.updater.calls[0].request;
  CHECK(*request.find("self") == base::Value(true));
  CHECK(*request.find("tags") == base::Value(true));
  CHECK(*request.find("target") == base::Value("2025.1.9"));
  CHECK(test.run("update_system").ok());  // the last one had ended: from the beginning
  CHECK(test.updater.calls.size() == 2);
}

TEST_CASE("update_system wants all nodes in service online, and the hook usable") {
  Cluster test;
  const JobRun run = test.run("update_system");
  CHECK(run.code == Code::wrong_state);
  CHECK(run.says("nodes 12, 13 must be online first"));
  CHECK(test.states() == "none");
  test.members.live = {11, 12, 13};
  test.updater.can_not = {PlatformAction::update_system};
  CHECK(test.run("update_system").code == Code::unsupported);
  CHECK(test.updater.calls.empty());
}

TEST_CASE("update_system takes one node at a time, the master last, and waits for each") {
  Cluster test;
  test.members.live = {11, 12, 13};
  Texts live_then;
  int gone = 0, looks = 0;
  test.updater.on_run = [&](const FakePlatform::Call& call) {
    live_then.push_back(std::to_string(test.members.live.size()));
    gone = static_cast<int>(call.request.find("node")->find("nid")->as_int());
    if (gone != 11) std::erase(test.members.live, gone);
    looks = 0;
  };
  test.members.on_look = [&] {
    if (++looks == 3 && test.members.live.size() == 2) test.members.live.push_back(gone);
  };
  const JobRun run = test.run("update_system");
  REQUIRE(run.text == "");
  CHECK(test.updater.asked() == Texts{"update_system 12", "update_system 13", "update_system 11"});
  CHECK(live_then == Texts{"3", "3", "3"});
  CHECK(*test.updater.calls[0].request.find("self") == base::Value(false));
  CHECK(*test.updater.calls[2].request.find("self") == base::Value(true));
  CHECK(test.states() == R"({"12":"updated","13":"updated","11":"updated","ended":true})");
  CHECK(*test.others.records[13].find("nodes")->find("12")->find("confd_version") == base::Value("2.0"));
}

TEST_CASE("update_system stops at the first node that does not come back") {
  Cluster test;
  test.members.live = {11, 12, 13};
  test.updater.on_run = [&](const FakePlatform::Call&) { std::erase(test.members.live, 12); };
  test.members.on_look = [&] { test.clock.advance(std::chrono::seconds(10)); };
  const JobRun run = test.run("update_system");
  CHECK(run.code == Code::timeout);
  CHECK(run.says("stopped at node 12, 0 of 3 nodes are updated: node 12 did not come back within 60 s"));
  CHECK(test.updater.calls.size() == 1);
  CHECK(test.states() == R"({"12":"failed","ended":false})");
  // It holds its lease, but its confd does not answer: not back either.
  test.updater.on_run = nullptr;
  test.members.live = {11, 12, 13};
  test.others.unreachable = {12};
  CHECK(test.run("update_system").code == Code::timeout);
}

TEST_CASE("the next master goes on with an update from the copy it finds on any node") {
  Cluster first;
  first.members.live = {11, 12, 13};
  first.updater.on_run = [&](const FakePlatform::Call& call) {
    // The master dies while node 13 is updated.
    if (call.request.find("node")->find("nid")->as_int() == 13) first.stop.request_stop();
  };
  CHECK(first.run("update_system").code == Code::stopped);
  Cluster next;
  next.members.live = {11, 12, 13};
  next.others.records = {{13, first.others.records[12]}};  // 12, at its next start, has an older one
  const JobRun run = next.run("update_system");
  REQUIRE(run.text == "");
  CHECK(run.warns("goes on"));
  CHECK(next.updater.asked() == Texts{"update_system 13", "update_system 11"});
  // And what had ended begins from the start.
  next.updater.calls.clear();
  REQUIRE(next.run("update_system").text == "");
  CHECK(next.updater.calls.size() == 3);
}

TEST_CASE("a suspended node is left out of an update, with a warning") {
  Cluster test("    State = suspended\n");
  test.members.live = {11, 12};
  const JobRun run = test.run("update_system");
  REQUIRE(run.text == "");
  CHECK(run.warns("node 13 is suspended and was not updated"));
  CHECK(test.updater.asked() == Texts{"update_system 12", "update_system 11"});
}

TEST_CASE("a master that was replaced does not overwrite the state of its successor") {
  Single test;
  REQUIRE(test.run("update_system").ok());
  test.updater.on_run = [&](const FakePlatform::Call&) {
    test.files.put(test.root + "/spool/update_system.json", R"({"sequence": 99})");
  };
  const JobRun run = test.run("update_system");
  CHECK(run.code == Code::conflict);
}

TEST_CASE("a hook that fails stops the update there, and the next call goes on there") {
  Single test;
  test.updater.failure = base::Error{Code::job_error, "no space left"};
  const JobRun failed = test.run("update_system", R"({"target": "x"})");
  CHECK(failed.code == Code::job_error);
  CHECK(failed.says("stopped at node 11, 0 of 1 nodes are updated: no space left; call update_system again"));
  test.updater.failure.reset();
  const JobRun again = test.run("update_system", R"({"target": "x"})");
  REQUIRE(again.text == "");
  CHECK(again.warns("goes on with the update begun at"));
  const JobRun overview = test.run("infra_overview_get");
  CHECK(*overview.output->find("update")->find("nodes")->find("11")->find("state") == base::Value("updated"));
}

TEST_CASE("an update of another kind begins anew and says so") {
  Single test;
  test.updater.failure = base::Error{Code::job_error, "no"};
  REQUIRE_FALSE(test.run("update_system", R"({"target": "x"})").ok());
  test.updater.failure.reset();
  CHECK(test.run("update_system", R"({"target": "y"})").warns("begins anew"));
}

TEST_CASE("a record that can't be read is said, not overwritten") {
  Single test;
  test.files.put(test.root + "/spool/update_system.json", "[");
  const JobRun run = test.run("update_system");
  CHECK(run.code == Code::io_error);
  CHECK(run.says("delete the file to begin anew"));
  CHECK(test.updater.calls.empty());
}

}  // namespace confd::jobs
