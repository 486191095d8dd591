#include "base/value.h"

#include <catch2/catch.hpp>

using confd::base::Struct;
using confd::base::Value;

TEST_CASE("members that are removed leave the others in order, changed or not") {
  Struct each{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}};
  std::string seen;
  each.remove_if([&](Struct::Member& member) {
    seen += member.first;
    if (member.first == "c") member.second = "three";
    return member.first == "a" || member.first == "d";
  });
  CHECK(seen == "abcd");
  REQUIRE(each.size() == 2);
  CHECK(each.begin()->first == "b");
  CHECK(each.find("c")->as_string() == "three");
  each.remove_if([](Struct::Member&) { return true; });
  CHECK(each.empty());
}

TEST_CASE("a struct keeps its members in order and compares without it") {
  Struct a{{"x", 1}, {"y", "two"}};
  Struct b;
  b["y"] = "two";
  b["x"] = 1;
  CHECK(a == b);
  CHECK(a.begin()->first == "x");
  CHECK(b.begin()->first == "y");
  b.set("x", 2);
  CHECK_FALSE(a == b);
  CHECK(b.erase("x"));
  CHECK_FALSE(b.contains("x"));
}
