// [EXAVolume : name] sections for tests, and the volumes read from them.
#pragma once

#include <string>
#include <vector>

#include "storage/volume.h"
#include "tests/support/node_config_text.h"

namespace confd::test {

// `more`: further lines, each ending with a newline. Size 1 GiB, 4 KiB blocks unless they say otherwise.
inline std::string volume_section(const std::string& name, const std::string& nodes, const std::string& more,
                                  const std::string& size = "1 GiB") {
  return "[EXAVolume : " + name + "]\n    Type = data\n    Size = " + size +
         "\n    Disk = disk1\n    Nodes = " + nodes + "\n    Owner = 500 : 500\n" + more + "\n";
}

// Nodes 11 to `last`, no volume but these.
inline std::string storage_config_text(const std::string& volumes, int last = 13) {
  std::string nodes;
  for (int id = 12; id <= last; ++id) nodes += node_section(id);
  std::string text = config_with(nodes);
  const auto at = text.find("[EXAVolume : data1]");
  text.erase(at, text.find("[RemoteVolume") - at);
  const auto database = text.find("[DB : exa]");
  text.erase(database, text.find("[BucketFS") - database);
  return text.insert(at, volumes);
}

inline storage::Volume only_volume(const std::string& section, int last = 13) {
  const auto volumes = storage::volumes_of(*load_config(storage_config_text(section, last)));
  REQUIRE(volumes->size() == 1);
  return volumes->front();
}

}  // namespace confd::test
