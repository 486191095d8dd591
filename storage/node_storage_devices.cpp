// Devices of NodeStorage: taking them into use as EXAConf says, and the work of the st_device_* jobs.
#include <algorithm>
#include <set>
#include <utility>

#include "base/failpoint.h"
#include "base/text.h"
#include "exaconf/value_types.h"
#include "storage/crc32c.h"
#include "storage/node_storage_change.h"
#include "storage/space.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

bool is_used(const Device& device) {
  return !device.superblock.segments.empty() || !device.superblock.claims.empty();
}

// "in use by volumes 0 and 3"
std::string users_of(const Device& device) {
  std::vector<std::string> volumes;
  const auto add = [&](const SegmentId& id) {
    const std::string name = std::to_string(id.vid);
    if (std::find(volumes.begin(), volumes.end(), name) == volumes.end()) volumes.push_back(name);
  };
  for (const SegmentRecord& record : device.superblock.segments) add(record.id);
  for (const Claim& claim : device.superblock.claims) add(claim.id);
  return "volume " + base::join(volumes, ", ");
}

Status must_be_unused(const Device& device, const std::string& what) {
  if (!is_used(device)) return {};
  return Error{Code::wrong_state, "device " + device.spec.name + " can't be " + what + ": " +
                                      users_of(device) + " has segments on it; delete or move them first"};
}

int threshold_of(const exaconf::Config& config, int node) {
  const auto number = [](const std::string* text) {
    return text != nullptr ? base::parse_int(*text) : std::nullopt;
  };
  const exaconf::Section* section = config.section("Node", std::to_string(node));
  auto percent = number(section != nullptr ? section->find("SpaceWarnThreshold") : nullptr);
  if (!percent) percent = number(config.get("EXAStorage", "SpaceWarnThreshold"));
  constexpr int kDefaultPercent = 90;
  return percent && *percent >= 0 && *percent <= 100 ? static_cast<int>(*percent) : kDefaultPercent;
}

}  // namespace

void NodeStorage::report_new(const Device& device) const {
  if (!device.online) {
    note(base::LogLevel::err, "device " + device.spec.name + " is offline: " + device.reason);
    return;
  }
  for (const std::string& text : device.notes)
    note(base::LogLevel::warn, "device " + device.spec.name + ": " + text);
  const Geometry& geometry = device.superblock.geometry;
  note(base::LogLevel::notice,
       "device " + device.spec.name + " of disk " + device.spec.disk +
           (device.made_now ? " was blank and is taken into use: " : " is in use: ") +
           exaconf::format_size(geometry.data_sectors * geometry.sector_size) + ", " +
           exaconf::format_size(free_sectors(device.superblock) * geometry.sector_size) + " free, " +
           std::to_string(device.superblock.segments.size()) + " segments");
}

void NodeStorage::take_into_use(Devices& devices, const std::vector<DeviceSpec>& specs) {
  std::set<std::string> names, before, removed;
  for (const DeviceSpec& spec : specs) names.insert(spec.name);
  {
    MutexLock lock(mutex_);
    std::erase_if(removed_, [&](const std::string& name) { return !names.contains(name); });
    removed = removed_;
    before = std::exchange(configured_, names);
  }
  std::erase_if(devices, [&](const Device& device) {
    if (names.contains(device.spec.name) || !before.contains(device.spec.name)) return false;
    note(base::LogLevel::notice,
         "device " + device.spec.name + " is no longer in EXAConf" +
             (is_used(device) ? ", but " + users_of(device) + " is on it: it stays" : ", and is let go of"));
    return !is_used(device);
  });
  for (const DeviceSpec& spec : specs) {
    if (removed.contains(spec.name)) continue;
    const auto at = std::find_if(devices.begin(), devices.end(),
                                 [&](const Device& device) { return device.spec.name == spec.name; });
    if (at == devices.end()) {
      devices.push_back(open_device(services_.files, spec, options_.node, services_.random));
      report_new(devices.back());
      continue;
    }
    at->awaits_exaconf = false;
    if (at->spec.disk != spec.disk && !is_used(*at)) at->spec.disk = at->superblock.disk = spec.disk;
  }
}

void NodeStorage::reopen_changed(Devices& devices) {
  for (Device& device : devices) {
    if (device.online) {
      // Its file may have gone.
      const auto now = services_.files.identity(device.spec.path);
      if (now && device.seen && now->is_same_file(*device.seen)) continue;
      device.online = false;
      device.reason = now ? device.spec.path + " is another file than before" : now.error().text;
      if (!now) device.seen.reset();
      note(base::LogLevel::err, "device " + device.spec.name + " is offline: " + device.reason);
      if (!now) continue;
    } else {
      const auto now = services_.files.identity(device.spec.path);
      if (!now) {
        device.seen.reset();
        continue;
      }
      if (device.seen && *device.seen == *now) continue;
    }
    Device again = open_device(services_.files, located(device.spec), options_.node, services_.random);
    again.io_error = device.io_error;
    again.awaits_exaconf = device.awaits_exaconf;
    if (!again.online) again.superblock = device.superblock;
    if (again.online || again.reason != device.reason) report_new(again);
    device = std::move(again);
  }
}

Status NodeStorage::apply(const exaconf::Config& config) {
  {
    MutexLock lock(mutex_);
    warn_threshold_ = threshold_of(config, options_.node);
  }
  auto change = Change::begin(*this, {});
  if (!change) return change.error();
  Devices& devices = (*change)->devices;
  take_into_use(devices, device_specs(services_.files, options_, config));
  reopen_changed(devices);
  settle(devices);
  return {};
}

Status NodeStorage::add_device(DeviceSpec spec, std::stop_token stop) {
  if (spec.name.empty() || spec.disk.empty())
    return Error{Code::bad_parameter, "a device wants a name and a disk"};
  spec = located(std::move(spec));
  auto change = Change::begin(*this, stop);
  if (!change) return change.error();
  Devices& devices = (*change)->devices;
  // What an earlier try made that EXAConf never came to name; nothing is on it.
  std::erase_if(devices,
                [&](const Device& device) { return device.awaits_exaconf && device.spec.name == spec.name; });
  for (const Device& device : devices)
    if (device.spec.name == spec.name || device.spec.path == spec.path)
      return Error{Code::exists, "device " + spec.name + " is on node " + std::to_string(options_.node) +
                                     " already, as " + device.spec.name + " of disk " + device.spec.disk};
  if (const auto there = services_.files.identity(spec.path); !there)
    return Error{there.error().code, "device " + spec.name + ": " + there.error().text};
  Device device = open_device(services_.files, spec, options_.node, services_.random);
  if (!device.online)
    return Error{Code::wrong_state, "device " + spec.name + " can't be added: " + device.reason};
  for (const Device& other : devices)
    if (other.superblock.uuid == device.superblock.uuid)
      return Error{Code::exists, spec.path + " is the same device as " + other.spec.name};
  // It was ours before; without segments it becomes what is asked for.
  if (!device.made_now && !is_used(device))
    if (Status done = remake(services_.files, device, options_.node, services_.random); !done)
      return Error{done.error().code, "device " + spec.name + ": " + done.error().text};
  report_new(device);
  device.awaits_exaconf = true;
  devices.push_back(std::move(device));
  settle(devices);
  CONFD_FAILPOINT("storage.device_made");
  MutexLock lock(mutex_);
  removed_.erase(spec.name);
  return {};
}

Status NodeStorage::change_device(const std::string& name, std::stop_token stop,
                                  const std::function<Status(Devices&, Device&)>& work) {
  DeviceSpec wanted;
  wanted.name = name;
  const std::string path = located(std::move(wanted)).path;
  auto change = Change::begin(*this, stop);
  if (!change) return change.error();
  Devices& devices = (*change)->devices;
  const auto at = std::find_if(devices.begin(), devices.end(), [&](const Device& device) {
    return device.spec.name == name || device.spec.path == name || device.spec.path == path;
  });
  if (at == devices.end()) {
    std::vector<std::string> names;
    for (const Device& device : devices) names.push_back(device.spec.name);
    return Error{Code::not_found, "node " + std::to_string(options_.node) + " has no device '" + name + "'" +
                                      (names.empty() ? "" : "; it has " + base::join(names, ", "))};
  }
  Status done = work(devices, *at);
  if (!done) (*change)->undo();
  return done;
}

Status NodeStorage::modify_device(const std::string& name, const DeviceChange& change, std::stop_token stop) {
  return change_device(name, stop, [&](Devices&, Device& device) -> Status {
    if (!device.online)
      return Error{Code::wrong_state, "device " + device.spec.name + " is offline: " + device.reason};
    const Geometry& geometry = device.superblock.geometry;
    const bool other_size = change.sector_size && *change.sector_size != geometry.sector_size;
    const bool other_count =
        change.num_sectors && *change.num_sectors != 0 && *change.num_sectors != geometry.all_sectors();
    const bool other_disk = change.disk && *change.disk != device.spec.disk;
    if (other_size || other_count)
      if (Status unused = must_be_unused(device, "made anew with other sectors"); !unused) return unused;
    if (other_disk)
      if (Status unused = must_be_unused(device, "moved to another disk"); !unused) return unused;
    if (other_disk) device.spec.disk = device.superblock.disk = *change.disk;
    if (change.read_only) device.superblock.flags.read_only = *change.read_only;
    if (!other_size && !other_count) {
      if (device.io_error || device.crc_error)
        if (Status able = device.can_change(); !able) return able;
      return write_superblock(services_.files, device);
    }
    device.spec.flags = device.superblock.flags;
    device.spec.sector_size = change.sector_size.value_or(geometry.sector_size);
    device.spec.all_sectors = change.num_sectors.value_or(0);
    return remake(services_.files, device, options_.node, services_.random);
  });
}

Status NodeStorage::remove_device(const std::string& name, std::stop_token stop) {
  return change_device(name, stop, [&](Devices& devices, Device& device) -> Status {
    if (Status unused = must_be_unused(device, "removed"); !unused) return unused;
    if (device.online)
      if (Status done = erase_superblock(services_.files, device); !done)
        return Error{done.error().code, "device " + device.spec.name + ": " + done.error().text};
    note(base::LogLevel::notice, "device " + device.spec.name + " is removed");
    {
      MutexLock lock(mutex_);
      removed_.insert(device.spec.name);
    }
    devices.erase(devices.begin() + (&device - devices.data()));
    return {};
  });
}

Status NodeStorage::use_device(const std::string& name, std::stop_token stop) {
  return change_device(name, stop, [](Devices&, Device& device) -> Status {
    device.awaits_exaconf = false;
    return {};
  });
}

Status NodeStorage::disable_device(const std::string& name, std::stop_token stop) {
  return change_device(name, stop, [&](Devices&, Device& device) -> Status {
    if (!device.online)
      return Error{Code::wrong_state, "device " + device.spec.name + " is offline: " + device.reason};
    if (device.superblock.flags.disabled) return {};
    device.superblock.flags.disabled = true;
    return write_superblock(services_.files, device);
  });
}

Status NodeStorage::enable_device(const std::string& name, std::stop_token stop) {
  return change_device(name, stop, [&](Devices& devices, Device& device) -> Status {
    if (!device.online) {
      Device again = open_device(services_.files, located(device.spec), options_.node, services_.random);
      if (!again.online)
        return Error{Code::wrong_state, "device " + device.spec.name + " is offline: " + again.reason};
      again.awaits_exaconf = device.awaits_exaconf;
      device = std::move(again);
    }
    if (!device.superblock.flags.disabled) {
      settle(devices);
      return {};
    }
    // Copies of archive segments may have missed what was written without them: nobody uses them before they
    // were compared. With one write, or first those whose record lies on another device.
    std::set<SegmentId> returning;
    for (const SegmentRecord& record : device.superblock.segments) returning.insert(record.id);
    for (const Claim& claim : device.superblock.claims) returning.insert(claim.id);
    std::vector<Device*> changed;
    for (const SegmentId& id : returning) {
      Device* home = home_of(devices, id);
      SegmentRecord* record = home == nullptr ? nullptr : home->superblock.find(id);
      if (record == nullptr || record->kind != SegmentKind::archive || record->freeing ||
          record->state != SegmentState::online)
        continue;
      record->state = SegmentState::recovering;
      if (home != &device && std::find(changed.begin(), changed.end(), home) == changed.end())
        changed.push_back(home);
    }
    for (Device* other : changed) {
      Status done = other->can_change();
      if (done) done = write_superblock(services_.files, *other);
      if (!done) return done;
    }
    device.superblock.flags.disabled = false;
    if (Status done = write_superblock(services_.files, device); !done) return done;
    settle(devices);
    return {};
  });
}

Status NodeStorage::enlarge_device(const std::string& name, std::uint64_t num_sectors, std::stop_token stop) {
  return change_device(name, stop, [&](Devices&, Device& device) -> Status {
    if (Status able = device.can_change(); !able) return able;
    const auto file = services_.files.open_device(device.spec.path, {.write = false});
    if (!file) return file.error();
    const auto bytes = (*file)->size();
    if (!bytes) return bytes.error();
    const Geometry& before = device.superblock.geometry;
    const auto after =
        device_geometry(*bytes, before.sector_size, device.superblock.flags.use_crc, num_sectors);
    if (!after) return Error{after.error().code, "device " + device.spec.name + ": " + after.error().text};
    if (*after == before) return {};
    if (after->all_sectors() < before.all_sectors() || after->data_sectors < before.data_sectors)
      return Error{Code::bad_parameter,
                   "device " + device.spec.name + " has " + std::to_string(before.all_sectors()) +
                       " sectors; " + std::to_string(after->all_sectors()) +
                       " would leave it fewer data sectors than it has (the checksum area grows in steps)"};
    device.superblock.geometry = *after;
    return write_superblock(services_.files, device);
  });
}

Status NodeStorage::clear_device_errors(const std::string& name, std::stop_token stop) {
  return change_device(name, stop, [&](Devices& devices, Device& device) -> Status {
    // What the device says is what is; both copies are then written anew.
    Device again = open_device(services_.files, located(device.spec), options_.node, services_.random);
    if (!again.online)
      return Error{Code::wrong_state, "device " + device.spec.name + " is offline: " + again.reason};
    for (int copy = 0; copy < 2; ++copy)
      if (Status done = write_superblock(services_.files, again); !done) return done;
    again.awaits_exaconf = device.awaits_exaconf;
    device = std::move(again);
    settle(devices);
    return {};
  });
}

}  // namespace confd::storage
