// JobBoard: records of modify jobs where all nodes see them, so that the next master can answer for the jobs
// of the last one and end those that nobody carries on.
//
// A job is *posted* before its caller knows its id, and open until its end is put there. The first end that
// is put counts; whoever comes later is told of it. The end of a job that became a revision comes with that
// very revision, in one transaction (AgreedStore::publish()). The text of a record is the scheduler's
// business. Errors of all calls: Code::no_quorum, Code::timeout, Code::stopped, Code::unknown_outcome (asked
// for, no answer; the same again does no harm). Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cluster/agreed_store.h"

namespace confd::cluster {

class JobBoard {
 public:
  using Limits = AgreedStore::Limits;
  virtual ~JobBoard() = default;

  // Error: Code::wrong_state, the term is over and nothing was posted.
  virtual base::Status post(AgreedStore::Term term, const std::vector<JobNote>& notes,
                            const Limits& limits) = 0;
  // For each note, in order: nothing (it counts), or the text of the end that was there before.
  virtual base::Result<std::vector<std::optional<std::string>>> end(const std::vector<JobNote>& notes,
                                                                    const Limits& limits) = 0;
  virtual base::Result<std::vector<JobNote>> open_jobs(const Limits& limits) = 0;
  struct Found {
    std::string text;
    bool has_ended = false;
  };
  virtual base::Result<std::optional<Found>> find(const std::string& id, const Limits& limits) = 0;
  // Keeps the newest `most` ends, and none from before `oldest`.
  virtual base::Status prune(std::size_t most, base::WallTime oldest, const Limits& limits) = 0;
};

}  // namespace confd::cluster
