// How volumes and devices are shown: the structs of st_volume_list, st_volume_info, st_node_list and
// st_device_info, with the key sets and types of spec/jobs/storage.yaml. Thread-safety: pure functions and
// values.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "exaconf/config.h"
#include "storage/report.h"
#include "storage/states.h"
#include "storage/volume.h"

namespace confd::jobs {

// What EXAConf says about volumes as a whole, read once for a listing of a thousand.
class VolumeView {
 public:
  // `config` and `nodes` outlive it.
  VolumeView(const exaconf::Config& config, const storage::NodeStatuses& nodes);
  // Block and stripe size are integers in the list and texts in the info.
  enum class Detail { list, info };
  base::Value show(const storage::Volume& volume, Detail detail) const;

 private:
  int devices_per_node(const storage::Volume& volume) const;
  bool uses_checksums(const storage::VolumeStatus& status) const;
  base::Value segment_value(const storage::SegmentStatus& status, const std::string& volume_id) const;

  const storage::NodeStatuses& nodes_;
  std::multimap<std::string, std::string> databases_;       // data volume -> database
  std::map<int, std::map<std::string, int>> disks_;         // node -> disk -> devices
  std::map<int, std::set<std::string>> without_checksums_;  // node -> devices
};

// "#Name#data1", those of EXAConf, "pub:exa_persistent" for the databases that keep their data in it.
std::vector<std::string> shown_labels(const exaconf::Config& config, const storage::Volume& volume);

// `number`: of the device on its node, from 0.
base::Struct device_value(const storage::DeviceReport& device, int number);
// "dev.1", "/exa/data/storage/dev.1" and the path that it has here name the same device.
bool names_device(std::string_view given, const storage::DeviceReport& device);

}  // namespace confd::jobs
