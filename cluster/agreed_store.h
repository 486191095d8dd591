// AgreedStore: what the nodes of a cluster agree on: the EXAConf in force, who is master, which nodes are
// alive and which revision each of them holds. etcd underneath (cluster/etcd_agreed_store.h), a fake in
// tests.
//
// Rules (design.md §6): EXAConf changes only by publish(), one transaction that happens only when nobody else
// published meanwhile and the caller is still master. Mastership and live keys hang on a lease: when its
// owner stops renewing, both vanish by themselves. Errors of all calls: Code::no_quorum (the store has no
// majority or can't be reached), Code::timeout, Code::stopped. Thread-safety: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace confd::cluster {

struct AgreedRevision {
  std::int64_t revision = 0;  // EXAConf's
  std::string checksum;
  std::string text;           // all of it, canonical
  std::int64_t position = 0;  // where in the store's own history; names this very put
};

struct HeldRevision {
  std::int64_t revision = 0;
  std::string checksum;
  friend bool operator==(const HeldRevision&, const HeldRevision&) = default;
};

struct AgreedView {
  std::optional<AgreedRevision> head;  // nothing: an empty store
  std::optional<int> successor;        // whom the last master wished for
  std::optional<int> master;           // node
  std::map<int, HeldRevision> live;    // nodes that renew their lease
  std::int64_t position = 0;           // a watch goes on behind it
};

// The record of a job as other nodes are to see it, see cluster/job_board.h.
struct JobNote {
  std::string id;  // "11.4711"
  std::string text;
  base::WallTime ended = {};  // of an end
};

class AgreedStore {
 public:
  using Lease = std::int64_t;
  // One mastership, from taking it to losing it or giving it up; a lease may see several. 0: none. What is
  // done as master names the term, so that what was sent in an earlier one never happens in a later one.
  using Term = std::int64_t;
  struct Limits {
    std::chrono::steady_clock::time_point deadline;
    std::stop_token stop;
  };
  virtual ~AgreedStore() = default;

  // As of now, agreed by a majority.
  virtual base::Result<AgreedView> read(const Limits& limits) = 0;
  // Blocks and calls `each` with the whole view after every change, until it returns false (ok) or something
  // ends the watch (an Error: read() again). `view`: as read() gave it.
  virtual base::Status watch(AgreedView view, const std::function<bool(const AgreedView&)>& each,
                             std::stop_token stop) = 0;

  virtual base::Result<Lease> open_lease(std::chrono::seconds life, const Limits& limits) = 0;
  // Code::not_found: it has ended, and all that hung on it is gone.
  virtual base::Status renew(Lease lease, const Limits& limits) = 0;
  virtual base::Status end_lease(Lease lease, const Limits& limits) = 0;

  // Says that the node is alive and what it holds. `at`: position of the head that this is true of; another
  // one is in force: Code::conflict, nothing is said. 0: whatever is in force.
  virtual base::Status report(Lease lease, int node, const HeldRevision& held, std::int64_t at,
                              const Limits& limits) = 0;
  // This node's term, which lasts as long as the lease lives. 0: another node is master. `at`: position of
  // the head that the node holds (0: none); another one is in force: Code::conflict, a node that is behind is
  // no master.
  virtual base::Result<Term> become_master(Lease lease, int node, std::int64_t at, const Limits& limits) = 0;
  // `successor` (0: none) may go first, as long as `lease` lives.
  virtual base::Status resign(Term term, Lease lease, int successor, const Limits& limits) = 0;
  // Ends a term that this node left behind when it was killed: nothing that was sent in it happens
  // afterwards.
  virtual base::Status end_former_term(int node, const Limits& limits) = 0;

  // Makes `next` the head when the head is still the one at `base` (0: none) and the term lasts; `ends`: of
  // the jobs it comes from, put with it. The new position. Errors: Code::conflict (somebody published),
  // Code::wrong_state (the term is over), Code::unknown_outcome (asked for, no answer: fence() and
  // was_published() tell).
  virtual base::Result<std::int64_t> publish(std::int64_t base, Term term, const AgreedRevision& next,
                                             const std::vector<JobNote>& ends, const Limits& limits) = 0;
  // After Code::unknown_outcome: puts the head's own text again, so that a publication that is still on its
  // way finds another position and does not happen any more. The new position. Errors: Code::conflict
  // (something was published), Code::wrong_state (the term is over; then it can't happen either).
  virtual base::Result<std::int64_t> fence(const AgreedRevision& head, Term term, const Limits& limits) = 0;
  // The position at which this revision with this text became the head; nothing: never. Also
  // Code::unknown_outcome: it is longer ago than the last thousand revisions, which are known.
  virtual base::Result<std::optional<std::int64_t>> was_published(const HeldRevision& what,
                                                                  const Limits& limits) = 0;
  // Lets the store forget what nobody asks for any more. The master calls it now and then; it costs nothing
  // when there is nothing to forget.
  virtual base::Status tidy(const Limits&) { return {}; }
};

}  // namespace confd::cluster
