#include "daemon/options.h"

#include <catch2/catch.hpp>

using confd::daemon::Options;
using confd::daemon::parse_options;

TEST_CASE("without options the node in /exa is served") {
  const auto options = parse_options({});
  REQUIRE(options);
  CHECK(options->action == Options::Action::run);
  CHECK(options->root == "/exa");
  CHECK_FALSE(options->node);
  CHECK_FALSE(options->port);
}

TEST_CASE("values follow their option or an equals sign") {
  const auto options = parse_options(
      {"--root", "/tmp/a=b", "--listen=127.0.0.1", "--listen", "::1", "--port=0", "--node", "12"});
  REQUIRE(options);
  CHECK(options->root == "/tmp/a=b");
  CHECK(options->listen == std::vector<std::string>{"127.0.0.1", "::1"});
  CHECK(options->port == 0);
  CHECK(options->node == 12);
}

TEST_CASE("what is wrong is named") {
  const auto text = [](std::vector<std::string> arguments) {
    const auto options = parse_options(arguments);
    return options ? std::string("accepted") : options.error().text;
  };
  CHECK(text({"--nope"}) == "confd knows no option '--nope'; confd --help lists them");
  CHECK(text({"--port"}) == "--port wants a value: N");
  CHECK(text({"--port", "70000"}) == "--port wants a number from 0 to 65535, not '70000'");
  CHECK(text({"--port", "12x"}) == "--port wants a number from 0 to 65535, not '12x'");
  CHECK(text({"--init=yes"}) == "--init takes no value");
  CHECK(text({"--root", ""}) == "--root wants a value");
  CHECK(text({"--node-id", "10"}) == "--node-id wants a number from 11 to 1000000, not '10'");
}

TEST_CASE("the help names every option that is parsed") {
  const std::string help = confd::daemon::help_text();
  for (const char* name :
       {"--root", "--node", "--listen", "--port", "--init", "--node-id", "--private-net", "--from",
        "--admin-password-file", "--device-size", "--data-volume-size", "--archive-volume-size", "--check",
        "--fsck", "--repair", "--renew-certificate", "--version", "--help"})
    CHECK(help.find(name) != std::string::npos);
}

TEST_CASE("the storage is checked, and repaired when that is asked for") {
  const auto check = parse_options({"--root=/r", "--fsck"});
  REQUIRE(check);
  CHECK(check->action == Options::Action::fsck);
  CHECK_FALSE(check->repair);
  CHECK(parse_options({"--root=/r", "--fsck", "--repair"})->repair);
}

TEST_CASE("a node joins by an address and a token, and a token is made for a node") {
  const auto join = parse_options({"--root=/r", "--join", "10.0.0.11", "--token-file", "-"});
  REQUIRE(join);
  CHECK(join->action == Options::Action::join);
  CHECK(join->join == "10.0.0.11");
  CHECK(join->token_file == "-");
  const auto token = parse_options({"--make-token", "12", "--valid", "60", "--with-authority"});
  REQUIRE(token);
  CHECK(token->action == Options::Action::make_token);
  CHECK(token->token_node == 12);
  CHECK(token->valid_seconds == 60);
  CHECK(token->with_authority);
  CHECK(parse_options({"--join", "10.0.0.11", "--token", "x", "--renew"})->renew);
  CHECK_FALSE(parse_options({"--join", ""}));
  CHECK_FALSE(parse_options({"--make-token", "0"}));
  CHECK_FALSE(parse_options({"--init", "--store", "paper"}));
  CHECK(parse_options({"--init", "--store", "managed"})->store == "managed");
}

TEST_CASE("the ways out of a lost store are commands of their own") {
  CHECK(parse_options({"--root=/r", "--recover-store"})->action == Options::Action::recover_store);
  CHECK(parse_options({"--root=/r", "--forget-store"})->action == Options::Action::forget_store);
  CHECK_FALSE(parse_options({"--recover-store=11"}));
}
