#include "cluster/node_logs.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/support/fake_file_system.h"

namespace confd::cluster {
namespace {

struct LogsTest {
  test::FakeFileSystem files;
  NodeControl control{11};

  LogsTest() {
    REQUIRE(files.make_directories("/root/logs/logd", 0700).ok());
    REQUIRE(files.make_directories("/root/spool", 0700).ok());
    register_log_operations(control, files, "/root");
  }
  base::Result<base::Value> run(const std::string& operation, const std::string& params) {
    return control.run(11, operation, base::parse_json(params)->as_struct(), {});
  }
};

}  // namespace

TEST_CASE("log.services names what has a log") {
  LogsTest test;
  for (const std::string name : {"ConfD.log", "ConfD.1.log", "HealthD.log", "notes.txt", ".log"})
    test.files.put("/root/logs/logd/" + name, "");
  CHECK(base::render_json(*test.run("log.services", "{}")) == R"(["ConfD","HealthD"])");
}

TEST_CASE("Names of services are no paths") {
  CHECK(is_service_name("EXASolution_db1"));
  CHECK(is_service_name("ConfD"));
  for (const std::string name : {"", ".", "..", "a/b", "../x", "a.b", "a b"}) {
    CAPTURE(name);
    CHECK_FALSE(is_service_name(name));
  }
}

TEST_CASE("The positions of a tag are kept, privately, across a power cut") {
  LogsTest test;
  CHECK(base::render_json(*test.run("log_tag.read", R"({"tag": "t"})")) == R"({"positions":{}})");
  const std::string positions = R"({"11 ConfD":{"time":"2020-09-13T12:20:00.000000Z","count":2}})";
  REQUIRE(test.run("log_tag.write", R"({"tag": "t", "positions": )" + positions + "}").ok());
  CHECK(test.files.status("/root/spool/log_tags.json")->mode == 0600);
  test.files.power_cut();
  CHECK(base::render_json(*test.run("log_tag.read", R"({"tag": "t"})")) ==
        "{\"positions\":" + positions + "}");
  CHECK(base::render_json(*test.run("log_tag.read", R"({"tag": "u"})")) == R"({"positions":{}})");
}

TEST_CASE("The tag longest unused gives way to the 1001st") {
  LogsTest test;
  const auto write = [&](int number) {
    REQUIRE(
        test.run("log_tag.write", R"({"tag": "t)" + std::to_string(number) + R"(", "positions": {"a": {}}})")
            .ok());
  };
  const auto known = [&](int number) {
    return !test.run("log_tag.read", R"({"tag": "t)" + std::to_string(number) + "\"}")
                ->find("positions")
                ->as_struct()
                .empty();
  };
  for (int i = 0; i < 1000; ++i) write(i);
  write(0);
  write(1000);
  CHECK(known(0));
  CHECK_FALSE(known(1));
  CHECK(known(2));
  CHECK(known(1000));
}

TEST_CASE("A broken list of tags is an error that says what to do") {
  LogsTest test;
  for (const std::string text : {"", "[]", "{\"t\": 1}"}) {
    test.files.put("/root/spool/log_tags.json", text);
    const auto answer = test.run("log_tag.read", R"({"tag": "t"})");
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().text.find("delete the file") != std::string::npos);
  }
}

}  // namespace confd::cluster
