// JobFiles: the job records people and tools read, and where records live once they are no longer in memory.
//
// On disk, in <root>/spool/jobs:
//   queue/ run/ finish/ archive/<job id>.yaml   one YAML document a job; the folder says how far it is:
//   submitted, running, ended but nobody fetched
//                                               the result yet, done. A job may be in two folders after a
//                                               crash; start-up keeps the later one.
//   archive/reads-<number>.yaml                 read jobs of job_exec, one YAML document a line (flow style),
//   so that a read costs one write(2)
//                                               and no sync; the number is below that of every job in it.
// These files are written without a sync: until checkpoint() the journal is what is durable.
//
// Files of one job are written by one thread of its own, a moment later, the newest state only. Retention
// (age, number, bytes) drops the oldest of archive/. Thread-safety: any thread. append_read() is one write(2)
// on the caller's thread; find() and history() read files: never on an I/O thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
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
  // Records a read job that nobody else knows of.
  base::Status append_read(const JobRecord& record);

  // Error: Code::unknown_job_id.
  base::Result<RecordPtr> find(JobId id) const;
  // Newest first, from files only; `known` are left out (the caller has them in memory).
  std::vector<RecordPtr> history(const HistoryFilter& filter, const std::function<bool(JobId)>& known) const;

  // Jobs with a file in queue/ or run/ when open() looked: left by a crash.
  const std::vector<JobId>& left_over() const { return left_over_; }
  bool has_file(JobId id) const EXCLUDES(mutex_);
  // Highest job number seen by open().
  std::uint64_t highest_number() const { return highest_; }

  // Waits until all updates so far are written.
  void flush() EXCLUDES(mutex_);
  // flush(), then makes all of it durable.
  base::Status checkpoint();
  // Errors of the background thread since the last call, for the log.
  std::vector<std::string> take_problems() EXCLUDES(mutex_);

 private:
  struct ReadSegment {
    std::unique_ptr<base::File> file;
    std::string name;
    std::atomic<std::uint64_t> jobs{0};
    std::atomic<std::uint64_t> bytes{0};
  };
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
  void run();
  void write(const Pending& pending);
  void sweep();
  void rotate_reads();
  void apply_retention();
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
  bool busy_ GUARDED_BY(mutex_) = false;
  bool flushing_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::map<JobId, Place> places_ GUARDED_BY(mutex_);            // files not in archive/
  std::map<std::string, Archived> archive_ GUARDED_BY(mutex_);  // by file name
  std::shared_ptr<ReadSegment> reads_ GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> highest_read_{0};
  std::vector<std::string> problems_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace confd::scheduler
