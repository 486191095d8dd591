#include "storage/device_specs.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "exaconf/value_types.h"

namespace confd::storage {
namespace {

std::string name_as_file(std::string_view name) {
  std::string file(name.substr(std::min(name.find_first_not_of('/'), name.size())));
  std::replace(file.begin(), file.end(), '/', '_');
  return file;
}

}  // namespace

DeviceSpec located(StorageFiles& files, const StoragePlace& place, DeviceSpec spec) {
  if (!spec.name.starts_with('/'))
    spec.path = place.folder + "/" + spec.name;
  else
    spec.path = place.resolve ? place.resolve(spec.name) : spec.name;
  const auto what = files.identity(spec.path);
  // Beside a block device is a file system in memory.
  spec.folder =
      what && what->is_block_device ? place.folder + "/" + name_as_file(spec.name) + ".d" : spec.path + ".d";
  return spec;
}

std::vector<DeviceSpec> device_specs(StorageFiles& files, const StoragePlace& place,
                                     const exaconf::Config& config) {
  std::vector<DeviceSpec> specs;
  const exaconf::Section* node = config.section("Node", std::to_string(place.node));
  if (node == nullptr) return specs;
  for (const exaconf::Section& disk : node->sections) {
    if (disk.heading().kind != "Disk") continue;
    if (!base::equals_ignoring_case(disk.value_or("Component", "exastorage"), "exastorage")) continue;
    for (const std::string& name : base::split_list(disk.value_or("Devices", ""))) {
      if (exaconf::is_unset(name)) continue;
      DeviceSpec spec;
      spec.name = name;
      spec.disk = disk.heading().id;
      spec.flags.direct_io = exaconf::parse_bool(disk.value_or("DirectIO", "True")).value_or(true);
      spec.flags.ephemeral = exaconf::parse_bool(disk.value_or("Ephemeral", "False")).value_or(false);
      specs.push_back(located(files, place, std::move(spec)));
    }
  }
  return specs;
}

}  // namespace confd::storage
