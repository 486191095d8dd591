#include "storage/device.h"

#include <utility>

#include "base/failpoint.h"
#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Are there segment folders beside the device?
Result<bool> has_segment_folders(StorageFiles& files, const std::string& folder) {
  const auto volumes = files.folders_in(folder);
  if (!volumes) return volumes.error();
  for (const std::string& volume : *volumes) {
    if (!is_number(volume)) continue;
    const auto segments = files.folders_in(folder + "/" + volume);
    if (!segments) return segments.error();
    if (!segments->empty()) return true;
  }
  return false;
}

Status remove_segment_folders(StorageFiles& files, const std::string& folder) {
  const auto volumes = files.folders_in(folder);
  if (!volumes) return volumes.error();
  for (const std::string& volume : *volumes)
    if (is_number(volume))
      if (Status done = files.remove_folder(folder + "/" + volume, {}); !done) return done;
  return {};
}

Result<Superblock> new_superblock(DeviceFile& file, const DeviceSpec& spec, int node, base::Random& random) {
  const auto bytes = file.size();
  if (!bytes) return bytes.error();
  const auto geometry = device_geometry(*bytes, spec.sector_size, spec.flags.use_crc, spec.all_sectors);
  if (!geometry) return geometry.error();
  Superblock superblock;
  superblock.geometry = *geometry;
  superblock.flags = spec.flags;
  superblock.node = node;
  superblock.disk = spec.disk;
  random.fill(superblock.uuid.data(), superblock.uuid.size());
  return superblock;
}

Device offline(Device device, const std::string& reason) {
  device.online = false;
  device.reason = reason;
  return device;
}

Error wrong_state(const std::string& text) {
  return {Code::wrong_state, text};
}

// The superblock that is on a device of ours, judged.
std::string why_not_ours(const Superblock& superblock, std::uint64_t bytes, int node) {
  if (superblock.node != node)
    return "it is a device of node " + std::to_string(superblock.node) +
           "; to use it here, set its first 4 MiB to zeroes (all its data is lost)";
  if (superblock.geometry.all_sectors() > bytes / superblock.geometry.sector_size)
    return "it has become smaller: " + std::to_string(bytes) + " bytes, but its superblock knows " +
           std::to_string(superblock.geometry.all_sectors()) + " sectors of " +
           std::to_string(superblock.geometry.sector_size) + " bytes";
  if (const auto problems = superblock_problems(superblock); !problems.empty())
    return "its allocation map is wrong: " + problems.front() + "; confd --fsck tells all";
  return {};
}

void remember_identity(StorageFiles& files, Device& device) {
  if (const auto seen = files.identity(device.spec.path)) device.seen = *seen;
}

// Nothing when the device could be taken; else the reason.
std::optional<std::string> take_blank(StorageFiles& files, Device& device, DeviceFile& file, int node,
                                      base::Random& random) {
  const auto folders = has_segment_folders(files, device.spec.folder);
  if (!folders) return folders.error().text;
  if (*folders && !device.spec.flags.ephemeral)
    return "it is blank, but " + device.spec.folder +
           " holds segments: the superblock was lost; put the device back, or move that folder away and have "
           "the segments restored from their copies";
  if (*folders)
    if (Status done = remove_segment_folders(files, device.spec.folder); !done) return done.error().text;
  auto superblock = new_superblock(file, device.spec, node, random);
  if (!superblock) return superblock.error().text;
  if (Status done = write_new(file, *superblock); !done) return done.error().text;
  device.superblock = std::move(*superblock);
  device.made_now = true;
  return std::nullopt;
}

}  // namespace

std::string_view Device::state() const {
  return !online ? "OFFLINE" : superblock.flags.disabled ? "DISABLED" : "ONLINE";
}

Status Device::can_change() const {
  if (!online) return wrong_state("device " + spec.name + " is offline: " + reason);
  if (io_error)
    return wrong_state("device " + spec.name +
                       " has an I/O error: a change could not be written; see to the device, then "
                       "st_device_clear_errors");
  if (crc_error)
    return wrong_state("device " + spec.name +
                       " has a CRC error: what was written was not what was read back; see to the device, "
                       "then st_device_clear_errors");
  if (superblock.flags.read_only)
    return wrong_state("device " + spec.name + " is read-only; st_device_modify changes that");
  return {};
}

Status Device::takes_segments() const {
  if (Status done = can_change(); !done) return done;
  if (superblock.flags.disabled)
    return wrong_state("device " + spec.name + " is disabled; st_device_enable puts it back into use");
  if (awaits_exaconf)
    return wrong_state("device " + spec.name + " is being added: EXAConf does not name it yet");
  return {};
}

std::string segment_folder(const std::string& device_folder, const SegmentId& id) {
  return device_folder + "/" + std::to_string(id.vid) + "/" + std::to_string(id.index) + "." +
         std::to_string(id.level);
}

Device open_device(StorageFiles& files, const DeviceSpec& spec, int node, base::Random& random) {
  Device device;
  device.spec = spec;
  remember_identity(files, device);
  auto file = files.open_device(spec.path, {.write = true, .direct = spec.flags.direct_io});
  if (!file) return offline(std::move(device), file.error().text);
  auto region = read_region(**file);
  if (!region) return offline(std::move(device), region.error().text);
  using Content = SuperblockRegion::Content;
  if (region->content == Content::foreign)
    return offline(std::move(device),
                   spec.path +
                       " holds something that is not confd's, and is left as it is; to have it used, set its "
                       "first 4 MiB to zeroes");
  if (region->content == Content::damaged) {
    device.crc_error = true;
    return offline(std::move(device), "both copies of its superblock are damaged: " + region->problem);
  }
  if (region->content == Content::blank) {
    if (const auto reason = take_blank(files, device, **file, node, random))
      return offline(std::move(device), *reason);
  } else {
    device.superblock = std::move(region->superblock);
    const auto bytes = (*file)->size();
    if (!bytes) return offline(std::move(device), bytes.error().text);
    if (const std::string why = why_not_ours(device.superblock, *bytes, node); !why.empty())
      return offline(std::move(device), why);
    // After a power cut in the middle of a write: two copies again, before anything else is written.
    if (!region->copies_valid[0] || !region->copies_valid[1]) {
      device.notes.push_back("one copy of the superblock was torn and is written anew (" + region->problem +
                             ")");
      if (Status done = write_next(**file, device.superblock); !done) {
        device.io_error = true;
        device.notes.push_back(done.error().text);
      }
    }
    if (device.superblock.disk != spec.disk)
      device.notes.push_back("was of disk " + device.superblock.disk + ", is of disk " + spec.disk +
                             " of EXAConf now");
    device.superblock.disk = spec.disk;
  }
  device.online = true;
  remember_identity(files, device);
  return device;
}

Status write_superblock(StorageFiles& files, Device& device) {
  const auto gone = [&](const std::string& why) {
    device.online = false;
    device.reason = why;
    return wrong_state("device " + device.spec.name + ": " + why);
  };
  const auto failed = [&](const Error& error) -> Status {
    device.io_error = true;
    return Error{error.code, "device " + device.spec.name + ": " + error.text};
  };
  // A map that gives sectors twice never reaches a device, whatever mistake made it.
  if (const auto problems = superblock_problems(device.superblock); !problems.empty())
    return Error{Code::internal, "device " + device.spec.name + ": " + problems.front()};
  auto file =
      files.open_device(device.spec.path, {.write = true, .direct = device.superblock.flags.direct_io});
  if (!file) {
    if (file.error().code == Code::not_found) return gone(file.error().text);
    return failed(file.error());
  }
  const auto region = read_region(**file);
  if (!region) return failed(region.error());
  if (region->content != SuperblockRegion::Content::ours || region->superblock.uuid != device.superblock.uuid)
    return gone(device.spec.path + " is another device than before");
  if (region->superblock.generation != device.superblock.generation)
    return gone("somebody else wrote its superblock; restart confd after making sure that nobody does");
  const Status done = write_next(**file, device.superblock);
  remember_identity(files, device);
  if (done) return {};
  // encode() refused: nothing was written.
  if (done.error().code == Code::busy || done.error().code == Code::bad_parameter)
    return Error{done.error().code, "device " + device.spec.name + ": " + done.error().text};
  if (done.error().code != Code::invalid_config) return failed(done.error());
  device.crc_error = true;
  return Error{Code::io_error, "device " + device.spec.name + ": " + done.error().text};
}

Status remake(StorageFiles& files, Device& device, int node, base::Random& random) {
  if (!device.superblock.segments.empty() || !device.superblock.claims.empty())
    return wrong_state("device " + device.spec.name + " is in use");
  auto file = files.open_device(device.spec.path, {.write = true, .direct = device.spec.flags.direct_io});
  if (!file) return file.error();
  auto superblock = new_superblock(**file, device.spec, node, random);
  if (!superblock) return superblock.error();
  // Both copies, so that the old one never comes back.
  superblock->generation = device.superblock.generation;
  for (int copy = 0; copy < 2; ++copy)
    if (Status done = write_next(**file, *superblock); !done) return done;
  device.superblock = std::move(*superblock);
  device.online = true;
  device.io_error = device.crc_error = false;
  remember_identity(files, device);
  return {};
}

Status erase_superblock(StorageFiles& files, Device& device) {
  auto file = files.open_device(device.spec.path, {.write = true, .direct = device.spec.flags.direct_io});
  if (!file) return file.error();
  // First what lies behind the two headers, then these one after the other: a crash leaves a device without
  // segments, or a blank one.
  constexpr std::uint64_t kCopy = kSuperblockBytes / 2, kHeader = 4096;
  const std::string zeroes(kCopy - kHeader, '\0');
  for (const std::uint64_t at : {std::uint64_t{0}, kCopy})
    if (Status done = (*file)->write_at(at + kHeader, zeroes); !done) return done;
  if (Status done = (*file)->sync(); !done) return done;
  const std::uint64_t newest = device.superblock.generation % 2 * kCopy;
  for (const std::uint64_t at : {kCopy - newest, newest}) {
    if (Status done = (*file)->write_at(at, std::string(kHeader, '\0')); !done) return done;
    if (Status done = (*file)->sync(); !done) return done;
    CONFD_FAILPOINT("storage.header_erased");
  }
  return {};
}

}  // namespace confd::storage
