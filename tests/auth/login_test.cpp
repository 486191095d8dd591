#include "auth/login.h"

#include <catch2/catch.hpp>

#include "base/text.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

namespace confd::auth {
namespace {

using std::chrono::milliseconds;

std::string basic(const std::string& user_and_password) {
  return "Basic " + base::base64_encode(user_and_password);
}

const std::string kAlice = basic("alice:wonderland");

struct LoginTest {
  test::FakeClock clock;
  test::FakeRandom random;
  test::FakeFileSystem files;
  std::unique_ptr<TokenStore> tokens;
  std::unique_ptr<Login> login;
  exaconf::ConfigPtr config = test::small_config();

  explicit LoginTest(LoginOptions options = {}) {
    REQUIRE(files.make_directories("/root/spool", 0700).ok());
    auto opened = TokenStore::open(files, "/root/spool/tokens.json", clock, random);
    REQUIRE(opened.ok());
    tokens = std::move(*opened);
    login = std::make_unique<Login>(options, clock, random, *tokens);
  }
  Login::Outcome verify(const std::string& header, const std::string& address = "10.0.0.1") {
    return login->verify(*config, header, address);
  }
};

}  // namespace

TEST_CASE("The right password gives the identity, and is remembered") {
  LoginTest test;
  CHECK_FALSE(test.login->try_fast(*test.config, kAlice));
  const auto outcome = test.verify(kAlice);
  REQUIRE(outcome.identity);
  CHECK(outcome.identity->user == "alice");
  CHECK(outcome.identity->method == "basic");
  CHECK(outcome.identity->in("exaadm"));
  CHECK(outcome.delay == milliseconds(0));
  const auto remembered = test.login->try_fast(*test.config, kAlice);
  REQUIRE(remembered);
  CHECK(remembered->user == "alice");
  CHECK(remembered->groups == outcome.identity->groups);
}

TEST_CASE("A remembered login ends after five minutes") {
  LoginTest test;
  REQUIRE(test.verify(kAlice).identity);
  test.clock.advance(std::chrono::seconds(299));
  CHECK(test.login->try_fast(*test.config, kAlice));
  test.clock.advance(std::chrono::seconds(1));
  CHECK_FALSE(test.login->try_fast(*test.config, kAlice));
}

TEST_CASE("Only the very header that was verified is remembered") {
  LoginTest test;
  REQUIRE(test.verify(kAlice).identity);
  CHECK_FALSE(test.login->try_fast(*test.config, basic("alice:Wonderland")));
  CHECK_FALSE(test.login->try_fast(*test.config, basic("bob:wonderland")));
  CHECK_FALSE(test.login->try_fast(*test.config, ""));
}

TEST_CASE("A change of the user's record ends a remembered login at once") {
  LoginTest test;
  REQUIRE(test.verify(kAlice).identity);
  std::string text = test::small_config_text();
  SECTION("another password") {
    const std::size_t at = text.find(test::kWonderland);
    text.replace(at, test::kWonderland.size(), "$5$rounds=1000$othersalt$abc");
  }
  SECTION("login disabled") {
    const std::size_t at = text.find("True", text.find("[[alice]]"));
    text.replace(at, 4, "False");
  }
  SECTION("password login switched off") {
    const std::size_t at = text.find(test::kWonderland);
    text.replace(at, test::kWonderland.size(), "*");
  }
  SECTION("user deleted") {
    const std::size_t at = text.find("[[alice]]");
    text.replace(at, 9, "[[alina]]");
  }
  const auto changed = test::load_config(text);
  CHECK_FALSE(test.login->try_fast(*changed, kAlice));
  // And it does not come back with the old record.
  CHECK_FALSE(test.login->try_fast(*test.config, kAlice));
}

TEST_CASE("A remembered login has the groups of the revision in force") {
  LoginTest test;
  REQUIRE(test.verify(kAlice).identity);
  std::string text = test::small_config_text();
  const std::string groups = "exaadm, reporting";
  text.replace(text.find(groups), groups.size(), "exabfsadm");
  const auto who = test.login->try_fast(*test::load_config(text), kAlice);
  REQUIRE(who);
  CHECK(who->groups == std::vector<std::string>{"exausers", "exabfsadm"});
}

TEST_CASE("The oldest remembered logins give way") {
  LoginOptions options;
  options.remembered_logins = 2;
  LoginTest test(options);
  const std::string second =
      "    [[eve]]\n        ID = 1100\n        Group = exausers\n        LoginEnabled = True\n"
      "        Passwd = " +
      test::kWonderland + "\n";
  const std::string third =
      "    [[fred]]\n        ID = 1101\n        Group = exausers\n        LoginEnabled = True\n"
      "        Passwd = " +
      test::kWonderland + "\n";
  test.config = test::small_config(second + third);
  REQUIRE(test.verify(kAlice).identity);
  REQUIRE(test.verify(basic("eve:wonderland")).identity);
  REQUIRE(test.verify(basic("fred:wonderland")).identity);
  CHECK_FALSE(test.login->try_fast(*test.config, kAlice));
  CHECK(test.login->try_fast(*test.config, basic("eve:wonderland")));
  CHECK(test.login->try_fast(*test.config, basic("fred:wonderland")));
}

TEST_CASE("Refusals say why, without the password") {
  LoginTest test;
  const auto refused = [&](const std::string& header) {
    const auto outcome = test.verify(header);
    CHECK_FALSE(outcome.identity);
    CHECK(outcome.reason.find("wonderland") == std::string::npos);
    CHECK(outcome.reason.find("hunter2") == std::string::npos);
    return outcome.reason;
  };
  CHECK(refused(basic("alice:hunter2")) == "wrong password for alice");
  CHECK(refused(basic("mallory:hunter2")) == "unknown user mallory");
  CHECK(refused(basic("bob:wonderland")) == "login of bob is disabled");
  CHECK(refused(basic("carol:")) == "user carol has no password");
  CHECK(refused(basic("carol:wonderland")) == "user carol has no password");
  CHECK(refused(basic("dave:*")) == "user dave has no password");
  CHECK(refused(basic("alice")) == "malformed Basic credentials");
  CHECK(refused("Basic not base64!") == "malformed Basic credentials");
  CHECK(refused("Bearer hunter2") == "unknown or ended token");
  CHECK(refused("Digest username=alice") == "unknown authorization scheme");
}

TEST_CASE("No credentials is no failure: the readiness probe is not slowed") {
  LoginTest test;
  for (int i = 0; i < 20; ++i) {
    const auto outcome = test.verify("");
    CHECK_FALSE(outcome.identity);
    CHECK(outcome.reason == "no credentials");
    CHECK(outcome.delay == milliseconds(0));
  }
}

TEST_CASE("A user name can't forge a log line") {
  LoginTest test;
  const auto outcome = test.verify(basic("eve\n2026-11-22T00:00:00.000000Z INFO  all is well:x"));
  CHECK(outcome.reason.find('\n') == std::string::npos);
  CHECK(test.verify(basic(std::string(5000, 'u') + ":x")).reason.size() < 100);
}

TEST_CASE("Failures in a row wait longer and longer, up to five seconds") {
  LoginTest test;
  const int expected[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
  for (const int wait : expected) CHECK(test.verify(basic("alice:hunter2")).delay == milliseconds(wait));
}

TEST_CASE("Failures more than a minute apart are not in a row") {
  LoginTest test;
  test.verify(basic("alice:hunter2"));
  test.verify(basic("alice:hunter2"));
  test.clock.advance(std::chrono::seconds(60));
  CHECK(test.verify(basic("alice:hunter2")).delay == milliseconds(100));
}

TEST_CASE("Failures are counted per user from everywhere, and per address for every user") {
  LoginTest test;
  test.verify(basic("alice:hunter2"), "10.0.0.1");
  CHECK(test.verify(basic("alice:hunter2"), "10.0.0.2").delay == milliseconds(200));
  CHECK(test.verify(basic("mallory:hunter2"), "10.0.0.2").delay == milliseconds(200));
  CHECK(test.verify(basic("trent:hunter2"), "10.0.0.3").delay == milliseconds(100));
  CHECK(test.verify("Bearer guess", "10.0.0.3").delay == milliseconds(200));
}

TEST_CASE("A success is never delayed and ends the user's row") {
  LoginTest test;
  for (int i = 0; i < 5; ++i) test.verify(basic("alice:hunter2"), "10.0.0.1");
  const auto outcome = test.verify(kAlice, "10.0.0.1");
  REQUIRE(outcome.identity);
  CHECK(outcome.delay == milliseconds(0));
  CHECK(test.verify(basic("alice:hunter2"), "10.0.0.9").delay == milliseconds(100));
}

TEST_CASE("The book of failures is bounded") {
  LoginOptions options;
  options.tracked_failures = 4;
  LoginTest test(options);
  test.verify(basic("alice:hunter2"), "10.0.0.1");
  for (int i = 0; i < 4; ++i) test.verify("Bearer guess", "10.0.1." + std::to_string(i));
  CHECK(test.verify(basic("alice:hunter2"), "10.0.0.1").delay == milliseconds(100));
}

TEST_CASE("The cluster's token acts as root, in any case of the scheme's name") {
  LoginTest test;
  const std::string token = *test.config->get("Global", "AuthenticationToken");
  for (const std::string scheme : {"Bearer ", "bearer ", "BEARER  "}) {
    const auto who = test.login->try_fast(*test.config, scheme + token);
    REQUIRE(who);
    CHECK(who->user == "root");
    CHECK(who->method == "cluster-token");
  }
  CHECK_FALSE(test.login->try_fast(*test.config, "Bearer " + token + "x"));
  CHECK_FALSE(test.login->try_fast(*test.config, "Bearer "));
}

TEST_CASE("A configuration without a cluster token accepts none") {
  LoginTest test;
  std::string text = test::small_config_text();
  const std::string token = *test.config->get("Global", "AuthenticationToken");
  for (const std::string value : {"", "None"}) {
    std::string without = text;
    without.replace(without.find(token), token.size(), value);
    CHECK_FALSE(test.login->try_fast(*test::load_config(without), "Bearer " + value));
  }
}

TEST_CASE("A token of user_login is its user") {
  LoginTest test;
  const auto issued = test.tokens->issue(*test.config->user("alice"));
  REQUIRE(issued.ok());
  const auto who = test.login->try_fast(*test.config, "Bearer " + issued->token);
  REQUIRE(who);
  CHECK(who->user == "alice");
  CHECK(who->method == "token");
  CHECK(who->in("exaadm"));
}

TEST_CASE("Basic credentials are split at the first colon") {
  const auto given = parse_basic(basic("alice:pass:word"));
  REQUIRE(given);
  CHECK(given->user == "alice");
  CHECK(given->password == "pass:word");
  CHECK(parse_basic(basic("alice:"))->password.empty());
  CHECK(parse_basic("basic " + base::base64_encode("a:b")));
  CHECK_FALSE(parse_basic(basic(":password")));
  CHECK_FALSE(parse_basic("Bearer abc"));
  CHECK_FALSE(parse_basic("Basic"));
  CHECK_FALSE(parse_basic(""));
}

}  // namespace confd::auth
