#include "base/value.h"

#include <catch2/catch.hpp>

using confd::base::Struct;
using confd::base::Value;

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
