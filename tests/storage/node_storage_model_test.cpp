// Random sequences of everything that changes a node's storage, against a model of a few lines; the same with
// failures of any call and power cuts. After every step: what the node says is what the model says, no sector
// has two owners, and confd --fsck finds nothing.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <random>

#include "storage/check.h"
#include "storage/space.h"
#include "tests/storage/storage_node.h"

namespace confd::storage {
namespace {

using base::Code;
using base::Status;
using test::config_with_disks;
using test::disk;
using test::StorageNode;

struct Known {
  std::uint64_t blocks = 0;
  SegmentState state = SegmentState::online;
  friend bool operator==(const Known&, const Known&) = default;
};
using Model = std::map<SegmentId, Known>;

// Three devices of one disk with different sizes of device and sector, one of another disk.
class Walk {
 public:
  explicit Walk(unsigned seed) : random_(seed), storage_({64 * kMiB, 40 * kMiB}, seed) {
    storage_.files.put_device(StorageNode::path("dev.3"), 24 * kMiB);
    storage_.files.put_device(StorageNode::path("dev.4"), 32 * kMiB);
    DeviceSpec third, fourth;
    third.name = "dev.3";
    third.disk = "disk1";
    third.sector_size = 16 * kKiB;
    third.flags.sync_crc = false;
    fourth.name = "dev.4";
    fourth.disk = "disk2";
    fourth.sector_size = 1024;
    fourth.flags.use_crc = false;
    REQUIRE(storage_.node->add_device(third, {}).ok());
    REQUIRE(storage_.node->use_device(third.name, {}).ok());
    REQUIRE(storage_.node->add_device(fourth, {}).ok());
    REQUIRE(storage_.node->use_device(fourth.name, {}).ok());
    storage_.config = config_with_disks(disk("disk1", "dev.1, dev.2, dev.3") + disk("disk2", "dev.4,"));
    storage_.restart();
  }

  // One change; what it makes of the model is in `after_` when it succeeds. The text is for the reader of a
  // failure.
  std::string step() {
    after_ = model_;
    const SegmentId id{10 + pick(4), pick(2), 1 + pick(2)};  // EXAConf has a volume 0
    const auto known = model_.find(id);
    const std::string device = "dev." + std::to_string(1 + random_() % 4);
    result_ = {};
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const std::uint64_t blocks = 1 + random_() % (random_() % 3 == 0 ? 9000 : 400);
        const std::string on = id.vid == 13 ? "disk2" : "disk1";
        if (known == model_.end()) after_[id] = {blocks, SegmentState::online};
        const std::uint64_t room = room_on(on);
        keep(storage_.allocate(id, blocks, on));
        may_be_full_ = known == model_.end() && blocks > room;
        must_be_refused_ = known != model_.end() && known->second.blocks != blocks;
        return "allocate " + segment_text(id) + " with " + std::to_string(blocks);
      }
      case 4:
      case 5:
        after_.erase(id);
        result_ = storage_.node->free(id, {});
        return "free " + segment_text(id);
      case 6:
      case 7:
      case 8: {
        const std::uint64_t blocks = 1 + random_() % 1500;
        may_be_full_ = known != model_.end() && blocks > known->second.blocks &&
                       blocks - known->second.blocks > room_on(id.vid == 13 ? "disk2" : "disk1");
        must_be_refused_ = known == model_.end();
        if (known != model_.end()) after_[id].blocks = blocks;
        keep(storage_.node->resize(id, blocks, {}));
        return "resize " + segment_text(id) + " to " + std::to_string(blocks);
      }
      case 9: {
        const auto state = static_cast<SegmentState>(random_() % 3);
        must_be_refused_ = known == model_.end();
        if (known != model_.end()) after_[id].state = state;
        result_ = storage_.node->set_state(id, state, {});
        return "state of " + segment_text(id) + " " + std::string(state_name(state));
      }
      case 10:
        storage_.files.enlarge_device(StorageNode::path(device),
                                      storage_.files.identity(StorageNode::path(device))->size + 4 * kMiB);
        result_ = storage_.node->enlarge_device(device, 0, {});
        // The checksum area may take all that came to it.
        if (!result_ && result_.error().code == Code::bad_parameter) result_ = {};
        return "enlarge " + device;
      default:
        result_ = storage_.node->disable_device(device, {});
        if (result_) result_ = storage_.node->enable_device(device, {});
        return "disable and enable " + device;
    }
  }

  // The step went as the model says.
  void judge() {
    if (must_be_refused_) {
      CHECK_FALSE(result_.ok());
    } else if (may_be_full_) {
      CHECK_FALSE(result_.ok());
      CHECK(result_.error().text.find("not enough free space") != std::string::npos);
    } else if (!result_.ok()) {
      FAIL("refused: " << result_.error().text);
    }
    if (result_.ok()) model_ = after_;
  }

  // After a failure of any call and a power cut: before or after, nothing in between.
  void judge_after_power_cut() {
    const Model there = what_is_there();
    if (result_.ok()) {
      CHECK(there == after_);
    } else {
      CHECK((there == model_ || there == after_));
    }
    model_ = there;
  }

  void forget_step() { may_be_full_ = must_be_refused_ = false; }
  bool succeeded() const { return result_.ok(); }

  Model what_is_there() const {
    Model model;
    for (const LocalSegment& segment : storage_.node->segments())
      model[segment.id] = {segment.blocks, segment.state};
    return model;
  }

  void check_all() {
    need(what_is_there() == model_, "what_is_there() == model_");
    std::map<std::string, std::map<std::uint64_t, std::uint64_t>> taken;  // device -> start -> sectors
    for (const LocalSegment& segment : storage_.node->segments()) {
      need(segment.reason.empty(), "segment.reason.empty()");
      need(*storage_.files.has_folder(segment.folder), "*storage_.files.has_folder(segment.folder)");
      std::uint64_t bytes = 0;
      for (const Partition& partition : segment.partitions) {
        need(taken[partition.device].emplace(partition.start_sector, partition.sectors).second,
             "taken[partition.device].emplace(partition.start_sector, partition.sectors).second");
        bytes += partition.sectors * storage_.device(partition.device).superblock.geometry.sector_size;
      }
      need(bytes >= segment.bytes(), "bytes >= segment.bytes()");
    }
    for (const Device& device : storage_.node->devices()) {
      need(device.state() == "ONLINE", "device.state() == \"ONLINE\"");
      std::uint64_t end = 0, sum = 0;
      for (const auto& [start, sectors] : taken[device.spec.name]) {
        need(start >= end, "start >= end");
        end = start + sectors;
        sum += sectors;
      }
      need(end <= device.superblock.geometry.data_sectors, "end <= device.superblock.geometry.data_sectors");
      need(free_sectors(device.superblock) == device.superblock.geometry.data_sectors - sum,
           "free_sectors(device.superblock) == device.superblock.geometry.data_sectors - sum");
    }
    check_offline(false);
  }

  // What confd --fsck says; `cut`: the power was cut and confd has not been started since.
  void check_offline(bool cut) {
    const CheckReport report =
        check_storage(storage_.files, {11, StorageNode::kFolder, {}}, *storage_.config, false);
    for (const std::string& problem : report.problems) {
      if (problem.find("EXAConf has no such segment") != std::string::npos) continue;  // nobody told EXAConf
      if (cut && problem.find("one copy of its superblock is not valid") != std::string::npos) continue;
      FAIL("fsck: " << problem);
    }
    for (const std::string& note : report.notes)
      if (!cut && note.find("not made yet") == std::string::npos &&
          note.find("empty folder of no segment") == std::string::npos)
        FAIL("fsck: " << note);
  }

  void enable_all() {
    for (const char* device : {"dev.1", "dev.2", "dev.3", "dev.4"})
      REQUIRE(storage_.node->enable_device(device, {}).ok());
  }

  StorageNode& storage() { return storage_; }
  std::mt19937& random() { return random_; }

 private:
  // REQUIRE for what is asked millions of times.
  static void need(bool holds, const char* what) {
    if (!holds) FAIL(what);
  }
  std::uint32_t pick(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }
  void keep(const base::Result<LocalSegment>& result) {
    result_ = result ? Status() : Status(result.error());
  }
  std::uint64_t room_on(const std::string& disk_name) const {
    std::uint64_t blocks = 0;
    for (const Device& device : storage_.node->devices())
      if (device.spec.disk == disk_name) blocks += free_blocks(device.superblock, 4096);
    return blocks;
  }

  std::mt19937 random_;
  StorageNode storage_;
  Model model_, after_;
  Status result_;
  bool may_be_full_ = false, must_be_refused_ = false;
};

unsigned sequences(unsigned usual) {
  const char* more = std::getenv("CONFD_STORAGE_SEQUENCES");
  return more != nullptr ? static_cast<unsigned>(std::strtoul(more, nullptr, 10)) : usual;
}

TEST_CASE("any sequence of changes keeps what the model keeps", "[sequences]") {
  for (unsigned seed = 1; seed <= sequences(100); ++seed) {
    Walk walk(seed);
    for (int i = 0; i < 25; ++i) {
      walk.forget_step();
      const std::string text = walk.step();
      CAPTURE(seed, i, text);
      walk.judge();
      if (walk.random()() % 6 == 0) walk.storage().restart();
      walk.check_all();
    }
  }
}

TEST_CASE("a power cut at any moment leaves a change done or not done", "[sequences]") {
  int failures = 0;
  for (unsigned seed = 1; seed <= sequences(150); ++seed) {
    Walk walk(seed + 1'000'000);
    test::FakeStorageFiles& files = walk.storage().files;
    for (int i = 0; i < 15; ++i) {
      walk.forget_step();
      files.fail_from(files.calls() + 1 + static_cast<int>(walk.random()() % 10));
      const std::string text = walk.step();
      CAPTURE(seed, i, text);
      failures += walk.succeeded() ? 0 : 1;
      files.power_cut();
      walk.check_offline(true);
      // The power may go again while confd starts.
      if (walk.random()() % 3 == 0) {
        files.fail_from(files.calls() + 1 + static_cast<int>(walk.random()() % 6));
        walk.storage().restart();
        files.power_cut();
        walk.check_offline(true);
      }
      walk.storage().restart();
      walk.enable_all();
      walk.judge_after_power_cut();
      walk.check_all();
    }
  }
  CHECK(failures > 5 * static_cast<int>(sequences(150)));  // the cuts met what they were made for
}

TEST_CASE("after a failed call the node goes on with what the devices say", "[sequences]") {
  for (unsigned seed = 1; seed <= sequences(100); ++seed) {
    Walk walk(seed + 2'000'000);
    test::FakeStorageFiles& files = walk.storage().files;
    for (int i = 0; i < 15; ++i) {
      walk.forget_step();
      files.fail_from(files.calls() + 1 + static_cast<int>(walk.random()() % 10));
      const std::string text = walk.step();
      CAPTURE(seed, i, text);
      files.fail_from(0);
      for (const Device& device : walk.storage().node->devices()) {
        if (!device.io_error && !device.crc_error) continue;
        REQUIRE(walk.storage().node->clear_device_errors(device.spec.name, {}).ok());
      }
      // What a removal left is finished by the next revision.
      REQUIRE(walk.storage().node->apply(*walk.storage().config).ok());
      walk.enable_all();
      walk.judge_after_power_cut();
      walk.check_all();
    }
  }
}

}  // namespace
}  // namespace confd::storage
