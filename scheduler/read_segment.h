// ReadSegment: one file of read jobs, a line each. Lines that come close together go out in one write(2): it
// is a tenth of what a read job costs. Used by JobFiles, which sees to it that none waits for long.
//
// Not durable before a sync; a kill of the process loses lines that wait (kLines at most). Thread-safety: any
// thread; write_out() and an append() that writes block for the write, others do not wait for it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"

namespace confd::scheduler {

class ReadSegment {
 public:
  static constexpr std::size_t kLines = 16;  // wait at most

  ReadSegment(std::unique_ptr<base::File> file, std::string name)
      : file_(std::move(file)), name_(std::move(name)) {}

  // `line`: with its end. Error: it could not be written; it goes with a later line.
  base::Status append(std::string_view line) EXCLUDES(mutex_);
  // Whether a line waits.
  bool waits() const { return waits_.load(std::memory_order_relaxed); }
  base::Status write_out() EXCLUDES(mutex_);
  // From now on each line is written at once.
  base::Status close() EXCLUDES(mutex_);

  const std::string& name() const { return name_; }
  std::uint64_t jobs() const { return jobs_.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  base::Status write(std::string lines, std::size_t count) EXCLUDES(mutex_);

  const std::unique_ptr<base::File> file_;
  const std::string name_;
  std::atomic<std::uint64_t> jobs_{0}, bytes_{0};
  std::atomic<bool> waits_{false};
  base::Mutex mutex_;
  std::string waiting_ GUARDED_BY(mutex_);
  std::size_t lines_ GUARDED_BY(mutex_) = 0;
  bool is_closed_ GUARDED_BY(mutex_) = false;
  bool torn_ GUARDED_BY(mutex_) = false;  // the last write failed, perhaps in the middle of a line
  Clock::time_point last_ GUARDED_BY(mutex_);
};

}  // namespace confd::scheduler
