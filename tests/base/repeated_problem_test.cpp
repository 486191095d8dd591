#include "base/repeated_problem.h"

#include <catch2/catch.hpp>

using confd::base::RepeatedProblem;
using confd::base::SteadyTime;
using namespace std::chrono_literals;

TEST_CASE("a trouble that lasts is told at once, then once a minute with its number, then that it is over") {
  RepeatedProblem disk;
  const SteadyTime start{};
  CHECK_FALSE(disk.over(start));
  CHECK(disk.came("disk full", 3, start) == "disk full (and 2 more of the kind)");
  for (int second = 1; second < 60; ++second) CHECK_FALSE(disk.came("disk full", 2, start + second * 1s));
  CHECK(disk.came("disk still full", 1, start + 60s) == "disk still full (and 118 more of the kind)");
  CHECK_FALSE(disk.came("disk full", 5, start + 61s));
  CHECK_FALSE(disk.over(start + 62s));
  CHECK(disk.over(start + 61s + RepeatedProblem::kOver) == 5);
  CHECK_FALSE(disk.over(start + 80s));
  CHECK(disk.came("full again", 1, start + 81s) == "full again");
}
