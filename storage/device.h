// Device: one device of this node as NodeStorage knows it, and its way from a name in EXAConf into use.
//
// Taken into use is a device with a superblock of this node, or a blank one: nothing but zeroes where the
// superblock goes, and no segment folders beside it (else its superblock was lost, and with it the truth
// about the folders). Everything else stays as it is: the device is OFFLINE, with the reason. A missing file
// is never made. Thread-safety: plain values; functions from one thread at a time for each device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "storage/storage_files.h"
#include "storage/superblock.h"

namespace confd::storage {

// What EXAConf, or st_device_add, says about a device.
struct DeviceSpec {
  std::string name;    // as EXAConf has it: "dev.1" or a path
  std::string disk;    // "disk1"
  std::string path;    // of the file or block device
  std::string folder;  // its segments are in <folder>/<vid>/<index>.<level>
  // For a device that is made now; one that is there has its own.
  DeviceFlags flags;
  std::uint64_t sector_size = kDefaultSectorSize;
  std::uint64_t all_sectors = 0;  // with the superblock region; 0 = all there are
};

struct Device {
  DeviceSpec spec;
  // Has a superblock, and its file is there. False: `reason` says why not, `superblock` is the last one known
  // or empty.
  bool online = false;
  std::string reason;
  bool io_error = false;   // a change could not be written; nothing is changed here until it is cleared
  bool crc_error = false;  // a superblock was read back, or found, with a wrong checksum
  bool made_now = false;   // was blank before
  // st_device_add made it, and EXAConf does not name it yet: after a crash it would be nobody's, so nothing
  // is put on it.
  bool awaits_exaconf = false;
  std::vector<std::string> notes;  // for the log: a torn copy, another disk than before, ...
  std::optional<FileIdentity> seen;
  Superblock superblock;

  bool usable() const { return online && !superblock.flags.disabled; }
  // ONLINE, OFFLINE, DISABLED.
  std::string_view state() const;
  // New segments may go here; else why not.
  base::Status takes_segments() const;
  // Its allocation map can be changed; else why not.
  base::Status can_change() const;
};

// "<folder>/<vid>/<index>.<level>"
std::string segment_folder(const std::string& device_folder, const SegmentId& id);

// Looks at the device and takes it into use when it is blank. Never fails: what is wrong is in the device.
Device open_device(StorageFiles& files, const DeviceSpec& spec, int node, base::Random& random);
// A new superblock on a device without segments, blank or ours. Errors as above; Code::wrong_state when
// segments are on it.
base::Status remake(StorageFiles& files, Device& device, int node, base::Random& random);
// Writes the device's superblock as its next generation: durable when it returns ok. Refuses with
// Code::wrong_state, and takes the device offline, when the file is gone or another one, or somebody else
// wrote its superblock. Other failures set io_error or crc_error.
base::Status write_superblock(StorageFiles& files, Device& device);
// Makes the superblock region blank, so that anybody can have the device. REQUIRES: no segments on it.
base::Status erase_superblock(StorageFiles& files, Device& device);

}  // namespace confd::storage
