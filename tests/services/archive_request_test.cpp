#include "services/archive_request.h"

#include <catch2/catch.hpp>

namespace confd::services {
namespace {

using base::Code;

TEST_CASE("a target is a path of the volume") {
  CHECK(parse_archive_target("/")->path.empty());
  const auto file = parse_archive_target("/DB1/id_1/a%20b+%C3%BC?x=/y");
  CHECK(file->path == "DB1/id_1/a b+ü");
  CHECK(!file->is_folder);
  const auto folder = parse_archive_target("/a/b/");
  CHECK(folder->path == "a/b");
  CHECK(folder->is_folder);
}

TEST_CASE("what no path may be is refused") {
  for (const char* target : {"", "a", "*", "//", "/a//b", "/.", "/..", "/a/../b", "/%2e%2e/x", "/a%00b",
                             "/a%0Ab", "/%", "/%zz", "/%4", "/%ff"})
    CHECK(parse_archive_target(target).error().code == Code::bad_parameter);
  CHECK(parse_archive_target("/" + std::string(255, 'x')).ok());
  CHECK(!parse_archive_target("/" + std::string(256, 'x')).ok());
  std::string deep;
  while (deep.size() <= 1030) deep += "/part";
  CHECK(!parse_archive_target(deep).ok());
}

TEST_CASE("a destination is on the same server") {
  CHECK(parse_destination("/a/b", "host:80")->path == "a/b");
  CHECK(parse_destination("https://Host:80/a%20b/", "host:80")->path == "a b");
  CHECK(parse_destination("http://anna@host/a", "host")->path == "a");
  CHECK(!parse_destination("http://other/a", "host").ok());
  CHECK(!parse_destination("http://host", "host").ok());
}

TEST_CASE("a reference leads back to its path") {
  CHECK(archive_href("", true) == "/");
  CHECK(archive_href("a b/%ü?#+<&\"", false) == "/a%20b/%25%C3%BC%3F%23%2B%3C%26%22");
  for (const char* path : {"a", "a b/c+d", "100%/ü", "x?y#z", "'\"<>&"}) {
    const auto back = parse_archive_target(archive_href(path, true));
    CHECK(back->path == path);
    CHECK(back->is_folder);
  }
}

TEST_CASE("ranges") {
  struct Case {
    const char* header;
    std::uint64_t size;
    RangeKind kind;
    std::uint64_t first, length;
  };
  for (const Case& one :
       std::initializer_list<Case>{{"bytes=0-0", 10, RangeKind::part, 0, 1},
                                   {"bytes=2-5", 10, RangeKind::part, 2, 4},
                                   {"Bytes= 2 - 5 ", 10, RangeKind::part, 2, 4},
                                   {"bytes=5-", 10, RangeKind::part, 5, 5},
                                   {"bytes=5-99", 10, RangeKind::part, 5, 5},
                                   {"bytes=-3", 10, RangeKind::part, 7, 3},
                                   {"bytes=-30", 10, RangeKind::part, 0, 10},
                                   {"bytes=10-", 10, RangeKind::unsatisfiable, 0, 0},
                                   {"bytes=0-", 0, RangeKind::unsatisfiable, 0, 0},
                                   {"bytes=-0", 10, RangeKind::unsatisfiable, 0, 0},
                                   {"bytes=5-2", 10, RangeKind::whole, 0, 0},
                                   {"bytes=0-1,3-4", 10, RangeKind::whole, 0, 0},
                                   {"bytes=", 10, RangeKind::whole, 0, 0},
                                   {"bytes=-", 10, RangeKind::whole, 0, 0},
                                   {"bytes=x-3", 10, RangeKind::whole, 0, 0},
                                   {"bytes=1-18446744073709551616", 10, RangeKind::whole, 0, 0},
                                   {"lines=1-2", 10, RangeKind::whole, 0, 0}}) {
    INFO(one.header);
    const RangeAsked asked = parse_range(one.header, one.size);
    CHECK(asked.kind == one.kind);
    CHECK(asked.range.first == one.first);
    CHECK(asked.range.size == one.length);
  }
}

TEST_CASE("entity tags and depths") {
  CHECK(names_tag("*", "\"a\""));
  CHECK(names_tag("\"b\", W/\"a\"", "\"a\""));
  CHECK(!names_tag("\"b\"", "\"a\""));
  const std::string zero = "0", one = "1", all = "infinity";
  CHECK(parse_depth(&zero, 1) == 0);
  CHECK(parse_depth(&one, 0) == 1);
  CHECK(parse_depth(nullptr, 1) == 1);
  CHECK(!parse_depth(&all, 1));
}

}  // namespace
}  // namespace confd::services
