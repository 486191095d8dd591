#include <catch2/catch.hpp>

#include <set>
#include <thread>

#include "auth/cluster_authority.h"
#include "base/json.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

namespace confd::auth {
namespace {

const std::string kPath = "/root/etc/cluster/tokens";

struct Fixture {
  Fixture() { REQUIRE(files.make_directories("/root/etc/cluster", 0700).ok()); }
  std::string issue(int node = 12) {
    auto token = tokens.issue(node);
    if (!token) FAIL(token.error().text);
    return *token;
  }
  std::string refusal(std::string_view token) {
    const auto node = tokens.redeem(token);
    REQUIRE_FALSE(node.ok());
    CHECK(node.error().code == base::Code::forbidden);
    return node.error().text;
  }
  std::size_t stored() {
    const auto list = base::parse_json(*files.read(kPath));
    REQUIRE(list.ok());
    return list->as_array().size();
  }

  test::FakeFileSystem files;
  test::FakeRandom random;
  test::FakeClock clock;
  JoinTokens tokens{files, kPath, random, clock};
};

}  // namespace

TEST_CASE("A join token names its node and is redeemed once") {
  Fixture test;
  const std::string token = test.issue(12);
  CHECK(token.substr(0, 3) == "12.");
  CHECK(token.size() == 3 + 43);
  CHECK(token.find_first_not_of("0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") ==
        std::string::npos);
  const auto node = test.tokens.redeem(token);
  REQUIRE(node.ok());
  CHECK(*node == 12);
  CHECK_FALSE(test.tokens.redeem(token).ok());
  CHECK(test.stored() == 0);
}

TEST_CASE("Wrong, garbled, used, expired tokens and those of another node are refused in the same words") {
  Fixture test;
  const std::string used = test.issue();
  REQUIRE(test.tokens.redeem(used).ok());
  const std::string expired = test.issue();
  test.clock.advance(std::chrono::hours(24));
  const std::string good = test.issue(12);
  const std::string words = test.refusal("12.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  std::string garbled = good;
  garbled.back() = garbled.back() == 'A' ? 'B' : 'A';
  const std::string of_another_node = "13" + good.substr(2);
  for (const std::string& token :
       {std::string(), std::string("12"), std::string("12."), std::string(100'000, 'x'), good + "A",
        good.substr(0, good.size() - 1), " " + good, used, expired, garbled, of_another_node})
    CHECK(test.refusal(token) == words);
  CHECK(words.find("12") == std::string::npos);
  CHECK(test.tokens.redeem(good).ok());
}

TEST_CASE("A token lives as long as it was made for") {
  Fixture test;
  const auto token = test.tokens.issue(12, std::chrono::seconds(60));
  const auto other = test.tokens.issue(13, std::chrono::seconds(60));
  REQUIRE(token.ok());
  test.clock.advance(std::chrono::seconds(59));
  CHECK(test.tokens.redeem(*token).ok());
  test.clock.advance(std::chrono::seconds(1));
  CHECK_FALSE(test.tokens.redeem(*other).ok());
  CHECK_FALSE(test.tokens.issue(12, std::chrono::seconds(0)).ok());
  CHECK_FALSE(test.tokens.issue(-1).ok());
}

TEST_CASE("The file is for confd alone and holds neither token nor key to it") {
  Fixture test;
  const std::string token = test.issue();
  CHECK(test.files.status(kPath)->mode == 0600);
  const std::string text = *test.files.read(kPath);
  CHECK(text.find(token) == std::string::npos);
  CHECK(text.find(token.substr(3)) == std::string::npos);
  CHECK(text.find("\"node\":12") != std::string::npos);
}

TEST_CASE("A token that was returned survives a power cut, one that was redeemed stays used") {
  Fixture test;
  const std::string token = test.issue(12);
  test.files.power_cut();
  REQUIRE(test.tokens.redeem(token).ok());
  test.files.power_cut();
  CHECK_FALSE(test.tokens.redeem(token).ok());
}

TEST_CASE("Whatever step fails, no token is given out that is not durable, none is redeemed twice") {
  Fixture counting;
  const int before = counting.files.calls();
  const std::string sample = counting.issue();
  const int issue_steps = counting.files.calls() - before;
  REQUIRE(issue_steps > 3);
  for (int step = 1; step <= issue_steps; ++step) {
    Fixture test;
    test.files.fail_from(test.files.calls() + step);
    const auto token = test.tokens.issue(12);
    test.files.power_cut();
    if (token) CHECK(test.tokens.redeem(*token).ok());
    CHECK_FALSE(token.ok());
  }
  for (int step = 1; step <= issue_steps; ++step) {
    Fixture test;
    const std::string token = test.issue();
    test.files.fail_from(test.files.calls() + step);
    const auto first = test.tokens.redeem(token);
    CHECK_FALSE(first.ok());
    CHECK(first.error().code == base::Code::io_error);
    test.files.power_cut();
    const bool second = test.tokens.redeem(token).ok();
    CHECK_FALSE((second && test.tokens.redeem(token).ok()));
  }
}

TEST_CASE("Many tokens wait beside each other; expired ones are dropped; there is an end") {
  Fixture test;
  std::set<std::string> tokens;
  for (int node = 1; node <= 500; ++node) tokens.insert(test.issue(node));
  CHECK(tokens.size() == 500);
  test.clock.advance(std::chrono::hours(12));
  const std::string late = test.issue(501);
  CHECK(test.stored() == 501);
  CHECK(*test.tokens.redeem(*tokens.rbegin()) == std::stoi(*tokens.rbegin()));
  test.clock.advance(std::chrono::hours(12));
  test.issue(502);
  CHECK(test.stored() == 2);
  CHECK(*test.tokens.redeem(late) == 501);
  for (int i = 1; i < 1000; ++i) test.issue(11);
  const auto over = test.tokens.issue(11);
  REQUIRE_FALSE(over.ok());
  CHECK(over.error().code == base::Code::busy);
}

TEST_CASE("Of threads that redeem one token at the same time one gets it") {
  Fixture test;
  const std::string token = test.issue();
  std::atomic<int> redeemed{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] { redeemed += test.tokens.redeem(token).ok() ? 1 : 0; });
  }
  CHECK(redeemed == 1);
}

TEST_CASE("A list that can't be read is said by name and with the way out") {
  Fixture test;
  for (const char* text : {"{", "{}", "[{\"hash\": \"x\"}]"}) {
    test.files.put(kPath, text);
    const auto token = test.tokens.issue(12);
    REQUIRE_FALSE(token.ok());
    CHECK(token.error().text.find(kPath) != std::string::npos);
    CHECK(token.error().text.find("Delete it") != std::string::npos);
    CHECK(test.tokens.redeem("12.x").error().code == base::Code::io_error);
  }
}

}  // namespace confd::auth
