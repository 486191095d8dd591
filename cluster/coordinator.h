// Coordinator: this node's part in the cluster. It keeps the lease, becomes master when it is its turn,
// follows the EXAConf that was agreed on, and lets the publisher agree on the next one.
//
// Mastership: a node may become master when it holds the head and is not suspended; of those that may, the
// one with the lowest Affinity (then the lowest id) goes first, the others give it `turn` time each. A master
// counts itself as such only until its lease could have ended, measured on its own clock from before the last
// renewal was sent, less a tenth; a publication carries the lease as a condition besides, so that a master
// that slept through that moment changes nothing.
//
// Threads: one that renews and elects, one that watches. Hooks run on these and must not block for long.
// Thread-safety: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "cluster/agreed_store.h"
#include "exaconf/config.h"

namespace confd::cluster {

class Coordinator {
 public:
  struct Options {
    int node = 0;
    std::chrono::milliseconds lease{3000};            // whole seconds; renewed three times in it
    std::chrono::milliseconds turn{400};              // a better candidate's head start
    std::chrono::milliseconds hold_patience{5000};    // for live nodes to take a revision up
    std::chrono::milliseconds first_patience{15000};  // for the other nodes, when the store is empty
  };
  struct Hooks {
    // The EXAConf this node holds.
    std::function<exaconf::ConfigPtr()> current;
    // Takes up an agreed revision, durably, sooner or later; held() afterwards.
    std::function<void(exaconf::ConfigPtr)> adopt;
    // Became master, or stopped being it.
    std::function<void(bool is_master)> on_role;
    // Tells the master what this node holds (its told()): quicker than through the store, which hears of it a
    // little later. Error, or no hook: the store alone. May block until the deadline.
    std::function<base::Status(int master, const HeldRevision& held, const AgreedStore::Limits& limits)>
        tell = {};
  };
  // Error: the options make no sense together.
  static base::Result<std::unique_ptr<Coordinator>> start(Options options, AgreedStore& store, base::Log& log,
                                                          Hooks hooks);
  ~Coordinator();  // end(), then gives up mastership and lease
  // Ends the threads: nothing is adopted any more, nobody waits for other nodes. What was begun under the
  // lease can still be agreed on.
  void end() EXCLUDES(mutex_);

  bool is_master() const;
  // The node that is master as far as this one knows.
  std::optional<int> master() const EXCLUDES(mutex_);
  std::vector<int> live_nodes() const EXCLUDES(mutex_);

  // Agrees on `next`, which replaces `base`. Ok: it is the head, whatever happens to this node now. Errors:
  // Code::conflict, Code::no_quorum (not changed), Code::unknown_outcome. Blocks, at most for the lease.
  // `ends`: of the jobs that it comes from, put in the same transaction.
  base::Status agree(const exaconf::Config& base, const exaconf::Config& next,
                     const std::vector<JobNote>& ends = {}) EXCLUDES(mutex_);
  // Lets `work` name this mastership in what it asks of the store. Code::no_quorum: there is none (any more).
  base::Status as_master(
      const std::function<base::Status(AgreedStore::Term term, const AgreedStore::Limits& limits)>& work)
      EXCLUDES(mutex_);
  // This node holds its current() durably.
  void held() EXCLUDES(mutex_);
  // Another node says that it holds this durably.
  void told(int node, const HeldRevision& held) EXCLUDES(mutex_);
  // Calls back once when all live nodes hold this revision or a later one, or after hold_patience with those
  // that do not.
  void when_held(std::int64_t revision, std::function<void(std::vector<int> behind)> done) EXCLUDES(mutex_);
  // Another node shall be master; returns at once. REQUIRES: is_master()
  void hand_over(int to) EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiter {
    std::int64_t revision;
    std::int64_t position;  // which nodes live is told by a view at least as new as that
    Clock::time_point until;
    std::function<void(std::vector<int>)> done;
  };
  Coordinator(Options options, AgreedStore& store, base::Log& log, Hooks hooks);
  void keep(std::stop_token stop);
  void follow(std::stop_token stop);
  void see(const AgreedView& view) EXCLUDES(mutex_);
  void catch_up() EXCLUDES(mutex_);
  static bool is_head(const exaconf::Config& config, const AgreedRevision& head);
  bool renew(std::stop_token stop) EXCLUDES(mutex_);
  void report(std::stop_token stop) EXCLUDES(mutex_);
  void elect(std::stop_token stop) EXCLUDES(mutex_);
  std::optional<Clock::duration> head_start() const REQUIRES_LOCK(mutex_);
  bool tell(const HeldRevision& held, std::stop_token stop) EXCLUDES(mutex_);
  std::int64_t held_by(int node, const HeldRevision& reported) const REQUIRES_LOCK(mutex_);
  void set_role(bool is_master) EXCLUDES(mutex_);
  void lose(const std::string& why) EXCLUDES(mutex_);
  void settle_waiters() EXCLUDES(mutex_);
  base::Result<std::int64_t> settle(const AgreedRevision& head, const AgreedRevision& sent,
                                    AgreedStore::Term term) EXCLUDES(mutex_);
  AgreedStore::Limits within(Clock::duration time, std::stop_token stop) const;

  const Options options_;
  AgreedStore& store_;
  base::Log& log_;
  const Hooks hooks_;

  mutable base::Mutex mutex_;
  base::CondVar wake_;  // the keeper's
  bool kicked_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  AgreedView view_ GUARDED_BY(mutex_);
  bool has_view_ GUARDED_BY(mutex_) = false;
  AgreedStore::Lease lease_ GUARDED_BY(mutex_) = 0;
  AgreedStore::Term term_ GUARDED_BY(mutex_) = 0;
  HeldRevision reported_ GUARDED_BY(mutex_);  // on this lease; revision 0: nothing yet
  // What the master was told past the store, and which one; when the store hears of it at the latest.
  HeldRevision told_ GUARDED_BY(mutex_);
  std::optional<int> told_to_ GUARDED_BY(mutex_);
  std::optional<Clock::time_point> put_due_ GUARDED_BY(mutex_);
  std::map<int, std::int64_t> told_by_ GUARDED_BY(mutex_);  // live nodes: revision
  // Until then what was last heard of the store holds: ticks of Clock.
  std::atomic<Clock::rep> heard_until_{0};
  bool is_master_ GUARDED_BY(mutex_) = false;
  Clock::time_point abstain_until_ GUARDED_BY(mutex_);
  std::optional<Clock::time_point> vacant_since_ GUARDED_BY(mutex_);
  Clock::time_point elect_again_ GUARDED_BY(mutex_);
  std::vector<Waiter> waiters_ GUARDED_BY(mutex_);
  std::map<int, std::int64_t> lagging_ GUARDED_BY(mutex_);  // live nodes that did not take up: what they held
  std::int64_t gone_back_ GUARDED_BY(mutex_) = 0;           // position of the head the store had lost, told
  std::int64_t adopting_ GUARDED_BY(mutex_) = 0;            // position of the head handed to adopt()
  Clock::time_point adopt_again_ GUARDED_BY(mutex_);
  // Until then this node may count itself as master; ticks of Clock.
  std::atomic<Clock::rep> master_until_{0};
  const Clock::time_point started_ = Clock::now();
  std::jthread keeper_;
  std::jthread follower_;
};

}  // namespace confd::cluster
