#include <catch2/catch.hpp>

#include "tests/support/job_fixture.h"
#include "tests/support/test_certificates.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

struct Chain {
  test::Certificate ca, server;
  explicit Chain(base::WallTime now, const std::string& names = "DNS:n11.example")
      : ca(test::make_certificate({.name = "Root", .authority = true}, now)),
        server(test::make_certificate({.name = "n11", .alternative_names = names}, now, &ca)) {}
  base::Struct params() const {
    return {{"key", test::key_pem(server.key)}, {"cert", server.text + ca.text}};
  }
};

}  // namespace

TEST_CASE("cert_update installs key and chain on every node") {
  JobTest test;
  const Chain chain(test.clock.now());
  const JobRun run = test.run_with("cert_update", chain.params(), "dave");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "no output");
  CHECK(run.warnings.empty());
  REQUIRE(test.installed.size() == 1);
  CHECK(test.installed[0].find("key")->as_string() == test::key_pem(chain.server.key));
  CHECK(test.installed[0].find("cert")->as_string() == chain.server.text + chain.ca.text);
  CHECK(test.installed[0].find("ca")->as_string() == "");
  CHECK(test.config().revision() == 3);
}

TEST_CASE("cert_update leaves no key in its record") {
  JobTest test;
  const Chain chain(test.clock.now());
  const JobRun run = test.run_with("cert_update", chain.params());
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].name == "certificate.install");
  CHECK(run.commands[0].node == 11);
  CHECK(run.commands[0].arguments.find("key")->as_string() == "***");
  CHECK(run.commands[0].arguments.find("cert")->as_string() == chain.server.text + chain.ca.text);
  CHECK(base::render_json(mask_secrets(find_job("cert_update"), chain.params())).find("PRIVATE") ==
        std::string::npos);
}

TEST_CASE("cert_update passes the authority on and warns of URI names") {
  JobTest test;
  const Chain chain(test.clock.now(), "DNS:n11,URI:https://n11/");
  base::Struct params = chain.params();
  params.set("ca", chain.ca.text);
  const JobRun run = test.run_with("cert_update", params);
  REQUIRE(run.ok());
  CHECK(run.warns("URI https://n11/"));
  CHECK(test.installed.at(0).find("ca")->as_string() == chain.ca.text);
}

TEST_CASE("cert_update refuses what can't serve, and installs nothing") {
  JobTest test;
  const Chain chain(test.clock.now());
  const Chain other(test.clock.now());
  base::Struct params = chain.params();
  params.set("cert", chain.server.text);
  const JobRun alone = test.run_with("cert_update", params);
  CHECK(alone.code == Code::job_error);
  CHECK(alone.text == "Only one cert in the give cert.");
  params.set("cert", other.server.text + other.ca.text);
  CHECK(test.run_with("cert_update", params).says("does not belong"));
  params = chain.params();
  params.set("verify_cert", "yes");
  CHECK(test.run_with("cert_update", params).says("'verify_cert': must be a boolean"));
  params.set("verify_cert", true);
  CHECK(test.run_with("cert_update", params).ok());
  CHECK(test.installed.size() == 1);
  CHECK(test.run("cert_update", R"({"cert": "x"})").says("'key': is missing"));
  CHECK(test.run("cert_update", R"({"key": "x"})").says("'cert': is missing"));
  CHECK(test.run_with("cert_update", chain.params(), "carol").code == Code::forbidden);
  test.clock.advance(std::chrono::hours(24 * 91));
  CHECK(test.run_with("cert_update", chain.params()).says("expired"));
  CHECK(test.installed.size() == 1);
}

TEST_CASE("A dry run of cert_update checks and installs nothing") {
  JobTest test;
  CHECK(test.run_with("cert_update", Chain(test.clock.now()).params(), "root", true).ok());
  CHECK(test.installed.empty());
}

TEST_CASE("cert_update fails with the node's reason") {
  JobTest test;
  test.install_error = base::Error{Code::io_error, "cannot write /exa/etc/ssl/ssl.key: disk full"};
  const JobRun run = test.run_with("cert_update", Chain(test.clock.now()).params());
  CHECK(run.code == Code::io_error);
  CHECK(run.says("disk full"));
  CHECK(run.commands.at(0).exit == static_cast<int>(Code::io_error));
}

}  // namespace confd::jobs
