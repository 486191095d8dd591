#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"

namespace confd::jobs {

using base::Code;
using test::JobRun;
using test::JobTest;

TEST_CASE("group_create makes a group") {
  JobTest test;
  const JobRun run = test.run("group_create", R"({"groupname": "auditors", "groupid": "3000"})", "alice");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "no output");
  REQUIRE(test.config().group("auditors") != nullptr);
  CHECK(test.config().group("auditors")->id == 3000);
}

TEST_CASE("group_create refuses taken names and ids, bad names and bad callers") {
  JobTest test;
  const auto create = [&](const std::string& name, const std::string& id, const std::string& user = "root") {
    return test.run("group_create", R"({"groupname": ")" + name + R"(", "groupid": )" + id + "}", user);
  };
  CHECK(create("reporting", "3000").code == Code::exists);
  CHECK(create("auditors", "2000").code == Code::exists);
  CHECK(create("auditors", "2000").says("'reporting'"));
  CHECK(create("9lives", "3000").code == Code::bad_parameter);
  CHECK(create("exahugepages", "3000").code == Code::bad_parameter);
  CHECK(create("auditors", "55554").code == Code::bad_parameter);
  CHECK(create("auditors", "-5").code == Code::bad_parameter);
  CHECK(create("auditors", "[1]").says("'groupid': must be an integer"));
  CHECK(create("auditors", "3000", "dave").code == Code::forbidden);
  CHECK(test.run("group_create", R"({"groupname": "auditors"})").says("'groupid': is missing"));
  CHECK(test.config().revision() == 3);
}

TEST_CASE("group_create makes the section where EXAConf has none") {
  std::string text = test::small_config_text();
  const std::size_t groups = text.find("[Groups]");
  const std::size_t users = text.find("[Users]");
  const std::size_t node = text.find("[Node : 11]");
  text = text.substr(0, groups) + text.substr(node);
  // Nobody owns anything then.
  for (std::size_t at = text.find("    Owner"); at != std::string::npos; at = text.find("    Owner"))
    text.erase(at, text.find('\n', at) - at + 1);
  REQUIRE(users > groups);
  JobTest test(text);
  REQUIRE(test.run("group_create", R"({"groupname": "auditors", "groupid": 3000})").text == "");
  CHECK(test.config().group("auditors")->id == 3000);
}

TEST_CASE("group_delete removes an unused group") {
  JobTest test(
      test::small_config_text("    [[eve]]\n        ID = 1100\n        Group = exausers\n"
                              "        LoginEnabled = True\n"));
  REQUIRE(test.run("user_modify", R"({"username": "alice", "additional_groups": []})").ok());
  const JobRun run = test.run("group_delete", R"({"groupname": "reporting"})");
  REQUIRE(run.text == "");
  CHECK(test.config().group("reporting") == nullptr);
}

TEST_CASE("group_delete refuses strangers, built-in groups, groups in use and owners") {
  JobTest test;
  const auto remove = [&](const std::string& name, const std::string& user = "root") {
    return test.run("group_delete", R"({"groupname": ")" + name + "\"}", user);
  };
  CHECK(remove("nogroup").code == Code::not_found);
  CHECK(remove("exasaasadm").code == Code::wrong_state);
  CHECK(remove("exasaasadm").says("built in"));
  CHECK(remove("reporting").code == Code::busy);
  CHECK(remove("reporting").says("alice"));
  CHECK(remove("empty").code == Code::busy);
  CHECK(remove("empty").says("RemoteVolume : backups"));
  CHECK(remove("reporting", "dave").code == Code::forbidden);
  CHECK(test.run("group_delete", R"({"groupname": false})").says("'groupname': must be a string"));
  CHECK(test.config().revision() == 3);
}

TEST_CASE("group_info and group_list show ids") {
  JobTest test;
  CHECK(test.run("group_info", R"({"groupname": "exaadm"})").output_json() == R"({"id":499})");
  CHECK(test.run("group_info", R"({"groupname": "nogroup"})").code == Code::not_found);
  CHECK(test.run("group_info").code == Code::bad_parameter);
  CHECK(test.run("group_info", R"({"groupname": "exaadm"})", "dave").code == Code::forbidden);
  const JobRun list = test.run("group_list", "{}", "alice");
  REQUIRE(list.ok());
  CHECK(list.output->as_struct().size() == 9);
  CHECK(base::render_json(*list.output->find("root")) == R"({"id":0})");
  CHECK(test.run("group_list", "{}", "dave").code == Code::forbidden);
}

}  // namespace confd::jobs
