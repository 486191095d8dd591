#include "scheduler/id_counter.h"

#include <algorithm>

#include "base/text.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

Result<std::unique_ptr<IdCounter>> IdCounter::open(base::FileSystem& files, std::string path,
                                                   std::uint64_t at_least) {
  std::uint64_t next = std::max<std::uint64_t>(at_least, 1);
  if (const auto text = files.read(path); text.ok()) {
    const auto number = base::parse_int(base::trim(*text));
    if (!number || *number < 1)
      return Error{Code::invalid_config,
                   path + " holds no number; write the highest job number ever given plus one into it"};
    next = std::max(next, static_cast<std::uint64_t>(*number));
  } else if (text.error().code != Code::not_found) {
    return text.error();
  }
  std::unique_ptr<IdCounter> counter(new IdCounter(files, std::move(path), next));
  if (Status done = counter->refill(); !done) return done.error();
  return counter;
}

Result<std::uint64_t> IdCounter::take() {
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (next_ < reserved_) return next_++;
    }
    if (Status done = refill(); !done) return done.error();
  }
}

bool IdCounter::wants_refill() const {
  MutexLock lock(mutex_);
  return reserved_ - next_ < kBlock / 2;
}

Status IdCounter::refill() {
  // Held over the write on purpose: it orders the writers of one file, and only those wait for it who need a
  // new block anyway.
  MutexLock writing(refill_mutex_);
  std::uint64_t reserve = 0;
  {
    MutexLock lock(mutex_);
    if (reserved_ - next_ >= kBlock / 2) return {};
    reserve = reserved_ + kBlock;
  }
  if (Status done = base::replace_file(files_, path_, std::to_string(reserve) + "\n", 0600); !done)
    return done;
  MutexLock lock(mutex_);
  reserved_ = reserve;
  return {};
}

void IdCounter::close() {
  MutexLock writing(refill_mutex_);
  std::uint64_t next = 0;
  {
    MutexLock lock(mutex_);
    if (next_ == reserved_) return;
    // First in memory: whatever the disk holds afterwards, the numbers below are not given out here.
    reserved_ = next = next_;
  }
  (void)base::replace_file(files_, path_, std::to_string(next) + "\n", 0600).ok();
}

}  // namespace confd::scheduler
