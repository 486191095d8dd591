// Recovery: what becomes of a job that had not ended when confd did. A pure function
// (docs/stages-and-recovery.md has its table). Thread-safety: pure.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>

#include "scheduler/record.h"

namespace confd::scheduler {

// A revision on disk: EXAConf or one of EXAConf.0 ... .9.
struct RevisionOnDisk {
  std::int64_t revision = 0;
  std::string checksum;
};

bool is_on_disk(std::span<const RevisionOnDisk> on_disk, const PublishedAs& published);

enum class Verdict {
  start_again,  // it had not been started: back into the queue
  interrupted,  // ends with Code::interrupted and the text
  committed,    // its revision is on disk, or the cluster's store knows it: it ends as it would have
  unknown,      // the store, which would know, does not answer: Code::unknown_outcome and the text
};

struct Recovery {
  Verdict verdict;
  std::string text;  // result_desc of an interrupted job
};

// With several nodes: asks the cluster's store.
using WasPublished = std::function<base::Result<bool>(std::int64_t revision, const std::string& checksum)>;

// REQUIRES: !record.ended
Recovery recover(const JobRecord& record, std::span<const RevisionOnDisk> on_disk,
                 const WasPublished& was_published = {});

}  // namespace confd::scheduler
