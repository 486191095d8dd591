#include "base/json_text.h"

#include <catch2/catch.hpp>
#include <limits>
#include <string>

#include "base/json.h"

using confd::base::Array;
using confd::base::JsonText;
using confd::base::parse_json;
using confd::base::Struct;
using confd::base::Value;

TEST_CASE("JSON is written behind what is in the string already, with or without room for it") {
  const std::size_t expected = GENERATE(0u, 1u, 5u, 4096u);
  std::string out = "before";
  {
    JsonText json(out, expected);
    json.raw('{');
    json.key("a", true);
    json.integer(std::numeric_limits<std::int64_t>::min());
    json.key("b", false);
    json.text("text");
    json.raw('}');
  }
  CHECK(out == R"(before{"a":-9223372036854775808,"b":"text"})");
}

TEST_CASE("A byte that needs an escape is found wherever it stands") {
  const std::string special =
      GENERATE(as<std::string>(), "\"", "\\", "\n", "\x01", "\x1f", "\xff", "\xc3\xa9");
  for (std::size_t before = 0; before < 20; ++before)
    for (std::size_t after = 0; after < 20; ++after) {
      const std::string text = std::string(before, 'x') + special + std::string(after, 'y');
      const std::string instead = special == "\xff" ? "\xef\xbf\xbd" : special;
      std::string out;
      JsonText(out).text(text);
      const auto read = parse_json(out);
      REQUIRE(read);
      CHECK(read->as_string() == std::string(before, 'x') + instead + std::string(after, 'y'));
    }
}

TEST_CASE("Values larger than the room that was asked for are written whole") {
  Array items;
  for (int i = 0; i < 200; ++i)
    items.push_back(
        Struct{{"number", i}, {"text", std::string(static_cast<std::size_t>(i), '"')}, {"none", {}}});
  const Value value(items);
  std::string out;
  JsonText(out, 16).value(value);
  const auto read = parse_json(out);
  REQUIRE(read);
  CHECK(*read == value);
  CHECK(out.substr(0, 56) == R"([{"number":0,"text":"","none":null},{"number":1,"text":")");
}
