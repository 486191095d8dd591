#include "base/json.h"

#include <catch2/catch.hpp>
#include <limits>
#include <string>

using namespace confd::base;

TEST_CASE("JSON values come in with their types and the order of their members") {
  const Value value = *parse_json(R"( {"b": [1, -2.5, true, null, "x"], "a": {}} )");
  CHECK(value == Struct{{"b", Array{1, -2.5, true, nullptr, "x"}}, {"a", Struct{}}});
  CHECK(value.as_struct().begin()->first == "b");
}

TEST_CASE("a member that comes twice keeps the last value, also in big structs") {
  CHECK(*parse_json(R"({"a": 1, "b": 2, "a": 3})") == Struct{{"a", 3}, {"b", 2}});
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += "\"" + std::to_string(i % 50) + "\": " + std::to_string(i) + ",";
  text.back() = '}';
  const Value value = *parse_json(text);
  CHECK(value.as_struct().size() == 50);
  CHECK(value.find("0")->as_int() == 50);
  CHECK(value.find("49")->as_int() == 99);
}

TEST_CASE("integers stay exact up to 64 bit and become doubles beyond") {
  CHECK(parse_json("9223372036854775807")->as_int() == std::numeric_limits<std::int64_t>::max());
  CHECK(parse_json("-9223372036854775808")->as_int() == std::numeric_limits<std::int64_t>::min());
  CHECK(parse_json("9223372036854775808")->as_real() == 9223372036854775808.0);
  CHECK(parse_json("123456789012345678901234567890")->as_real() == 1.2345678901234568e29);
}

TEST_CASE("doubles come back bit for bit") {
  for (const double number : {0.1, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789}) {
    const Value back = *parse_json(render_json(number));
    REQUIRE(back.is_real());
    CHECK(back.as_real() == number);
  }
  CHECK(parse_json("1e-400")->as_real() == 0.0);
  CHECK_FALSE(parse_json("1e400"));
}

TEST_CASE("wrong JSON is refused with the place") {
  for (const char* text :
       {"", "{", "[1,]", "{\"a\" 1}", "nul", "'x'", "1 2", "\"\\ud800\"", "\"\xff\"", "{\"a\":}", "01"}) {
    const Result<Value> parsed = parse_json(text);
    INFO(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::bad_parameter);
    CHECK(parsed.error().text.find("at byte") != std::string::npos);
  }
}

TEST_CASE("JSON nesting is limited") {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(parse_json(nested(64)));
  CHECK_FALSE(parse_json(nested(65)));
  CHECK_FALSE(parse_json(std::string(1'000'000, '[')));
}

TEST_CASE("the number of JSON values is limited, containers counted") {
  CHECK(parse_json("[1,{\"a\":2},[]]", {.values = 5}).ok());
  const auto refused = parse_json("[1,{\"a\":2},[]]", {.values = 4});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().text == "more than 4 values in one text");
}

TEST_CASE("rendered JSON escapes what it must and nothing else") {
  CHECK(render_json("a\"\\\n\t\b\f\r\x01/\x7fé") == "\"a\\\"\\\\\\n\\t\\b\\f\\r\\u0001/\x7fé\"");
  CHECK(render_json("broken \xff") == "\"broken \xEF\xBF\xBD\"");
  CHECK(render_json(Struct{{"z", Array{}}, {"a", Struct{}}, {"n", nullptr}, {"d", 1.0}}) ==
        R"({"z":[],"a":{},"n":null,"d":1.0})");
  CHECK(render_json(std::numeric_limits<double>::infinity()) == "null");
}

TEST_CASE("indented JSON looks as Python's json.dumps with indent=2") {
  CHECK(render_json_indented(Struct{{"a", Array{1, Array{}}}, {"b", Struct{}}}) ==
        "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": {}\n}");
}
