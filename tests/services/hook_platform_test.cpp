// The provider `hook` with real programs.
#include "services/hook_platform.h"

#include <catch2/catch.hpp>
#include <thread>

#include "base/json.h"
#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

namespace confd::services {
namespace {

using base::Code;
using std::chrono::milliseconds;
using test::TemporaryFolder;

struct Hook {
  explicit Hook(const std::string& body) : path(folder.script("hook", body)) {}
  PlatformAnswer run(PlatformAction action, const std::string& request = "{}",
                     const PlatformLimits& limits = {}) {
    return platform().run(action, base::parse_json(request)->as_struct(), limits);
  }
  HookPlatform& platform() {
    if (!made) {
      HookPlatform::Options options;
      options.path = path;
      options.setting = "platform: hook";
      options.cluster = "exacluster1";
      options.directory = folder.path();
      options.longest_look = longest_look;
      options.grace = milliseconds(200);
      made.emplace(options);
    }
    return *made;
  }

  TemporaryFolder folder;
  std::string path;
  milliseconds longest_look{60'000};
  std::optional<HookPlatform> made;
};

void check_failure(const PlatformAnswer& answer, Code code, const std::string& part) {
  REQUIRE_FALSE(answer.result.ok());
  CAPTURE(answer.result.error().text);
  CHECK(answer.result.error().code == code);
  CHECK(answer.result.error().text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a hook gets the action as argument and the request by standard input, and answers an object") {
  Hook hook(
      "echo \"$@\" > argument; cat > input; env > environment; echo working >&2; echo '{\"done\": [12]}'\n");
  ::setenv("CONFD_TEST_SECRET", "hunter2", 1);
  const PlatformAnswer answer =
      hook.run(PlatformAction::start_nodes, R"({"nodes": [{"nid": 12}], "token": "t"})");
  ::unsetenv("CONFD_TEST_SECRET");
  REQUIRE(answer.result.ok());
  CHECK(base::render_json(*answer.result) == R"({"done":[12]})");
  CHECK(answer.log == "working\n");
  CHECK(hook.folder.read("argument") == "start_nodes\n");
  CHECK(hook.folder.read("input") ==
        R"({"action":"start_nodes","protocol":1,"cluster":"exacluster1","nodes":[{"nid":12}],"token":"t"})"
        "\n");
  const std::string environment = hook.folder.read("environment");
  CHECK(environment.find("PATH=") != std::string::npos);
  CHECK(environment.find("hunter2") == std::string::npos);
}

TEST_CASE("a hook that says nothing has done its work") {
  Hook hook("exit 0\n");
  const PlatformAnswer answer = hook.run(PlatformAction::stop_nodes);
  REQUIRE(answer.result.ok());
  CHECK(answer.result->empty());
}

TEST_CASE("what a hook's exit code says, and its reason") {
  struct Case {
    std::string body;
    Code code;
    std::string text;
  };
  for (const Case& each : {
           Case{"echo 'no such thing here' >&2; exit 3\n", Code::unsupported,
                "can't do this: no such thing here"},
           Case{"echo '{\"error\": \"a plan is open\"}'; exit 4\n", Code::wrong_state,
                "refused: a plan is open"},
           Case{"echo first >&2; echo last >&2; echo >&2; exit 1\n", Code::job_error, "exit code 1: last"},
           Case{"exit 9\n", Code::job_error, "it did not say why"},
           Case{"kill -KILL $$\n", Code::job_error, "signal 9"},
           Case{"echo 'done!'\n", Code::job_error, "no JSON"},
           Case{"echo '[1, 2]'\n", Code::job_error, "must answer a JSON object, not array"},
           Case{"yes '{'\n", Code::job_error, "more than 1 MiB"},
       }) {
    CAPTURE(each.body);
    Hook hook(each.body);
    const PlatformAnswer answer = hook.run(PlatformAction::add_nodes);
    check_failure(answer, each.code, each.text);
    CHECK(answer.result.error().text.find("(add_nodes)") != std::string::npos);
  }
}

TEST_CASE("a hook that is too slow is ended; looking has a shorter time than changing") {
  Hook hook("exec sleep 300\n");
  hook.longest_look = milliseconds(100);
  check_failure(hook.run(PlatformAction::nodes), Code::timeout, "did not end within 0 s");
  check_failure(hook.run(PlatformAction::start_nodes, "{}", {.timeout = milliseconds(100), .stop = {}}),
                Code::timeout, "see infra_overview_get");
}

TEST_CASE("job_stop ends a hook") {
  Hook hook("echo > begun; exec sleep 300\n");
  std::stop_source stop;
  std::jthread stopper([&] {
    (void)test::eventually([&] { return !hook.folder.read("begun").empty(); });
    stop.request_stop();
  });
  check_failure(hook.run(PlatformAction::start_nodes, "{}", {.stop = stop.get_token()}), Code::stopped,
                "job_stop");
}

TEST_CASE("two actions that change something are not run at the same time") {
  Hook hook("test ! -e busy || exit 1; echo > busy; sleep 0.2; rm busy\n");
  hook.platform();
  std::jthread other([&] { CHECK(hook.run(PlatformAction::start_nodes).result.ok()); });
  CHECK(hook.run(PlatformAction::stop_nodes).result.ok());
}

TEST_CASE("one that waits for another action can be stopped, and does not wait for ever") {
  Hook hook("echo > begun; exec sleep 300\n");
  hook.platform();
  std::stop_source first, second;
  std::jthread running(
      [&] { (void)hook.run(PlatformAction::start_nodes, "{}", {.stop = first.get_token()}); });
  REQUIRE(test::eventually([&] { return !hook.folder.read("begun").empty(); }));
  check_failure(hook.run(PlatformAction::stop_nodes, "{}", {.timeout = milliseconds(50), .stop = {}}),
                Code::timeout, "another action of the platform");
  second.request_stop();
  check_failure(hook.run(PlatformAction::stop_nodes, "{}", {.stop = second.get_token()}), Code::stopped,
                "job_stop");
  first.request_stop();
}

TEST_CASE(
    "a hook that is not there, is no program, or can be written by anybody is refused before the job "
    "begins") {
  Hook absent("");
  REQUIRE(std::filesystem::remove(absent.path));
  const auto refused = absent.platform().check(PlatformAction::start_nodes);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::not_found);
  CHECK(refused.error().text.find("`platform: hook` in etc/confd.yaml") != std::string::npos);
  check_failure(absent.run(PlatformAction::start_nodes), Code::not_found, absent.path);
  Hook text("");
  REQUIRE(::chmod(text.path.c_str(), 0600) == 0);
  CHECK(text.platform().check(PlatformAction::nodes).error().text.find("not an executable") !=
        std::string::npos);
  Hook open("exit 0\n");
  REQUIRE(::chmod(open.path.c_str(), 0777) == 0);
  CHECK(open.platform().check(PlatformAction::nodes).error().text.find("nobody else may write") !=
        std::string::npos);
}

TEST_CASE("a hook that is for updates only is asked for nothing else") {
  TemporaryFolder folder;
  const HookPlatform updater({.path = folder.script("hook", "exit 0\n"),
                              .setting = "platform: update_hook",
                              .cluster = "c",
                              .directory = "/",
                              .only = {PlatformAction::update_system}});
  CHECK(updater.check(PlatformAction::update_system).ok());
  CHECK(updater.check(PlatformAction::stop_nodes).error().code == Code::unsupported);
}

}  // namespace confd::services
