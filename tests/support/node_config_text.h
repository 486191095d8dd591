// EXAConf of tests with several nodes: that of config_text.h with further nodes of the network 127.0.0.0/8.
#pragma once

#include <string>

#include "tests/support/config_text.h"

namespace confd::test {

// A section like that of node 11; `more` are further lines.
inline std::string node_section(int id, const std::string& more = {}) {
  const std::string text = std::to_string(id);
  return "[Node : " + text + "]\n    PrivateNet = 127.0.0." + text + "/8\n    PublicNet = \n    Name = n" +
         text + "\n    Affinity = " + text + "\n    UUID = 39103D5FA93C46D3B8359918D01156ABD33B36" + text +
         "\n" + more + "    [[Disk : disk1]]\n        Component = exastorage\n        Devices = dev.1\n\n";
}

inline std::string config_with(const std::string& sections) {
  std::string text = small_config_text();
  return text.insert(text.find("[EXAVolume"), sections);
}

// Nodes 11, 12 and 13, each with further lines.
inline std::string three_nodes(const std::string& more_12 = {}, const std::string& more_13 = {}) {
  return config_with(node_section(12, more_12) + node_section(13, more_13));
}

}  // namespace confd::test
