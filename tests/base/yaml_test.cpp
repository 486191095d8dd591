// The layout as such is compared with PyYAML in python_oracle_test.py; here stand the rules that users rely
// on.
#include "base/yaml.h"

#include <catch2/catch.hpp>
#include <string>

using namespace confd::base;

namespace {

std::string refusal(std::string_view text, const YamlLimits& limits = {}) {
  const Result<Value> parsed = parse_yaml(text, limits);
  return parsed ? "taken" : parsed.error().text;
}

}  // namespace

TEST_CASE("YAML output is laid out as PyYAML does it") {
  CHECK(dump_yaml("running") == "running\n...\n");
  CHECK(dump_yaml(Array{"DB1", "DB2"}) == "- DB1\n- DB2\n");
  CHECK(dump_yaml(Struct{{"owner", Array{500, 500}}, {"name", "r0000"}, {"vid", "10003"}, {"comment", ""}}) ==
        "comment: ''\nname: r0000\nowner:\n- 500\n- 500\nvid: '10003'\n");
  CHECK(dump_yaml(Array{}) == "[]\n");
  CHECK(
      dump_yaml(Struct{{"connectible", "Yes"}, {"expire", "2025-12-31"}, {"size", "10 GiB"}, {"on", true}}) ==
      "connectible: 'Yes'\nexpire: '2025-12-31'\n'on': true\nsize: 10 GiB\n");
}

TEST_CASE("job files keep the order of members") {
  CHECK(dump_yaml_in_order(Struct{{"z", 1}, {"a", Struct{{"y", 2}, {"b", 3}}}}) ==
        "z: 1\na:\n  y: 2\n  b: 3\n");
}

TEST_CASE("plain scalars have the types of YAML 1.1") {
  CHECK(*parse_yaml("[yes, No, on, OFF, true, False, ~, null, ]") ==
        Array{true, false, true, false, true, false, nullptr, nullptr});
  CHECK(*parse_yaml("[1, -2, +3, 1_000, 0x1F, 017, 0b101, 1:30, 0]") ==
        Array{1, -2, 3, 1000, 31, 15, 5, 90, 0});
  CHECK(*parse_yaml("[1.5, .5, 1.0e+3, 1:30.5]") == Array{1.5, 0.5, 1000.0, 90.5});
  CHECK(*parse_yaml("[8.29.12, 0o17, 08, 1e3, y, n, 2025-12-31, 2025-04-17 14:56:01, 1w 3d]") ==
        Array{"8.29.12", "0o17", "08", "1e3", "y", "n", "2025-12-31", "2025-04-17 14:56:01", "1w 3d"});
  CHECK(*parse_yaml("99999999999999999999") == Value("99999999999999999999"));
  CHECK(parse_yaml("")->is_null());
  CHECK(parse_yaml("# only a comment\n")->is_null());
}

TEST_CASE("flow parameters as operators write them") {
  CHECK(
      *parse_yaml("{url: https://b.s3.amazonaws.com/?x=1, password: +Cr/x, owner: [500,500]}") ==
      Struct{{"url", "https://b.s3.amazonaws.com/?x=1"}, {"password", "+Cr/x"}, {"owner", Array{500, 500}}});
  CHECK(*parse_yaml("{< -}") == Struct{{"< -", nullptr}});
  CHECK(*parse_yaml("{params:\"-x=1\"}") == Struct{{"params:\"-x=1\"", nullptr}});
  CHECK(*parse_yaml("{\"a\":1,\"b\":[\"c\"]}") == Struct{{"a", 1}, {"b", Array{"c"}}});
  CHECK(*parse_yaml("\"\\ud83d\\ude00 \\x41\\n\"") == Value("😀 A\n"));
}

TEST_CASE("mapping keys are strings, an anchor stands for its value, << merges") {
  CHECK(*parse_yaml("11: a\ntrue: b") == Struct{{"11", "a"}, {"true", "b"}});
  CHECK(*parse_yaml("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3") ==
        Struct{{"base", Struct{{"x", 1}, {"y", 2}}}, {"more", Struct{{"x", 1}, {"y", 3}}}});
  CHECK(*parse_yaml("<<: [{a: 1}, {a: 2, b: 2}]") == Struct{{"a", 1}, {"b", 2}});
}

TEST_CASE("wrong YAML is refused with line and column") {
  CHECK(
      refusal("a: 1\nb: *") ==
      "not valid YAML at line 2, column 5: '*' starts an alias; put a value that begins with it into quotes");
  CHECK(refusal("{a: 1").find("line 1") != std::string::npos);
  for (const char* text : {"a: b: c",     "[1, 2",           "[1]]",
                           "'open",       "\"open",          "\"\\q\"",
                           "@a",          "a: 1\n- b",       "\x01",
                           "\xff",        "[a, , b]",        "a: 1\n---\nb: 2",
                           "{[a]: 1}",    "? [a]\n: 1",      "!!python/object:os.system x",
                           "!!int x",     "%TAG ! x\n--- a", "&a [*a]",
                           "\"\\ud800\"", "a\tb: 1\n\tc: 2", "<<: 1"}) {
    INFO(text);
    CHECK(refusal(text) != "taken");
  }
}

TEST_CASE("YAML nesting and the number of nodes are limited, aliases counted") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(refusal(nested(64)) == "taken");
  CHECK(refusal(nested(65)).find("deeper than 64") != std::string::npos);
  CHECK(refusal(std::string(100'000, '[')).find("deeper") != std::string::npos);
  std::string block;
  for (std::size_t i = 0; i < 70; ++i) block += std::string(i, ' ') + "a:\n";
  CHECK(refusal(block).find("deeper") != std::string::npos);
  CHECK(refusal("a: &a [[[1]]]\nb: [[*a]]", {.depth = 5}).find("deeper") != std::string::npos);

  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + "," + before + "]\n";
  }
  CHECK(refusal(bomb, {.depth = 64, .nodes = 10'000}).find("more than 10000 values") != std::string::npos);
}
