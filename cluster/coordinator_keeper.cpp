// The coordinator's keeper: lease, report, election, handing over. See coordinator.h.
#include <algorithm>
#include <utility>

#include "cluster/coordinator.h"

namespace confd::cluster {

using base::Code;
using base::MutexLock;
using base::Status;

namespace {

// What a follower's clock and ours may differ by over a lease, and scheduling: a tenth.
constexpr int kMargin = 10;
// What the master was told, the store hears so much later: a candidate that looks there should not seem to be
// behind when the master's lease ends.
constexpr std::chrono::milliseconds kPutLater{300};

HeldRevision revision_of(const exaconf::Config& config) {
  return {config.revision(), config.checksum()};
}

}  // namespace

void Coordinator::keep(std::stop_token stop) {
  const auto interval = options_.lease / 3;
  auto next_renewal = Clock::now();
  while (!stop.stop_requested()) {
    if (Clock::now() >= next_renewal) {
      const auto from = Clock::now();
      next_renewal = renew(stop) ? from + interval : Clock::now() + interval / 4;
    }
    report(stop);
    elect(stop);
    catch_up();
    settle_waiters();
    if (is_master()) (void)store_.tidy(within(interval / 2, stop)).ok();  // else at the next round
    MutexLock lock(mutex_);
    const auto until = std::min(next_renewal, Clock::now() + options_.turn / 4);
    while (!kicked_ && !stop.stop_requested() && Clock::now() < until) wake_.wait_until(mutex_, until);
    kicked_ = false;
  }
}

// False: try again soon.
bool Coordinator::renew(std::stop_token stop) {
  AgreedStore::Lease lease = 0;
  {
    MutexLock lock(mutex_);
    lease = lease_;
  }
  const auto sent = Clock::now();
  const auto good_until = sent + options_.lease - options_.lease / kMargin;
  if (lease == 0) {
    const auto life = std::chrono::ceil<std::chrono::seconds>(options_.lease);
    auto opened = store_.open_lease(life, within(options_.lease / 2, stop));
    if (!opened) return false;
    MutexLock lock(mutex_);
    lease_ = *opened;
    reported_ = {};
    heard_until_.store(good_until.time_since_epoch().count(), std::memory_order_release);
    return true;
  }
  const Status done = store_.renew(lease, within(options_.lease / 3, stop));
  if (done) {
    heard_until_.store(good_until.time_since_epoch().count(), std::memory_order_release);
    MutexLock lock(mutex_);
    if (is_master_ && lease_ == lease)
      master_until_.store(good_until.time_since_epoch().count(), std::memory_order_release);
    return true;
  }
  if (stop.stop_requested()) return false;
  if (done.error().code == Code::not_found) {
    lose("its lease ended: it could not be renewed in time");
    MutexLock lock(mutex_);
    if (lease_ == lease) lease_ = 0;
  } else if (!is_master()) {
    lose("the store does not answer: " + done.error().text);
  }
  return false;
}

void Coordinator::report(std::stop_token stop) {
  const exaconf::ConfigPtr config = hooks_.current();
  const HeldRevision held = revision_of(*config);
  AgreedStore::Lease lease = 0;
  std::int64_t at = 0;
  {
    MutexLock lock(mutex_);
    if (lease_ == 0 || reported_ == held || !has_view_) return;
    // It counts as alive from its first report on: not before it holds what the others hold.
    // The store looks once more: a master that asks right after its put who lives must not meet one that is
    // behind.
    if (reported_.revision == 0 && view_.head && !is_head(*config, *view_.head)) return;
    if (reported_.revision == 0 && view_.head) at = view_.head->position;
    // What the master holds, nobody waits for; that it lives is told. As soon as it is none it tells.
    if (is_master_ && reported_.revision != 0) return;
    lease = lease_;
  }
  if (tell(held, stop)) return;
  const Status done =
      store_.report(lease, options_.node, held, at, within(options_.lease / 3, std::move(stop)));
  MutexLock lock(mutex_);
  if (done && lease_ == lease) {
    reported_ = held;
    put_due_.reset();
  } else if (!done && done.error().code == Code::not_found && lease_ == lease) {
    lease_ = 0;
  }
}

// False: the store should hear of it now.
bool Coordinator::tell(const HeldRevision& held, std::stop_token stop) {
  int master = 0;
  {
    MutexLock lock(mutex_);
    // Whom the store does not name as alive yet, the master does not wait for.
    if (!hooks_.tell || reported_.revision == 0 || !view_.master || *view_.master == options_.node)
      return false;
    if (put_due_ && Clock::now() >= *put_due_) return false;
    if (told_ == held && told_to_ == view_.master) return true;
    master = *view_.master;
  }
  if (!hooks_.tell(master, held, within(options_.lease / 6, std::move(stop)))) return false;
  MutexLock lock(mutex_);
  told_ = held;
  told_to_ = master;
  if (!put_due_) put_due_ = Clock::now() + kPutLater;
  return true;
}

void Coordinator::told(int node, const HeldRevision& held) {
  {
    MutexLock lock(mutex_);
    std::int64_t& known = told_by_[node];
    known = std::max(known, held.revision);
  }
  settle_waiters();
}

std::int64_t Coordinator::held_by(int node, const HeldRevision& reported) const {
  const auto told = told_by_.find(node);
  return told == told_by_.end() ? reported.revision : std::max(told->second, reported.revision);
}

// How long this node lets others go first; nothing: it may not be master.
std::optional<Coordinator::Clock::duration> Coordinator::head_start() const {
  const exaconf::ConfigPtr config = hooks_.current();
  const auto own = config->nodes().find(options_.node);
  if (own == config->nodes().end() || own->second.state == "suspended") return std::nullopt;
  if (view_.head && !is_head(*config, *view_.head)) return std::nullopt;
  // The last master wished for one of those that live: it goes first, also one that gave up a moment ago.
  if (view_.successor == options_.node) return Clock::duration(0);
  if (Clock::now() < abstain_until_) return std::nullopt;
  if (view_.successor && view_.live.contains(*view_.successor))
    return options_.turn * (view_.live.size() + 1);
  int better = 0;
  for (const auto& [node, held] : view_.live) {
    const auto other = config->nodes().find(node);
    if (node == options_.node || other == config->nodes().end() || other->second.state == "suspended")
      continue;
    // A node that is behind can not go first; without a head the newest goes.
    if (view_.head ? held.revision < view_.head->revision : held.revision < config->revision()) continue;
    if (!view_.head && held.revision > config->revision()) return std::nullopt;
    better += std::pair(other->second.affinity, node) < std::pair(own->second.affinity, options_.node);
  }
  return options_.turn * better;
}

void Coordinator::elect(std::stop_token stop) {
  AgreedStore::Lease lease = 0;
  std::optional<AgreedRevision> head;
  {
    MutexLock lock(mutex_);
    if (!has_view_ || lease_ == 0 || is_master_ || Clock::now() < elect_again_) return;
    if (view_.master && *view_.master != options_.node) {
      vacant_since_.reset();
      return;
    }
    if (!vacant_since_) vacant_since_ = Clock::now();
    const auto wait = head_start();
    if (!wait || Clock::now() < *vacant_since_ + *wait) return;
    // An empty store gets its first EXAConf from the node that holds the newest: all should be there to tell.
    if (!view_.head && view_.live.size() < hooks_.current()->nodes().size() &&
        Clock::now() < started_ + options_.first_patience)
      return;
    lease = lease_;
    head = view_.head;
    // Whatever this try comes to, the next one is not at once.
    elect_again_ = Clock::now() + options_.turn / 2;
  }
  const auto sent = Clock::now();
  // The lease was renewed up to a third of its life ago.
  if (!store_.renew(lease, within(options_.lease / 3, stop))) return;
  const auto taken =
      store_.become_master(lease, options_.node, head ? head->position : 0, within(options_.lease / 3, stop));
  if (!taken || *taken == 0) {
    // Behind the head: the watch brings it. Anything else should be rare.
    if (!taken && taken.error().code != Code::conflict && taken.error().code != Code::stopped)
      log_.warn("node " + std::to_string(options_.node) + " could not become master: " + taken.error().text);
    return;
  }
  const AgreedStore::Term term = *taken;
  {
    MutexLock lock(mutex_);
    if (lease_ != lease) return;
    term_ = term;
    view_.master = options_.node;
    vacant_since_.reset();
  }
  if (!head) {
    const exaconf::ConfigPtr config = hooks_.current();
    const AgreedRevision first{config->revision(), config->checksum(), config->text(), 0};
    const auto put = store_.publish(0, term, first, {}, within(options_.lease / 3, stop));
    if (!put) {
      log_.warn("node " + std::to_string(options_.node) +
                " could not put the first EXAConf into the cluster's store: " + put.error().text);
      (void)store_.resign(term, lease, 0, within(options_.lease / 3, stop)).ok();
      return;
    }
    MutexLock lock(mutex_);
    view_.head = first;
    view_.head->position = *put;
  }
  const auto good_until = sent + options_.lease - options_.lease / kMargin;
  master_until_.store(good_until.time_since_epoch().count(), std::memory_order_release);
  set_role(true);
}

void Coordinator::set_role(bool is_master) {
  AgreedStore::Term term = 0;
  {
    MutexLock lock(mutex_);
    if (is_master_ == is_master) return;
    is_master_ = is_master;
    term = term_;
  }
  std::string what = "node " + std::to_string(options_.node);
  if (is_master) {
    what += " is master now (term " + std::to_string(term) + ")";
  } else {
    const auto now = Clock::now();
    const Clock::time_point until(Clock::duration(master_until_.exchange(0, std::memory_order_acq_rel)));
    const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(now - std::min(now, until));
    what += " is not master any more (term " + std::to_string(term) + ", acted as one until " +
            std::to_string(ago.count()) + " ms ago)";
  }
  log_.notice(what);
  if (hooks_.on_role) hooks_.on_role(is_master);
}

void Coordinator::lose(const std::string& why) {
  {
    MutexLock lock(mutex_);
    if (!is_master_) return;
  }
  log_.warn("node " + std::to_string(options_.node) + " gives up being master: " + why);
  set_role(false);
}

void Coordinator::hand_over(int to) {
  AgreedStore::Term term = 0;
  AgreedStore::Lease lease = 0;
  {
    MutexLock lock(mutex_);
    term = term_;
    lease = lease_;
    // Long enough for the others to take their turns.
    abstain_until_ = Clock::now() + options_.turn * static_cast<int>(view_.live.size() + 2);
  }
  lose("node " + std::to_string(to) + " shall be master");
  (void)store_.resign(term, lease, to, within(options_.lease / 3, {})).ok();
}

}  // namespace confd::cluster
