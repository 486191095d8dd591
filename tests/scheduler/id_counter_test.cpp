#include "scheduler/id_counter.h"

#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "tests/support/fake_file_system.h"

namespace confd::scheduler {
namespace {

using base::Code;

const std::string kPath = "/exa/spool/jobs/next.id";

struct Fixture {
  test::FakeFileSystem files;
  Fixture() { REQUIRE(files.make_directories("/exa/spool/jobs", 0700).ok()); }
  std::unique_ptr<IdCounter> open(std::uint64_t at_least = 1) {
    auto counter = IdCounter::open(files, kPath, at_least);
    if (!counter) FAIL(counter.error().text);
    return std::move(*counter);
  }
};

TEST_CASE_METHOD(Fixture, "The first job number is 1, and they rise by one") {
  auto counter = open();
  CHECK(*counter->take() == 1);
  CHECK(*counter->take() == 2);
  CHECK(*counter->take() == 3);
}

TEST_CASE_METHOD(Fixture, "A restart leaves a gap and gives no number twice") {
  CHECK(*open()->take() == 1);
  const std::uint64_t later = *open()->take();
  CHECK(later > 1);
  CHECK(later <= 1 + IdCounter::kBlock);
}

TEST_CASE_METHOD(Fixture, "A clean stop leaves no gap") {
  auto counter = open();
  CHECK(*counter->take() == 1);
  counter->close();
  CHECK(*open()->take() == 2);
  files.power_cut();
  CHECK(*open()->take() > 2);
}

TEST_CASE_METHOD(Fixture, "Numbers of jobs on record are not given again though next.id is lost") {
  CHECK(*open(5000)->take() == 5000);
}

TEST_CASE_METHOD(Fixture, "Taking a number costs no call of the file system until the block is used up") {
  auto counter = open();
  const int calls = files.calls();
  for (std::uint64_t i = 0; i < IdCounter::kBlock; ++i) REQUIRE(counter->take().ok());
  CHECK(files.calls() == calls);
  CHECK(*counter->take() == IdCounter::kBlock + 1);
  CHECK(files.calls() > calls);
}

TEST_CASE_METHOD(Fixture, "A refill in time keeps taking free of calls") {
  auto counter = open();
  CHECK_FALSE(counter->wants_refill());
  for (std::uint64_t i = 0; i <= IdCounter::kBlock / 2; ++i) REQUIRE(counter->take().ok());
  REQUIRE(counter->wants_refill());
  REQUIRE(counter->refill().ok());
  CHECK_FALSE(counter->wants_refill());
  const int calls = files.calls();
  for (std::uint64_t i = 0; i < IdCounter::kBlock; ++i) REQUIRE(counter->take().ok());
  CHECK(files.calls() == calls);
}

TEST_CASE_METHOD(Fixture, "When a block can't be reserved no number is given, and the next try goes on") {
  auto counter = open();
  for (std::uint64_t i = 0; i < IdCounter::kBlock; ++i) REQUIRE(counter->take().ok());
  files.fail_from(files.calls() + 1);
  const auto refused = counter->take();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::io_error);
  files.kill();
  CHECK(*counter->take() == IdCounter::kBlock + 1);
}

TEST_CASE_METHOD(Fixture, "A next.id that holds no number is named, with the way out") {
  files.put(kPath, "many\n");
  const auto counter = IdCounter::open(files, kPath, 1);
  REQUIRE_FALSE(counter.ok());
  CHECK(counter.error().code == Code::invalid_config);
  CHECK(counter.error().text.find(kPath) != std::string::npos);
  CHECK(counter.error().text.find("write the highest job number") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "Two threads never get the same number") {
  auto counter = open();
  std::vector<std::uint64_t> taken[2];
  {
    std::vector<std::jthread> threads;
    for (auto& mine : taken)
      threads.emplace_back([&counter, &mine] {
        for (int i = 0; i < 30'000; ++i) mine.push_back(*counter->take());
      });
  }
  std::set<std::uint64_t> all(taken[0].begin(), taken[0].end());
  all.insert(taken[1].begin(), taken[1].end());
  CHECK(all.size() == 60'000);
}

TEST_CASE("Numbers that were given are not given again, wherever the power is cut") {
  // Three lives: in each the power is cut at the call `cut`, then the numbers go on.
  for (int cut = 1; cut < 40; ++cut) {
    CAPTURE(cut);
    Fixture fixture;
    std::uint64_t highest = 0;
    for (int life = 0; life < 3; ++life) {
      fixture.files.fail_from(fixture.files.calls() + cut);
      if (auto counter = IdCounter::open(fixture.files, kPath, 1); counter.ok()) {
        for (std::uint64_t i = 0; i < 2 * IdCounter::kBlock + 5; ++i) {
          const auto number = (*counter)->take();
          if (!number) break;
          REQUIRE(*number > highest);
          highest = *number;
        }
      }
      fixture.files.power_cut();
    }
    CHECK(*fixture.open()->take() > highest);
  }
}

}  // namespace
}  // namespace confd::scheduler
