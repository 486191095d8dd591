// The provider local with real processes: a double of confd (double/fake_confd.cpp) that is started, found,
// stopped.
#include "services/local_platform.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>

#include "base/json.h"
#include "base/text.h"
#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

namespace confd::services {
namespace {

using base::Code;
using test::TemporaryFolder;

const std::string kProgram = std::string(CONFD_BINARY_DIR) + "/bin/fake_confd";

struct Machine {
  Machine() {
    std::filesystem::create_directories(folder / "first/etc");
    options.own_node = 11;
    options.own_root = std::filesystem::canonical(folder / "first");
    options.folder = std::filesystem::canonical(folder.path());
    options.program = std::filesystem::canonical(kProgram);
    options.join_port = 20003;
    options.can_join = true;
    options.settings = "log:\n  level: debug\n";
    options.start_patience = std::chrono::seconds(20);
  }
  ~Machine() {
    for (const int id : {12, 13})
      if (const auto pid = process(id); pid > 1) ::kill(pid, SIGKILL);
  }
  void make_root(int id) const {
    std::filesystem::create_directories(root(id) + "/etc");
    std::ofstream(root(id) + "/etc/EXAConf") << "text\n";
  }
  std::string root(int id) const { return folder / ("n" + std::to_string(id)); }
  pid_t process(int id) const {
    return static_cast<pid_t>(
        base::parse_int(base::trim(folder.read("n" + std::to_string(id) + "/run/confd.pid"))).value_or(0));
  }
  LocalPlatform& platform() {
    if (!made) made.emplace(options);
    return *made;
  }
  // `more`: further members of the request, as JSON, from the second on.
  PlatformAnswer run(PlatformAction action, const std::vector<int>& nodes, const std::string& more = {},
                     const PlatformLimits& limits = {}) {
    std::string text;
    for (const int id : nodes)
      text += (text.empty() ? "" : ", ") + std::string("{\"nid\": ") + std::to_string(id) + "}";
    const auto request = base::parse_json("{\"nodes\": [" + text + "]" + more + "}");
    return platform().run(action, request->as_struct(), limits);
  }
  // Of these nodes only.
  std::string states(const std::vector<int>& nodes) {
    const PlatformAnswer answer = run(PlatformAction::nodes, nodes);
    REQUIRE(answer.result.ok());
    std::string text;
    for (const auto& [id, node] : answer.result->find("nodes")->as_struct())
      if (std::find(nodes.begin(), nodes.end(), *base::parse_int(id)) != nodes.end())
        text += (text.empty() ? "" : " ") + id + "=" + node.find("state")->as_string();
    return text;
  }

  TemporaryFolder folder;
  LocalPlatform::Options options;
  std::optional<LocalPlatform> made;
};

void check_ok(const PlatformAnswer& answer) {
  if (!answer.result.ok()) FAIL(answer.result.error().text);
}

void check_failure(const PlatformAnswer& answer, Code code, const std::string& part) {
  REQUIRE_FALSE(answer.result.ok());
  CAPTURE(answer.result.error().text);
  CHECK(answer.result.error().code == code);
  CHECK(answer.result.error().text.find(part) != std::string::npos);
}

const std::string kJoin =
    R"(, "join": {"address": "127.0.0.11", "tokens": {"12": "12.good", "13": "13.bad"}})";

}  // namespace

TEST_CASE("a node is started, found again by another provider, not started twice, and stopped") {
  Machine machine;
  machine.make_root(12);
  CHECK(machine.states({11, 12, 13}) == "11=running 12=stopped 13=absent");
  check_ok(machine.run(PlatformAction::start_nodes, {12}));
  const pid_t process = machine.process(12);
  REQUIRE(process > 1);
  CHECK(::getpgid(process) == process);
  CHECK(machine.states({12}) == "12=running");

  machine.made.reset();  // the next confd
  CHECK(machine.states({12}) == "12=running");
  const PlatformAnswer again = machine.run(PlatformAction::start_nodes, {12});
  check_ok(again);
  CHECK(again.log == "node 12 runs already\n");
  CHECK(machine.process(12) == process);

  check_ok(machine.run(PlatformAction::stop_nodes, {12}));
  CHECK(machine.states({12}) == "12=stopped");
  CHECK(machine.run(PlatformAction::terminate_nodes, {12}).log == "node 12 does not run\n");
}

TEST_CASE("a process id that belongs to somebody else is nobody's node, and gets no signal") {
  Machine machine;
  machine.make_root(12);
  machine.make_root(13);
  std::filesystem::create_directories(machine.root(12) + "/run");
  // This test itself: another program.
  machine.folder.write("n12/run/confd.pid", std::to_string(::getpid()) + "\n");
  CHECK(machine.states({12}) == "12=stopped");
  check_ok(machine.run(PlatformAction::stop_nodes, {12}));
  // The same program, of another root.
  check_ok(machine.run(PlatformAction::start_nodes, {13}));
  machine.folder.write("n12/run/confd.pid", std::to_string(machine.process(13)) + "\n");
  CHECK(machine.states({12, 13}) == "12=stopped 13=running");
  check_ok(machine.run(PlatformAction::stop_nodes, {12}));
  CHECK(machine.states({13}) == "13=running");
  check_ok(machine.run(PlatformAction::start_nodes, {12}));
  CHECK(machine.states({12, 13}) == "12=running 13=running");
}

TEST_CASE("a node that somebody started with a relative path, or through a link, is found") {
  Machine machine;
  machine.make_root(12);
  const auto started = base::start_detached(
      {{machine.options.program, "--root", "n12"}, {}, machine.folder.path()}, machine.folder / "log");
  REQUIRE(started.ok());
  CHECK(test::eventually([&] { return machine.states({12}) == "12=running"; }));
  std::filesystem::create_directory_symlink(machine.root(12), machine.root(13));
  CHECK(machine.states({13}) == "13=running");
  CHECK(machine.run(PlatformAction::nodes, {}).result->find("nodes")->as_struct().size() ==
        2);  // whose roots are there
}

TEST_CASE("a node that ends at once, has no root or does not listen is said to") {
  Machine machine;
  check_failure(machine.run(PlatformAction::start_nodes, {12}), Code::not_found, "node 12 has no root at");
  machine.make_root(12);
  machine.folder.write("n12/refuse", "");
  check_failure(machine.run(PlatformAction::start_nodes, {12}), Code::job_error,
                "ended at once: EXAConf is broken");
  machine.make_root(13);
  machine.folder.write("n13/deaf", "");
  check_ok(machine.run(PlatformAction::start_nodes, {13}));
  check_failure(machine.run(PlatformAction::stop_nodes, {13}, {},
                            {.timeout = std::chrono::milliseconds(100), .stop = {}}),
                Code::timeout, "node 13 did not end within");
  std::stop_source stop;
  stop.request_stop();
  check_failure(machine.run(PlatformAction::stop_nodes, {13}, {}, {.stop = stop.get_token()}), Code::stopped,
                "job_stop");
  CHECK(machine.states({13}) == "13=running");
}

TEST_CASE("nodes are added by a token through standard input, with this node's settings, and removed again") {
  Machine machine;
  machine.options.port = 20017;
  check_ok(machine.run(PlatformAction::add_nodes, {12}, kJoin));
  CHECK(machine.folder.read("n12/etc/EXAConf") == "joined 127.0.0.11:20003\n");
  CHECK(machine.folder.read("n12/etc/confd.yaml") == machine.options.settings);
  const std::string command =
      machine.folder.read("../../proc/" + std::to_string(machine.process(12)) + "/cmdline");
  CHECK(command.find("20017") != std::string::npos);
  CHECK(command.find("good") == std::string::npos);
  // So that the others find the first one, when one of them is master.
  CHECK(std::filesystem::read_symlink(machine.root(11)) == machine.options.own_root);
  // A call after a crash goes on where it was.
  check_ok(machine.run(PlatformAction::stop_nodes, {12}));
  check_ok(machine.run(PlatformAction::add_nodes, {12}, kJoin));
  CHECK(machine.states({11, 12}) == "11=running 12=running");

  check_ok(machine.run(PlatformAction::remove_nodes, {12}));
  CHECK_FALSE(std::filesystem::exists(machine.root(12)));
  check_ok(machine.run(PlatformAction::remove_nodes, {12}));
}

TEST_CASE("a root that was not made here is not deleted") {
  Machine machine;
  machine.make_root(12);
  const PlatformAnswer removed = machine.run(PlatformAction::remove_nodes, {12});
  check_ok(removed);
  CHECK(removed.log.find("was not made by infra_instances_add and stays") != std::string::npos);
  CHECK(std::filesystem::exists(machine.root(12) + "/etc/EXAConf"));
}

TEST_CASE("a node that can't join is not started, and can be tried again") {
  Machine machine;
  check_failure(machine.run(PlatformAction::add_nodes, {13}, kJoin), Code::job_error,
                "node 13 could not join: the token is not accepted");
  CHECK(machine.states({11, 13}) == "11=running 13=absent");
  check_ok(machine.run(PlatformAction::add_nodes, {13},
                       R"(, "join": {"address": "127.0.0.11", "tokens": {"13": "13.good"}})"));
  check_failure(machine.run(PlatformAction::add_nodes, {12}), Code::unsupported, "join tokens");
}

TEST_CASE("the provider local says what it can't do") {
  Machine machine;
  check_failure(machine.run(PlatformAction::stop_nodes, {11}), Code::wrong_state, "carries the action out");
  for (const PlatformAction action : {PlatformAction::update_nodes, PlatformAction::update_firewall,
                                      PlatformAction::update_resources, PlatformAction::update_system})
    check_failure(machine.run(action, {}), Code::unsupported, "can't do " + std::string(action_name(action)));
  machine.made.reset();
  machine.options.can_join = false;
  check_failure(machine.run(PlatformAction::add_nodes, {12}, kJoin), Code::unsupported,
                "cluster: store: local");
  const PlatformAnswer told = machine.run(PlatformAction::metadata, {});
  check_ok(told);
  CHECK(told.result->find("metadata")->find("started_by")->as_string() == "confd, as detached processes");
}

TEST_CASE("with systemd a node is a transient unit") {
  Machine machine;
  machine.make_root(12);
  // Keeps what it was called with and runs it as systemd would: apart.
  machine.options.systemd_run =
      machine.folder.script("systemd-run", "echo \"$@\" > " + (machine.folder / "called") +
                                               "\nwhile [ \"$1\" != -- ]; do shift; done; shift\n"
                                               "/usr/bin/setsid --fork \"$@\" </dev/null >/dev/null 2>&1\n");
  check_ok(machine.run(PlatformAction::start_nodes, {12}));
  CHECK(machine.states({12}) == "12=running");
  const std::string called = machine.folder.read("called");
  CHECK(called.find("--collect") != std::string::npos);
  CHECK(called.find("--unit=confd-n12-") != std::string::npos);
  CHECK(called.find("-- " + machine.options.program + " --root") != std::string::npos);
  check_ok(machine.run(PlatformAction::stop_nodes, {12}));
  CHECK(machine.states({12}) == "12=stopped");

  machine.made.reset();
  machine.options.systemd_run = machine.folder.script("systemd-run", "echo 'no bus' >&2; exit 1\n");
  check_failure(machine.run(PlatformAction::start_nodes, {12}), Code::job_error,
                "systemd did not start node 12: no bus");
}

}  // namespace confd::services
