// Segments of NodeStorage: allocate, resize, free, clear, set_state.
#include <algorithm>
#include <numeric>
#include <utility>

#include "base/failpoint.h"
#include "base/text.h"
#include "exaconf/value_types.h"
#include "storage/node_storage_change.h"
#include "storage/space.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 60;

std::string text(std::uint64_t bytes) {
  return exaconf::format_size(bytes);
}

Status check_size(std::uint64_t blocks, std::uint64_t block_size) {
  if (block_size < 512 || block_size > kGiB || block_size % 512 != 0)
    return Error{Code::bad_parameter, "a block size of " + std::to_string(block_size) +
                                          " bytes is not possible: it is a multiple of 512 B up to 1 GiB"};
  if (blocks == 0 || blocks > kMostBytes / block_size)
    return Error{Code::bad_parameter, "a segment of " + std::to_string(blocks) + " blocks is not possible"};
  return {};
}

std::vector<Extent> extents_on(const SegmentRecord& record, const Uuid& device) {
  std::vector<Extent> extents;
  for (const Extent& extent : record.extents)
    if (extent.device == device) extents.push_back(extent);
  return extents;
}

std::uint64_t blocks_of(const std::vector<Extent>& extents) {
  std::uint64_t blocks = 0;
  for (const Extent& extent : extents) blocks += extent.blocks;
  return blocks;
}

// How much is free where, for the error.
Error no_room(const std::vector<Device>& devices, int node, const std::string& disk, const std::string& what,
              std::uint64_t blocks, std::uint64_t block_size) {
  std::vector<std::string> where;
  std::uint64_t sum = 0;
  for (const Device& device : devices) {
    if (device.spec.disk != disk) continue;
    if (const Status able = device.takes_segments(); !able) {
      where.push_back(able.error().text);
      continue;
    }
    const std::uint64_t free = free_blocks(device.superblock, block_size) * block_size;
    sum += free;
    where.push_back(device.spec.name + " has " + text(free));
  }
  return {Code::busy, "disk " + disk + " of node " + std::to_string(node) +
                          " has not enough free space: " + what + " wants " + text(blocks * block_size) +
                          ", free are " + text(sum) + " (" + base::join(where, "; ") + ")"};
}

// Puts `blocks` in all on the devices of the disk. Nothing when there is no room; `record` and the devices'
// claims are as before then.
bool spread_out(std::vector<Device>& devices, const std::string& disk, SegmentRecord& record,
                std::uint64_t blocks) {
  std::vector<std::vector<Extent>> present;
  std::vector<std::uint64_t> counts, rooms;
  for (const Device& device : devices) {
    present.push_back(extents_on(record, device.superblock.uuid));
    counts.push_back(blocks_of(present.back()));
    rooms.push_back(device.spec.disk == disk && device.takes_segments()
                        ? free_blocks(device.superblock, record.block_size)
                        : 0);
  }
  const std::uint64_t more = blocks - std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (std::accumulate(rooms.begin(), rooms.end(), std::uint64_t{0}) < more) return false;
  const std::vector<std::uint64_t> wanted = spread(blocks, counts, rooms);
  std::vector<Extent> extents;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::vector<Extent> here = wanted[i] == counts[i] ? present[i]
                                                            : grown(devices[i].superblock, present[i],
                                                                    wanted[i] - counts[i], record.block_size);
    extents.insert(extents.end(), here.begin(), here.end());
  }
  record.extents = std::move(extents);
  record.blocks = blocks;
  return true;
}

void cut_down(const std::vector<Device>& devices, SegmentRecord& record, std::uint64_t blocks) {
  std::vector<std::vector<Extent>> present;
  std::vector<std::uint64_t> counts;
  for (const Device& device : devices) {
    present.push_back(extents_on(record, device.superblock.uuid));
    counts.push_back(blocks_of(present.back()));
  }
  const std::vector<std::uint64_t> wanted =
      spread(blocks, counts, std::vector<std::uint64_t>(counts.size(), 0));
  std::vector<Extent> extents;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::vector<Extent> here =
        shrunk(present[i], wanted[i], record.block_size, devices[i].superblock.geometry.sector_size);
    extents.insert(extents.end(), here.begin(), here.end());
  }
  record.extents = std::move(extents);
  record.blocks = blocks;
}

// Every device that holds a part of it, or why one can't be changed.
Status parts_can_change(const std::vector<Device>& devices, const SegmentRecord& record) {
  for (const Extent& extent : record.extents) {
    const auto at = std::find_if(devices.begin(), devices.end(), [&](const Device& device) {
      return device.superblock.uuid == extent.device;
    });
    if (at == devices.end())
      return Error{Code::wrong_state, "device " + uuid_text(extent.device) + ", which holds a part of " +
                                          segment_text(record.id) + ", is not there"};
    if (Status able = at->can_change(); !able) return able;
  }
  return {};
}

Error not_there(const SegmentId& id, int node) {
  return {Code::not_found, "node " + std::to_string(node) + " has no " + segment_text(id)};
}

std::string disks_of(const std::vector<Device>& devices) {
  std::vector<std::string> names;
  for (const Device& device : devices)
    if (std::find(names.begin(), names.end(), device.spec.disk) == names.end())
      names.push_back(device.spec.disk);
  return names.empty() ? "it has none" : "it has " + base::join(names, ", ");
}

}  // namespace

Status NodeStorage::write_claims(Devices& devices, const SegmentRecord& record, const Device& home) {
  for (Device& device : devices) {
    if (&device == &home || !device.online) continue;
    std::vector<Claim> claims = device.superblock.claims;
    std::erase_if(claims, [&](const Claim& claim) {
      return claim.id == record.id && claim.home == home.superblock.uuid;
    });
    for (const Extent& extent : extents_on(record, device.superblock.uuid))
      claims.push_back({record.id, home.superblock.uuid, extent.start, extent.sectors, extent.blocks});
    sort_claims(claims);
    if (claims == device.superblock.claims) continue;
    if (Status able = device.can_change(); !able) return able;
    device.superblock.claims = std::move(claims);
    if (Status done = write_superblock(services_.files, device); !done) return done;
  }
  return {};
}

Result<LocalSegment> NodeStorage::place(Devices& devices, const SegmentRequest& request) {
  if (Device* home = home_of(devices, request.id)) {
    const SegmentRecord& record = *home->superblock.find(request.id);
    if (!home->online && request.state != SegmentState::recovering)
      return Error{Code::wrong_state, segment_text(request.id) + " is on device " + home->spec.name +
                                          " of node " + std::to_string(options_.node) +
                                          ", which is offline: " + home->reason +
                                          "; only a copy that is filled anew (RECOVERING) can go elsewhere"};
    if (home->online) {
      if (record.freeing)
        return Error{Code::busy, segment_text(request.id) + " is being given back on node " +
                                     std::to_string(options_.node) + "; try again when that has ended"};
      if (record.blocks != request.blocks || record.block_size != request.block_size ||
          record.kind != request.kind || home->spec.disk != request.disk)
        return Error{Code::exists, segment_text(request.id) + " is on node " + std::to_string(options_.node) +
                                       " already, with " + std::to_string(record.blocks) + " blocks of " +
                                       text(record.block_size) + ", " + std::string(kind_name(record.kind)) +
                                       ", on disk " + home->spec.disk};
      if (Status able = parts_can_change(devices, record); !able) return able.error();
      const std::string folder = segment_folder(home->spec.folder, record.id);
      const auto there = services_.files.has_folder(folder);
      if (!there) return there.error();
      if (!*there)
        return Error{Code::wrong_state, segment_text(request.id) + " is on node " +
                                            std::to_string(options_.node) + " already, but its folder " +
                                            folder + " is gone; state RECOVERING makes an empty one"};
      return describe(devices, *home, record);
    }
  }
  const bool known = std::any_of(devices.begin(), devices.end(),
                                 [&](const Device& device) { return device.spec.disk == request.disk; });
  if (!known)
    return Error{Code::not_found, "node " + std::to_string(options_.node) + " has no disk '" + request.disk +
                                      "' with a device; " + disks_of(devices)};
  SegmentRecord record;
  record.id = request.id;
  record.block_size = request.block_size;
  record.kind = request.kind;
  record.state = request.state;
  record.allocated_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(services_.clock.now().time_since_epoch()).count();
  if (!spread_out(devices, request.disk, record, request.blocks))
    return no_room(devices, options_.node, request.disk, segment_text(request.id), request.blocks,
                   request.block_size);
  Device& home = *std::find_if(devices.begin(), devices.end(), [&](const Device& device) {
    return device.superblock.uuid == record.extents.front().device;
  });
  if (Status done = write_claims(devices, record, home); !done) return done.error();
  CONFD_FAILPOINT("storage.claimed");

  const std::string folder = segment_folder(home.spec.folder, record.id);
  const auto present = services_.files.has_folder(folder);
  if (!present) return present.error();
  if (*present) {
    const auto used = services_.files.usage(folder, {});
    if (!used) return used.error();
    if (*used > 0)
      return Error{Code::exists, folder + " holds " + text(*used) +
                                     " of files that belong to no segment; move them away first"};
    if (Status done = services_.files.empty_folder(folder, {}); !done) return done.error();
  }
  if (Status done = services_.files.make_folder(folder); !done) return done.error();
  CONFD_FAILPOINT("storage.folder_made");

  auto& segments = home.superblock.segments;
  segments.insert(std::lower_bound(segments.begin(), segments.end(), record.id,
                                   [](const SegmentRecord& r, const SegmentId& id) { return r.id < id; }),
                  record);
  if (Status done = write_superblock(services_.files, home); !done) return done.error();
  return describe(devices, home, record);
}

Result<LocalSegment> NodeStorage::allocate(const SegmentRequest& request, std::stop_token stop) {
  if (Status fine = check_size(request.blocks, request.block_size); !fine) return fine.error();
  if (request.id.level < 1) return Error{Code::bad_parameter, "levels of segments begin with 1"};
  // Nobody may be at work on what is left of an earlier segment of that number.
  if (Status done = begin_work(request.id); !done) return done.error();
  auto change = Change::begin(*this, stop);
  if (!change) {
    end_work(request.id);
    return change.error();
  }
  auto placed = place((*change)->devices, request);
  if (!placed) (*change)->undo();
  change->reset();
  end_work(request.id);
  return placed;
}

Result<LocalSegment> NodeStorage::resized(Devices& devices, const SegmentId& id, std::uint64_t blocks) {
  Device* home = home_of(devices, id);
  if (home == nullptr || home->superblock.find(id)->freeing) return not_there(id, options_.node);
  if (Status able = home->can_change(); !able) return able.error();
  SegmentRecord record = *home->superblock.find(id);
  if (Status fine = check_size(blocks, record.block_size); !fine) return fine.error();
  if (Status able = parts_can_change(devices, record); !able) return able.error();
  if (blocks == record.blocks) return describe(devices, *home, record);
  const bool grows = blocks > record.blocks;
  if (grows) {
    const std::uint64_t more = blocks - record.blocks;
    if (!spread_out(devices, home->spec.disk, record, blocks))
      return no_room(devices, options_.node, home->spec.disk, "growing " + segment_text(id), more,
                     record.block_size);
    if (Status done = write_claims(devices, record, *home); !done) return done.error();
  } else {
    cut_down(devices, record, blocks);
  }
  *home->superblock.find(id) = record;
  if (Status done = write_superblock(services_.files, *home); !done) return done.error();
  CONFD_FAILPOINT("storage.resized");
  if (!grows)
    // It is smaller now; a claim that can't be given back at once is when its device can be written again.
    if (Status done = write_claims(devices, record, *home); !done)
      note(base::LogLevel::warn,
           "space of " + segment_text(id) + " is given back later: " + done.error().text);
  return describe(devices, *home, record);
}

Result<LocalSegment> NodeStorage::resize(const SegmentId& id, std::uint64_t blocks, std::stop_token stop) {
  const auto present = segment(id);
  if (!present) return not_there(id, options_.node);
  if (blocks < present->blocks) {
    const auto usage = measured(*present, stop);
    if (!usage) return usage.error();
    if (usage->bytes > blocks * present->block_size)
      return Error{Code::wrong_state, segment_text(id) + " can't shrink to " +
                                          text(blocks * present->block_size) + ": its files take " +
                                          text(usage->bytes)};
  }
  if (Status done = begin_work(id); !done) return done.error();
  auto change = Change::begin(*this, stop);
  if (!change) {
    end_work(id);
    return change.error();
  }
  auto result = resized((*change)->devices, id, blocks);
  if (!result) (*change)->undo();
  change->reset();
  end_work(id);
  return result;
}

Status NodeStorage::free(const SegmentId& id, std::stop_token stop) {
  if (Status done = begin_work(id); !done) return done;
  // What is done while the turn is another's: only the deleting of files, which may take long.
  const auto marked = [&]() -> Result<std::vector<std::string>> {
    auto change = Change::begin(*this, stop);
    if (!change) return change.error();
    std::vector<std::string> folders;
    for (Device& device : (*change)->devices) {
      SegmentRecord* record = device.superblock.find(id);
      if (record == nullptr) continue;
      Status done = device.can_change();
      if (done && !record->freeing) {
        record->freeing = true;
        done = write_superblock(services_.files, device);
      }
      if (!done) {
        (*change)->undo();
        return done.error();
      }
      folders.push_back(segment_folder(device.spec.folder, id));
    }
    return folders;
  };
  const auto finish = [&]() -> Status {
    auto change = Change::begin(*this, stop);
    if (!change) return change.error();
    for (Device& device : (*change)->devices)
      if (device.superblock.find(id) != nullptr)
        if (Status done = finish_free((*change)->devices, device, id); !done) {
          (*change)->undo();
          return done;
        }
    return {};
  };
  const auto folders = marked();
  CONFD_FAILPOINT("storage.marked");
  Status done = folders ? Status() : Status(folders.error());
  for (std::size_t i = 0; done && i < folders->size(); ++i)
    done = services_.files.remove_folder((*folders)[i], stop);
  CONFD_FAILPOINT("storage.emptied");
  if (done && !folders->empty()) done = finish();
  {
    MutexLock lock(mutex_);
    usage_.erase(id);
  }
  end_work(id);
  return done;
}

Status NodeStorage::clear(const SegmentId& id, std::uint64_t num_bytes, std::stop_token stop) {
  if (Status done = begin_work(id); !done) return done;
  const auto work = [&]() -> Status {
    const auto present = segment(id);
    if (!present) return not_there(id, options_.node);
    if (present->state == SegmentState::offline)
      return Error{Code::wrong_state, segment_text(id) + " is offline" +
                                          (present->reason.empty() ? "" : ": " + present->reason)};
    if (num_bytes == 0) return services_.files.empty_folder(present->folder, stop);
    return services_.files.zero_front(present->folder, num_bytes, stop);
  };
  Status done = work();
  {
    MutexLock lock(mutex_);
    usage_.erase(id);
  }
  end_work(id);
  return done;
}

Status NodeStorage::set_state(const SegmentId& id, SegmentState state, std::stop_token stop) {
  auto change = Change::begin(*this, stop);
  if (!change) return change.error();
  Devices& devices = (*change)->devices;
  const auto set = [&]() -> Status {
    Device* home = home_of(devices, id);
    if (home == nullptr || home->superblock.find(id)->freeing) return not_there(id, options_.node);
    if (Status able = home->can_change(); !able) return able;
    SegmentRecord& record = *home->superblock.find(id);
    const std::string folder = segment_folder(home->spec.folder, id);
    const auto there = services_.files.has_folder(folder);
    if (!there) return there.error();
    if (!*there && state == SegmentState::online)
      return Error{Code::wrong_state, segment_text(id) + " can't be ONLINE: its folder " + folder +
                                          " is gone; RECOVERING makes an empty one"};
    if (!*there && state == SegmentState::recovering)
      if (Status done = services_.files.make_folder(folder); !done) return done;
    if (record.state == state) return {};
    record.state = state;
    return write_superblock(services_.files, *home);
  };
  Status done = set();
  if (!done) (*change)->undo();
  return done;
}

}  // namespace confd::storage
