// Journal: what makes stages of jobs durable, with one disk sync for all that wait at the same time.
//
// On disk, in <root>/spool/jobs: journal.<n> (0600), n rising. A line is `<crc32 of the text, 8 hex digits>
// <JSON of JobRecord>\n`, a whole snapshot of one job; the snapshot with the latest stage counts, whatever
// the order of lines. A crash can leave a torn last line: it was never acknowledged and is skipped. After a
// failed write or sync the journal goes on in a new file, so that a torn line never joins the next one; a
// file in which nothing was ever acknowledged is emptied and used again, so that a full disk does not fill
// the folder. A segment is deleted only after retire() was told that all jobs in it are elsewhere.
//
// One thread of its own writes and syncs: append() returns at once, `done` runs on that thread.
// Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
#include "scheduler/record.h"

namespace confd::scheduler {

enum class Durability {
  process,  // survives the end of confd: written
  power     // survives the end of the machine: written and synced
};

class Journal {
 public:
  struct Recovered {
    std::vector<JobRecord> records;  // one a job, its latest snapshot, by id
    // Of jobs that failed after they were to become this revision: it may be on disk all the same.
    std::map<JobId, PublishedAs> doubtful;
    std::size_t torn_lines = 0;
    std::uint64_t next_segment = 1;
  };
  // Reads all segments in `directory`. Error: a segment can't be read.
  static base::Result<Recovered> recover(base::FileSystem& files, const std::string& directory);

  // Starts a new segment with that number.
  static base::Result<std::unique_ptr<Journal>> open(base::FileSystem& files, std::string directory,
                                                     std::uint64_t segment);
  ~Journal();  // writes what waits, then ends

  void append(const JobRecord& record, Durability durability, std::function<void(base::Status)> done = {})
      EXCLUDES(mutex_);
  // Waits until this one is on disk.
  base::Status append_and_wait(const JobRecord& record, Durability durability) EXCLUDES(mutex_);
  // Waits until everything appended so far was tried and the current segment is synced. Says nothing about
  // appends that failed: their `done` was called with the Error before this returns.
  base::Status sync() EXCLUDES(mutex_);

  // Bytes in the current segment.
  std::uint64_t size() const EXCLUDES(mutex_);
  // Ends the current segment; later appends go to a new one. Returns the number of the new one.
  base::Result<std::uint64_t> start_segment() EXCLUDES(mutex_);
  // Deletes all segments below this number. REQUIRES: their jobs have ended and are durable elsewhere, or are
  // in later segments.
  base::Status retire(std::uint64_t below);

 private:
  struct Item {
    std::string line;
    Durability durability;
    bool rotate = false;
    std::function<void(base::Status)> done;
  };
  Journal(base::FileSystem& files, std::string directory, std::uint64_t segment);
  base::Status open_segment(std::uint64_t segment);
  void push(Item item) EXCLUDES(mutex_);
  void run();
  base::Status write(const std::string& text);
  base::Status sync_file();

  base::FileSystem& files_;
  const std::string directory_;
  std::unique_ptr<base::File> file_;  // journal thread only, after open
  std::uint64_t segment_;             // journal thread only, after open
  bool broken_ = false;               // journal thread only: the current file must not be written any more
  bool acknowledged_ = false;         // journal thread only: somebody was told of a line in the current file

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  std::vector<Item> queue_ GUARDED_BY(mutex_);
  std::uint64_t size_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace confd::scheduler
