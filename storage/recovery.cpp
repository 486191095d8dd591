#include "storage/recovery.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "storage/archive_in_sync.h"
#include "storage/states.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using base::Struct;

namespace {

constexpr std::chrono::seconds kRound{2};
constexpr std::chrono::hours kCalibrationLife{1};
constexpr std::uint64_t kMiBytes = 1 << 20;
// Less is copied before it is known how fast.
constexpr std::uint64_t kWorthMeasuring = 256 * kMiBytes;

SegmentKey key_of(const SegmentId& id) {
  return {static_cast<std::int64_t>(id.vid), static_cast<int>(id.index), static_cast<int>(id.level)};
}

void wait_in_real_time(base::SteadyTime until, const std::stop_token& stop) {
  base::Mutex mutex;
  base::CondVar wake;
  const std::stop_callback on_stop(stop, [&] {
    MutexLock lock(mutex);
    wake.notify_all();
  });
  MutexLock lock(mutex);
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) wake.wait_until(mutex, until);
}

Recovery::Services with_wait(Recovery::Services services) {
  if (!services.wait) services.wait = wait_in_real_time;
  return services;
}

}  // namespace

std::string recovery_line(const std::string& node, std::uint64_t bytes_left, double bytes_per_second) {
  char size[64];
  std::snprintf(size, sizeof size, "%.2f GiB", static_cast<double>(bytes_left) / (1024.0 * kMiBytes));
  std::string line = "Recovery state for node '" + node + "': " + size + " left | ETF ";
  if (bytes_per_second <= 0) return line + "unknown";
  const auto minutes = static_cast<std::uint64_t>(
      std::min(1e9, std::ceil(static_cast<double>(bytes_left) / bytes_per_second / 60)));
  if (minutes >= 60) line += std::to_string(minutes / 60) + "h ";
  return line + std::to_string(minutes % 60) + "m";
}

Recovery::Left Recovery::Plan::left() const {
  Left left;
  for (const auto& [path, each] : wanted) {
    ++left.files;
    left.bytes += each.entry.size;
  }
  return left;
}

Recovery::Recovery(ArchiveLink& link, ArchiveCopies& copies, Services services)
    : link_(link),
      copies_(copies),
      services_(with_wait(std::move(services))),
      due_(services_.clock.steady_now()) {}

void Recovery::begin() {
  thread_ = std::jthread([this](std::stop_token stop) {
    while (!stop.stop_requested()) {
      round(stop);
      services_.wait(services_.clock.steady_now() + kRound, stop);
    }
  });
}

void Recovery::stop(std::uint64_t vid) {
  MutexLock lock(mutex_);
  stopped_.insert(vid);
}

void Recovery::restart(std::uint64_t vid) {
  MutexLock lock(mutex_);
  stopped_.erase(vid);
}

Status Recovery::restore(std::uint64_t vid, std::stop_token stop) {
  bool found = false;
  for (const LocalSegment& segment : copies_.storage().segments()) {
    if (segment.kind != SegmentKind::archive || segment.id.vid != vid) continue;
    found = true;
    const auto mine = copies_.find(segment.id);
    if (!mine) return mine.error();
    {
      MutexLock lock(mutex_);
      to_verify_.insert(segment.id);
    }
    mine->files->set_in_step(false);
    if (Status done = copies_.storage().set_state(segment.id, SegmentState::recovering, stop); !done)
      return done;
  }
  if (!found)
    return Error{Code::not_found, "node " + std::to_string(link_.own_node()) +
                                      " has no archive segment of volume " + std::to_string(vid)};
  restart(vid);
  return {};
}

Result<std::string> Recovery::calibration_folder(const std::stop_token& stop) {
  std::optional<Error> why;
  for (const LocalSegment& segment : in_order()) {
    if (segment.state == SegmentState::offline) continue;
    Status room = copies_.storage().has_room(segment.id, kCalibrationBytes, stop);
    if (room) return segment.folder + "/incoming";
    why = room.error();
  }
  if (why) return *why;
  return Error{Code::wrong_state, "node " + std::to_string(link_.own_node()) +
                                      " has no archive segment: it has nothing to recover"};
}

Result<Calibration> Recovery::calibrate(std::stop_token stop) {
  {
    MutexLock lock(mutex_);
    if (calibrating_) return Error{Code::busy, "the recovery is being calibrated"};
    calibrating_ = true;
  }
  const auto measure = [&]() -> Result<Calibration> {
    const auto folder = calibration_folder(stop);
    if (!folder) return folder.error();
    std::vector<int> sources;
    const auto config = services_.config();
    for (const auto& [id, node] : config->nodes())
      if (id != link_.own_node() && !is_storage_suspended(*config, id)) sources.push_back(id);
    return storage::calibrate(link_, {copies_.services().files, services_.clock, *folder}, sources, stop);
  };
  const auto measured = measure();
  const std::uint64_t limit = measured ? storage::automatic_limit(*measured) : 0;
  {
    MutexLock lock(mutex_);
    calibrating_ = false;
    calibrated_ = services_.clock.steady_now();
    if (measured) automatic_ = limit;
  }
  if (measured) copies_.storage().tell_recovery_limit(limit / kMiBytes);
  if (services_.log != nullptr && measured)
    services_.log->info("background recovery may take " + std::to_string(limit / kMiBytes) +
                        " MiB/s without a BgRecLimit: " + std::to_string(measured->bytes / kMiBytes) +
                        " MiB " +
                        (measured->source ? "from node " + std::to_string(*measured->source)
                                          : std::string("to the disk alone, no other node answers,")) +
                        " came at " + std::to_string(measured->bytes_per_second() / kMiBytes) + " MiB/s");
  return measured;
}

// The first time, and when the last measure is old: the load of another day.
void Recovery::calibrate_when_due(const std::stop_token& stop) {
  if (recovery_limits(*services_.config(), link_.own_node()).bytes_per_second > 0) return;
  {
    MutexLock lock(mutex_);
    if (calibrated_ && services_.clock.steady_now() - *calibrated_ < kCalibrationLife) return;
  }
  const auto measured = calibrate(stop);
  if (!measured && services_.log != nullptr && measured.error().code != Code::stopped)
    services_.log->warn("background recovery goes on without a limit of its own: " + measured.error().text);
}

std::uint64_t Recovery::automatic_limit() const {
  MutexLock lock(mutex_);
  return automatic_;
}

std::map<SegmentId, Recovery::Left> Recovery::left() const {
  MutexLock lock(mutex_);
  return left_;
}

void Recovery::note_left(const SegmentId& id, Left left) {
  MutexLock lock(mutex_);
  if (left.files == 0)
    left_.erase(id);
  else
    left_[id] = left;
}

Status Recovery::may_copy(std::uint64_t vid) const {
  const auto config = services_.config();
  if (!recovery_limits(*config, link_.own_node()).enabled)
    return Error{Code::wrong_state, "background recovery is switched off (BgRecEnabled)"};
  const auto volumes = volumes_of(*config);
  if (const Volume* volume = find_volume(*volumes, static_cast<std::int64_t>(vid)); volume != nullptr) {
    if (!volume->int_io) return Error{Code::wrong_state, "internal I/O of the volume is switched off"};
    if (volume->forced_redundancy > 1)
      return Error{Code::wrong_state, "the volume is forced to redundancy level " +
                                          std::to_string(volume->forced_redundancy) +
                                          ": what is written there is not copied"};
  }
  MutexLock lock(mutex_);
  if (stopped_.contains(vid))
    return Error{Code::wrong_state, "the recovery of volume " + std::to_string(vid) + " is stopped"};
  return {};
}

// Those of the volumes with the first priority first.
std::vector<LocalSegment> Recovery::in_order() const {
  const auto volumes = volumes_of(*services_.config());
  std::vector<std::pair<int, LocalSegment>> ranked;
  for (LocalSegment& segment : copies_.storage().segments()) {
    if (segment.kind != SegmentKind::archive) continue;
    const Volume* volume = find_volume(*volumes, static_cast<std::int64_t>(segment.id.vid));
    ranked.emplace_back(volume == nullptr ? std::numeric_limits<int>::max() : volume->priority,
                        std::move(segment));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<LocalSegment> segments;
  for (auto& [rank, segment] : ranked) segments.push_back(std::move(segment));
  return segments;
}

void Recovery::round(std::stop_token stop) {
  std::set<SegmentId> here;
  const bool suspended = is_storage_suspended(*services_.config(), link_.own_node());
  const std::vector<LocalSegment> segments = in_order();
  // Without an answer what was known before stands: nobody else takes a mark of this node away.
  if (cluster::SyncRecord* record = link_.record(); record != nullptr && !segments.empty())
    if (auto marks = read_all_marks(*record, stop)) marks_ = std::move(*marks);
  for (const LocalSegment& segment : segments) {
    if (stop.stop_requested()) return;
    if (segment.state == SegmentState::offline) continue;
    here.insert(segment.id);
    if (suspended) {
      // No I/O; what is written elsewhere meanwhile is found when it is resumed.
      if (const auto mine = copies_.find(segment.id)) mine->files->set_in_step(false);
      continue;
    }
    const Status done = recover(segment, stop);
    MutexLock lock(mutex_);
    // What lasts is said once.
    std::string& said = said_[segment.id];
    const std::string text = done ? "" : done.error().text;
    if (said == text) continue;
    said = text;
    lock.unlock();
    if (!text.empty() && services_.log != nullptr && done.error().code != Code::stopped)
      services_.log->warn(segment_text(segment.id) + " is not in sync with its copies yet: " + text);
  }
  if (left().empty()) {
    MutexLock lock(pace_mutex_);
    since_.reset();
  }
  MutexLock lock(mutex_);
  std::erase_if(left_, [&](const auto& known) { return !here.contains(known.first); });
  std::erase_if(said_, [&](const auto& known) { return !here.contains(known.first); });
  std::erase_if(to_verify_, [&](const SegmentId& id) { return !here.contains(id); });
}

Status Recovery::recover(const LocalSegment& segment, std::stop_token stop) {
  const auto volumes = volumes_of(*services_.config());
  const Volume* volume = find_volume(*volumes, static_cast<std::int64_t>(segment.id.vid));
  if (volume == nullptr || !volume->problem.empty() ||
      segment.id.index >= static_cast<std::uint32_t>(volume->masters))
    return {};
  const int own = link_.own_node();
  const auto places = copies_of(layout_of(*volume), static_cast<int>(segment.id.index));
  const SegmentKey key = key_of(segment.id);
  if (std::none_of(places.begin(), places.end(),
                   [&](const CopyPlace& place) { return place.node == own && place.id == key; }))
    return {};
  const auto mine = copies_.find(segment.id);
  if (!mine) return mine.error();
  bool verify = false;
  {
    MutexLock lock(mutex_);
    verify = to_verify_.contains(segment.id);
  }
  if (verify) {
    if (Status done = mine->files->verify(stop); !done) return done;
    MutexLock lock(mutex_);
    to_verify_.erase(segment.id);
  }
  auto copies = ask_copies(link_, places, "", suspended_nodes(*services_.config()), stop);
  PeerCopy* me = nullptr;
  bool noted = false, differs = false;
  if (const auto marks = marks_.find(segment_name(key)); marks != marks_.end())
    noted = marks->second.contains(own);
  for (PeerCopy& copy : copies) {
    if (copy.place.node == own && copy.place.id == key) me = &copy;
    if (copy.place.node != own && !copy.away && copy.missed.contains(own)) noted = true;
  }
  if (me->away) return *me->away;
  // Notes about nodes that have no copy any more: nobody else asks for them to be dropped.
  for (const auto& [node, note] : me->missed)
    if (std::none_of(places.begin(), places.end(),
                     [there = node](const CopyPlace& place) { return place.node == there; }))
      if (Status done = mine->files->rejoin(node, note, stop); !done && done.error().code != Code::busy)
        return done;
  for (const PeerCopy& copy : copies)
    if (copy.in_sync && copy.digest != me->digest) differs = true;
  if (me->online && me->in_step && !noted && !differs && me->damaged == 0) {
    note_left(segment.id, {});
    return {};
  }
  if (noted && me->online) {
    mine->files->set_in_step(false);
    if (Status done = copies_.storage().set_state(segment.id, SegmentState::recovering, stop); !done)
      return done;
  }
  const ReturnOfCopy back(link_.record(), key, own, stop);
  back.apply(copies);
  auto plan = compare(*mine, std::move(copies), stop);
  if (!plan) return plan.error();
  note_left(segment.id, plan->left());
  if (plan->left().bytes >= kWorthMeasuring) calibrate_when_due(stop);
  if (!plan->wanted.empty())
    if (Status done = copy(*mine, *plan, stop); !done) return done;
  note_left(segment.id, {});
  if (!back.is_enough(plan->copies)) return none_in_sync(plan->copies);
  for (const auto& [node, note] : plan->seen) {
    if (note == 0) continue;
    const auto place = std::find_if(places.begin(), places.end(),
                                    [there = node](const CopyPlace& each) { return each.node == there; });
    Struct params = copy_params(place->id);
    params.set("node", own);
    params.set("note", static_cast<std::int64_t>(note));
    if (const auto done = link_.run(node, "archive.rejoin", params, stop); !done) return done.error();
  }
  if (Status done = back.end(stop); !done) return done;
  if (const auto marks = marks_.find(segment_name(key)); marks != marks_.end()) marks->second.erase(own);
  const auto now = copies_.storage().segment(segment.id);
  if (now && now->state != SegmentState::online)
    if (Status done = copies_.storage().set_state(segment.id, SegmentState::online, stop); !done) return done;
  mine->files->set_in_step(true);
  return {};
}

Result<Recovery::Plan> Recovery::compare(const ArchiveCopies::Copy& mine, std::vector<PeerCopy> copies,
                                         const std::stop_token& stop) {
  Plan plan;
  const auto here = mine.files->manifest(stop);
  if (!here) return here.error();
  const std::set<std::string> damaged = mine.files->damaged();
  for (PeerCopy& copy : copies) {
    if (copy.away || copy.place.node == link_.own_node()) continue;
    std::string text;
    ArchiveLink::Transfer rules;
    rules.timeout = std::chrono::minutes(10);
    rules.stop = stop;
    const auto got = link_.fetch(
        copy.place.node, "archive.manifest", copy_params(copy.place.id),
        [&](std::string_view piece) -> Status {
          text += piece;
          return {};
        },
        rules);
    const auto there = got ? parse_manifest(text) : Result<ArchiveManifest>(got.error());
    if (!there) {
      copy.away = there.error();
      continue;
    }
    const auto note = there->missed.find(link_.own_node());
    plan.seen[copy.place.node] = note == there->missed.end() ? 0 : note->second;
    for (const auto& [path, entry] : there->entries) {
      const auto known = here->entries.find(path);
      const bool repair =
          known != here->entries.end() && damaged.contains(path) && is_same(entry, known->second);
      if (known != here->entries.end() && !is_newer(entry, known->second) && !repair) continue;
      auto [wanted, added] = plan.wanted.try_emplace(path, Wanted{entry, {}});
      if (is_newer(entry, wanted->second.entry)) wanted->second = {entry, {}};
      if (is_same(entry, wanted->second.entry)) wanted->second.sources.push_back(copy.place);
    }
  }
  judge_copies(copies);
  plan.copies = std::move(copies);
  return plan;
}

}  // namespace confd::storage
