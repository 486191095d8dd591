// The turn to work on an ArchiveSegment: its manifest is loaded while it is held, and files are written under
// it instead of a lock. Private to archive_segment*.cpp. Thread-safety: as ArchiveSegment.
#pragma once

#include "storage/archive_segment.h"

namespace confd::storage {

// The manifest is written anew when it has so many lines more than twice its entries.
inline constexpr std::size_t kFewLines = 1000;

class ArchiveSegment::Turn {
 public:
  explicit Turn(ArchiveSegment& segment) : segment_(segment) {}
  ~Turn() {
    base::MutexLock lock(segment_.mutex_);
    segment_.turn_taken_ = false;
    segment_.turn_free_.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  ArchiveSegment& segment_;
};

}  // namespace confd::storage
