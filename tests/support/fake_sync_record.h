// FakeSyncRecord: the agreed record of copies in memory, one object a node over what they share. A test cuts
// nodes off and counts calls. Thread-safety: any thread.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "base/mutex.h"
#include "cluster/sync_record.h"

namespace confd::test {

struct SharedSyncRecord {
  base::Mutex mutex;
  std::map<std::string, cluster::SyncRecord::Marks> marks GUARDED_BY(mutex);
  std::int64_t position GUARDED_BY(mutex) = 0;
  std::atomic<int> reads{0}, changes{0};
  std::atomic<bool> has_majority{true};
};

class FakeSyncRecord : public cluster::SyncRecord {
 public:
  // `reached`: asked before each call, and after it: an answer that gets lost.
  FakeSyncRecord(SharedSyncRecord& shared, std::function<bool()> reached)
      : shared_(shared), reached_(std::move(reached)) {}

  base::Result<Marks> read(const std::string& segment, const Limits&) override {
    return call<base::Result<Marks>>([&]() REQUIRES_LOCK(shared_.mutex) {
      ++shared_.reads;
      return shared_.marks[segment];
    });
  }
  base::Result<std::map<std::string, Marks>> read_all(const Limits&) override {
    return call<base::Result<std::map<std::string, Marks>>>(
        [&]() REQUIRES_LOCK(shared_.mutex) { return shared_.marks; });
  }
  base::Status leave_behind(const std::string& segment, const std::set<int>& without,
                            const std::set<int>& with, const Limits&) override {
    return call<base::Status>([&]() REQUIRES_LOCK(shared_.mutex) -> base::Status {
      Marks& marks = shared_.marks[segment];
      ++shared_.reads;
      bool kept = false;
      for (const int node : with) kept = kept || !marks.contains(node);
      if (!kept) return base::Error{base::Code::wrong_state, "all that have the change are left behind"};
      for (const int node : without)
        if (const auto there = marks.find(node); there == marks.end() || there->second.is_returning)
          put(marks, node, false);
      return {};
    });
  }
  base::Result<Marks> begin_return(const std::string& segment, int node, const Limits&) override {
    return call<base::Result<Marks>>([&]() REQUIRES_LOCK(shared_.mutex) {
      Marks& marks = shared_.marks[segment];
      if (const auto mine = marks.find(node); mine != marks.end() && !mine->second.is_returning)
        put(marks, node, true);
      return marks;
    });
  }
  base::Status remove(const std::string& segment, int node, std::int64_t position, const Limits&) override {
    return call<base::Status>([&]() REQUIRES_LOCK(shared_.mutex) -> base::Status {
      Marks& marks = shared_.marks[segment];
      const auto mine = marks.find(node);
      if (mine == marks.end() || mine->second.position != position)
        return base::Error{base::Code::conflict, "another mark is there"};
      marks.erase(mine);
      ++shared_.changes;
      return {};
    });
  }

 private:
  void put(Marks& marks, int node, bool is_returning) REQUIRES_LOCK(shared_.mutex) {
    marks[node] = {++shared_.position, is_returning};
    ++shared_.changes;
  }
  template <class Answer, class Work>
  Answer call(const Work& work) {
    const base::Error away{base::Code::no_quorum, "the cluster's store can't be reached"};
    if (!shared_.has_majority || !reached_()) return away;
    std::optional<Answer> answer;
    {
      base::MutexLock lock(shared_.mutex);
      answer = work();
    }
    if (!reached_()) return away;
    return std::move(*answer);
  }

  SharedSyncRecord& shared_;
  const std::function<bool()> reached_;
};

}  // namespace confd::test
