#include <catch2/catch.hpp>

#include <atomic>
#include <set>
#include <thread>

#include "auth/join_proof.h"
#include "auth/join_tokens.h"
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
    auto token = tokens.issue({node, false});
    if (!token) FAIL(token.error().text);
    return *token;
  }
  base::Result<JoinTokens::Held> find(int node, std::string_view token) {
    const std::string secret = *join_secret(token);
    return tokens.find(node, [&](const std::string& one) { return one == secret; });
  }
  // Finds it for the node it names, and uses it.
  base::Status redeem(const std::string& token) {
    const auto held = find(std::stoi(token), token);
    if (!held) return held.error();
    return tokens.use(*held, "10.0.0.5");
  }
  std::string refusal(int node, std::string_view token) {
    const auto held = find(node, token);
    REQUIRE_FALSE(held.ok());
    CHECK(held.error().code == base::Code::forbidden);
    return held.error().text;
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

TEST_CASE("A join token names its node and is used once") {
  Fixture test;
  const std::string token = test.issue(12);
  CHECK(token.substr(0, 3) == "12.");
  CHECK(token.size() == 3 + 43);
  CHECK(token.find_first_not_of("0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") ==
        std::string::npos);
  CHECK(*node_of_join_token(token) == 12);
  const auto held = test.find(12, token);
  REQUIRE(held.ok());
  CHECK(held->grant.node == 12);
  CHECK_FALSE(held->grant.with_authority);
  CHECK(test.find(12, token).ok());  // looking uses nothing
  REQUIRE(test.tokens.use(*held, "10.0.0.5").ok());
  CHECK_FALSE(test.tokens.use(*held, "10.0.0.6").ok());
}

TEST_CASE("The authority's key goes only with a token that says so") {
  Fixture test;
  const auto token = test.tokens.issue({12, true});
  REQUIRE(token.ok());
  CHECK(test.find(12, *token)->grant.with_authority);
}

TEST_CASE("Who holds a token is told what became of it, nobody else is") {
  Fixture test;
  const std::string used = test.issue();
  REQUIRE(test.redeem(used).ok());
  const std::string expired = test.issue();
  CHECK(test.refusal(12, used).find("used already, at 20") != std::string::npos);
  CHECK(test.refusal(12, used).find("by 10.0.0.5") != std::string::npos);
  test.clock.advance(std::chrono::hours(24));
  CHECK(test.refusal(12, expired).find("expired at 20") != std::string::npos);
  CHECK(test.refusal(12, used).find("used already") != std::string::npos);
  const std::string good = test.issue(12);
  const std::string words = test.refusal(12, "12.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  CHECK(test.refusal(13, good) == words);
  CHECK(test.refusal(13, used) == words);
  CHECK(test.refusal(12, good + "A") == words);
  CHECK(test.refusal(12, "") == words);
  CHECK(test.redeem(good).ok());
  // A week later nobody remembers.
  test.clock.advance(std::chrono::hours(24 * 8));
  CHECK(test.refusal(12, expired) == words);
  CHECK(test.refusal(12, used) == words);
}

TEST_CASE("What is no join token is refused without showing it") {
  for (const std::string& text :
       {std::string(), std::string("12"), std::string("12."), std::string(100'000, 'x'),
        "12." + std::string(44, 'A'), "x." + std::string(43, 'A'), "-1." + std::string(43, 'A')}) {
    const auto node = node_of_join_token(text);
    REQUIRE_FALSE(node.ok());
    CHECK(node.error().text.find("AAA") == std::string::npos);
  }
}

TEST_CASE("A token lives as long as it was made for") {
  Fixture test;
  const auto token = test.tokens.issue({12, false}, std::chrono::seconds(60));
  const auto other = test.tokens.issue({13, false}, std::chrono::seconds(60));
  REQUIRE(token.ok());
  test.clock.advance(std::chrono::seconds(59));
  const auto held = test.find(13, *other);
  REQUIRE(held.ok());
  CHECK(test.redeem(*token).ok());
  test.clock.advance(std::chrono::seconds(1));
  CHECK_FALSE(test.find(13, *other).ok());
  CHECK_FALSE(test.tokens.use(*held, "10.0.0.5").ok());
  CHECK_FALSE(test.tokens.issue({12, false}, std::chrono::seconds(0)).ok());
  CHECK_FALSE(test.tokens.issue({-1, false}).ok());
}

TEST_CASE("The file is for confd alone and does not hold the token") {
  Fixture test;
  const std::string token = test.issue();
  CHECK(test.files.status(kPath)->mode == 0600);
  const std::string text = *test.files.read(kPath);
  CHECK(text.find(token) == std::string::npos);
  CHECK(text.find(token.substr(3)) == std::string::npos);
  CHECK(text.find("\"node\":12") != std::string::npos);
}

TEST_CASE("A token that was returned survives a power cut, one that was used stays used") {
  Fixture test;
  const std::string token = test.issue(12);
  test.files.power_cut();
  REQUIRE(test.redeem(token).ok());
  test.files.power_cut();
  CHECK_FALSE(test.redeem(token).ok());
}

TEST_CASE("Whatever step fails, no token is given out that is not durable, none is used twice") {
  Fixture counting;
  const int before = counting.files.calls();
  const std::string sample = counting.issue();
  const int issue_steps = counting.files.calls() - before;
  REQUIRE(issue_steps > 3);
  for (int step = 1; step <= issue_steps; ++step) {
    Fixture test;
    test.files.fail_from(test.files.calls() + step);
    const auto token = test.tokens.issue({12, false});
    test.files.power_cut();
    CHECK_FALSE(token.ok());
  }
  for (int step = 1; step <= issue_steps; ++step) {
    Fixture test;
    const std::string token = test.issue();
    const auto held = test.find(12, token);
    REQUIRE(held.ok());
    test.files.fail_from(test.files.calls() + step);
    const base::Status first = test.tokens.use(*held, "10.0.0.5");
    REQUIRE_FALSE(first.ok());
    CHECK(first.error().code == base::Code::io_error);
    test.files.power_cut();
    const bool second = test.redeem(token).ok();
    CHECK_FALSE((second && test.redeem(token).ok()));
  }
}

TEST_CASE("Many tokens wait beside each other; the memory of old ones gives way; there is an end") {
  Fixture test;
  std::set<std::string> tokens;
  for (int node = 1; node <= 500; ++node) tokens.insert(test.issue(node));
  CHECK(tokens.size() == 500);
  test.clock.advance(std::chrono::hours(12));
  const std::string late = test.issue(501);
  CHECK(test.redeem(*tokens.rbegin()).ok());
  test.clock.advance(std::chrono::hours(12));
  CHECK(test.stored() == 501);
  CHECK(test.redeem(late).ok());
  for (int i = 0; i < 1000; ++i) test.issue(11);
  CHECK(test.stored() == 1000);
  const auto over = test.tokens.issue({11, false});
  REQUIRE_FALSE(over.ok());
  CHECK(over.error().code == base::Code::busy);
}

TEST_CASE("Of threads that use one token at the same time one gets it") {
  Fixture test;
  const std::string token = test.issue();
  std::atomic<int> used{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { used += test.redeem(token).ok() ? 1 : 0; });
  }
  CHECK(used == 1);
}

TEST_CASE("A list that can't be read is said by name and with the way out") {
  Fixture test;
  for (const char* text : {"{", "{}", "[1]", "[{\"hash\": \"x\"}]"}) {
    test.files.put(kPath, text);
    const auto token = test.tokens.issue({12, false});
    REQUIRE_FALSE(token.ok());
    CHECK(token.error().text.find(kPath) != std::string::npos);
    CHECK(token.error().text.find("Delete it") != std::string::npos);
    CHECK(test.find(12, "12.x").error().code == base::Code::io_error);
  }
}

}  // namespace confd::auth
