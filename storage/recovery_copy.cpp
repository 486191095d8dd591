// Recovery: what it copies, how many files at once, and how fast.
#include <algorithm>

#include "storage/recovery.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Status;
using base::Struct;

namespace {

constexpr std::chrono::minutes kTell{5};
constexpr std::chrono::hours kLongest{24};
// Files on their way at the same time: while some are synced, others come. From which limit on.
constexpr std::size_t kAtOnce = 4;
constexpr std::uint64_t kManyFiles = 64 << 20;

}  // namespace

// Removals first: one of their names may be a folder's now.
Status Recovery::copy(const ArchiveCopies::Copy& mine, const Plan& plan, std::stop_token stop) {
  std::vector<std::map<std::string, Wanted>::const_iterator> files;
  struct Work {
    base::Mutex mutex;
    std::size_t next GUARDED_BY(mutex) = 0;
    Left left GUARDED_BY(mutex);
    std::optional<Error> failed GUARDED_BY(mutex), ended GUARDED_BY(mutex);
  } work;
  {
    MutexLock lock(work.mutex);
    work.left = plan.left();
  }
  const auto done_with = [&](const Wanted& wanted, const Status& done) {
    MutexLock lock(work.mutex);
    if (done) {
      --work.left.files;
      work.left.bytes -= wanted.entry.size;
      note_left(mine.place.id, work.left);
    } else if (done.error().code == Code::stopped || done.error().code == Code::wrong_state) {
      if (!work.ended) work.ended = done.error();
    } else {
      work.failed = done.error();
    }
    return !work.ended;
  };
  for (auto at = plan.wanted.begin(); at != plan.wanted.end(); ++at) {
    if (!at->second.entry.removed())
      files.push_back(at);
    else if (!done_with(at->second, mine.files->remove(at->first, at->second.entry.version, {}, stop)))
      break;
  }
  in_parallel(std::min(files.size(), at_once()), [&](std::size_t) {
    for (;;) {
      MutexLock lock(work.mutex);
      if (work.ended || work.next == files.size()) return;
      const auto& [path, wanted] = *files[work.next++];
      lock.unlock();
      Status done = mine.files->adopt(path, wanted.entry, stop);
      if (!done && done.error().code == Code::conflict) done = pull(mine, path, wanted, stop);
      (void)done_with(wanted, done);
    }
  });
  MutexLock lock(work.mutex);
  if (work.ended) return *work.ended;
  return work.failed ? Status(*work.failed) : Status();
}

Status Recovery::pull(const ArchiveCopies::Copy& mine, const std::string& path, const Wanted& wanted,
                      std::stop_token stop) {
  Status done;
  for (const CopyPlace& source : wanted.sources) {
    if (Status may = may_copy(mine.place.id.vid); !may) return may;
    const auto room = [&](std::uint64_t bytes) {
      return copies_.storage().has_room(mine.place.id, bytes, stop);
    };
    const auto sink = mine.files->stage(path, room, stop);
    if (!sink) return sink.error();
    Struct params = copy_params(source.id);
    params.set("path", path);
    params.set("offset", 0);
    params.set("version", static_cast<std::int64_t>(wanted.entry.version));
    ArchiveLink::Transfer rules;
    rules.timeout = kLongest;
    rules.stop = stop;
    Status refused;
    const auto got = link_.fetch(
        source.node, "archive.get", params,
        [&](std::string_view piece) {
          refused = pass(piece.size(), mine.place.id, stop);
          if (refused) refused = (*sink)->write(piece);
          return refused;
        },
        rules);
    if (!refused) return refused;
    if (!got) {
      done = got.error();
      continue;
    }
    const auto staged = (*sink)->finish();
    if (!staged) return staged.error();
    if (staged->find("checksum")->as_string() != wanted.entry.checksum) {
      done = Error{Code::io_error,
                   "'" + path + "' came from node " + std::to_string(source.node) + " with a wrong checksum"};
      continue;
    }
    return mine.files->commit(path, staged->find("stage")->as_string(), wanted.entry.version, {}, stop);
  }
  return done;
}

std::uint64_t Recovery::rate() const {
  const std::uint64_t set = recovery_limits(*services_.config(), link_.own_node()).bytes_per_second;
  return set > 0 ? set : automatic_limit();
}

// Where a limit lets little through, one file after the other is whole sooner.
std::size_t Recovery::at_once() const {
  const std::uint64_t limit = rate();
  return limit == 0 || limit >= kManyFiles ? kAtOnce : 1;
}

Status Recovery::pass(std::uint64_t bytes, const SegmentId& id, const std::stop_token& stop) {
  if (Status may = may_copy(id.vid); !may) return may;
  const std::uint64_t limit = rate();
  const auto now = services_.clock.steady_now();
  {
    MutexLock lock(pace_mutex_);
    if (!since_) {
      since_ = now;
      passed_ = 0;
    }
    passed_ += bytes;
    if (limit > 0) {
      const std::chrono::duration<double> takes(static_cast<double>(bytes) / static_cast<double>(limit));
      due_ = std::max(due_, now) + std::chrono::duration_cast<base::SteadyTime::duration>(takes);
      const auto due = due_;
      lock.unlock();
      services_.wait(due, stop);
    }
  }
  tell();
  if (stop.stop_requested()) return Error{Code::stopped, "the recovery was stopped"};
  return {};
}

void Recovery::tell() {
  if (services_.log == nullptr) return;
  const auto now = services_.clock.steady_now();
  double rate = 0;
  {
    MutexLock lock(pace_mutex_);
    if (told_ && now - *told_ < kTell) return;
    const double seconds = std::chrono::duration<double>(now - *since_).count();
    if (seconds <= 0) return;
    rate = static_cast<double>(passed_) / seconds;
    told_ = now;
  }
  std::uint64_t bytes = 0;
  for (const auto& [id, left] : left()) bytes += left.bytes;
  const auto config = services_.config();
  const auto node = config->nodes().find(link_.own_node());
  services_.log->info(recovery_line(
      node != config->nodes().end() ? node->second.name : "n" + std::to_string(link_.own_node()), bytes,
      rate));
}

}  // namespace confd::storage
