#include "auth/token_store.h"

#include <catch2/catch.hpp>

#include "tests/support/config_text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

namespace confd::auth {
namespace {

const std::string kPath = "/root/spool/tokens.json";

struct TokenTest {
  test::FakeClock clock;
  test::FakeRandom random;
  test::FakeFileSystem files;
  exaconf::ConfigPtr config = test::small_config();
  std::unique_ptr<TokenStore> store;

  TokenTest() {
    REQUIRE(files.make_directories("/root/spool", 0700).ok());
    reopen();
  }
  void reopen() {
    auto opened = TokenStore::open(files, kPath, clock, random);
    REQUIRE(opened.ok());
    store = std::move(*opened);
  }
  TokenStore::Issued issue(const std::string& user = "alice") {
    auto issued = store->issue(*config->user(user));
    REQUIRE(issued.ok());
    return *issued;
  }
};

}  // namespace

TEST_CASE("A token stands for its user until it expires") {
  TokenTest test;
  const auto issued = test.issue();
  CHECK(issued.expires == test.clock.now() + std::chrono::hours(12));
  CHECK(test.store->lookup(*test.config, issued.token) == "alice");
  CHECK_FALSE(test.store->lookup(*test.config, issued.token + "x"));
  CHECK_FALSE(test.store->lookup(*test.config, ""));
  test.clock.advance(std::chrono::hours(12));
  CHECK_FALSE(test.store->lookup(*test.config, issued.token));
}

TEST_CASE("The file is private and does not hold the token") {
  TokenTest test;
  const auto issued = test.issue();
  CHECK(test.files.read(kPath)->find(issued.token) == std::string::npos);
  CHECK(test.files.status(kPath)->mode == 0600);
}

TEST_CASE("Tokens survive a restart and a power cut") {
  TokenTest test;
  const auto issued = test.issue();
  SECTION("restart") {
    test.files.kill();
  }
  SECTION("power cut") {
    test.files.power_cut();
  }
  test.reopen();
  CHECK(test.store->lookup(*test.config, issued.token) == "alice");
}

TEST_CASE("A crash at any write keeps the old or the new list, whole") {
  for (int failing = 1;; ++failing) {
    TokenTest test;
    const auto first = test.issue();
    test.files.fail_from(test.files.calls() + failing);
    const auto second = test.store->issue(*test.config->user("alice"));
    const bool failed = !second.ok();
    test.files.power_cut();
    test.reopen();
    CAPTURE(failing);
    CHECK(test.store->lookup(*test.config, first.token) == "alice");
    if (second.ok()) CHECK(test.store->lookup(*test.config, second->token) == "alice");
    if (!failed) break;
    REQUIRE(failing < 100);
  }
}

TEST_CASE("A token that could not be stored is not given out") {
  TokenTest test;
  test.files.fail_from(test.files.calls() + 1);
  const auto issued = test.store->issue(*test.config->user("alice"));
  REQUIRE_FALSE(issued.ok());
  CHECK(issued.error().code == base::Code::io_error);
}

TEST_CASE("A revoked token ends, also after a restart") {
  TokenTest test;
  const auto kept = test.issue();
  const auto revoked = test.issue();
  CHECK(*test.store->revoke(revoked.token));
  CHECK_FALSE(*test.store->revoke(revoked.token));
  CHECK_FALSE(*test.store->revoke("never was"));
  test.files.power_cut();
  test.reopen();
  CHECK_FALSE(test.store->lookup(*test.config, revoked.token));
  CHECK(test.store->lookup(*test.config, kept.token) == "alice");
}

TEST_CASE("A revocation that can't be stored says so and holds for this process") {
  TokenTest test;
  const auto issued = test.issue();
  test.files.fail_from(test.files.calls() + 1);
  const auto revoked = test.store->revoke(issued.token);
  REQUIRE_FALSE(revoked.ok());
  CHECK(revoked.error().text.find("could not be stored") != std::string::npos);
  CHECK_FALSE(test.store->lookup(*test.config, issued.token));
}

TEST_CASE("A token ends with the user's password, permission to log in, or the user") {
  TokenTest test;
  const auto issued = test.issue();
  std::string text = test::small_config_text();
  SECTION("password") {
    text.replace(text.find(test::kWonderland), test::kWonderland.size(), "$5$rounds=1000$othersalt$abc");
  }
  SECTION("permission") {
    text.replace(text.find("True", text.find("[[alice]]")), 4, "False");
  }
  SECTION("user") {
    text.replace(text.find("[[alice]]"), 9, "[[alina]]");
  }
  CHECK_FALSE(test.store->lookup(*test::load_config(text), issued.token));
}

TEST_CASE("A disabled user gets no token") {
  TokenTest test;
  const auto issued = test.store->issue(*test.config->user("bob"));
  REQUIRE_FALSE(issued.ok());
  CHECK(issued.error().code == base::Code::forbidden);
}

TEST_CASE("A user has at most 100 tokens; the oldest goes") {
  TokenTest test;
  const auto root = test.issue("root");
  const auto first = test.issue();
  test.clock.advance(std::chrono::seconds(1));
  const auto second = test.issue();
  for (int i = 0; i < 99; ++i) {
    test.clock.advance(std::chrono::seconds(1));
    test.issue();
  }
  CHECK_FALSE(test.store->lookup(*test.config, first.token));
  CHECK(test.store->lookup(*test.config, second.token) == "alice");
  CHECK(test.store->lookup(*test.config, root.token) == "root");
}

TEST_CASE("Expired tokens leave the file with the next write") {
  TokenTest test;
  test.issue();
  const auto size = test.files.read(kPath)->size();
  test.clock.advance(std::chrono::hours(13));
  test.issue();
  CHECK(test.files.read(kPath)->size() == size);
}

TEST_CASE("A list that can't be read stops the start and says what to do") {
  TokenTest test;
  for (const std::string text : {"", "{", "{}", "[1]", R"([{"token": "x"}])"}) {
    CAPTURE(text);
    test.files.put(kPath, text);
    const auto opened = TokenStore::open(test.files, kPath, test.clock, test.random);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().text.find(kPath) != std::string::npos);
    CHECK(opened.error().text.find("Delete it") != std::string::npos);
  }
}

}  // namespace confd::auth
