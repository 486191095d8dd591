#include "base/text.h"

#include <catch2/catch.hpp>

using namespace confd::base;

TEST_CASE("base64 is strict") {
  CHECK(base64_encode("read\n") == "cmVhZAo=");
  CHECK(base64_decode("cmVhZAo=").value() == "read\n");
  CHECK(base64_decode("").value().empty());
  CHECK_FALSE(base64_decode("cmVhZAo"));
  CHECK_FALSE(base64_decode("cm VhZAo"));
  CHECK_FALSE(base64_decode("===="));
}

TEST_CASE("numbers are whole texts") {
  CHECK(parse_int("-12") == -12);
  CHECK(parse_int("+12") == 12);
  CHECK_FALSE(parse_int("+-12"));
  CHECK_FALSE(parse_int("12a"));
  CHECK_FALSE(parse_int(""));
  CHECK_FALSE(parse_int("99999999999999999999"));
}

TEST_CASE("UTF-8 is checked as RFC 3629 says") {
  CHECK(is_valid_utf8("grün €"));
  CHECK_FALSE(is_valid_utf8("\xC0\x80"));
  CHECK_FALSE(is_valid_utf8("\xED\xA0\x80"));
  CHECK_FALSE(is_valid_utf8("\xE2\x82"));
  CHECK_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));
}

TEST_CASE("a list drops empty items") {
  CHECK(split_list("local,") == std::vector<std::string>{"local"});
  CHECK(split_list(" a, b ,,c") == std::vector<std::string>{"a", "b", "c"});
  CHECK(split_list("").empty());
}
