#include "daemon/settings.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_file_system.h"

using confd::daemon::parse_settings;
using confd::daemon::Settings;

namespace {

std::string problem(std::string_view yaml) {
  const auto settings = parse_settings(yaml, "confd.yaml");
  return settings ? std::string("accepted") : settings.error().text;
}

// The sample with every key uncommented.
std::string uncommented(const std::string& sample) {
  std::string text;
  std::size_t at = 0;
  while (at < sample.size()) {
    const std::size_t end = sample.find('\n', at);
    std::string line = sample.substr(at, end - at);
    at = end + 1;
    if (line.rfind("  # ", 0) == 0 && line.find(": ") != std::string::npos &&
        line.find(' ', 4) == line.find(": ") + 1)
      line = "  " + line.substr(4);
    text += line + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("an absent file means all defaults") {
  confd::test::FakeFileSystem files;
  const auto settings = confd::daemon::load_settings(files, "/r/etc/confd.yaml");
  REQUIRE(settings);
  CHECK(settings->http.header_limit == 8 * 1024);
  CHECK(settings->http.drain_limit == 64 * 1024);
  CHECK(settings->body_limit == 64u << 20);
  CHECK(settings->token_lifetime == std::chrono::hours(12));
}

TEST_CASE("keys are taken") {
  const auto settings = parse_settings(
      "log:\n  level: debug\nscheduler:\n  running_read_jobs: 3\n  stop_seconds: 7\n", "confd.yaml");
  REQUIRE(settings);
  CHECK(settings->log.level == confd::base::LogLevel::debug);
  CHECK(settings->scheduler.limits.reads == 3);
  CHECK(settings->stop_deadline == std::chrono::seconds(7));
}

TEST_CASE("what is wrong is named with its key") {
  CHECK(problem("htp:\n  threads: 2\n") ==
        "confd.yaml: there is no setting `htp: threads`; confd.yaml.sample lists all");
  CHECK(problem("http:\n  threads: two\n") == "confd.yaml: `http: threads` wants a whole number");
  CHECK(problem("http:\n  threads: 0\n") == "confd.yaml: `http: threads` wants a number from 1 to 64");
  CHECK(problem("log:\n  level: loud\n") ==
        "confd.yaml: `log: level` wants one of: err, warn, notice, info, debug");
  CHECK(problem("log: info\n") == "confd.yaml: `log` is a section and wants keys below it");
  CHECK(problem("- a\n") == "confd.yaml: wants sections such as `log:`, see confd.yaml.sample");
  CHECK(problem("log: [\n").find("confd.yaml: ") == 0);
}

TEST_CASE("the managed store's settings are checked against each other") {
  const auto managed = [](const std::string& more) { return problem("cluster:\n  store: managed\n" + more); };
  CHECK(managed("") == "accepted");
  CHECK(managed("  lease_seconds: 2\n  members: 5\n") == "accepted");
  // An election of the store lasts longer than the master's lease.
  CHECK(managed("  lease_seconds: 1\n").find("`cluster: lease_seconds` of 1000 ms") != std::string::npos);
  CHECK(managed("  election_ms: 2000\n").find("election_ms") != std::string::npos);
  CHECK(managed("  heartbeat_ms: 300\n").find("5 times `cluster: heartbeat_ms`") != std::string::npos);
  CHECK(managed("  members: 4\n").find("odd number") != std::string::npos);
  CHECK(managed("  peer_port: 2379\n").find("two ports") != std::string::npos);
  CHECK(managed("  etcd: etcd\n").find("whole path") != std::string::npos);
  // They say nothing about a store of others.
  CHECK(problem("cluster:\n  store: etcd\n  lease_seconds: 1\n") == "accepted");
}

TEST_CASE("the platform's settings name programs and folders by their whole path") {
  CHECK(problem("platform:\n  provider: local\n  nodes_folder: /srv/confd\n") == "accepted");
  CHECK(problem("platform:\n  provider: hook\n  hook: /etc/confd/hook\n") == "accepted");
  CHECK(problem("platform:\n  provider: hook\n").find("must name the program") != std::string::npos);
  CHECK(problem("platform:\n  update_hook: hook\n") ==
        "confd.yaml: `platform: update_hook` wants the whole path");
  CHECK(problem("platform:\n  provider: aws\n").find("one of: none, local, hook") != std::string::npos);
}

TEST_CASE("the sample shows the defaults, and is valid when uncommented") {
  const std::string sample = confd::daemon::settings_sample();
  CHECK(parse_settings(sample, "sample"));
  const std::string all = uncommented(sample);
  CHECK(all.find("\n  level: info\n") != std::string::npos);
  const auto settings = parse_settings(all, "sample");
  REQUIRE(settings);
  CHECK(settings->scheduler.queued_jobs == Settings().scheduler.queued_jobs);
}

TEST_CASE("what was changed in a section can be given to another node") {
  CHECK(confd::daemon::changed_settings(Settings(), "cluster").empty());
  const auto settings = parse_settings(
      "cluster:\n  store: etcd\n  endpoints: 'a''b:1, c: 2'\n  lease_seconds: 5\nlog:\n  level: debug\n",
      "x");
  REQUIRE(settings);
  const std::string text = confd::daemon::changed_settings(*settings, "cluster");
  CHECK(text == "cluster:\n  store: 'etcd'\n  endpoints: 'a''b:1, c: 2'\n  lease_seconds: 5\n");
  CHECK(parse_settings(text, "x")->etcd_endpoints == settings->etcd_endpoints);
}
