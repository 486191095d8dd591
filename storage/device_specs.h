// Which devices EXAConf gives a node, and where they are on this machine. Used by NodeStorage and the offline
// check. Thread-safety: functions without state.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "exaconf/config.h"
#include "storage/device.h"

namespace confd::storage {

struct StoragePlace {
  int node = 0;
  std::string folder;  // of relative device names, and of the segment folders of block devices
  // Where an absolute name of EXAConf is on this machine; as it is when empty.
  std::function<std::string(const std::string&)> resolve;
};

// With path and folder, by its name.
DeviceSpec located(StorageFiles& files, const StoragePlace& place, DeviceSpec spec);
// In order of EXAConf; disks whose Component is not exastorage are left out.
std::vector<DeviceSpec> device_specs(StorageFiles& files, const StoragePlace& place,
                                     const exaconf::Config& config);

}  // namespace confd::storage
