#include "storage/node_storage.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "storage/node_storage_change.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

NodeStorage::NodeStorage(Options options, Services services)
    : options_(std::move(options)), services_(services), devices_(std::make_shared<const Devices>()) {}

NodeStorage::~NodeStorage() {
  for (std::jthread* thread : {&watch_, &measure_}) thread->request_stop();
  for (std::jthread* thread : {&watch_, &measure_})
    if (thread->joinable()) thread->join();
}

std::shared_ptr<const NodeStorage::Devices> NodeStorage::snapshot() const {
  MutexLock lock(mutex_);
  return devices_;
}

std::shared_ptr<const NodeStorage::Devices> NodeStorage::looked() const {
  const auto known = snapshot();
  std::shared_ptr<Devices> changed;
  for (std::size_t i = 0; i < known->size(); ++i) {
    const Device& device = (*known)[i];
    if (!device.online) continue;
    const auto now = services_.files.identity(device.spec.path);
    const bool same = now && (!device.seen || now->is_same_file(*device.seen));
    if (same) continue;
    if (!changed) changed = std::make_shared<Devices>(*known);
    (*changed)[i].online = false;
    (*changed)[i].reason = now ? device.spec.path + " is another file than before" : now.error().text;
  }
  return changed ? changed : known;
}

void NodeStorage::note(base::LogLevel level, const std::string& text) const {
  if (services_.log != nullptr) services_.log->write(level, "storage: " + text);
}

std::vector<Device> NodeStorage::devices() const {
  return *looked();
}

LocalSegment NodeStorage::describe(const Devices& devices, const Device& home,
                                   const SegmentRecord& record) const {
  LocalSegment segment;
  segment.id = record.id;
  segment.blocks = record.blocks;
  segment.block_size = record.block_size;
  segment.kind = record.kind;
  segment.disk = home.spec.disk;
  segment.state = record.state;
  segment.folder = segment_folder(home.spec.folder, record.id);
  const auto missing = [&](const std::string& reason) {
    segment.state = SegmentState::offline;
    if (segment.reason.empty()) segment.reason = reason;
  };
  if (!home.usable()) missing("device " + home.spec.name + " is " + base::to_lower(home.state()));
  for (const Extent& extent : record.extents) {
    const auto at = std::find_if(devices.begin(), devices.end(), [&](const Device& device) {
      return device.superblock.uuid == extent.device;
    });
    segment.partitions.push_back(
        {at == devices.end() ? uuid_text(extent.device) : at->spec.name, extent.start, extent.sectors});
    if (at == devices.end())
      missing("device " + uuid_text(extent.device) + ", which holds a part of it, is not there");
    else if (!at->usable())
      missing("device " + at->spec.name + " is " + base::to_lower(at->state()));
  }
  if (home.usable()) {
    const auto there = services_.files.has_folder(segment.folder);
    if (!there)
      missing(there.error().text);
    else if (!*there)
      missing("its folder " + segment.folder + " is gone");
  }
  return segment;
}

std::vector<LocalSegment> NodeStorage::segments() const {
  const auto devices = looked();
  std::vector<LocalSegment> segments;
  const auto homes = homes_of(*devices);
  segments.reserve(homes.size());
  for (const auto& [id, home] : homes) {
    const SegmentRecord& record = *home->superblock.find(id);
    if (!record.freeing) segments.push_back(describe(*devices, *home, record));
  }
  return segments;
}

std::optional<LocalSegment> NodeStorage::segment(const SegmentId& id) const {
  const auto devices = looked();
  const Device* home = home_of(*devices, id);
  if (home == nullptr) return std::nullopt;
  const SegmentRecord& record = *home->superblock.find(id);
  if (record.freeing) return std::nullopt;
  return describe(*devices, *home, record);
}

void NodeStorage::settle(Devices& devices) {
  // One file under two names would be two truths about one map.
  for (std::size_t i = 0; i < devices.size(); ++i)
    for (std::size_t k = 0; k < i && devices[i].online; ++k)
      if (devices[k].online && devices[k].superblock.uuid == devices[i].superblock.uuid) {
        devices[i].online = false;
        devices[i].reason = "it is the same device as " + devices[k].spec.name;
        devices[i].superblock = Superblock();
      }
  for (Device& home : devices) {
    if (!home.can_change()) continue;
    std::vector<SegmentId> given_back;
    for (SegmentRecord& record : home.superblock.segments) {
      const Device* newest = home_of(devices, record.id);
      const bool replaced = newest != nullptr && newest != &home && newest->online &&
                            newest->superblock.find(record.id)->state == SegmentState::online;
      if (replaced && !record.freeing) {
        note(base::LogLevel::notice, segment_text(record.id) + " on " + home.spec.name +
                                         " was replaced while the device was away by the one on " +
                                         newest->spec.name + ", and goes");
        record.freeing = true;
        if (Status done = write_superblock(services_.files, home); !done) {
          note(base::LogLevel::err, done.error().text);
          record.freeing = false;
          break;
        }
      }
      if (record.freeing) given_back.push_back(record.id);
    }
    for (const SegmentId& id : given_back)
      if (Status done = finish_free(devices, home, id); !done)
        note(base::LogLevel::err, "can't give back " + segment_text(id) + ": " + done.error().text);
  }
  drop_unknown_claims(devices);
}

void NodeStorage::drop_unknown_claims(Devices& devices) {
  for (Device& device : devices) {
    if (!device.can_change()) continue;
    std::vector<Claim> claims;
    for (const Claim& claim : device.superblock.claims) {
      const bool home_is_there = std::any_of(devices.begin(), devices.end(), [&](const Device& home) {
        return home.online && home.superblock.uuid == claim.home;
      });
      if (!home_is_there) claims.push_back(claim);
    }
    for (const Device& home : devices)
      if (home.online && &home != &device)
        for (const SegmentRecord& record : home.superblock.segments)
          for (const Extent& extent : record.extents)
            if (extent.device == device.superblock.uuid)
              claims.push_back(
                  {record.id, home.superblock.uuid, extent.start, extent.sectors, extent.blocks});
    sort_claims(claims);
    if (claims == device.superblock.claims) continue;
    const std::vector<Claim> before = std::exchange(device.superblock.claims, claims);
    if (const auto problems = superblock_problems(device.superblock); !problems.empty()) {
      device.superblock.claims = before;
      note(base::LogLevel::err,
           "device " + device.spec.name + ": " + problems.front() + "; confd --fsck tells all");
      continue;
    }
    note(base::LogLevel::notice, "device " + device.spec.name +
                                     ": space of changes that were not completed "
                                     "is given back");
    if (Status done = write_superblock(services_.files, device); !done)
      note(base::LogLevel::err, done.error().text);
  }
}

Status NodeStorage::finish_free(Devices& devices, Device& home, const SegmentId& id) {
  if (Status done = services_.files.remove_folder(segment_folder(home.spec.folder, id), {}); !done)
    return done;
  for (Device& device : devices) {
    if (&device == &home || !device.can_change()) continue;
    const std::size_t gone = std::erase_if(device.superblock.claims, [&](const Claim& claim) {
      return claim.id == id && claim.home == home.superblock.uuid;
    });
    if (gone == 0) continue;
    // A claim that can't go now goes in drop_unknown_claims() when its device can be written again.
    if (Status done = write_superblock(services_.files, device); !done)
      note(base::LogLevel::warn,
           "space of " + segment_text(id) + " is given back later: " + done.error().text);
  }
  std::erase_if(home.superblock.segments, [&](const SegmentRecord& record) { return record.id == id; });
  return write_superblock(services_.files, home);
}

Status NodeStorage::begin_work(const SegmentId& id) {
  MutexLock lock(mutex_);
  if (at_work_.insert(id).second) return {};
  return Error{Code::busy,
               segment_text(id) + " is being cleared or given back; try again when that has ended"};
}

void NodeStorage::end_work(const SegmentId& id) {
  MutexLock lock(mutex_);
  at_work_.erase(id);
}

}  // namespace confd::storage
