// StorageJobTest: JobTest with the storage of nodes 11 to `last`, 32 GiB each on disk1, no volume but those
// given.
#pragma once

#include <string>

#include "storage/layout.h"
#include "tests/support/fake_storage_nodes.h"
#include "tests/support/job_fixture.h"
#include "tests/support/volume_text.h"

namespace confd::test {

inline constexpr std::int64_t kGibibyte = std::int64_t{1} << 30;

struct StorageJobTest : JobTest {
  explicit StorageJobTest(const std::string& volumes = {}, int last = 13)
      : JobTest(storage_config_text(volumes, last)), storage(nodes) {
    members.cluster_on = true;
    members.live.clear();
    for (int id = 11; id <= last; ++id) {
      members.live.push_back(id);
      storage.add(id, "dev.1", "disk1", 32 * kGibibyte);
    }
  }
  // Gives the volumes of EXAConf their segments, as if they had been made by jobs.
  void make_segments() {
    const auto volumes = storage::volumes_of(config());
    for (const storage::Volume& volume : *volumes) {
      const storage::Layout layout = storage::layout_of(volume);
      for (const storage::Segment& segment : layout.segments)
        storage.nodes[segment.node].segments[{volume.id, segment.id.index, segment.id.level}] = {
            static_cast<std::int64_t>(layout.segment_blocks),
            static_cast<std::int64_t>(volume.block_size),
            volume.disk,
            storage::segment_kind(volume),
            "ONLINE",
            0};
    }
  }
  std::string key(const std::string& volume, const std::string& name) const {
    const exaconf::Section* section = config().section("EXAVolume", volume);
    return section == nullptr ? "no volume" : section->value_or(name, "none");
  }
  // "11: 0.0.1 ONLINE, 0.0.2 RECOVERING; 12: ..." of the nodes that have segments.
  std::string segments() {
    std::string text;
    for (const auto& [id, node] : storage.nodes) {
      if (node.segments.empty()) continue;
      text += (text.empty() ? "" : "; ") + std::to_string(id) + ":";
      const char* separator = " ";
      for (const auto& [key, segment] : node.segments) {
        text += separator + std::to_string(std::get<0>(key)) + "." + std::to_string(std::get<1>(key)) + "." +
                std::to_string(std::get<2>(key)) + " " + segment.state;
        separator = ", ";
      }
    }
    return text;
  }
  std::string state(const std::string& volume) {
    const JobRun run = this->run("st_volume_info", R"({"vname": ")" + volume + R"("})");
    return run.ok() ? run.output->find("state")->as_string() : run.text;
  }
  FakeStorageNodes storage;
};

}  // namespace confd::test
