#include "storage/layout.h"

#include <catch2/catch.hpp>

#include "tests/support/volume_text.h"

namespace confd::storage {
namespace {

using test::only_volume;
using test::volume_section;

constexpr std::uint64_t kGi = 1ull << 30;

}  // namespace

TEST_CASE("The samples of the documentation: blocks of a volume with one master") {
  const Layout ten = layout_of(only_volume(volume_section("v", "11", "", "10 GiB")));
  REQUIRE(ten.segments.size() == 1);
  CHECK(ten.segments[0].start_block == 0);
  CHECK(ten.segments[0].end_block == 2621439);
  CHECK(layout_of(only_volume(volume_section("v", "11", "", "1 GiB"))).segments[0].end_block == 262143);
  CHECK(layout_of(only_volume(volume_section("v", "11", "", "20 GiB"))).blocks == 5242880);
}

TEST_CASE("The samples of the documentation: a 20 GiB volume and a 1 GiB one take 21 GiB of a device") {
  const std::uint64_t taken = segment_bytes(only_volume(volume_section("v", "11", "", "20 GiB"))) +
                              segment_bytes(only_volume(volume_section("t", "11", "", "1 GiB")));
  CHECK(taken / 4096 == 5505024);  // sectors: 8378368 data sectors - 2873344 free
}

TEST_CASE("Blocks are spread equally over the masters, in whole stripes") {
  const Volume volume = only_volume(volume_section("v", "11,12,13", "    Redundancy = 1\n", "1 GiB"));
  const Layout layout = layout_of(volume);
  CHECK(layout.segment_blocks == 87424);  // 262144 / 3 = 87381.3, up to 1366 stripes of 64
  CHECK(layout.blocks == 3 * 87424);
  REQUIRE(layout.segments.size() == 3);
  CHECK(layout.segments[1].start_block == 87424);
  CHECK(layout.segments[1].end_block == 174847);
  CHECK(layout.segments[2].node == 13);
  CHECK(usable_bytes(volume) >= volume.size);
}

TEST_CASE("Copies hold the blocks of their master") {
  const Layout layout = layout_of(only_volume(volume_section("v", "11,12", "    Redundancy = 2\n", "2 GiB")));
  REQUIRE(layout.segments.size() == 4);
  CHECK(layout.segments[0].id == SegmentKey{0, 0, 1});
  CHECK(layout.segments[2].id == SegmentKey{0, 0, 2});
  CHECK(layout.segments[2].node == 12);
  CHECK(layout.segments[2].start_block == layout.segments[0].start_block);
  CHECK(layout.segments[3].end_block == layout.segments[1].end_block);
  CHECK(layout.segments[3].number == 3);
}

TEST_CASE("A segment that moves is there twice until it has moved") {
  const Layout layout = layout_of(only_volume(volume_section(
      "v", "11,12,13", "    NumMasterNodes = 1\n    Redundancy = 2\n    Placement = 11>13/12,\n")));
  REQUIRE(layout.segments.size() == 3);
  CHECK(layout.segments[0].leaves);
  CHECK(layout.segments[2].arrives);
  CHECK(layout.segments[2].node == 13);
  CHECK(layout.segments[2].id == layout.segments[0].id);
  CHECK(layout.segments[2].number == 2);
}

TEST_CASE("Segments are never smaller than asked, never a stripe too large, and whole stripes") {
  for (std::uint64_t size = 1; size < 100 * kGi; size = size * 3 + 17)
    for (int masters = 1; masters <= 12; ++masters)
      for (const auto& [block, stripe] : {std::pair<std::uint64_t, std::uint64_t>{4096, 262144},
                                          {65536, 65536},
                                          {524288, 524288},
                                          {4096, 4096}}) {
        CAPTURE(size, masters, block, stripe);
        const std::uint64_t blocks = segment_blocks(size, masters, block, stripe);
        const auto count = static_cast<std::uint64_t>(masters);
        CHECK(blocks * block * count >= size);
        CHECK(blocks * block % stripe == 0);
        CHECK((blocks * block - stripe) * count < size);
        // Enlarged by itself it stays: the size that is written down is the size that is read.
        CHECK(segment_blocks(blocks * block * count, masters, block, stripe) == blocks);
      }
}

TEST_CASE("Segments are named for people") {
  CHECK(text_of(SegmentKey{3, 0, 1}) == "segment 0 of volume 3");
  CHECK(text_of(SegmentKey{3, 1, 2}) == "segment 1 of volume 3, level 2");
}

}  // namespace confd::storage
