// Jobs, services and the watch at once, on real files: what the thread sanitizer looks at.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "storage/check.h"
#include "storage/node_storage.h"
#include "storage/space.h"
#include "tests/storage/storage_node.h"
#include "tests/support/temporary_folder.h"

namespace confd::storage {
namespace {

TEST_CASE("many change, ask and measure at once") {
  test::TemporaryFolder folder;
  for (const char* name : {"dev.1", "dev.2"})
    REQUIRE(::truncate(folder.write(name, "").c_str(), 64 << 20) == 0);
  const auto config =
      test::config_with_disks(test::disk("disk1", "dev.1, dev.2", "        DirectIO = False\n"));
  test::FakeRandom random;
  NodeStorage storage({11, folder.path(), {}},
                      {system_storage_files(), base::system_clock(), random, nullptr});
  REQUIRE(storage.apply(*config).ok());
  storage.begin_watch();
  storage.follow(config);

  std::atomic<int> failures{0};
  std::atomic<bool> done{false};
  const auto work = [&](std::uint64_t vid) {
    for (int round = 0; round < 6; ++round) {
      const SegmentId id{vid, 0, 1};
      const auto made = storage.allocate({id, 100 + vid, 4096, "disk1"}, {});
      if (!made || !storage.has_room(id, 1000, {}).ok() || !storage.resize(id, 300, {}) ||
          !storage.set_state(id, SegmentState::recovering, {}).ok())
        ++failures;
      if (round < 5 && !storage.free(id, {}).ok()) ++failures;
    }
  };
  const auto ask = [&] {
    while (!done) {
      for (const LocalSegment& segment : storage.segments())
        if (segment.partitions.empty()) ++failures;
      if (storage.devices().size() != 2) ++failures;
      (void)storage.space_warnings();
    }
  };
  {
    std::jthread asks(ask);
    {
      std::vector<std::jthread> workers;
      for (std::uint64_t vid = 10; vid < 14; ++vid) workers.emplace_back(work, vid);
    }
    done = true;
  }
  CHECK(failures == 0);
  REQUIRE(storage.segments().size() == 4);
  for (const LocalSegment& segment : storage.segments()) CHECK(segment.blocks == 300);
  for (const Device& device : storage.devices())
    CHECK(free_sectors(device.superblock) == device.superblock.geometry.data_sectors - 4 * 150);
  for (const std::string& problem :
       check_storage(system_storage_files(), {11, folder.path(), {}}, *config, false).problems)
    CHECK(problem.find("EXAConf has no such segment") != std::string::npos);
}

}  // namespace
}  // namespace confd::storage
