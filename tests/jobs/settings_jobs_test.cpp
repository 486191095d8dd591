#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

// general_settings with one change, the value as JSON.
JobRun change(JobTest& test, const std::string& section, const std::string& key, const std::string& value,
              const std::string& user = "root") {
  return test.run("general_settings",
                  R"({"changes": {")" + section + R"(": {")" + key + R"(": )" + value + "}}}", user);
}

}  // namespace

TEST_CASE("settings_list shows chosen keys as text") {
  JobTest test;
  CHECK(test.run("settings_list", R"({"sections": {"Global": ["NameServers", "XMLRPCPort"]}})", "alice")
            .output_json() == R"({"Global":{"NameServers":"","XMLRPCPort":"20003"}})");
}

TEST_CASE("settings_list shows everything, subsections inside") {
  JobTest test;
  const JobRun run = test.run("settings_list");
  REQUIRE(run.ok());
  CHECK(run.output->find("Node : 11")->find("Disk : disk1")->find("Devices")->as_string() == "dev.1,");
  CHECK(run.output->find("Users")->find("alice")->find("ID")->as_string() == "1001");
  CHECK(test.run("settings_list", R"({"sections": {}})").output == run.output);
}

TEST_CASE("settings_list shows no secret") {
  JobTest test;
  const std::string all = test.run("settings_list").output_json();
  for (const std::string& secret : {std::string("dG9rZW50"), test::kWonderland, std::string("c3luY2tleQ"),
                                    std::string("cmVhZHJlYWQ"), std::string("d3JpdGV3cml0ZQ")}) {
    CAPTURE(secret);
    CHECK(test.config().text().find(secret) != std::string::npos);
    CHECK(all.find(secret) == std::string::npos);
  }
  CHECK(test.run("settings_list", R"({"sections": {"Global": ["AuthenticationToken"]}})").output_json() ==
        R"({"Global":{"AuthenticationToken":"***"}})");
}

TEST_CASE("settings_list finds sections in any spelling, whole ones and single subsections") {
  JobTest test;
  CHECK(test.run("settings_list", R"({"sections": {"BucketFS:bfsdefault": ["HttpPort"]}})").output_json() ==
        R"({"BucketFS : bfsdefault":{"HttpPort":"2580"}})");
  CHECK(test.run("settings_list", R"({"sections": {"Groups": ["reporting"]}})").output_json() ==
        R"({"Groups":{"reporting":{"ID":"2000"}}})");
  const JobRun whole = test.run("settings_list", R"({"sections": {"Logging": []}})");
  REQUIRE(whole.ok());
  CHECK(whole.output->find("Logging")->as_struct().size() == 3);
  CHECK(test.run("settings_list", R"({"sections": {"Logging": null}})").output == whole.output);
}

TEST_CASE("settings_list notes keys that are not set and refuses unknown sections") {
  JobTest test;
  const JobRun run = test.run("settings_list", R"({"sections": {"Global": ["Timezone", "Hugepages"]}})");
  CHECK(run.output_json() == R"({"Global":{"Hugepages":"0"}})");
  CHECK(run.warns("'Timezone'"));
  const JobRun unknown = test.run("settings_list", R"({"sections": {"Globe": []}})");
  CHECK(unknown.code == Code::not_found);
  CHECK(unknown.says("[Globe]"));
  CHECK(test.run("settings_list", R"({"sections": ["Global"]})").says("'sections': must be a struct"));
  CHECK(test.run("settings_list", R"({"sections": {"Global": "Hugepages"}})").code == Code::bad_parameter);
  CHECK(test.run("settings_list", R"({"sections": {"Global": [1]}})").code == Code::bad_parameter);
  CHECK(test.run("settings_list", "{}", "dave").code == Code::forbidden);
}

TEST_CASE("general_settings changes settings, given as the published examples give them") {
  JobTest test;
  const JobRun run =
      test.run("general_settings",
               R"({"changes": {"Global": {"NameServers": "4.4.4.4", "XMLRPCPort": 20004}, "Logging":)"
               R"( {"LogRotationTypes": ["local", "remote"], "RemoteLogRotationVolume": "backups"}}})",
               "alice");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "no output");
  CHECK(*test.config().get("Global", "NameServers") == "4.4.4.4");
  CHECK(test.config().xmlrpc_port() == 20004);
  CHECK(*test.config().get("Logging", "LogRotationTypes") == "local, remote");
  CHECK(*test.config().get("Logging", "RemoteLogRotationVolume") == "backups");
  CHECK(run.diff.as_array().size() == 4);
}

TEST_CASE("general_settings takes lists and text, booleans and words, and writes EXAConf's form") {
  struct Case {
    std::string section, key, value, written;
  };
  const Case cases[] = {
      {"Global", "SSHPort", "\"22\"", "22"},
      {"Global", "WebUIBackendPort", "65535", "65535"},
      {"Global", "WebUIDomain", "\"exacluster.local\"", "exacluster.local"},
      {"Global", "EnableLoadBalancer", "true", "True"},
      {"Global", "EnableLoadBalancer", "\"off\"", "False"},
      {"Global", "Networks", "[\"private\", \"public\"]", "private, public"},
      {"Global", "Networks", "\"private\"", "private"},
      {"Global", "NameServers", "[\"8.8.8.8\", \"2001:4860:4860::8888\"]", "8.8.8.8, 2001:4860:4860::8888"},
      {"Global", "NameServers", "[]", ""},
      {"Global", "SearchDomains", "\"power.inet\"", "power.inet"},
      {"Global", "LicenseRAWMEMWarnThreshold", "0", "0"},
      {"Global", "Hugepages", "\"auto\"", "auto"},
      {"Global", "Hugepages", "\"HOST\"", "host"},
      {"Global", "Hugepages", "512", "512"},
      {"Global", "IssueTracker", "\"salesforce\"", "Salesforce"},
      {"Global", "StorageConnectionThreads", "16", "16"},
      {"Global", "StorageMaxConnections", "1024", "1024"},
      {"Global", "ExaMonitorUserName", "\"monitor\"", "monitor"},
      {"Global", "ExaMonitorUserPassword", "\"abc\"", "abc"},
      {"Logging", "LogRotationTypes", "[]", ""},
      {"Logging", "RemoteLogRotationVolume", "\"None\"", "None"},
      {"Logging", "RemoteLogRotationPrefix", "\"logs/\"", "logs/"},
  };
  for (const Case& item : cases) {
    CAPTURE(item.key, item.value);
    std::string text = test::small_config_text();
    if (item.key == "Networks" && item.written == "private, public")
      text.replace(text.find("PublicNet = "), 12, "PublicNet = 10.0.0.11/24");
    JobTest test(text);
    const JobRun run = change(test, item.section, item.key, item.value);
    CHECK(run.text == "");
    const std::string* written = test.config().get(item.section, item.key);
    REQUIRE(written != nullptr);
    CHECK(*written == item.written);
  }
}

TEST_CASE("general_settings refuses values that are not right, naming the setting") {
  const std::pair<std::string, std::string> cases[] = {
      {"SSHPort", "0"},
      {"SSHPort", "65536"},
      {"XMLRPCPort", "\"https\""},
      {"XMLRPCPort", "true"},
      {"WebUIDomain", "\"-bad-\""},
      {"WebUIDomain", "\"two words\""},
      {"EnableLoadBalancer", "\"maybe\""},
      {"Networks", "\"public\""},
      {"Networks", "[\"private\", \"secret\"]"},
      {"NameServers", "\"4.4.4\""},
      {"NameServers", "[\"8.8.8.8\", \"example.com\"]"},
      {"NameServers", "[[\"8.8.8.8\"]]"},
      {"NameServers", "{}"},
      {"SearchDomains", "\"a..b\""},
      {"LicenseRAWMEMWarnThreshold", "101"},
      {"Hugepages", "\"many\""},
      {"Hugepages", "-1"},
      {"IssueTracker", "\"Bugzilla\""},
      {"StorageConnectionThreads", "0"},
      {"StorageMaxConnections", "1.5"},
      {"ExaMonitorUserName", "\"a\\nb\""},
      {"ExaMonitorUserName", "null"},
  };
  JobTest test;
  for (const auto& [key, value] : cases) {
    CAPTURE(key, value);
    const JobRun run = change(test, "Global", key, value);
    CHECK(run.code == Code::bad_parameter);
    CHECK(run.says("Global." + key));
  }
  CHECK(change(test, "Logging", "LogRotationTypes", "\"cloud\"").code == Code::bad_parameter);
  CHECK(change(test, "Logging", "RemoteLogRotationVolume", "\"nowhere\"").says("'nowhere' does not exist"));
  CHECK(test.config().revision() == 3);
}

TEST_CASE("general_settings changes listed settings only, all or none") {
  JobTest test;
  const JobRun other = change(test, "Global", "ClusterName", "\"x\"");
  CHECK(other.code == Code::bad_parameter);
  CHECK(other.says("Global.ClusterName can't be changed"));
  CHECK(other.says("XMLRPCPort"));
  CHECK(change(test, "Users", "root", "{}").code == Code::bad_parameter);
  CHECK(test.run("general_settings",
                 R"({"changes": {"Global": {"Hugepages": "auto", "AuthenticationToken": "mine"}}})")
            .code == Code::bad_parameter);
  CHECK(*test.config().get("Global", "Hugepages") == "0");
  CHECK(test.run("general_settings", R"({"changes": {}})").code == Code::bad_parameter);
  CHECK(test.run("general_settings", R"({"changes": {"Global": {}}})").code == Code::bad_parameter);
  CHECK(test.run("general_settings", R"({"changes": {"Global": "Hugepages"}})").code == Code::bad_parameter);
  CHECK(test.run("general_settings", R"({"changes": "Global"})").says("'changes': must be a struct"));
  CHECK(test.run("general_settings").says("'changes': is missing"));
  CHECK(change(test, "Global", "Hugepages", "\"auto\"", "dave").code == Code::forbidden);
  CHECK(test.config().revision() == 3);
}

TEST_CASE("general_settings hides the monitor's password") {
  JobTest test;
  const std::string params = R"({"changes": {"Global": {"ExaMonitorUserPassword": "hunter2"}}})";
  CHECK(base::render_json(mask_secrets(find_job("general_settings"), base::parse_json(params)->as_struct()))
            .find("hunter2") == std::string::npos);
  const JobRun run = test.run("general_settings", params);
  REQUIRE(run.ok());
  CHECK(base::render_json(run.diff).find("hunter2") == std::string::npos);
}

}  // namespace confd::jobs
