#include "storage/superblock.h"

#include <catch2/catch.hpp>

#include "storage/crc32c.h"
#include "tests/support/fake_storage_files.h"

namespace confd::storage {
namespace {

using base::Code;
using Content = SuperblockRegion::Content;

const std::string kPath = "/storage/dev.1";

Superblock sample() {
  Superblock superblock;
  superblock.uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  superblock.node = 11;
  superblock.disk = "disk1";
  superblock.flags = {.read_only = false, .use_crc = true, .sync_crc = true, .direct_io = true};
  superblock.geometry = *device_geometry(kGiB, 4096, true);
  SegmentRecord record;
  record.id = {0, 0, 1};
  record.blocks = 300;
  record.block_size = 4096;
  record.kind = SegmentKind::archive;
  record.state = SegmentState::recovering;
  record.allocated_ns = 1'600'000'000'000'000'007;
  record.extents = {{superblock.uuid, 10, 200, 200}, {{9, 9}, 0, 100, 100}};
  superblock.segments = {record};
  superblock.claims = {{{7, 1, 2}, {8, 8}, 1000, 24, 24}};
  return superblock;
}

struct Disk {
  Disk() {
    files.put_device(kPath, kGiB);
    device = std::move(*files.open_device(kPath, {}));
  }
  SuperblockRegion region() { return *read_region(*device); }

  test::FakeStorageFiles files;
  std::unique_ptr<DeviceFile> device;
};

TEST_CASE("CRC32C is that of RFC 3720") {
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
  CHECK(crc32c("6789", crc32c("12345")) == crc32c("123456789"));
}

TEST_CASE("a superblock is read as it was written") {
  Superblock superblock = sample();
  superblock.generation = 5;
  const auto copy = encode(superblock);
  REQUIRE(copy);
  CHECK(copy->size() % 4096 == 0);
  const auto back = decode(*copy);
  REQUIRE(back);
  CHECK(*back == superblock);
}

TEST_CASE("every damaged byte of a copy is noticed") {
  const std::string copy = *encode(sample());
  for (std::size_t i = 0; i < 4096 + 48 + 80 + 64; i += i < 300 || i >= 4096 ? 1 : 97) {
    std::string damaged = copy;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    CAPTURE(i);
    CHECK_FALSE(decode(damaged));
  }
  CHECK_FALSE(decode(copy.substr(0, 4096)));
  CHECK_FALSE(decode({}));
}

TEST_CASE("a map that is too large, and a name that is too long, are refused") {
  Superblock superblock = sample();
  superblock.claims.resize(40'000);
  CHECK(encode(superblock).error().code == Code::busy);
  superblock = sample();
  superblock.disk = std::string(129, 'x');
  CHECK(encode(superblock).error().code == Code::bad_parameter);
}

TEST_CASE("copies are written by turns, and the newest valid one counts") {
  Disk disk;
  CHECK(disk.region().content == Content::blank);
  Superblock superblock = sample();
  REQUIRE(write_new(*disk.device, superblock).ok());
  CHECK(superblock.generation == 2);
  CHECK(disk.region().superblock == superblock);
  superblock.disk = "disk2";
  REQUIRE(write_next(*disk.device, superblock).ok());
  CHECK(superblock.generation == 3);
  CHECK(disk.region().superblock == superblock);
  CHECK(disk.region().copies_valid[0]);
  CHECK(disk.region().copies_valid[1]);

  // Generation 3 lies at 2 MiB.
  disk.files.write_device(kPath, 2 * kMiB + 100, "rust");
  const SuperblockRegion torn = disk.region();
  CHECK(torn.content == Content::ours);
  CHECK(torn.superblock.generation == 2);
  CHECK(torn.superblock.disk == "disk1");
  CHECK_FALSE(torn.copies_valid[1]);
  CHECK(torn.problem == "copy 1: the superblock has a wrong checksum");

  disk.files.write_device(kPath, 100, "rust");
  CHECK(disk.region().content == Content::damaged);
}

TEST_CASE("what is not ours is told from a blank device") {
  Disk disk;
  disk.files.write_device(kPath, 1024 + 56, std::string("\x53\xEF", 2));  // ext4
  CHECK(disk.region().content == Content::foreign);
  Disk late;
  late.files.write_device(kPath, 4 * kMiB - 1, "x");
  CHECK(late.region().content == Content::foreign);
  Disk behind;
  behind.files.write_device(kPath, 4 * kMiB, "x");
  CHECK(behind.region().content == Content::blank);
}

TEST_CASE("a version of the format that is not known is refused") {
  std::string copy = *encode(sample());
  copy[8] = 2;
  CHECK(decode(copy).error().text == "the superblock has version 2; this confd reads version 1");
}

TEST_CASE("with sync_crc a write that is read back otherwise is an error") {
  Disk disk;
  Superblock superblock = sample();
  REQUIRE(write_new(*disk.device, superblock).ok());
  disk.files.corrupt_writes(true);
  CHECK(write_next(*disk.device, superblock).error().code == Code::invalid_config);
  superblock.flags.sync_crc = false;
  CHECK(write_next(*disk.device, superblock).ok());
}

// At any moment of a power cut the device has the superblock before or the one after, or is blank while it is
// being made.
TEST_CASE("a power cut leaves one of two superblocks") {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    test::FakeStorageFiles files(seed);
    files.put_device(kPath, kGiB);
    Superblock first = sample();
    first.segments.clear();
    first.claims.clear();
    const auto open = [&] { return std::move(*files.open_device(kPath, {})); };
    for (int call = 1; call <= 24 && seed <= 3; ++call) {
      CAPTURE(seed, call);
      files.put_device(kPath, kGiB);
      files.fail_from(files.calls() + call);
      Superblock made = first;
      const bool done = write_new(*open(), made).ok();
      files.power_cut();
      const auto region = read_region(*open());
      REQUIRE(region);
      if (done) {
        CHECK(region->superblock == made);
      } else {
        CHECK((region->content == Content::blank || region->content == Content::ours));
      }
    }
    files.put_device(kPath, kGiB);
    Superblock superblock = first;
    REQUIRE(write_new(*open(), superblock).ok());
    for (int round = 0; round < 40; ++round) {
      Superblock next = superblock;
      SegmentRecord record = sample().segments[0];
      record.id.vid = static_cast<std::uint64_t>(round);
      if (round % 8 == 7) next.segments.clear();
      for (int i = 0; i < 200; ++i) record.extents.push_back(record.extents[0]);
      next.segments.push_back(record);
      files.fail_from(files.calls() + 1 + round % 3);
      const bool done = write_next(*open(), next).ok();
      files.power_cut();
      const auto region = read_region(*open());
      REQUIRE(region);
      REQUIRE(region->content == Content::ours);
      CAPTURE(seed, round, done);
      if (done)
        CHECK(region->superblock == next);
      else
        CHECK((region->superblock.segments == superblock.segments ||
               region->superblock.segments == next.segments));
      superblock = region->superblock;
      // As open_device() does before anything else is written: else what was torn now could be made whole by
      // a later torn write.
      if (!region->copies_valid[0] || !region->copies_valid[1]) REQUIRE(write_next(*open(), superblock).ok());
    }
  }
}

TEST_CASE("problems of an allocation map are told") {
  Superblock sound = sample();
  CHECK(superblock_problems(sound).empty());
  Superblock overlapping = sound;
  overlapping.claims[0].start = 209;
  REQUIRE(superblock_problems(overlapping).size() == 1);
  CHECK(
      superblock_problems(overlapping)[0] ==
      "sectors 209 to 232 of segment 1, level 2, of volume 7 are sectors 10 to 209 of segment 0, level 1, of "
      "volume 0 as well");
  Superblock outside = sound;
  outside.claims[0].start = sound.geometry.data_sectors - 23;
  CHECK(superblock_problems(outside).size() == 1);
  Superblock fewer = sound;
  fewer.segments[0].blocks = 301;
  CHECK(superblock_problems(fewer).size() == 1);
  Superblock narrow = sound;
  narrow.segments[0].extents[0].sectors = 199;
  CHECK(superblock_problems(narrow).size() == 1);
  Superblock twice = sound;
  twice.segments.push_back(twice.segments[0]);
  CHECK(superblock_problems(twice).size() >= 1);
}

}  // namespace
}  // namespace confd::storage
