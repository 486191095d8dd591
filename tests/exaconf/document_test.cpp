#include "exaconf/document.h"

#include <catch2/catch.hpp>

using namespace confd;
using namespace confd::exaconf;

namespace {

std::string canonical(const std::string& text) {
  const auto document = Document::parse(text);
  INFO((document.ok() ? std::string() : document.error().text));
  REQUIRE(document.ok());
  return document->text();
}

}  // namespace

TEST_CASE("what ConfigObj writes in a form that it reads differently keeps its quotes") {
  CHECK(canonical("A = '''x # y'''\n") == "A = '''x # y'''\n");
  CHECK(canonical("A = '''  x '''\n") == "A = '''  x '''\n");
  CHECK(canonical("\"a = b\" = 1\n") == "\"a = b\" = 1\n");
  CHECK(canonical("[\"a ] # b\"]\n") == "[\"a ] # b\"]\n");
  CHECK(canonical("'#a' = 1\n") == "\"#a\" = 1\n");
  // Where dropping them is harmless they are dropped, as ConfigObj does.
  CHECK(canonical("'a b' = 1\n[\"x y\"]\n") == "a b = 1\n[x y]\n");
}

TEST_CASE("a value with both kinds of triple quotes is rejected, as nothing could write it") {
  const auto document = Document::parse("A = '''x \"\"\" # y''' z'''\n");
  REQUIRE_FALSE(document.ok());
  CHECK_THAT(document.error().text, Catch::Contains("line 1") && Catch::Contains("triple quotes"));
}

TEST_CASE("all trailing empty lines go, other final comments stay") {
  CHECK(canonical("A = 1\n\n\n\n") == "A = 1\n");
  CHECK(canonical("A = 1\n# x\n\n    \n\n") == "A = 1\n# x\n\n    \n");
  CHECK(canonical("") == "\n");
  CHECK(canonical("# only") == "# only\n");
}

TEST_CASE("text outside ASCII is kept as UTF-8, also in the checksum") {
  const std::string text = "# Größe\n[Büro]\n    Ort = Köln    # ü\n";
  CHECK(canonical(text) == text);
  CHECK(Document::parse(text)->checksum() != Document::parse("# Grosse\n")->checksum());
}

TEST_CASE("what is not UTF-8 is rejected with its line") {
  const auto read = Document::parse_collecting("A = 1\nB = \xff\n");
  REQUIRE(read.problems.size() == 1);
  CHECK(read.problems[0].line == 2);
}

TEST_CASE("CRLF survives, also around a value of several lines") {
  CHECK(canonical("A = '''x\r\ny'''\r\nB=1\r\n") == canonical(canonical("A = '''x\r\ny'''\r\nB=1\r\n")));
  CHECK(canonical("A=1\r\nB=2") == "A = 1\r\nB = 2\r\n");
}

TEST_CASE("all problems of a text are collected, the message counts them") {
  const auto read = Document::parse_collecting("[A\nx\n[B]\nk = 1\nk = 2\n[[[C]]]\nq = \"a\n");
  std::vector<std::size_t> lines;
  for (const Problem& problem : read.problems) lines.push_back(problem.line);
  CHECK(lines == std::vector<std::size_t>{1, 2, 5, 6, 7});
  std::string many;
  for (int i = 0; i < 14; ++i) many += "x\n";
  CHECK_THAT(Document::parse(many).error().text,
             Catch::Contains("line 10:") && Catch::EndsWith("and 4 more"));
}

TEST_CASE("errors do not show values: they may be secrets") {
  for (const char* text : {"Passwd = \"hunter2\n", "hunter2\n", "Passwd = '''hunter2\n"})
    CHECK_THAT(Document::parse(text).error().text, !Catch::Contains("hunter2"));
}

TEST_CASE("a section of thousands of names finds its duplicates") {
  std::string text = "[Users]\n";
  for (int i = 0; i < 5000; ++i) text += "    [[u" + std::to_string(i) + "]]\n";
  CHECK(Document::parse(text)->root.sections[0].sections.size() == 5000);
  const auto read = Document::parse_collecting(text + "    [[u17]]\n");
  REQUIRE(read.problems.size() == 1);
  CHECK(read.problems[0].line == 5002);
}

TEST_CASE("headings are found in any spelling of their blanks") {
  const auto document = *Document::parse("[Node:11]\nA = 1\n[Plugin: P1]\nB = 2\n");
  CHECK(document.find("Node : 11"));
  CHECK(document.find(heading_name("Plugin", "P1")));
  CHECK_FALSE(document.find("Node : 12"));
  CHECK(parse_heading(" Disk : d1 : x").id == "d1");
  CHECK(parse_heading("Global").id.empty());
}
