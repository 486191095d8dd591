#include "exaconf/value_types.h"

#include <catch2/catch.hpp>

using namespace confd::exaconf;

TEST_CASE("booleans are read in eight spellings and written as Python does") {
  for (const char* text : {"True", "yes", "ON", "1"}) CHECK(parse_bool(text) == true);
  for (const char* text : {"false", "No", "off", "0"}) CHECK(parse_bool(text) == false);
  for (const char* text : {"", "2", "y", "None"}) CHECK_FALSE(parse_bool(text));
  CHECK(format_bool(true) == "True");
  CHECK(format_bool(false) == "False");
}

TEST_CASE("sizes: powers of 1024 with i, of 1000 without") {
  CHECK(parse_size("512") == 512u);
  CHECK(parse_size("4 KiB") == 4096u);
  CHECK(parse_size("90G") == 90'000'000'000u);
  CHECK(parse_size("2.0 GiB") == 2147483648u);
  CHECK(parse_size("58.5938gi") == 62914613687u);
  CHECK(parse_size("1 b") == 1u);
  CHECK(parse_size(" 1 TiB ") == 1099511627776u);
  for (const char* text :
       {"", "GiB", "-1", "1 X", "1..2", "1.", ".5", "1 GiBB", "1 2", "99999 YiB", "1e3", "nan"})
    CHECK_FALSE(parse_size(text));
}

TEST_CASE("sizes are written with the largest binary unit and up to four decimals") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(512) == "512 B");
  CHECK(format_size(4096) == "4 KiB");
  CHECK(format_size(62914613687u) == "58.5938 GiB");
  CHECK(format_size(1536) == "1.5 KiB");
  CHECK(format_size(1099511627776u) == "1 TiB");
}

TEST_CASE("durations") {
  CHECK(parse_duration("3600") == 3600);
  CHECK(parse_duration("2w 1d") == 1296000);
  CHECK(parse_duration("1h30m") == 5400);
  CHECK(parse_duration("1m 5") == 65);
  CHECK(parse_duration("0") == 0);
  for (const char* text : {"", "1d 2w", "1x", "-5", "w", "1d 1d", "5 1m", "99999999999999999999w"})
    CHECK_FALSE(parse_duration(text));
  CHECK(format_duration(1296000) == "2w 1d");
  CHECK(format_duration(0) == "0s");
  CHECK(format_duration(90061) == "1d 1h 1m 1s");
}

TEST_CASE("owners are written with blanks and read without") {
  CHECK(parse_owner("500:501")->gid == 501);
  CHECK(format_owner(*parse_owner("500 : 501")) == "500 : 501");
  for (const char* text : {"", "500", "a:b", "-1:0", "1:2:3"}) CHECK_FALSE(parse_owner(text));
}

TEST_CASE("networks keep the host part; x stands for the node id") {
  CHECK(format_network(*parse_network("10.10.10.11/24", 11)) == "10.10.10.11/24");
  CHECK(format_network(*parse_network("10.10.10.xx/24", 12)) == "10.10.10.12/24");
  CHECK(format_network(*parse_network("10.0.0.1", 11)) == "10.0.0.1/32");
  CHECK(format_network(*parse_network("fd00::X/64", 11)) == "fd00::11/64");
  CHECK(format_network(*parse_network("::1", 11)) == "::1/128");
  for (const char* text :
       {"", "10.0.0/24", "10.0.0.256/8", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1", "host/24", "1:2:3/64",
        "::1::2/64", "12345::/16", "fd00::1/129", "10.0.0.01/8", "1:2:3:4:5:6:7:8:9/1"})
    CHECK_FALSE(parse_network(text, 11));
  for (const char* text : {"::", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "1::"}) CHECK(is_ipv6_address(text));
  for (const char* text : {":", ":1", "1:", "1:2", ":::", "::10.0.0", "g::"})
    CHECK_FALSE(is_ipv6_address(text));
}

TEST_CASE("lists") {
  CHECK(parse_node_list("11, 12,13,") == std::vector<int>{11, 12, 13});
  CHECK(parse_node_list("")->empty());
  CHECK_FALSE(parse_node_list("11,n12"));
  CHECK(format_node_list({11, 12}) == "11,12");
  CHECK(format_list({}) == ",");
  CHECK(format_list({"a"}) == "a,");
  CHECK(format_list({"a", "b"}) == "a, b");
}

TEST_CASE("pair lists") {
  const auto pairs = parse_pair_list("8563 : 8574, a:/exa/x:rw");
  REQUIRE(pairs);
  CHECK((*pairs)[0] == std::pair<std::string, std::string>("8563", "8574"));
  CHECK((*pairs)[1].second == "/exa/x:rw");
  CHECK(format_pair_list(*pairs) == "8563:8574, a:/exa/x:rw");
  CHECK_FALSE(parse_pair_list("8563"));
}
