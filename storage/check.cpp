#include "storage/check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "storage/layout.h"
#include "storage/space.h"
#include "storage/volume.h"

namespace confd::storage {

using Content = SuperblockRegion::Content;

namespace {

struct Checked {
  DeviceSpec spec;
  std::optional<Superblock> superblock;  // of this node
};

std::string size(std::uint64_t bytes) {
  return exaconf::format_size(bytes);
}

// "0.1" -> {vid, 0, 1}
std::optional<SegmentId> folder_id(const std::string& volume, const std::string& segment) {
  const std::size_t dot = segment.find('.');
  if (dot == std::string::npos) return std::nullopt;
  const auto vid = base::parse_int(volume);
  const auto index = base::parse_int(segment.substr(0, dot));
  const auto level = base::parse_int(segment.substr(dot + 1));
  constexpr std::int64_t kMost = 0x7FFFFFFF;
  if (!vid || !index || !level || *vid < 0 || *index < 0 || *level < 1 || *vid > kMost || *index > kMost ||
      *level > kMost)
    return std::nullopt;
  return SegmentId{static_cast<std::uint64_t>(*vid), static_cast<std::uint32_t>(*index),
                   static_cast<std::uint32_t>(*level)};
}

class Check {
 public:
  Check(StorageFiles& files, const StoragePlace& place, bool repair)
      : files_(files), place_(place), repair_(repair) {}

  CheckReport run(const exaconf::Config& config) {
    for (const DeviceSpec& spec : device_specs(files_, place_, config)) devices_.push_back(device(spec));
    same_devices();
    parts();
    homes();
    for (const Checked& checked : devices_) folders(checked);
    volumes(config);
    return std::move(report_);
  }

 private:
  void problem(const std::string& text) { report_.problems.push_back(text); }
  void note(const std::string& text) { report_.notes.push_back(text); }

  Checked device(const DeviceSpec& spec) {
    Checked checked{spec, std::nullopt};
    const std::string name = "device " + spec.name;
    auto file = files_.open_device(spec.path, {.write = repair_});
    if (!file) {
      problem(name + " can't be used: " + file.error().text);
      return checked;
    }
    const auto region = read_region(**file);
    const auto bytes = (*file)->size();
    if (!region || !bytes) {
      problem(name + " can't be used: " + (region ? bytes.error().text : region.error().text));
      return checked;
    }
    if (region->content == Content::blank) {
      note(name + " is blank: confd takes it into use when it starts");
      return checked;
    }
    if (region->content == Content::foreign) {
      problem(name + ": " + spec.path + " holds something that is not confd's");
      return checked;
    }
    if (region->content == Content::damaged) {
      problem(name + ": both copies of its superblock are damaged (" + region->problem + ")");
      return checked;
    }
    Superblock superblock = region->superblock;
    if (superblock.node != place_.node) {
      problem(name + " is a device of node " + std::to_string(superblock.node));
      return checked;
    }
    const Geometry& geometry = superblock.geometry;
    if (geometry.all_sectors() > *bytes / geometry.sector_size)
      problem(name + " has become smaller: " + size(*bytes) + " are left of " +
              size(geometry.all_sectors() * geometry.sector_size));
    for (const std::string& text : superblock_problems(superblock)) problem(name + ": " + text);
    if (!region->copies_valid[0] || !region->copies_valid[1]) second_copy(name, **file, superblock, *region);
    report_.facts.push_back(
        name + " of disk " + spec.disk + ": " + uuid_text(superblock.uuid) + ", generation " +
        std::to_string(superblock.generation) + ", " + size(geometry.data_sectors * geometry.sector_size) +
        ", " + size(free_sectors(superblock) * geometry.sector_size) + " free, " +
        std::to_string(superblock.segments.size()) + " segments" +
        (superblock.flags.disabled ? ", disabled" : "") + (superblock.flags.read_only ? ", read-only" : ""));
    checked.superblock = std::move(superblock);
    return checked;
  }

  void second_copy(const std::string& name, DeviceFile& file, Superblock& superblock,
                   const SuperblockRegion& region) {
    const std::string what = name + ": one copy of its superblock is not valid (" + region.problem + ")";
    if (!repair_) {
      problem(what + "; confd writes it anew when it starts, and so does --fsck --repair");
      return;
    }
    if (base::Status done = write_next(file, superblock); done)
      report_.repaired.push_back(what + "; it is written anew");
    else
      problem(what + "; it can't be written anew: " + done.error().text);
  }

  const Checked* by_uuid(const Uuid& uuid) const {
    for (const Checked& checked : devices_)
      if (checked.superblock && checked.superblock->uuid == uuid) return &checked;
    return nullptr;
  }

  void same_devices() {
    for (Checked& checked : devices_)
      if (checked.superblock && by_uuid(checked.superblock->uuid) != &checked) {
        problem("device " + checked.spec.name + " is the same as device " +
                by_uuid(checked.superblock->uuid)->spec.name);
        checked.superblock.reset();
      }
  }

  // What homes say they have on other devices, and what these know of it.
  void parts() {
    for (const Checked& home : devices_) {
      if (!home.superblock) continue;
      for (const SegmentRecord& record : home.superblock->segments)
        for (const Extent& extent : record.extents) {
          if (extent.device == home.superblock->uuid || record.freeing) continue;
          const Checked* other = by_uuid(extent.device);
          if (other == nullptr)
            problem(segment_text(record.id) + " has a part on device " + uuid_text(extent.device) +
                    ", which is not there");
          else if (const auto& claims = other->superblock->claims;
                   std::none_of(claims.begin(), claims.end(), [&](const Claim& claim) {
                     return claim.id == record.id && claim.home == home.superblock->uuid &&
                            claim.start <= extent.start &&
                            claim.start + claim.sectors >= extent.start + extent.sectors;
                   }))
            problem(segment_text(record.id) + " has a part on device " + other->spec.name +
                    " that the device does not know of");
        }
    }
    for (const Checked& device : devices_) {
      if (!device.superblock) continue;
      for (const Claim& claim : device.superblock->claims) claim_of(device, claim);
    }
  }

  void claim_of(const Checked& device, const Claim& claim) {
    const Checked* home = by_uuid(claim.home);
    if (home == nullptr) {
      problem("device " + device.spec.name + " holds a part of " + segment_text(claim.id) +
              ", whose home device " + uuid_text(claim.home) + " is not there");
      return;
    }
    const SegmentRecord* record = home->superblock->find(claim.id);
    const Extent wanted{device.superblock->uuid, claim.start, claim.sectors, claim.blocks};
    if (record == nullptr ||
        std::find(record->extents.begin(), record->extents.end(), wanted) == record->extents.end())
      note("device " + device.spec.name + " holds space for " + segment_text(claim.id) +
           " from a change that was not completed");
  }

  void homes() {
    for (const Checked& checked : devices_) {
      if (!checked.superblock) continue;
      for (const SegmentRecord& record : checked.superblock->segments) {
        if (record.freeing) {
          note(segment_text(record.id) + " on device " + checked.spec.name + " is being given back");
          continue;
        }
        const auto [at, added] = segments_.emplace(record.id, &record);
        if (!added) problem(segment_text(record.id) + " is on two devices, one of them " + checked.spec.name);
      }
    }
  }

  void folders(const Checked& checked) {
    const std::string& top = checked.spec.folder;
    const auto volumes = files_.folders_in(top);
    if (!volumes) {
      problem(volumes.error().text);
      return;
    }
    for (const std::string& volume : *volumes) {
      const auto names = files_.folders_in(top + "/" + volume);
      if (!names) {
        problem(names.error().text);
        continue;
      }
      for (const std::string& name : *names) {
        const auto id = folder_id(volume, name);
        const std::string path = top + "/" + volume + "/" + name;
        if (id && checked.superblock && checked.superblock->find(*id) != nullptr) continue;
        const auto used = files_.usage(path, {});
        if (!used)
          problem(used.error().text);
        else if (*used > 0)
          problem(path + " holds " + size(*used) + " of files that belong to no segment");
        else
          note(path + " is an empty folder of no segment");
      }
    }
    if (!checked.superblock) return;
    for (const SegmentRecord& record : checked.superblock->segments) {
      const std::string path = segment_folder(top, record.id);
      const auto there = files_.has_folder(path);
      if (record.freeing) continue;
      if (!there)
        problem(there.error().text);
      else if (!*there)
        problem(segment_text(record.id) + " has lost its folder " + path);
      else if (const auto used = files_.usage(path, {}); used && *used > record.bytes())
        problem(path + " holds " + size(*used) + " of files, more than the " + size(record.bytes()) + " of " +
                segment_text(record.id));
    }
  }

  void volumes(const exaconf::Config& config) {
    const auto volumes = volumes_of(config);
    std::map<SegmentId, bool> wanted;
    std::map<std::uint64_t, const Volume*> with_problem;
    for (const Volume& volume : *volumes) {
      if (!volume.problem.empty()) {
        problem("volume " + volume.name + " of EXAConf: " + volume.problem);
        with_problem[static_cast<std::uint64_t>(volume.id)] = &volume;
        continue;
      }
      const Layout layout = layout_of(volume);
      for (const Segment& segment : layout.segments) {
        if (segment.node != place_.node) continue;
        const SegmentId id{static_cast<std::uint64_t>(segment.id.volume),
                           static_cast<std::uint32_t>(segment.id.index),
                           static_cast<std::uint32_t>(segment.id.level)};
        wanted[id] = true;
        const auto there = segments_.find(id);
        const std::string what = segment_text(id) + " (" + volume.name + ")";
        if (there != segments_.end()) {
          const SegmentRecord& record = *there->second;
          if (record.bytes() != layout.segment_blocks * volume.block_size)
            problem(what + " has " + size(record.bytes()) + ", EXAConf says " +
                    size(layout.segment_blocks * volume.block_size));
        } else if (volume.has_id && !segment.arrives) {
          problem(what + " is in EXAConf, but on no device of this node");
        } else {
          note(what + " is in EXAConf and not made yet");
        }
      }
    }
    for (const auto& [id, record] : segments_)
      if (!wanted.contains(id) && !with_problem.contains(id.vid))
        problem(segment_text(id) + " takes " + size(record->bytes()) + ", but EXAConf has no such segment");
  }

  StorageFiles& files_;
  const StoragePlace& place_;
  const bool repair_;
  CheckReport report_;
  std::vector<Checked> devices_;
  std::map<SegmentId, const SegmentRecord*> segments_;
};

}  // namespace

CheckReport check_storage(StorageFiles& files, const StoragePlace& place, const exaconf::Config& config,
                          bool repair) {
  return Check(files, place, repair).run(config);
}

}  // namespace confd::storage
