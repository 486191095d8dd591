// Vectors of spec/storage-behaviour.md §3 and §5.
#include "storage/geometry.h"

#include <catch2/catch.hpp>

#include "exaconf/value_types.h"

namespace confd::storage {
namespace {

using base::Code;

TEST_CASE("the 32 GiB device of the spec has its sectors") {
  const auto geometry = device_geometry(32 * kGiB, 4096, true);
  REQUIRE(geometry);
  CHECK(geometry->superblock_sectors() == 1024);
  CHECK(geometry->sectors == 8387584);
  CHECK(geometry->data_sectors == 8378368);
  CHECK(geometry->checksum_sectors() == 9216);
  CHECK(geometry->all_sectors() == 8388608);
  // 20 GiB and 1 GiB of volumes on it leave what the spec shows, 10.96 GiB.
  const std::uint64_t used = sectors_for(5242880, 4096, 4096) + sectors_for(262144, 4096, 4096);
  CHECK(used == 5505024);
  CHECK(geometry->data_sectors - used == 2873344);
}

TEST_CASE("without checksums there is no checksum area") {
  const auto geometry = device_geometry(32 * kGiB, 4096, false);
  REQUIRE(geometry);
  CHECK(geometry->data_sectors == geometry->sectors);
  CHECK(geometry->byte_of(0) == 4 * kMiB);
  CHECK(device_geometry(32 * kGiB, 4096, true)->byte_of(1) == 40 * kMiB + 4096);
}

TEST_CASE("a device can be given fewer sectors than there are, and other sizes of sector") {
  const auto geometry = device_geometry(64 * kGiB, 4096, true, 13107200);  // st_device_add's example: 50 GiB
  REQUIRE(geometry);
  CHECK(geometry->all_sectors() == 13107200);
  const auto small = device_geometry(kGiB, 1024, true);
  REQUIRE(small);
  CHECK(small->superblock_sectors() == 4096);
  CHECK(small->all_sectors() == kGiB / 1024);
  CHECK(small->checksum_sectors() * 1024 == 8 * kMiB);  // 4 bytes for each of a million, and one piece
}

TEST_CASE("devices that can't be are refused with the reason") {
  CHECK(device_geometry(kGiB, 4095, true).error().code == Code::bad_parameter);
  CHECK(device_geometry(kGiB, 256, true).error().code == Code::bad_parameter);
  CHECK(device_geometry(kGiB, 2 * kMiB, true).error().code == Code::bad_parameter);
  CHECK(device_geometry(kGiB, 4096, true, kGiB / 4096 + 1).error().text.find("more than") !=
        std::string::npos);
  CHECK(device_geometry(4 * kMiB, 4096, false).error().text.find("too small") != std::string::npos);
  CHECK(device_geometry(12 * kMiB, 4096, true).error().text.find("too small") != std::string::npos);
  CHECK(device_geometry(12 * kMiB + 4096, 4096, true)->data_sectors == 1);
  CHECK(device_geometry(4 * kMiB + 4096, 4096, false)->data_sectors == 1);
}

TEST_CASE("blocks, sectors and stripes") {
  CHECK(blocks_for(10 * kGiB, 4096) == 2621440);
  CHECK(blocks_for(20 * kGiB, 4096) == 5242880);
  CHECK(blocks_for(4097, 4096) == 2);
  CHECK(sectors_for(3, 4096, 4096) == 3);
  CHECK(sectors_for(3, 4096, 1024) == 12);
  CHECK(sectors_for(3, 4096, 8192) == 2);
  CHECK(blocks_in(5, 4096, 8192) == 2);
  CHECK(blocks_in(5, 8192, 4096) == 10);
  CHECK(kDefaultStripeSize / kDefaultBlockSize == 64);
  CHECK(whole_stripes(1, 4096, 256 * kKiB) == 64);
  CHECK(whole_stripes(128, 4096, 256 * kKiB) == 128);
  CHECK(whole_stripes(7, 64 * kKiB, 64 * kKiB) == 7);
}

TEST_CASE("partition sizes of archive volumes") {
  CHECK(archive_partition_size(0) == 4294967296);
  CHECK(archive_partition_size(250 * kGiB - 1) == 4294967296);
  CHECK(archive_partition_size(250 * kGiB) == 34359738368);
  CHECK(archive_partition_size(kTiB - 1) == 34359738368);
  CHECK(archive_partition_size(kTiB) == 274877906944);
}

}  // namespace
}  // namespace confd::storage
