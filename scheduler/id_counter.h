// IdCounter: job numbers that are never given twice, though a crash may leave a gap.
//
// On disk: <dir>/next.id holds the first number that was never reserved, as decimal text. Numbers are
// reserved in blocks: the file is replaced (durably) before the first number of a block is given out, so that
// taking one costs no I/O. After a crash the rest of the block is skipped. Thread-safety: any thread. take()
// does I/O only when a block is used up before refill() came round.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"

namespace confd::scheduler {

class IdCounter {
 public:
  static constexpr std::uint64_t kBlock = 20'000;

  // `at_least`: no number below it is given (job records that outlived a lost next.id). Error: the file can't
  // be read, is no number, or can't be written.
  static base::Result<std::unique_ptr<IdCounter>> open(base::FileSystem& files, std::string path,
                                                       std::uint64_t at_least);
  base::Result<std::uint64_t> take() EXCLUDES(mutex_, refill_mutex_);
  // Reserves the next block when less than half of one is left; called from a background thread.
  base::Status refill() EXCLUDES(mutex_, refill_mutex_);
  bool wants_refill() const EXCLUDES(mutex_);
  // Gives back what is left of the block, for a clean stop; no number is taken any more. Best effort: without
  // it the rest of the block is a gap.
  void close() EXCLUDES(mutex_, refill_mutex_);

 private:
  IdCounter(base::FileSystem& files, std::string path, std::uint64_t next)
      : files_(files), path_(std::move(path)), next_(next), reserved_(next) {}

  base::FileSystem& files_;
  const std::string path_;
  base::Mutex refill_mutex_;  // one writer of the file; taken before mutex_
  mutable base::Mutex mutex_;
  std::uint64_t next_ GUARDED_BY(mutex_);
  std::uint64_t reserved_ GUARDED_BY(mutex_);  // first number not reserved
};

}  // namespace confd::scheduler
