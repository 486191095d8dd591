#include "scheduler/job_files.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using base::WallTime;

namespace {

constexpr std::string_view kFolders[] = {"queue", "run", "finish", "archive"};
constexpr std::string_view kReads = "reads-";
constexpr std::string_view kYaml = ".yaml";
constexpr std::uint64_t kSegmentJobs = 2000;
constexpr std::uint64_t kSegmentBytes = 2u << 20;
// Jobs that end within this time are written once, in their last state.
constexpr std::chrono::milliseconds kCoalesce{25};
constexpr std::chrono::seconds kSweep{20};

std::optional<JobId> id_of(const std::string& name) {
  if (name.size() <= kYaml.size() || !name.ends_with(kYaml)) return std::nullopt;
  return JobId::parse(std::string_view(name).substr(0, name.size() - kYaml.size()));
}

std::optional<std::uint64_t> segment_of(const std::string& name) {
  if (!name.starts_with(kReads) || !name.ends_with(kYaml)) return std::nullopt;
  const auto number = base::parse_int(
      std::string_view(name).substr(kReads.size(), name.size() - kReads.size() - kYaml.size()));
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

// Orders archive files by the job numbers in them.
std::uint64_t number_of(const std::string& name) {
  if (const auto id = id_of(name)) return id->number;
  return segment_of(name).value_or(0);
}

constexpr std::string_view kLineStart = "--- ";

}  // namespace

bool HistoryFilter::matches(const JobRecord& r) const {
  if (!state.empty()) {
    const bool failed = r.ended && r.code != Code::ok;
    const bool ok = state == "failed"    ? failed
                    : state == "running" ? !r.ended && r.stage != Stage::submitted
                                         : state == stage_name(r.stage);
    if (!ok) return false;
  }
  if (!user.empty() && r.user != user) return false;
  if (!job.empty() && r.job != job) return false;
  const WallTime submitted = r.time(Stage::submitted);
  if (since && submitted < *since) return false;
  if (until && submitted > *until) return false;
  return true;
}

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
        places_[*id] = {folder, clock_.now()};
        if (folder != Folder::finish)
          left_over_.push_back(*id);
        else
          std::erase(left_over_, *id);
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
          places_.erase(earlier);
          std::erase(left_over_, *id);
        }
      }
      // A record of a read job has some 700 bytes; the exact number of jobs in a segment of an earlier run is
      // not worth reading it.
      const std::uint64_t jobs = id ? 1 : std::max<std::uint64_t>(1, status->size / 700);
      archive_[name] = {jobs, status->size,
                        WallTime(std::chrono::duration_cast<WallTime::duration>(
                            std::chrono::nanoseconds(status->modified_ns)))};
      if (!id) highest_ = std::max(highest_, *segment_of(name) + jobs);
    }
  }
  auto segment = std::make_shared<ReadSegment>();
  segment->name =
      std::string(kReads) + std::to_string(std::max(first_number, highest_ + 1)) + std::string(kYaml);
  auto file = files_.open_append(base::join_path(folder_path(Folder::archive), segment->name), 0600);
  if (!file) return file.error();
  segment->file = std::move(*file);
  reads_ = std::move(segment);
  return {};
}

void JobFiles::update(RecordPtr record, Folder folder) {
  MutexLock lock(mutex_);
  const JobId id = record->id;
  pending_[id] = {std::move(record), folder};
  if (pending_.size() == 1) wake_.notify_one();
}

Status JobFiles::append_read(const JobRecord& record) {
  std::shared_ptr<ReadSegment> segment;
  {
    MutexLock lock(mutex_);
    segment = reads_;
  }
  std::string line(kLineStart);
  line += base::render_json(to_value(record));
  line += '\n';
  std::uint64_t highest = highest_read_.load();
  while (highest < record.id.number && !highest_read_.compare_exchange_weak(highest, record.id.number)) {
  }
  const Status done = segment->file->append(line);
  segment->bytes += line.size();
  if (++segment->jobs == kSegmentJobs) wake_.notify_one();
  return done;
}

bool JobFiles::has_file(JobId id) const {
  MutexLock lock(mutex_);
  return places_.contains(id) || pending_.contains(id) || archive_.contains(id.text() + std::string(kYaml));
}

Result<RecordPtr> JobFiles::read_file(const std::string& path) const {
  const auto text = files_.read(path);
  if (!text) return text.error();
  const auto value = base::parse_yaml(*text);
  if (!value) return Error{Code::internal, path + ": " + value.error().text};
  auto record = from_value(*value);
  if (!record) return Error{Code::internal, path + ": " + record.error().text};
  return RecordPtr(std::make_shared<const JobRecord>(std::move(*record)));
}

std::vector<std::string> JobFiles::read_segments() const {
  std::vector<std::string> names;
  MutexLock lock(mutex_);
  for (const auto& [name, entry] : archive_)
    if (segment_of(name)) names.push_back(name);
  names.push_back(reads_->name);
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return number_of(a) > number_of(b); });
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;  // newest first
}

Result<RecordPtr> JobFiles::find(JobId id) const {
  {
    MutexLock lock(mutex_);
    if (const auto it = pending_.find(id); it != pending_.end()) return it->second.record;
  }
  for (Folder folder : {Folder::archive, Folder::finish, Folder::run, Folder::queue}) {
    auto record = read_file(file_path(folder, id));
    if (record || record.error().code != Code::not_found) return record;
  }
  const std::string start = std::string(kLineStart) + "{\"job_id\":\"" + id.text() + "\"";
  // Most likely in the newest segment that starts below it; a job that ran long ended up in a later one.
  std::vector<std::string> segments = read_segments();
  std::stable_partition(segments.begin(), segments.end(),
                        [&](const std::string& name) { return number_of(name) <= id.number; });
  for (const std::string& name : segments) {
    const auto text = files_.read(base::join_path(folder_path(Folder::archive), name));
    if (!text) continue;  // retention took it meanwhile
    std::size_t at = text->compare(0, start.size(), start) == 0 ? 0 : text->find("\n" + start);
    if (at == std::string::npos) continue;
    if (at > 0) ++at;
    const std::size_t end = text->find('\n', at);
    const auto value = base::parse_json(
        std::string_view(*text).substr(at + kLineStart.size(), end - at - kLineStart.size()));
    if (!value) break;
    auto record = from_value(*value);
    if (!record) break;
    return RecordPtr(std::make_shared<const JobRecord>(std::move(*record)));
  }
  return Error{Code::unknown_job_id,
               "There is no job " + id.text() + " on record; it was never started or its record has expired"};
}

std::vector<RecordPtr> JobFiles::history(const HistoryFilter& filter,
                                         const std::function<bool(JobId)>& known) const {
  std::vector<RecordPtr> found;
  const auto take = [&](RecordPtr record, std::size_t& count) {
    if (known(record->id) || !filter.matches(*record)) return;
    found.push_back(std::move(record));
    ++count;
  };
  // Newest first in either kind of file; each kind alone may fill the limit, the caller sorts and cuts.
  std::size_t from_segments = 0;
  for (const std::string& name : read_segments()) {
    if (from_segments >= filter.limit) break;
    const auto text = files_.read(base::join_path(folder_path(Folder::archive), name));
    if (!text) continue;
    const std::vector<std::string> lines = base::split(*text, '\n');
    for (auto line = lines.rbegin(); line != lines.rend() && from_segments < filter.limit; ++line) {
      if (!line->starts_with(kLineStart)) continue;
      const auto value = base::parse_json(std::string_view(*line).substr(kLineStart.size()));
      if (!value) continue;
      if (auto record = from_value(*value); record.ok())
        take(std::make_shared<const JobRecord>(std::move(*record)), from_segments);
    }
  }
  std::vector<std::pair<JobId, std::string>> files;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, place] : places_) files.emplace_back(id, file_path(place.folder, id));
    for (const auto& [name, entry] : archive_)
      if (const auto id = id_of(name)) files.emplace_back(*id, file_path(Folder::archive, *id));
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::size_t from_files = 0;
  for (const auto& [id, path] : files) {
    if (from_files >= filter.limit) break;
    if (known(id)) continue;
    if (auto record = read_file(path); record.ok()) take(std::move(*record), from_files);
  }
  std::sort(found.begin(), found.end(), [](const RecordPtr& a, const RecordPtr& b) { return a->id > b->id; });
  return found;
}

void JobFiles::flush() {
  MutexLock lock(mutex_);
  flushing_ = true;
  wake_.notify_all();
  while ((!pending_.empty() || busy_) && !stopping_) written_.wait(mutex_);
  flushing_ = false;
}

Status JobFiles::checkpoint() {
  flush();
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
  auto next_sweep = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (;;) {
    std::map<JobId, Pending> batch;
    {
      MutexLock lock(mutex_);
      busy_ = false;
      written_.notify_all();
      while (pending_.empty() && !stopping_ && std::chrono::steady_clock::now() < next_sweep &&
             reads_->jobs < kSegmentJobs && reads_->bytes < kSegmentBytes)
        wake_.wait_until(mutex_, next_sweep);
      if (stopping_ && pending_.empty()) return;
      const auto collect_until = std::chrono::steady_clock::now() + kCoalesce;
      while (!pending_.empty() && !flushing_ && !stopping_ &&
             std::chrono::steady_clock::now() < collect_until)
        wake_.wait_until(mutex_, collect_until);
      batch.swap(pending_);
      busy_ = true;
    }
    for (const auto& [id, pending] : batch) write(pending);
    rotate_reads();
    if (std::chrono::steady_clock::now() >= next_sweep) {
      sweep();
      apply_retention();
      next_sweep = std::chrono::steady_clock::now() + kSweep;
    }
  }
}

void JobFiles::write(const Pending& pending) {
  const JobId id = pending.record->id;
  const std::string text = base::dump_yaml_in_order(to_value(*pending.record));
  const std::string path = file_path(pending.folder, id);
  const std::string temp = base::join_path(folder_path(pending.folder), "." + id.text());
  auto file = files_.create(temp, 0600);
  if (!file) return problem(file.error());
  Status done = (*file)->append(text);
  file->reset();
  if (done) done = files_.rename(temp, path);
  if (!done) return problem(done.error());

  std::optional<Folder> old;
  {
    MutexLock lock(mutex_);
    if (const auto it = places_.find(id); it != places_.end() && it->second.folder != pending.folder)
      old = it->second.folder;
    if (pending.folder == Folder::archive) {
      places_.erase(id);
      archive_[id.text() + std::string(kYaml)] = {1, text.size(), clock_.now()};
    } else if (old || !places_.contains(id)) {
      places_[id] = {pending.folder, clock_.now()};
    }
  }
  if (old)
    if (Status gone = files_.remove(file_path(*old, id)); !gone && gone.error().code != Code::not_found)
      problem(gone.error());
}

void JobFiles::sweep() {
  std::vector<JobId> unfetched;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, place] : places_)
      if (place.folder == Folder::finish && clock_.now() - place.since > retention_.unfetched)
        unfetched.push_back(id);
  }
  for (const JobId& id : unfetched) {
    if (Status done = files_.rename(file_path(Folder::finish, id), file_path(Folder::archive, id)); !done) {
      problem(done.error());
      continue;
    }
    const auto status = files_.status(file_path(Folder::archive, id));
    MutexLock lock(mutex_);
    places_.erase(id);
    archive_[id.text() + std::string(kYaml)] = {1, status ? status->size : 0, clock_.now()};
  }
}

void JobFiles::rotate_reads() {
  std::shared_ptr<ReadSegment> full;
  {
    MutexLock lock(mutex_);
    if (reads_->jobs < kSegmentJobs && reads_->bytes < kSegmentBytes) return;
    full = reads_;
  }
  auto next = std::make_shared<ReadSegment>();
  // Jobs that started before this moment may still end up in the new segment: leave room for their numbers.
  const std::uint64_t highest = highest_read_.load();
  const std::uint64_t earliest = highest > 64 ? highest - 64 : 0;
  next->name = std::string(kReads) + std::to_string(std::max(earliest, number_of(full->name) + 1)) +
               std::string(kYaml);
  auto file = files_.open_append(base::join_path(folder_path(Folder::archive), next->name), 0600);
  if (!file) return problem(file.error());
  next->file = std::move(*file);
  {
    MutexLock lock(mutex_);
    archive_[full->name] = {full->jobs, full->bytes, clock_.now()};
    reads_ = std::move(next);
  }
  apply_retention();
}

void JobFiles::apply_retention() {
  std::vector<std::string> drop;
  {
    MutexLock lock(mutex_);
    std::uint64_t jobs = reads_->jobs;
    std::uint64_t bytes = reads_->bytes;
    std::vector<std::pair<std::uint64_t, std::string>> order;
    for (const auto& [name, entry] : archive_) {
      jobs += entry.jobs;
      bytes += entry.bytes;
      order.emplace_back(number_of(name), name);
    }
    std::sort(order.begin(), order.end());
    const WallTime oldest = clock_.now() - retention_.age;
    for (const auto& [number, name] : order) {
      const Archived& entry = archive_.at(name);
      if (jobs <= retention_.jobs && bytes <= retention_.bytes && entry.time >= oldest) break;
      jobs -= entry.jobs;
      bytes -= entry.bytes;
      archive_.erase(name);
      drop.push_back(name);
    }
  }
  for (const std::string& name : drop)
    if (Status done = files_.remove(base::join_path(folder_path(Folder::archive), name)); !done)
      problem(done.error());
}

}  // namespace confd::scheduler
