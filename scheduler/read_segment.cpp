#include "scheduler/read_segment.h"

#include <utility>

namespace confd::scheduler {

using base::MutexLock;
using base::Status;

namespace {

// A line that comes this long after the one before it is written at once: nothing is gained by waiting.
constexpr std::chrono::milliseconds kBusy{1};
constexpr std::size_t kMostKept = 4u << 20;  // bytes, while the disk is full

}  // namespace

Status ReadSegment::append(std::string_view line) {
  std::string lines;
  std::size_t count = 0;
  jobs_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(line.size(), std::memory_order_relaxed);
  {
    MutexLock lock(mutex_);
    const auto now = Clock::now();
    const bool is_busy = now - std::exchange(last_, now) < kBusy;
    waiting_ += line;
    ++lines_;
    if (is_busy && !torn_ && !is_closed_ && lines_ < kLines) {
      waits_.store(true, std::memory_order_relaxed);
      return {};
    }
    lines.swap(waiting_);
    count = std::exchange(lines_, 0);
    waits_.store(false, std::memory_order_relaxed);
  }
  return write(std::move(lines), count);
}

Status ReadSegment::close() {
  {
    MutexLock lock(mutex_);
    is_closed_ = true;
  }
  return write_out();
}

Status ReadSegment::write_out() {
  std::string lines;
  std::size_t count = 0;
  {
    MutexLock lock(mutex_);
    lines.swap(waiting_);
    count = std::exchange(lines_, 0);
    waits_.store(false, std::memory_order_relaxed);
  }
  return lines.empty() ? Status() : write(std::move(lines), count);
}

Status ReadSegment::write(std::string lines, std::size_t count) {
  bool was_torn = false;
  {
    MutexLock lock(mutex_);
    was_torn = std::exchange(torn_, false);
  }
  // A half line may stand there: it must not swallow this one.
  if (was_torn) lines.insert(lines.begin(), '\n');
  Status done = file_->append(lines);
  MutexLock lock(mutex_);
  if (done) {
    // The memory is used again.
    if (waiting_.empty() && lines.capacity() > waiting_.capacity()) {
      lines.clear();
      waiting_.swap(lines);
    }
    return done;
  }
  torn_ = true;
  if (lines.size() + waiting_.size() > kMostKept)
    return base::Error{done.error().code,
                       done.error().text + "; " + std::to_string(count) + " records are lost"};
  waiting_.insert(0, lines);
  lines_ += count;
  waits_.store(true, std::memory_order_relaxed);
  return done;
}

}  // namespace confd::scheduler
