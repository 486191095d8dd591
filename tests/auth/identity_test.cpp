#include "auth/identity.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/config_text.h"

namespace confd::auth {

TEST_CASE("An identity has the primary group first, then the additional ones") {
  const Identity alice = identify(*test::small_config(), "alice", "basic");
  CHECK(alice.user == "alice");
  CHECK(alice.method == "basic");
  CHECK(alice.groups == std::vector<std::string>{"exausers", "exaadm", "reporting"});
  CHECK(alice.in("reporting"));
  CHECK_FALSE(alice.in("root"));
}

TEST_CASE("Root is always in group root") {
  CHECK(identify(*test::small_config(), "root", "local").in("root"));
}

TEST_CASE("A user that EXAConf does not know has no groups") {
  CHECK(identify(*test::small_config(), "nobody-we-know", "basic").groups.empty());
}

TEST_CASE("On the local socket uid 0 is root") {
  const auto who = identify_local(*test::small_config(), 0);
  REQUIRE(who.ok());
  CHECK(who->user == "root");
  CHECK(who->method == "local");
}

TEST_CASE("On the local socket an OS user is the EXAConf user of his name") {
  // Debian's uid 1 is daemon on every machine.
  const auto unknown = identify_local(*test::small_config(), 1);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().code == base::Code::forbidden);
  CHECK(unknown.error().text.find("'daemon'") != std::string::npos);

  const std::string daemon =
      "    [[daemon]]\n        ID = 7001\n        Group = exadbadm\n        LoginEnabled = ";
  const auto known = identify_local(*test::small_config(daemon + "True\n"), 1);
  REQUIRE(known.ok());
  CHECK(known->user == "daemon");
  CHECK(known->in("exadbadm"));

  const auto disabled = identify_local(*test::small_config(daemon + "False\n"), 1);
  REQUIRE_FALSE(disabled.ok());
  CHECK(disabled.error().text.find("disabled") != std::string::npos);
}

TEST_CASE("An OS user without a name is refused") {
  const auto who = identify_local(*test::small_config(), 4'000'000'001u);
  REQUIRE_FALSE(who.ok());
  CHECK(who.error().code == base::Code::forbidden);
}

TEST_CASE("permitted wants the name or one of the groups") {
  const Identity alice = identify(*test::small_config(), "alice", "basic");
  using Names = std::vector<std::string_view>;
  CHECK(permitted(alice, Names{"alice"}, Names{}));
  CHECK(permitted(alice, Names{"root"}, Names{"exadbadm", "reporting"}));
  CHECK_FALSE(permitted(alice, Names{"root"}, Names{"exadbadm"}));
  CHECK_FALSE(permitted(alice, Names{}, Names{}));
  CHECK_FALSE(permitted(alice, Names{"exaadm"}, Names{"alice"}));
}

}  // namespace confd::auth
