#include "auth/password.h"

#include <catch2/catch.hpp>

#include "tests/support/config_text.h"
#include "tests/support/fake_random.h"

namespace confd::auth {

TEST_CASE("An encoded password is $6$ with a 16-character salt and verifies") {
  test::FakeRandom random;
  const auto encoded = encode_password("secret", random);
  REQUIRE(encoded.ok());
  CHECK(encoded->substr(0, 3) == "$6$");
  CHECK(encoded->find('$', 3) == 3 + 16);
  CHECK(verify_password("secret", *encoded));
  CHECK_FALSE(verify_password("Secret", *encoded));
  CHECK_FALSE(verify_password("", *encoded));
}

TEST_CASE("Two users of one password have different texts") {
  test::FakeRandom random;
  CHECK(*encode_password("secret", random) != *encode_password("secret", random));
}

TEST_CASE("Empty and * stay as they are and never verify") {
  test::FakeRandom random;
  CHECK(*encode_password("", random) == "");
  CHECK(*encode_password("*", random) == "*");
  for (const std::string record : {"", "*", "*0", "!", "!$6$x$y"}) {
    CAPTURE(record);
    CHECK_FALSE(verify_password("", record));
    CHECK_FALSE(verify_password("*", record));
    CHECK_FALSE(verify_password(record, record));
  }
}

TEST_CASE("A clear text in the record is no password") {
  CHECK_FALSE(verify_password("secret", "secret"));
}

TEST_CASE("Passwords that crypt can't take are refused with the reason") {
  test::FakeRandom random;
  const auto with_nul = encode_password(std::string_view("a\0b", 3), random);
  REQUIRE_FALSE(with_nul.ok());
  CHECK(with_nul.error().code == base::Code::bad_parameter);
  CHECK(with_nul.error().text.find("NUL") != std::string::npos);
  const auto endless = encode_password(std::string(513, 'x'), random);
  REQUIRE_FALSE(endless.ok());
  CHECK(endless.error().text.find("513") != std::string::npos);
  CHECK(encode_password(std::string(511, 'x'), random).ok());
}

TEST_CASE("A NUL in what a client sends does not cut the comparison short") {
  CHECK(verify_password("wonderland", test::kWonderland));
  CHECK_FALSE(verify_password(std::string_view("wonderland\0more", 15), test::kWonderland));
}

TEST_CASE("Texts of crypt(3) are recognised") {
  CHECK(is_encoded(test::kWonderland));
  CHECK(is_encoded("$6$saltsaltsaltsalt$hash"));
  CHECK(is_encoded(""));
  CHECK(is_encoded("*"));
  CHECK(is_encoded("!locked"));
  CHECK_FALSE(is_encoded("secret"));
  CHECK_FALSE(is_encoded("$9$salt$hash"));
  CHECK_FALSE(is_encoded("$"));
}

}  // namespace confd::auth
