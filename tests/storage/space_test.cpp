#include "storage/space.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <random>

namespace confd::storage {
namespace {

using Counts = std::vector<std::uint64_t>;

Superblock device_of(std::uint64_t sectors, std::vector<Claim> claims = {},
                     std::uint64_t sector_size = 4096) {
  Superblock superblock;
  superblock.uuid = {1};
  superblock.geometry = {sector_size, sectors, sectors};
  superblock.claims = std::move(claims);
  return superblock;
}

Claim taken(std::uint64_t start, std::uint64_t sectors) {
  return {{9, 0, 1}, {2}, start, sectors, sectors};
}

TEST_CASE("free runs are what nobody has") {
  CHECK(free_runs(device_of(100)) == std::vector<Run>{{0, 100}});
  const Superblock device = device_of(100, {taken(0, 10), taken(50, 25), taken(20, 10)});
  CHECK(free_runs(device) == std::vector<Run>{{10, 10}, {30, 20}, {75, 25}});
  CHECK(free_sectors(device) == 55);
  CHECK(free_blocks(device, 4096) == 55);
  CHECK(free_blocks(device, 8192) == 5 + 10 + 12);
}

TEST_CASE("blocks are spread equally, and what does not fit on one goes to the others") {
  CHECK(spread(10, {0, 0}, {100, 100}) == Counts{5, 5});
  CHECK(spread(11, {0, 0, 0}, {100, 100, 100}) == Counts{4, 4, 3});
  CHECK(spread(100, {0, 0, 0}, {10, 100, 100}) == Counts{10, 45, 45});
  CHECK(spread(20, {10, 0}, {100, 100}) == Counts{10, 10});
  CHECK(spread(12, {10, 0}, {100, 1}) == Counts{11, 1});
  CHECK(spread(5, {10, 2, 0}, {0, 0, 0}) == Counts{3, 2, 0});
  CHECK(spread(0, {10, 2}, {5, 5}) == Counts{0, 0});
  CHECK(spread(12, {10, 2}, {5, 5}) == Counts{10, 2});
}

TEST_CASE("any spread adds up and keeps to the room") {
  std::mt19937 random(7);
  for (int round = 0; round < 5000; ++round) {
    Counts present, room;
    for (std::size_t i = 0; i <= random() % 5; ++i) {
      present.push_back(random() % 50);
      room.push_back(random() % 50);
    }
    const std::uint64_t before = std::accumulate(present.begin(), present.end(), std::uint64_t{0});
    const std::uint64_t most = before + std::accumulate(room.begin(), room.end(), std::uint64_t{0});
    const std::uint64_t total = random() % (most + 1);
    const Counts after = spread(total, present, room);
    REQUIRE(std::accumulate(after.begin(), after.end(), std::uint64_t{0}) == total);
    for (std::size_t i = 0; i < present.size(); ++i) {
      if (total >= before) {
        REQUIRE(after[i] >= present[i]);
        REQUIRE(after[i] <= present[i] + room[i]);
      } else {
        REQUIRE(after[i] <= present[i]);
      }
    }
  }
}

TEST_CASE("the smallest run that holds a share is taken, else the largest ones") {
  const Superblock device = device_of(100, {taken(0, 10), taken(50, 25), taken(20, 10)});
  CHECK(grown(device, {}, 15, 4096) == std::vector<Extent>{{{1}, 30, 15, 15}});
  CHECK(grown(device, {}, 8, 4096) == std::vector<Extent>{{{1}, 10, 8, 8}});
  CHECK(grown(device, {}, 50, 4096) ==
        std::vector<Extent>{{{1}, 75, 25, 25}, {{1}, 30, 20, 20}, {{1}, 10, 5, 5}});
}

TEST_CASE("a segment that grows goes on behind its last sector") {
  const Superblock device = device_of(100, {taken(0, 10), taken(20, 10)});
  CHECK(grown(device, {{{1}, 0, 10, 10}}, 4, 4096) == std::vector<Extent>{{{1}, 0, 14, 14}});
  CHECK(grown(device, {{{1}, 0, 10, 10}}, 12, 4096) ==
        std::vector<Extent>{{{1}, 0, 20, 20}, {{1}, 30, 2, 2}});
}

TEST_CASE("blocks smaller than sectors share them, larger ones take several") {
  const Superblock wide = device_of(10, {taken(0, 1)}, 16384);
  // One sector of four blocks has room for another one of the same segment.
  CHECK(grown(wide, {{{1}, 0, 1, 3}}, 2, 4096) == std::vector<Extent>{{{1}, 0, 2, 5}});
  CHECK(grown(wide, {}, 5, 4096) == std::vector<Extent>{{{1}, 1, 2, 5}});
  CHECK(grown(device_of(10), {}, 2, 16384) == std::vector<Extent>{{{1}, 0, 8, 2}});
  CHECK(shrunk({{{1}, 0, 2, 5}, {{1}, 7, 1, 4}}, 6, 4096, 16384) ==
        std::vector<Extent>{{{1}, 0, 2, 5}, {{1}, 7, 1, 1}});
  CHECK(shrunk({{{1}, 0, 8, 2}}, 1, 16384, 4096) == std::vector<Extent>{{{1}, 0, 4, 1}});
  CHECK(shrunk({{{1}, 0, 8, 2}}, 0, 16384, 4096).empty());
}

}  // namespace
}  // namespace confd::storage
