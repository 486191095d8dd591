// The offline check of a node's storage (confd --fsck): superblocks against each other, against the segment
// folders and against EXAConf. Reads only, but for what repair is asked to do. REQUIRES: no confd serves the
// root. Thread-safety: one thread, with the devices to itself.
#pragma once

#include <string>
#include <vector>

#include "exaconf/config.h"
#include "storage/device_specs.h"

namespace confd::storage {

struct CheckReport {
  std::vector<std::string> facts;     // what there is: a line for each device
  std::vector<std::string> notes;     // what a crash left and the next start of confd finishes
  std::vector<std::string> problems;  // what needs somebody
  std::vector<std::string> repaired;
  bool clean() const { return problems.empty(); }
};

// Problems: a device that is not there, foreign, damaged or another node's; a copy of a superblock that is
// not valid; sectors that two segments share or that are not on the device; a segment whose parts do not fit
// together, that is on two devices, whose folder is missing or larger than the segment; files of no segment;
// a segment of this node that EXAConf wants and is not there or has another size, and one it does not know.
// `repair`: writes a copy that is not valid anew from the other one; nothing else is safe without knowing
// what was meant.
CheckReport check_storage(StorageFiles& files, const StoragePlace& place, const exaconf::Config& config,
                          bool repair);

}  // namespace confd::storage
