// JobFiles: the job records people and tools read, and where records live once they are no longer in memory.
//
// On disk, in <root>/spool/jobs:
//   queue/ run/ finish/ archive/<job id>.yaml   one YAML document a job; the folder says how far it is:
//                                               submitted, running, ended but nobody fetched the result yet,
//                                               done. A job may be in two folders after a crash; start-up
//                                               keeps the later one.
//   archive/reads-<number>.yaml                 read jobs of job_exec and declined jobs, one YAML document a
//                                               line (flow style), so that a read costs one write(2), many at
//                                               once share one, and no sync; the number is (nearly always)
//                                               below that of every job in it.
// These files are written without a sync: until checkpoint() the journal is what is durable.
//
// Files of jobs are written by one thread of its own, a moment later, the newest state only; one that could
// not be written is tried again each second. Retention (age, number, bytes) drops the oldest of archive/;
// finish/ keeps results nobody fetched for an hour, and not more of them than archive/ may hold.
// Thread-safety: any thread. append_read() writes on the caller's thread, or leaves the line to a later one
// or, a fiftieth of a second later, to the thread (a kill of the process loses those). find() and history()
// read files: never on an I/O thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
#include "scheduler/read_segment.h"
#include "scheduler/record.h"

namespace confd::scheduler {

using RecordPtr = std::shared_ptr<const JobRecord>;

enum class Folder { queue, run, finish, archive };

struct Retention {
  std::chrono::hours age{24 * 30};
  std::uint64_t jobs = 10'000;
  std::uint64_t bytes = 64u << 20;
  std::chrono::seconds unfetched{3600};  // finish -> archive although nobody asked for the result
};

struct HistoryFilter {
  std::string state;  // a stage name, or "failed", "running"; empty = all
  std::string user;
  std::string job;
  std::optional<base::WallTime> since, until;  // by time of submission
  std::size_t limit = 100;
  bool matches(const JobRecord& record) const;
};

class JobFiles {
 public:
  // Makes the folders and takes stock of them. `first_number` is below every job to come.
  static base::Result<std::unique_ptr<JobFiles>> open(base::FileSystem& files, std::string directory,
                                                      Retention retention, base::Clock& clock,
                                                      std::uint64_t first_number);
  ~JobFiles();

  // Writes (or moves) the job's file soon.
  void update(RecordPtr record, Folder folder) EXCLUDES(mutex_);
  // Somebody got the result: a job whose file is in finish/ goes to archive/. REQUIRES: record->ended
  void fetched(const RecordPtr& record) EXCLUDES(mutex_);
  // Records a read job that nobody else knows of. Error: not yet; it goes with a later one.
  base::Status append_read(const JobRecord& record) EXCLUDES(mutex_);

  // Error: Code::unknown_job_id.
  base::Result<RecordPtr> find(JobId id) const;
  // Newest first, from files only; `known` are left out (the caller has them in memory).
  std::vector<RecordPtr> history(const HistoryFilter& filter, const std::function<bool(JobId)>& known) const;

  // Jobs with a file in queue/ or run/ when open() looked: left by a crash.
  const std::vector<JobId>& left_over() const { return left_over_; }
  bool has_file(JobId id) const EXCLUDES(mutex_);
  bool is_archived(JobId id) const EXCLUDES(mutex_);
  // Removes a file in queue/ or run/ that can't be read. REQUIRES: start-up, nothing pending for it.
  void forget(JobId id) EXCLUDES(mutex_);
  // Highest job number seen by open().
  std::uint64_t highest_number() const { return highest_; }

  // Waits until all updates so far were tried and retention was applied.
  void flush() EXCLUDES(mutex_);
  // flush(), then makes all of it durable. Error: also when one of the updates could not be written.
  base::Status checkpoint() EXCLUDES(mutex_);
  // Errors of the background thread since the last call, for the log.
  std::vector<std::string> take_problems() EXCLUDES(mutex_);

 private:
  struct Archived {  // a file in archive/
    std::uint64_t jobs = 1;
    std::uint64_t bytes = 0;
    base::WallTime time;
  };
  struct Pending {
    RecordPtr record;
    Folder folder;
  };
  struct Place {
    Folder folder;
    base::WallTime since;
  };

  JobFiles(base::FileSystem& files, std::string directory, Retention retention, base::Clock& clock);
  base::Status take_stock(std::uint64_t first_number);
  std::string folder_path(Folder folder) const;
  std::string file_path(Folder folder, JobId id) const;
  // By the job numbers in it, so that the oldest come first.
  using ArchiveKey = std::pair<std::uint64_t, std::string>;
  void add_archived(const std::string& name, Archived entry) REQUIRES_LOCK(mutex_);
  void add_place(JobId id, Place place) REQUIRES_LOCK(mutex_);
  void drop_place(JobId id) REQUIRES_LOCK(mutex_);
  static bool is_full(const ReadSegment& segment);

  void run() EXCLUDES(mutex_);
  base::Status write(const Pending& pending) EXCLUDES(mutex_);
  void sweep() EXCLUDES(mutex_);
  base::Status rotate_reads() EXCLUDES(mutex_);
  std::shared_ptr<ReadSegment> open_segment() const EXCLUDES(mutex_);
  void apply_retention() EXCLUDES(mutex_);
  void problem(const base::Error& error) EXCLUDES(mutex_);
  std::vector<std::string> read_segments() const;
  base::Result<RecordPtr> read_file(const std::string& path) const;

  base::FileSystem& files_;
  const std::string directory_;
  const Retention retention_;
  base::Clock& clock_;
  std::vector<JobId> left_over_;  // constant after open()
  std::uint64_t highest_ = 0;     // constant after open()

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  base::CondVar written_;
  std::map<JobId, Pending> pending_ GUARDED_BY(mutex_);
  std::map<JobId, Pending> failed_ GUARDED_BY(mutex_);   // to be tried again
  std::map<JobId, Pending> writing_ GUARDED_BY(mutex_);  // by the thread, this moment
  // A round of the thread writes all that was pending when it started.
  std::uint64_t rounds_started_ GUARDED_BY(mutex_) = 0;
  std::uint64_t rounds_done_ GUARDED_BY(mutex_) = 0;
  std::uint64_t rounds_wanted_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::map<JobId, Place> places_ GUARDED_BY(mutex_);  // files not in archive/
  std::deque<JobId> unfetched_ GUARDED_BY(mutex_);    // came to finish/ in this order; some have left
  std::size_t finished_ GUARDED_BY(mutex_) = 0;       // files in finish/
  std::map<ArchiveKey, Archived> archive_ GUARDED_BY(mutex_);
  std::uint64_t archived_jobs_ GUARDED_BY(mutex_) = 0;   // in archive_
  std::uint64_t archived_bytes_ GUARDED_BY(mutex_) = 0;  // in archive_
  std::shared_ptr<ReadSegment> reads_ GUARDED_BY(mutex_);
  std::atomic<bool> reads_wait_{false};  // the thread has been told of lines that wait
  std::atomic<std::uint64_t> highest_read_{0};
  std::vector<std::string> problems_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace confd::scheduler
