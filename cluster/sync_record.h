// SyncRecord: which copies of a segment missed a change that was acknowledged, agreed by the whole cluster.
// A copy has a mark from before the first write that it misses is acknowledged until it is known to have
// everything again; while all copies take every write nothing is read or written here. etcd underneath
// (cluster/etcd_sync_record.h), a fake in tests. storage/archive_in_sync.h uses it.
//
// At least one copy of a segment has no mark. Errors of all calls: Code::no_quorum, Code::timeout,
// Code::stopped, Code::unknown_outcome for those that change something. Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "cluster/agreed_store.h"

namespace confd::cluster {

class SyncRecord {
 public:
  using Limits = AgreedStore::Limits;
  struct Mark {
    std::int64_t position = 0;  // names this very mark: it is another one when it was put again
    bool is_returning = false;  // the copy is being compared with the others
  };
  using Marks = std::map<int, Mark>;  // by node

  virtual ~SyncRecord() = default;

  // As of now, agreed by a majority. `segment`: "<vid>/<index>".
  virtual base::Result<Marks> read(const std::string& segment, const Limits& limits) = 0;
  virtual base::Result<std::map<std::string, Marks>> read_all(const Limits& limits) = 0;
  // The copies on the nodes `without` miss a change that those on `with` have: each of `without` gets a mark,
  // a new one when it was returning. Error also: Code::wrong_state when all of `with` have marks themselves;
  // then nothing is changed.
  virtual base::Status leave_behind(const std::string& segment, const std::set<int>& without,
                                    const std::set<int>& with, const Limits& limits) = 0;
  // The copy on that node begins to compare itself; its mark, if it has one, says so from now on. All marks,
  // read not before that.
  virtual base::Result<Marks> begin_return(const std::string& segment, int node, const Limits& limits) = 0;
  // Takes the mark away. Error also: Code::conflict when it is not at that position (any more).
  virtual base::Status remove(const std::string& segment, int node, std::int64_t position,
                              const Limits& limits) = 0;
};

}  // namespace confd::cluster
