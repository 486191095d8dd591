#include <stdlib.h>
#include <time.h>

#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

// Times that callers give are local; the tests run in UTC, two hours east once.
struct TimeZone {
  explicit TimeZone(const char* name) {
    setenv("TZ", name, 1);
    tzset();
  }
  ~TimeZone() {
    unsetenv("TZ");
    tzset();
  }
};

// The fake clock stands at 2020-09-13T12:26:40Z.
struct LogTest : JobTest {
  TimeZone zone{"UTC"};
  void log(const std::string& file, const std::string& text) { files.put(root + "/logs/logd/" + file, text); }
  std::vector<std::string> texts(const std::string& params, const std::string& user = "root") {
    const JobRun run = this->run("log_collect", params, user);
    if (!run.ok()) FAIL(run.text);
    std::vector<std::string> found;
    for (const base::Value& event : run.output->as_array()) found.push_back(event.find("text")->as_string());
    return found;
  }
};

using Texts = std::vector<std::string>;

const std::string kRecent =
    "2020-09-13T12:10:00.000000Z INFO  long ago\n"
    "2020-09-13T12:20:00.000000Z ERR   database exa is down\n"
    "2020-09-13T12:21:00.000000Z WARN  example of exam\n"
    "2020-09-13T12:22:00.000000Z NOTICE started\n"
    "2020-09-13T12:23:00.000000Z INFO  request one\n"
    "2020-09-13T12:24:00.000000Z DEBUG detail\n";

}  // namespace

TEST_CASE("log_collect shows events of the last ten minutes") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  const JobRun run = test.run("log_collect", R"({"services": ["ConfD"]})", "dave");
  REQUIRE(run.text == "");
  REQUIRE(run.output->as_array().size() == 5);
  CHECK(base::render_json(run.output->as_array()[0]) ==
        R"({"time":"2020-09-13T12:20:00.000000Z","service":"ConfD","node":11,"level":"ERR",)"
        R"("text":"database exa is down"})");
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].name == "log.read");
  CHECK(run.commands[0].output.find("events")->as_string() == "5 items");
}

TEST_CASE("log_collect filters by time, in local time, both ends included") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  CHECK(test.texts(R"({"services": ["ConfD"], "start_time": "2020-09-13 12:21:00",)"
                   R"( "stop_time": "2020-09-13 12:22:00"})") == Texts{"example of exam", "started"});
  CHECK(test.texts(R"({"services": ["ConfD"], "stop_time": "2020-09-13 12:15:00"})") == Texts{"long ago"});
  TimeZone east("TWO-2");
  CHECK(test.texts(R"({"services": ["ConfD"], "start_time": "2020-09-13 14:23:00",)"
                   R"( "stop_time": "2020-09-13 14:23:00"})") == Texts{"request one"});
}

TEST_CASE("log_collect takes end_time as the published example writes it") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  const std::string params = R"({"services": ["ConfD"], "start_time": "2020-09-13 12:00:00",)"
                             R"( "end_time": "2020-09-13 12:10:00"})";
  CHECK(test.texts(params) == Texts{"long ago"});
  CHECK(test.run("log_collect", params).warnings.empty());
}

TEST_CASE("log_collect looks back as far as default_interval says") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  const auto count = [&](const std::string& interval) {
    return test.texts(R"({"services": ["ConfD"], "default_interval": )" + interval + "}").size();
  };
  CHECK(count("\"1h\"") == 6);
  CHECK(count("\"4m 45s\"") == 3);
  CHECK(count("\"4m45\"") == 3);
  CHECK(count("285") == 3);
  CHECK(count("\"1w 1d 1h 1m 1s\"") == 6);
  CHECK(count("0") == 0);
  for (const std::string bad :
       {"\"\"", "\"10 minutes\"", "\"5m 1h\"", "\"-5\"", "\"m\"", "-5", "\"99999999999999w\"", "\"1h 1h\""}) {
    CAPTURE(bad);
    const JobRun run = test.run("log_collect", R"({"services": ["ConfD"], "default_interval": )" + bad + "}");
    CHECK(run.code == Code::bad_parameter);
    CHECK(run.says("'default_interval'"));
  }
}

TEST_CASE("log_collect filters by severity and by database") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  CHECK(test.texts(R"({"services": ["ConfD"], "error_level": "WARN"})") ==
        Texts{"database exa is down", "example of exam"});
  CHECK(test.texts(R"({"services": ["ConfD"], "error_level": "INFO"})").size() == 4);
  CHECK(test.texts(R"({"services": ["ConfD"], "dbs": ["exa"]})") == Texts{"database exa is down"});
  CHECK(test.texts(R"({"services": ["ConfD"], "dbs": ["GWqmK_AcTAqj4QChEcddCQ", "exa"]})") ==
        Texts{"database exa is down"});
  CHECK(test.run("log_collect", R"({"services": ["ConfD"], "dbs": ["nodb"]})").code == Code::not_found);
  const JobRun level = test.run("log_collect", R"({"services": ["ConfD"], "error_level": "FATAL"})");
  CHECK(level.code == Code::bad_parameter);
  CHECK(level.says("ERR, WARN, NOTICE, INFO"));
}

TEST_CASE("log_collect reads rotated files, whichever way they are numbered, in order of time") {
  LogTest test;
  SECTION("ConfD.1.log") {
    test.log("ConfD.2.log", "2020-09-13T12:18:00.000000Z INFO  first\n");
    test.log("ConfD.1.log", "2020-09-13T12:19:00.000000Z INFO  second\n");
  }
  SECTION("ConfD.log.1") {
    test.log("ConfD.log.2", "2020-09-13T12:18:00.000000Z INFO  first\n");
    test.log("ConfD.log.1", "2020-09-13T12:19:00.000000Z INFO  second\n");
  }
  test.log("ConfD.log", "2020-09-13T12:20:00.000000Z INFO  third\n");
  test.log("ConfDump.log", "2020-09-13T12:20:00.000000Z INFO  another service\n");
  CHECK(test.texts(R"({"services": ["ConfD"]})") == Texts{"first", "second", "third"});
}

TEST_CASE("Lines of another shape belong to the event before") {
  LogTest test;
  test.log("ConfD.log", "cut off\n2020-09-13T12:20:00.000000Z ERR   traceback\n  line 1\n\n  line 2\n");
  CHECK(test.texts(R"({"services": ["ConfD"]})") == Texts{"traceback\n  line 1\n  line 2"});
}

TEST_CASE("log_collect merges services and notes those without a log") {
  LogTest test;
  test.log("ConfD.log", "2020-09-13T12:20:00.000000Z INFO  a\n2020-09-13T12:22:00.000000Z INFO  c\n");
  test.log("HealthD.log", "2020-09-13T12:21:00.000000Z INFO  b\n");
  const std::string params = R"({"services": ["ConfD", "DWAd", "HealthD", "ConfD"]})";
  CHECK(test.texts(params) == Texts{"a", "b", "c"});
  CHECK(test.run("log_collect", params).warns("'DWAd'"));
  const JobRun none = test.run("log_collect", R"({"services": ["DWAd"]})");
  CHECK(none.code == Code::not_found);
  CHECK(none.says("DWAd"));
}

TEST_CASE("A service name can't leave the folder of the logs") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  test.files.put(test.root + "/etc/EXAConf.log", "2020-09-13T12:20:00.000000Z INFO  secret\n");
  for (const std::string name : {"../../etc/EXAConf", "/etc/passwd", "ConfD.log", "", "a b"}) {
    CAPTURE(name);
    CHECK(test.run("log_collect", R"({"services": [")" + name + "\"]}").code == Code::not_found);
  }
}

TEST_CASE("log_collect refuses bad times, nodes, services and callers") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  for (const std::string bad :
       {R"("start_time": "yesterday")", R"("start_time": "2020-02-31 00:00:00")",
        R"("start_time": "2020-09-13")", R"("stop_time": "2020-09-13 12:20:00 CET")", R"("tag": "")",
        R"("nodes": ["n11"])", R"("nodes": 11)", R"("services": "ConfD")", R"("services": [])",
        R"("services": [1])", R"("start_time": "2020-09-13 12:21:00", "stop_time": "2020-09-13 12:20:00")"}) {
    CAPTURE(bad);
    const std::string rest = bad.find("services") == std::string::npos ? R"(, "services": ["ConfD"])" : "";
    CHECK(test.run("log_collect", "{" + bad + rest + "}").code == Code::bad_parameter);
  }
  CHECK(test.run("log_collect", R"({"services": ["ConfD"], "nodes": [12]})").code == Code::not_found);
  CHECK(test.texts(R"({"services": ["ConfD"], "nodes": ["11", 11]})").size() == 5);
  CHECK(test.run("log_collect").says("'services': is missing"));
  CHECK(test.run("log_collect", R"({"services": ["ConfD"]})", "carol").code == Code::forbidden);
}

TEST_CASE("A tag returns each event once") {
  LogTest test;
  const std::string params = R"({"services": ["ConfD"], "tag": "TagWord"})";
  std::string text = "2020-09-13T12:20:00.000000Z INFO  a\n2020-09-13T12:21:00.000000Z INFO  b\n";
  test.log("ConfD.log", text);
  CHECK(test.texts(params) == Texts{"a", "b"});
  CHECK(test.texts(params) == Texts{});
  // Two more at the very time of the last one, one later.
  text += "2020-09-13T12:21:00.000000Z INFO  c\n2020-09-13T12:21:00.000000Z INFO  d\n";
  test.log("ConfD.log", text);
  CHECK(test.texts(params) == Texts{"c", "d"});
  text += "2020-09-13T12:22:00.000000Z INFO  e\n";
  test.log("ConfD.log", text);
  CHECK(test.texts(params) == Texts{"e"});
  CHECK(test.texts(R"({"services": ["ConfD"], "tag": "another"})").size() == 5);
}

TEST_CASE("A tag goes on across a rotation, a longer time and a power cut") {
  LogTest test;
  const std::string params = R"({"services": ["ConfD"], "tag": "TagWord"})";
  test.log("ConfD.log", "2020-09-13T12:20:00.000000Z INFO  a\n");
  CHECK(test.texts(params) == Texts{"a"});
  test.files.power_cut();
  test.log("ConfD.1.log", "2020-09-13T12:20:00.000000Z INFO  a\n2020-09-13T12:30:00.000000Z INFO  b\n");
  test.log("ConfD.log", "2020-09-13T15:00:00.000000Z INFO  c\n");
  test.clock.advance(std::chrono::hours(24));
  CHECK(test.texts(params) == Texts{"b", "c"});
}

TEST_CASE("A tag skips what its filters left out, and goes on where stop_time ended") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  CHECK(test.texts(R"({"services": ["ConfD"], "tag": "t", "error_level": "ERR"})").size() == 1);
  CHECK(test.texts(R"({"services": ["ConfD"], "tag": "t"})") == Texts{});
  CHECK(test.texts(R"({"services": ["ConfD"], "tag": "u", "stop_time": "2020-09-13 12:21:00"})").size() == 2);
  CHECK(test.texts(R"({"services": ["ConfD"], "tag": "u"})") == Texts{"started", "request one", "detail"});
}

TEST_CASE("A dry run does not move the tag") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  const std::string params = R"({"services": ["ConfD"], "tag": "t"})";
  CHECK(test.run("log_collect", params, "root", true).ok());
  CHECK(test.texts(params).size() == 5);
}

TEST_CASE("A tag that can't be stored fails the job, and the events come again") {
  LogTest test;
  test.log("ConfD.log", kRecent);
  const std::string params = R"({"services": ["ConfD"], "tag": "t"})";
  test.files.fail_from(test.files.calls() + 1);
  CHECK(test.run("log_collect", params).code == Code::io_error);
  test.files.kill();
  CHECK(test.texts(params).size() == 5);
}

TEST_CASE("More events than one call may return: the newest, or with a tag piece by piece") {
  LogTest test;
  std::string text;
  for (int i = 0; i < 10500; ++i)
    text += "2020-09-13T12:20:00." + std::to_string(100000 + i) + "Z INFO  " + std::to_string(i) + "\n";
  test.log("ConfD.log", text);
  const JobRun newest = test.run("log_collect", R"({"services": ["ConfD"]})");
  REQUIRE(newest.ok());
  CHECK(newest.warns("newest"));
  REQUIRE(newest.output->as_array().size() == 10000);
  CHECK(newest.output->as_array().front().find("text")->as_string() == "500");
  const JobRun first = test.run("log_collect", R"({"services": ["ConfD"], "tag": "t"})");
  CHECK(first.warns("call again"));
  CHECK(first.output->as_array().back().find("text")->as_string() == "9999");
  const JobRun second = test.run("log_collect", R"({"services": ["ConfD"], "tag": "t"})");
  CHECK(second.warnings.empty());
  REQUIRE(second.output->as_array().size() == 500);
  CHECK(second.output->as_array().front().find("text")->as_string() == "10000");
}

}  // namespace confd::jobs
