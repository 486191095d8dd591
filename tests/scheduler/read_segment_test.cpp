#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "scheduler/read_segment.h"

using namespace confd;
using scheduler::ReadSegment;

namespace {

// What was written, a string each call; fails as often as told, after half of it.
struct Paper {
  std::vector<std::string> writes;
  int failures = 0;
};

class PaperFile : public base::File {
 public:
  explicit PaperFile(Paper& paper) : paper_(paper) {}
  base::Status append(std::string_view bytes) override {
    if (paper_.failures == 0) {
      paper_.writes.emplace_back(bytes);
      return {};
    }
    --paper_.failures;
    paper_.writes.emplace_back(bytes.substr(0, bytes.size() / 2));
    return base::Error{base::Code::io_error, "no space left"};
  }
  base::Status sync() override { return {}; }

 private:
  Paper& paper_;
};

struct Fixture {
  Paper paper;
  ReadSegment segment{std::make_unique<PaperFile>(paper), "reads-1.yaml"};
  std::string all() const {
    std::string text;
    for (const std::string& write : paper.writes) text += write;
    return text;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "A line that comes alone is written at once") {
  REQUIRE(segment.append("one\n").ok());
  CHECK(paper.writes == std::vector<std::string>{"one\n"});
  CHECK_FALSE(segment.waits());
}

TEST_CASE_METHOD(Fixture, "Lines that come close together share writes, and none waits behind many") {
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    expected += line;
    REQUIRE(segment.append(line).ok());
    // Never more than kLines behind.
    std::size_t written = 0;
    for (const char c : all()) written += c == '\n';
    REQUIRE(written + ReadSegment::kLines > static_cast<std::size_t>(i));
  }
  REQUIRE(segment.write_out().ok());
  CHECK(all() == expected);
  CHECK(paper.writes.size() < 500);
  CHECK(segment.jobs() == 1000);
  CHECK(segment.bytes() == expected.size());
}

TEST_CASE_METHOD(Fixture, "What a full disk cut off comes again, whole and on lines of its own") {
  REQUIRE(segment.append("one\n").ok());
  paper.failures = 2;
  (void)segment.append("two\n").ok();  // waits, or fails
  while (paper.failures > 0) CHECK_FALSE((segment.append("more\n").ok() && segment.write_out().ok()));
  CHECK(segment.waits());
  REQUIRE(segment.write_out().ok());
  CHECK_FALSE(segment.waits());
  const std::string text = "\n" + all();
  CHECK(text.find("\ntwo\n") != std::string::npos);
  CHECK(text.find("\nmore\n") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "In a file that is closed no line waits") {
  REQUIRE(segment.append("one\n").ok());
  (void)segment.append("two\n").ok();
  REQUIRE(segment.close().ok());
  REQUIRE(segment.append("three\n").ok());
  REQUIRE(segment.append("four\n").ok());
  CHECK(all() == "one\ntwo\nthree\nfour\n");
}
