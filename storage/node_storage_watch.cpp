// Usage of NodeStorage: what the folders of segments take, room for more, warnings.
#include <algorithm>
#include <utility>

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

// How old a measure may be to allow more: that, and with folders that take long to measure that many times
// as long, so that most of the time is left to others.
constexpr std::chrono::seconds kFresh{4};
constexpr int kShare = 10;
constexpr std::chrono::milliseconds kRound{2000};  // between two rounds of the watch

std::string text(std::uint64_t bytes) {
  return exaconf::format_size(bytes);
}

std::uint64_t percent_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0
                    : static_cast<std::uint64_t>(100.0L * static_cast<long double>(part) /
                                                 static_cast<long double>(whole));
}

}  // namespace

Result<NodeStorage::Usage> NodeStorage::measured(const LocalSegment& segment, std::stop_token stop) {
  const auto begun = services_.clock.steady_now();
  const auto bytes = services_.files.usage(segment.folder, std::move(stop));
  if (!bytes) return bytes.error();
  const auto ended = services_.clock.steady_now();
  const Usage usage{*bytes, 0, ended, ended - begun};
  MutexLock lock(mutex_);
  // Files that were allowed just now may not be written yet: the next measure sees them.
  usage_[segment.id] = usage;
  return usage;
}

std::optional<NodeStorage::Usage> NodeStorage::last_usage(const SegmentId& id) const {
  MutexLock lock(mutex_);
  const auto known = usage_.find(id);
  return known == usage_.end() ? std::nullopt : std::optional(known->second);
}

std::optional<std::uint64_t> NodeStorage::last_used_bytes(const SegmentId& id) const {
  const auto usage = last_usage(id);
  return usage ? std::optional(usage->bytes + usage->allowed) : std::nullopt;
}

Result<std::uint64_t> NodeStorage::used_bytes(const SegmentId& id, std::stop_token stop) {
  const auto present = segment(id);
  if (!present)
    return Error{Code::not_found, "node " + std::to_string(options_.node) + " has no " + segment_text(id)};
  return used_bytes(*present, std::move(stop));
}

Result<std::uint64_t> NodeStorage::used_bytes(const LocalSegment& segment, std::stop_token stop) {
  if (const auto last = last_used_bytes(segment.id)) return *last;
  const auto usage = measured(segment, std::move(stop));
  if (!usage) return usage.error();
  return usage->bytes;
}

Status NodeStorage::has_room(const SegmentId& id, std::uint64_t bytes, std::stop_token stop) {
  const auto present = segment(id);
  if (!present)
    return Error{Code::not_found, "node " + std::to_string(options_.node) + " has no " + segment_text(id)};
  if (present->state == SegmentState::offline)
    return Error{Code::wrong_state, segment_text(id) + " is offline on node " +
                                        std::to_string(options_.node) +
                                        (present->reason.empty() ? "" : ": " + present->reason)};
  const auto below = services_.files.free_bytes(present->folder);
  if (!below) return below.error();
  if (*below < bytes)
    return Error{Code::busy, "the file system of " + present->folder + " has " + text(*below) +
                                 " left, too little for " + text(bytes) + " more"};
  // What is allowed is counted, so that an older measure is good enough to allow more; only a refusal wants
  // one that has seen the last removals.
  Status refused;
  for (const bool is_last : {false, true}) {
    const auto last = last_usage(id);
    const base::SteadyTime::duration age =
        last ? services_.clock.steady_now() - last->measured : base::SteadyTime::duration::max();
    const base::SteadyTime::duration most =
        last && !is_last ? std::max<base::SteadyTime::duration>(kFresh, kShare * last->took) : kFresh;
    if (age >= most) {
      if (const auto usage = measured(*present, stop); !usage) return usage.error();
    } else if (is_last) {
      break;
    }
    MutexLock lock(mutex_);
    Usage& known = usage_[id];
    const std::uint64_t used = known.bytes + known.allowed;
    if (used <= present->bytes() && bytes <= present->bytes() - used) {
      known.allowed += bytes;
      return {};
    }
    refused =
        Error{Code::busy, segment_text(id) + " is full on node " + std::to_string(options_.node) + ": " +
                              text(used) + " of " + text(present->bytes()) + " are used, too much for " +
                              text(bytes) + " more; enlarge the volume or delete something from it"};
  }
  return refused;
}

void NodeStorage::find_warnings(const Devices& devices, const std::vector<LocalSegment>& segments) {
  std::map<std::string, std::string> found;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> disks;  // used and all bytes
  for (const Device& device : devices) {
    if (!device.usable()) continue;
    const Geometry& geometry = device.superblock.geometry;
    auto& [used, all] = disks[device.spec.disk];
    all += geometry.data_sectors * geometry.sector_size;
    used += (geometry.data_sectors - free_sectors(device.superblock)) * geometry.sector_size;
  }
  MutexLock lock(mutex_);
  const auto threshold = static_cast<std::uint64_t>(warn_threshold_);
  const auto look = [&](const std::string& what, std::uint64_t used, std::uint64_t all) {
    const std::uint64_t percent = percent_of(used, all);
    if (threshold == 0 || percent < threshold) return;
    found[what] = what + " is " + std::to_string(percent) + " % full: " + text(used) + " of " + text(all) +
                  " (SpaceWarnThreshold is " + std::to_string(threshold) + " %)";
  };
  for (const auto& [disk, space] : disks) look("disk " + disk, space.first, space.second);
  for (const LocalSegment& segment : segments)
    if (const auto usage = usage_.find(segment.id); usage != usage_.end())
      look(segment_text(segment.id), usage->second.bytes, segment.bytes());
  const auto before = std::exchange(warnings_, found);
  lock.unlock();
  for (const auto& [what, warning] : found)
    if (!before.contains(what)) note(base::LogLevel::warn, warning);
  for (const auto& [what, warning] : before)
    if (!found.contains(what)) note(base::LogLevel::notice, what + " is below SpaceWarnThreshold again");
}

std::vector<std::string> NodeStorage::space_warnings() const {
  MutexLock lock(mutex_);
  std::vector<std::string> texts;
  for (const auto& [what, warning] : warnings_) texts.push_back(warning);
  return texts;
}

void NodeStorage::look_at_devices(const std::stop_token& stop) {
  const auto as_known = snapshot();
  const auto changed = [&] {
    for (const Device& device : *as_known) {
      const auto now = services_.files.identity(device.spec.path);
      if (device.online ? !now || (device.seen && !now->is_same_file(*device.seen))
                        : now && (!device.seen || !(*now == *device.seen)))
        return true;
    }
    return false;
  };
  if (changed())
    if (auto change = Change::begin(*this, stop)) {
      reopen_changed((*change)->devices);
      settle((*change)->devices);
    }
}

void NodeStorage::measure_all(const std::stop_token& stop) {
  const std::vector<LocalSegment> all = segments();
  for (const LocalSegment& segment : all) {
    if (stop.stop_requested()) return;
    if (segment.state == SegmentState::offline) continue;
    (void)measured(segment, stop).ok();  // it may just be given back
  }
  {
    MutexLock lock(mutex_);
    std::erase_if(usage_, [&](const auto& known) {
      return std::none_of(all.begin(), all.end(),
                          [&](const LocalSegment& segment) { return segment.id == known.first; });
    });
  }
  find_warnings(*looked(), all);
}

void NodeStorage::watch_once(std::stop_token stop) {
  look_at_devices(stop);
  measure_all(stop);
}

void NodeStorage::follow(exaconf::ConfigPtr config) {
  MutexLock lock(mutex_);
  to_apply_ = std::move(config);
  turn_free_.notify_all();
}

// Measuring has a thread of its own: nobody else waits for folders with many files.
void NodeStorage::begin_watch() {
  const auto each_round = [this](const std::stop_token& stop, bool takes_revisions,
                                 const std::function<void()>& work) {
    std::stop_callback wake(stop, [this] {
      MutexLock lock(mutex_);
      turn_free_.notify_all();
    });
    while (!stop.stop_requested()) {
      const auto begun = std::chrono::steady_clock::now();
      work();
      const auto took = std::chrono::steady_clock::now() - begun;
      const auto next = begun + std::max<std::chrono::steady_clock::duration>(kRound, kShare * took);
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && !(takes_revisions && to_apply_) &&
             std::chrono::steady_clock::now() < next)
        if (turn_free_.wait_until(mutex_, next) == std::cv_status::timeout) break;
    }
  };
  watch_ = std::jthread([this, each_round](std::stop_token stop) {
    each_round(stop, true, [&] {
      exaconf::ConfigPtr revised;
      {
        MutexLock lock(mutex_);
        revised = std::exchange(to_apply_, nullptr);
      }
      if (revised)
        if (Status done = apply(*revised); !done) note(base::LogLevel::err, done.error().text);
      look_at_devices(stop);
    });
  });
  measure_ = std::jthread(
      [this, each_round](std::stop_token stop) { each_round(stop, false, [&] { measure_all(stop); }); });
}

}  // namespace confd::storage
