// A node with devices in memory for tests of NodeStorage: files, an EXAConf with its disks, and a NodeStorage
// that can be started again, as after a power cut.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/node_storage.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_random.h"
#include "tests/support/fake_storage_files.h"

namespace confd::test {

// EXAConf of node 11; `disks` are lines such as disk("disk1", "dev.1, dev.2").
inline std::string disk(const std::string& name, const std::string& devices, const std::string& more = {}) {
  return "    [[Disk : " + name + "]]\n        Component = exastorage\n        Devices = " + devices + "\n" +
         more;
}

inline exaconf::ConfigPtr config_with_disks(const std::string& disks, const std::string& node_lines = {}) {
  std::string text = small_config_text();
  const std::size_t from = text.find("    [[Disk : disk1]]");
  text.replace(from, text.find("[EXAVolume") - from, node_lines + disks + "\n");
  return load_config(text);
}

struct StorageNode {
  static constexpr const char* kFolder = "/exa/data/storage";

  explicit StorageNode(std::vector<std::uint64_t> device_sizes = {storage::kGiB}, unsigned seed = 1)
      : files(seed) {
    std::string names;
    for (std::size_t i = 0; i < device_sizes.size(); ++i) {
      const std::string name = "dev." + std::to_string(i + 1);
      files.put_device(path(name), device_sizes[i]);
      names += (i == 0 ? "" : ", ") + name;
    }
    config = config_with_disks(disk("disk1", names + (device_sizes.size() == 1 ? "," : "")));
    restart();
  }

  static std::string path(const std::string& device) { return std::string(kFolder) + "/" + device; }
  static std::string folder(const storage::SegmentId& id, const std::string& device = "dev.1") {
    return storage::segment_folder(path(device) + ".d", id);
  }

  void restart() {
    node.reset();
    node =
        std::make_unique<storage::NodeStorage>(storage::NodeStorage::Options{11, kFolder, {}},
                                               storage::NodeStorage::Services{files, clock, random, nullptr});
    REQUIRE(node->apply(*config).ok());
  }
  void power_cut() {
    files.power_cut();
    restart();
  }

  storage::Device device(const std::string& name) const {
    for (const storage::Device& device : node->devices())
      if (device.spec.name == name) return device;
    FAIL("the node has no device " << name);
    return {};
  }

  // Data, ONLINE, blocks of 4 KiB.
  base::Result<storage::LocalSegment> allocate(const storage::SegmentId& id, std::uint64_t blocks,
                                               const std::string& on_disk = "disk1") {
    clock.advance(std::chrono::milliseconds(1));
    return node->allocate(
        {id, blocks, 4096, on_disk, storage::SegmentKind::data, storage::SegmentState::online}, {});
  }

  FakeStorageFiles files;
  FakeClock clock;
  FakeRandom random;
  exaconf::ConfigPtr config;
  std::unique_ptr<storage::NodeStorage> node;
};

}  // namespace confd::test
