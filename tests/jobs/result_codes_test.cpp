// docs/result-codes.md lists exactly the codes of base/result.h.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <sstream>

#include "base/result.h"
#include "base/text.h"

namespace confd::base {
namespace {

struct Row {
  std::string name, meaning, advice;
};

std::map<std::int64_t, Row> documented() {
  std::ifstream file(CONFD_SOURCE_DIR "/docs/result-codes.md");
  REQUIRE(file);
  std::map<std::int64_t, Row> rows;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> cells = split(line, '|');
    if (cells.size() != 6) continue;
    const auto code = parse_int(trim(cells[1]));
    if (!code) continue;
    CAPTURE(line);
    CHECK(rows.emplace(*code, Row{std::string(trim(cells[2])), std::string(trim(cells[3])),
                                  std::string(trim(cells[4]))})
              .second);
  }
  return rows;
}

}  // namespace

TEST_CASE("docs/result-codes.md lists every code with its name, meaning and advice, and no other") {
  const auto rows = documented();
  CHECK(rows.size() == static_cast<std::size_t>(Code::unknown_outcome) + 1);
  for (int number = 0; number <= static_cast<int>(Code::unknown_outcome); ++number) {
    CAPTURE(number);
    const auto row = rows.find(number);
    REQUIRE(row != rows.end());
    CHECK(row->second.name == code_name(static_cast<Code>(number)));
    CHECK_FALSE(row->second.meaning.empty());
    CHECK_FALSE(row->second.advice.empty());
  }
}

TEST_CASE("The numbers that the interface gives stay") {
  CHECK(static_cast<int>(Code::ok) == 0);
  CHECK(static_cast<int>(Code::job_error) == 1);
  CHECK(static_cast<int>(Code::not_finished) == 5);
  CHECK(code_name(Code::ok) == "OK");
  CHECK(code_name(Code::job_error) == "JobError");
}

}  // namespace confd::base
