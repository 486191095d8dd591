#include "scheduler/job_files.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "base/yaml.h"
#include "scheduler/job_file_names.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using base::WallTime;

namespace {

constexpr std::string_view kFolders[] = {"queue", "run", "finish", "archive"};
constexpr std::uint64_t kSegmentJobs = 2000;
constexpr std::uint64_t kSegmentBytes = 2u << 20;
// Jobs that end within this time are written once, in their last state.
constexpr std::chrono::milliseconds kCoalesce{25};
constexpr std::chrono::milliseconds kReadsWait{20};  // lines of read jobs, for more of them
constexpr std::chrono::seconds kSweep{5};
constexpr std::chrono::seconds kRetry{1};  // after a write that failed

}  // namespace

JobFiles::JobFiles(base::FileSystem& files, std::string directory, Retention retention, base::Clock& clock)
    : files_(files), directory_(std::move(directory)), retention_(retention), clock_(clock) {}

Result<std::unique_ptr<JobFiles>> JobFiles::open(base::FileSystem& files, std::string directory,
                                                 Retention retention, base::Clock& clock,
                                                 std::uint64_t first_number) {
  std::unique_ptr<JobFiles> store(new JobFiles(files, std::move(directory), retention, clock));
  if (Status done = store->take_stock(first_number); !done) return done.error();
  store->thread_ = std::thread([raw = store.get()] { raw->run(); });
  return store;
}

JobFiles::~JobFiles() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string JobFiles::folder_path(Folder folder) const {
  return base::join_path(directory_, kFolders[static_cast<std::size_t>(folder)]);
}

std::string JobFiles::file_path(Folder folder, JobId id) const {
  return base::join_path(folder_path(folder), id.text() + std::string(kYaml));
}

Status JobFiles::take_stock(std::uint64_t first_number) {
  MutexLock lock(mutex_);
  std::set<JobId> left_over;
  for (Folder folder : {Folder::queue, Folder::run, Folder::finish, Folder::archive}) {
    const std::string path = folder_path(folder);
    if (Status done = files_.make_directories(path, 0700); !done) return done;
    const auto names = files_.list(path);
    if (!names) return names.error();
    for (const std::string& name : *names) {
      const auto id = id_of(name);
      if (id) highest_ = std::max(highest_, id->number);
      if (!id && !(folder == Folder::archive && segment_of(name))) {
        // A temporary file of a writer that was killed.
        if (name.starts_with(".")) (void)files_.remove(base::join_path(path, name)).ok();
        continue;
      }
      if (folder != Folder::archive) {
        if (const auto earlier = places_.find(*id); earlier != places_.end())
          (void)files_.remove(file_path(earlier->second.folder, *id)).ok();
        add_place(*id, {folder, clock_.now()});
        if (folder != Folder::finish)
          left_over.insert(*id);
        else
          left_over.erase(*id);
        continue;
      }
      const auto status = files_.status(base::join_path(path, name));
      if (!status) return status.error();
      if (!id && status->size == 0) {
        (void)files_.remove(base::join_path(path, name)).ok();
        continue;
      }
      if (id) {
        if (const auto earlier = places_.find(*id); earlier != places_.end()) {
          (void)files_.remove(file_path(earlier->second.folder, *id)).ok();
          drop_place(*id);
          left_over.erase(*id);
        }
      }
      // A record of a read job has some 700 bytes; the exact number of jobs in a segment of an earlier run is
      // not worth reading it.
      const std::uint64_t jobs = id ? 1 : std::max<std::uint64_t>(1, status->size / 700);
      add_archived(name, {jobs, status->size,
                          WallTime(std::chrono::duration_cast<WallTime::duration>(
                              std::chrono::nanoseconds(status->modified_ns)))});
      if (!id) highest_ = std::max(highest_, *segment_of(name) + jobs);
    }
  }
  left_over_.assign(left_over.begin(), left_over.end());
  const std::string name =
      std::string(kReads) + std::to_string(std::max(first_number, highest_ + 1)) + std::string(kYaml);
  auto file = files_.open_append(base::join_path(folder_path(Folder::archive), name), 0600);
  if (!file) return file.error();
  reads_ = std::make_shared<ReadSegment>(std::move(*file), name);
  return {};
}

void JobFiles::add_place(JobId id, Place place) {
  drop_place(id);
  places_[id] = place;
  if (place.folder != Folder::finish) return;
  ++finished_;
  unfetched_.push_back(id);
  // One that nobody fetches keeps its place in front of many that were.
  if (unfetched_.size() > 2 * finished_ + 1024)
    std::erase_if(unfetched_, [this](JobId other) REQUIRES_LOCK(mutex_) {
      const auto it = places_.find(other);
      return it == places_.end() || it->second.folder != Folder::finish;
    });
}

void JobFiles::drop_place(JobId id) {
  const auto it = places_.find(id);
  if (it == places_.end()) return;
  if (it->second.folder == Folder::finish) --finished_;
  places_.erase(it);
}

void JobFiles::add_archived(const std::string& name, Archived entry) {
  const auto [it, is_new] = archive_.try_emplace({number_of(name), name}, entry);
  if (!is_new) {
    archived_jobs_ -= it->second.jobs;
    archived_bytes_ -= it->second.bytes;
    it->second = entry;
  }
  archived_jobs_ += entry.jobs;
  archived_bytes_ += entry.bytes;
}

bool JobFiles::is_full(const ReadSegment& segment) {
  return segment.jobs() >= kSegmentJobs || segment.bytes() >= kSegmentBytes;
}

void JobFiles::update(RecordPtr record, Folder folder) {
  MutexLock lock(mutex_);
  const JobId id = record->id;
  failed_.erase(id);
  pending_[id] = {std::move(record), folder};
  if (pending_.size() == 1) wake_.notify_one();
}

void JobFiles::fetched(const RecordPtr& record) {
  bool in_finish = false;
  {
    MutexLock lock(mutex_);
    const JobId id = record->id;
    if (const auto pending = pending_.find(id); pending != pending_.end())
      in_finish = pending->second.folder == Folder::finish;
    else if (const auto failed = failed_.find(id); failed != failed_.end())
      in_finish = failed->second.folder == Folder::finish;
    else if (writing_.contains(id))
      in_finish = true;  // or it goes to archive/ already: once more does no harm
    else if (const auto place = places_.find(id); place != places_.end())
      in_finish = place->second.folder == Folder::finish;
  }
  if (in_finish) update(record, Folder::archive);
}

std::shared_ptr<ReadSegment> JobFiles::open_segment() const {
  MutexLock lock(mutex_);
  return reads_;
}

Status JobFiles::append_read(const JobRecord& record) {
  const std::shared_ptr<ReadSegment> segment = open_segment();
  thread_local std::string line;  // keeps its memory
  line.clear();
  line += kLineStart;
  append_record_json(line, record);
  line += '\n';
  std::uint64_t highest = highest_read_.load();
  while (highest < record.id.number && !highest_read_.compare_exchange_weak(highest, record.id.number)) {
  }
  const bool was_full = is_full(*segment);
  Status done = segment->append(line);
  // Not more often than the thread looks after it.
  const bool is_left = segment->waits() && !reads_wait_.exchange(true);
  if (is_left || (!was_full && is_full(*segment))) {
    MutexLock lock(mutex_);  // the thread is asleep, or looks again
    wake_.notify_one();
  }
  return done;
}

bool JobFiles::is_archived(JobId id) const {
  MutexLock lock(mutex_);
  return archive_.contains({id.number, id.text() + std::string(kYaml)});
}

bool JobFiles::has_file(JobId id) const {
  MutexLock lock(mutex_);
  return places_.contains(id) || pending_.contains(id) || writing_.contains(id) || failed_.contains(id) ||
         archive_.contains({id.number, id.text() + std::string(kYaml)});
}

void JobFiles::forget(JobId id) {
  std::optional<Folder> folder;
  {
    MutexLock lock(mutex_);
    if (const auto it = places_.find(id); it != places_.end()) folder = it->second.folder;
    drop_place(id);
  }
  if (!folder) return;
  if (Status done = files_.remove(file_path(*folder, id)); !done) problem(done.error());
}

void JobFiles::flush() {
  MutexLock lock(mutex_);
  const std::uint64_t target = rounds_started_ + 1;
  rounds_wanted_ = std::max(rounds_wanted_, target);
  wake_.notify_all();
  while (rounds_done_ < target && !stopping_) written_.wait(mutex_);
}

Status JobFiles::checkpoint() {
  flush();
  {
    MutexLock lock(mutex_);
    if (!failed_.empty())
      return Error{Code::io_error, std::to_string(failed_.size()) + " job files could not be written yet"};
  }
  return files_.sync_everything(directory_);
}

std::vector<std::string> JobFiles::take_problems() {
  MutexLock lock(mutex_);
  return std::exchange(problems_, {});
}

void JobFiles::problem(const Error& error) {
  MutexLock lock(mutex_);
  if (problems_.size() < 20) problems_.push_back(error.text);
}

void JobFiles::run() {
  using std::chrono::steady_clock;
  auto next_care = steady_clock::now() + kRetry;
  bool failed = false;  // the last round, in something: no hurry with the next one
  for (;;) {
    std::vector<Pending> batch;
    {
      MutexLock lock(mutex_);
      const auto is_wanted = [this]() REQUIRES_LOCK(mutex_) {
        return stopping_ || rounds_wanted_ > rounds_started_;
      };
      while (pending_.empty() && !is_wanted() && steady_clock::now() < next_care &&
             (failed || (!is_full(*reads_) && !reads_wait_)))
        wake_.wait_until(mutex_, next_care);
      if (stopping_ && pending_.empty()) break;
      if (reads_wait_ && !failed) {
        const auto until = steady_clock::now() + kReadsWait;
        while (!is_wanted() && steady_clock::now() < until) wake_.wait_until(mutex_, until);
      }
      const auto collect_until = steady_clock::now() + kCoalesce;
      while (!pending_.empty() && !is_wanted() && steady_clock::now() < collect_until)
        wake_.wait_until(mutex_, collect_until);
      if (is_wanted() || steady_clock::now() >= next_care) {
        pending_.merge(failed_);
        failed_.clear();
      }
      writing_.swap(pending_);
      pending_.clear();
      for (const auto& [id, pending] : writing_) batch.push_back(pending);
      ++rounds_started_;
    }
    failed = false;
    reads_wait_ = false;
    if (Status done = open_segment()->write_out(); !done) {
      problem(done.error());
      failed = true;
    }
    for (const Pending& pending : batch) {
      const Status done = write(pending);
      if (!done) {
        problem(done.error());
        failed = true;
      }
      MutexLock lock(mutex_);
      const JobId id = pending.record->id;
      writing_.erase(id);
      if (!done && !pending_.contains(id)) failed_[id] = pending;
      if (!failed_.empty()) failed = true;
    }
    if (Status done = rotate_reads(); !done) {
      problem(done.error());
      failed = true;
    }
    sweep();
    apply_retention();
    MutexLock lock(mutex_);
    if (steady_clock::now() >= next_care || rounds_wanted_ >= rounds_started_)
      next_care = steady_clock::now() + kSweep;
    if (failed) next_care = std::min(next_care, steady_clock::now() + kRetry);
    rounds_done_ = rounds_started_;
    written_.notify_all();
  }
  (void)open_segment()->write_out().ok();  // nobody is left to tell
}

Status JobFiles::write(const Pending& pending) {
  const JobId id = pending.record->id;
  const std::string text = base::dump_yaml_in_order(to_value(*pending.record));
  const std::string path = file_path(pending.folder, id);
  const std::string temp = base::join_path(folder_path(pending.folder), "." + id.text());
  {
    auto file = files_.create(temp, 0600);
    if (!file) return file.error();
    Status done = (*file)->append(text);
    file->reset();
    if (done) done = files_.rename(temp, path);
    if (!done) {
      (void)files_.remove(temp).ok();
      return done;
    }
  }
  std::optional<Folder> old;
  {
    MutexLock lock(mutex_);
    if (const auto it = places_.find(id); it != places_.end() && it->second.folder != pending.folder)
      old = it->second.folder;
    if (pending.folder == Folder::archive) {
      drop_place(id);
      add_archived(id.text() + std::string(kYaml), {1, text.size(), clock_.now()});
    } else if (old || !places_.contains(id)) {
      add_place(id, {pending.folder, clock_.now()});
    }
  }
  if (old)
    if (Status gone = files_.remove(file_path(*old, id)); !gone && gone.error().code != Code::not_found)
      problem(gone.error());  // start-up removes it
  return {};
}

// finish/ -> archive/ for results nobody fetched in time, or of which there are too many.
void JobFiles::sweep() {
  std::vector<JobId> leaving;
  {
    MutexLock lock(mutex_);
    while (!unfetched_.empty()) {
      const JobId id = unfetched_.front();
      const auto it = places_.find(id);
      const bool waits = it != places_.end() && it->second.folder == Folder::finish;
      if (waits && finished_ - leaving.size() <= retention_.jobs &&
          clock_.now() - it->second.since <= retention_.unfetched)
        break;
      unfetched_.pop_front();
      if (waits) leaving.push_back(id);
    }
  }
  for (const JobId& id : leaving) {
    const std::string path = file_path(Folder::archive, id);
    const Status done = files_.rename(file_path(Folder::finish, id), path);
    if (!done) problem(done.error());
    const auto status = done ? files_.status(path) : Result<base::FileStatus>(done.error());
    MutexLock lock(mutex_);
    if (done) {
      drop_place(id);
      add_archived(id.text() + std::string(kYaml), {1, status ? status->size : 0, clock_.now()});
    } else if (done.error().code == Code::not_found) {
      drop_place(id);  // somebody removed it by hand
    } else {
      unfetched_.push_back(id);
    }
  }
}

Status JobFiles::rotate_reads() {
  std::shared_ptr<ReadSegment> full;
  {
    MutexLock lock(mutex_);
    if (!is_full(*reads_)) return {};
    full = reads_;
  }
  // Jobs that started before this moment may still end up in the new segment: leave room for their numbers.
  const std::uint64_t highest = highest_read_.load();
  const std::uint64_t earliest = highest > 64 ? highest - 64 : 0;
  const std::string name = std::string(kReads) +
                           std::to_string(std::max(earliest, number_of(full->name()) + 1)) +
                           std::string(kYaml);
  auto file = files_.open_append(base::join_path(folder_path(Folder::archive), name), 0600);
  if (!file) return file.error();
  auto next = std::make_shared<ReadSegment>(std::move(*file), name);
  {
    MutexLock lock(mutex_);
    add_archived(full->name(), {full->jobs(), full->bytes(), clock_.now()});
    reads_ = std::move(next);
  }
  // Whoever appends to it still, having looked before, comes after this with a line that waits for nobody.
  return full->close();
}

void JobFiles::apply_retention() {
  std::vector<std::string> drop;
  {
    MutexLock lock(mutex_);
    const WallTime oldest = clock_.now() - retention_.age;
    while (!archive_.empty()) {
      const auto& [key, entry] = *archive_.begin();
      if (archived_jobs_ + reads_->jobs() <= retention_.jobs &&
          archived_bytes_ + reads_->bytes() <= retention_.bytes && entry.time >= oldest)
        break;
      archived_jobs_ -= entry.jobs;
      archived_bytes_ -= entry.bytes;
      drop.push_back(key.second);
      archive_.erase(archive_.begin());
    }
  }
  for (const std::string& name : drop)
    if (Status done = files_.remove(base::join_path(folder_path(Folder::archive), name));
        !done && done.error().code != Code::not_found)
      problem(done.error());
}

}  // namespace confd::scheduler
