#include "cluster/coordinator.h"

#include <algorithm>
#include <utility>

namespace confd::cluster {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

// What a follower's clock and ours may differ by over a lease, and scheduling: a tenth.
constexpr int kMargin = 10;
constexpr std::chrono::seconds kAdoptAgain{1};

HeldRevision held_by(const exaconf::Config& config) {
  return {config.revision(), config.checksum()};
}

bool is_head(const exaconf::Config& config, const AgreedRevision& head) {
  return config.revision() == head.revision && config.checksum() == head.checksum;
}

}  // namespace

Result<std::unique_ptr<Coordinator>> Coordinator::start(Options options, AgreedStore& store, base::Log& log,
                                                        Hooks hooks) {
  using std::chrono::milliseconds;
  if (options.lease < milliseconds(1000))
    return Error{Code::bad_parameter, "cluster: lease_seconds must be at least 1"};
  if (options.turn * 2 > options.lease)
    return Error{Code::bad_parameter, "a candidate's head start of " + std::to_string(options.turn.count()) +
                                          " ms is more than half of the lease of " +
                                          std::to_string(options.lease.count()) + " ms"};
  std::unique_ptr<Coordinator> made(new Coordinator(options, store, log, std::move(hooks)));
  made->follower_ = std::jthread([raw = made.get()](std::stop_token stop) { raw->follow(std::move(stop)); });
  made->keeper_ = std::jthread([raw = made.get()](std::stop_token stop) { raw->keep(std::move(stop)); });
  return made;
}

Coordinator::Coordinator(Options options, AgreedStore& store, base::Log& log, Hooks hooks)
    : options_(options), store_(store), log_(log), hooks_(std::move(hooks)) {}

Coordinator::~Coordinator() {
  end();
  AgreedStore::Lease lease = 0;
  bool was_master = false;
  {
    MutexLock lock(mutex_);
    lease = std::exchange(lease_, 0);
    was_master = std::exchange(is_master_, false);
  }
  master_until_ = 0;
  if (was_master && hooks_.on_role) hooks_.on_role(false);
  // Ends mastership and the live key with it; a store that does not answer lets them end by themselves.
  if (lease != 0) (void)store_.end_lease(lease, within(std::chrono::seconds(1), {})).ok();
}

void Coordinator::end() {
  follower_.request_stop();
  keeper_.request_stop();
  wake_.notify_all();
  if (follower_.joinable()) follower_.join();
  if (keeper_.joinable()) keeper_.join();
  {
    MutexLock lock(mutex_);
    ended_ = true;
  }
  settle_waiters();
}

AgreedStore::Limits Coordinator::within(Clock::duration time, std::stop_token stop) const {
  return {Clock::now() + time, std::move(stop)};
}

bool Coordinator::is_master() const {
  return Clock::now().time_since_epoch().count() < master_until_.load(std::memory_order_acquire);
}

std::optional<int> Coordinator::master() const {
  if (is_master()) return options_.node;
  if (Clock::now().time_since_epoch().count() >= heard_until_.load(std::memory_order_acquire))
    return std::nullopt;
  MutexLock lock(mutex_);
  // What the store said last of ourselves is no longer so.
  if (!has_view_ || view_.master == options_.node) return std::nullopt;
  return view_.master;
}

std::vector<int> Coordinator::live_nodes() const {
  std::vector<int> nodes;
  MutexLock lock(mutex_);
  for (const auto& [node, held] : view_.live) nodes.push_back(node);
  return nodes;
}

// --- the keeper: lease, report, election ---

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
  const HeldRevision held = held_by(*config);
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
  const Status done =
      store_.report(lease, options_.node, held, at, within(options_.lease / 3, std::move(stop)));
  MutexLock lock(mutex_);
  if (done && lease_ == lease) {
    reported_ = held;
  } else if (!done && done.error().code == Code::not_found && lease_ == lease) {
    lease_ = 0;
  }
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

// --- the follower ---

void Coordinator::follow(std::stop_token stop) {
  bool told = false;
  while (!stop.stop_requested()) {
    auto view = store_.read(within(options_.lease, stop));
    if (view) {
      if (std::exchange(told, false)) log_.notice("the cluster's store answers again");
      see(*view);
      const Status ended = store_.watch(
          std::move(*view),
          [this](const AgreedView& now) {
            see(now);
            return true;
          },
          stop);
      if (ended || stop.stop_requested()) continue;
    } else if (!stop.stop_requested() && !std::exchange(told, true)) {
      log_.err("the cluster's store can't be read: " + view.error().text);
    }
    MutexLock lock(mutex_);
    const auto until = Clock::now() + options_.turn / 2;
    while (!stop.stop_requested() && Clock::now() < until) wake_.wait_until(mutex_, until);
  }
}

void Coordinator::see(const AgreedView& view) {
  bool lost = false;
  std::optional<std::int64_t> went_back;
  {
    MutexLock lock(mutex_);
    if (has_view_ && view.position < view_.position) return;  // older than what an own call saw
    // A view from before an own publication does not take its head back, nor this node.
    auto published = std::move(view_.head);
    view_ = view;
    if (published && (!view_.head || view_.head->position < published->position)) {
      // A store that is asked later than that and does not know it any more has lost it.
      if (view_.position >= published->position && gone_back_ != published->position) {
        gone_back_ = published->position;
        went_back = published->revision;
      }
      view_.head = std::move(published);
    }
    has_view_ = true;
    // A view from before this term says nothing about it.
    lost = is_master_ && view.position >= term_ && view.master != options_.node;
    kicked_ = true;
  }
  wake_.notify_all();
  if (went_back)
    log_.err("the cluster's store has lost revision " + std::to_string(*went_back) +
             ", which was agreed on; no node that holds it becomes master: when the store was restored from "
             "a backup, start confd again, else recover the store (docs/operations.md)");
  if (lost) lose("the store names another master, or none");
  catch_up();
  settle_waiters();
}

// Takes up the head when this node does not hold it; tried again until it does.
void Coordinator::catch_up() {
  AgreedRevision head;
  {
    MutexLock lock(mutex_);
    if (!view_.head || is_head(*hooks_.current(), *view_.head)) return;
    if (view_.head->position == adopting_ && Clock::now() < adopt_again_) return;
    adopting_ = view_.head->position;
    adopt_again_ = Clock::now() + kAdoptAgain;
    head = *view_.head;
  }
  auto config = exaconf::Config::load(head.text);
  if (config && is_head(**config, head)) return hooks_.adopt(std::move(*config));
  log_.err("revision " + std::to_string(head.revision) +
           " in the cluster's store is not valid and is not taken up" +
           (config ? std::string() : ": " + config.error().text));
}

void Coordinator::held() {
  {
    MutexLock lock(mutex_);
    kicked_ = true;
  }
  wake_.notify_all();
}

// --- publishing ---

Status Coordinator::agree(const exaconf::Config& base, const exaconf::Config& next,
                          const std::vector<JobNote>& ends) {
  AgreedStore::Term term = 0;
  AgreedRevision head;
  Clock::time_point until;
  {
    MutexLock lock(mutex_);
    until = Clock::time_point(Clock::duration(master_until_.load(std::memory_order_acquire)));
    if (!is_master_ || Clock::now() >= until)
      return Error{Code::no_quorum,
                   "this node is not master (any more), so it can't change EXAConf; try again: the new "
                   "master answers at the address GET /master tells"};
    if (!view_.head || !is_head(base, *view_.head))
      return Error{Code::conflict, "EXAConf was changed meanwhile by another master; run the job again"};
    term = term_;
    head = *view_.head;
  }
  AgreedRevision agreed{next.revision(), next.checksum(), next.text(), 0};
  auto put = store_.publish(head.position, term, agreed, ends, {until, {}});
  if (!put && put.error().code == Code::unknown_outcome) put = settle(head, agreed, term);
  if (!put) {
    if (put.error().code == Code::wrong_state) {
      lose("the store says so");
      return Error{Code::no_quorum, "this node was not master any more; EXAConf was not changed, try again"};
    }
    return put.error();
  }
  MutexLock lock(mutex_);
  agreed.position = *put;
  adopting_ = *put;  // the publisher commits it by itself
  adopt_again_ = Clock::now() + kAdoptAgain;
  if (!view_.head || view_.head->position < *put) view_.head = std::move(agreed);
  return {};
}

Status Coordinator::as_master(
    const std::function<Status(AgreedStore::Term term, const AgreedStore::Limits& limits)>& work) {
  AgreedStore::Term term = 0;
  Clock::time_point until;
  {
    MutexLock lock(mutex_);
    until = Clock::time_point(Clock::duration(master_until_.load(std::memory_order_acquire)));
    if (!is_master_ || Clock::now() >= until)
      return Error{Code::no_quorum, "this node is not master (any more); try again at the new one"};
    term = term_;
  }
  Status done = work(term, {until, {}});
  if (!done && done.error().code == Code::wrong_state) {
    lose("the store says so");
    return Error{Code::no_quorum, "this node was not master any more; try again"};
  }
  return done;
}

// The answer to a publication got lost. Until it is certain whether it happened, nothing else is published.
Result<std::int64_t> Coordinator::settle(const AgreedRevision& head, const AgreedRevision& sent,
                                         AgreedStore::Term term) {
  const auto patience = Clock::now() + options_.lease * 2;
  const AgreedStore::Limits limits{patience, {}};
  Error last{Code::timeout, "no answer"};
  while (Clock::now() < patience) {
    const auto fenced = store_.fence(head, term, limits);
    if (fenced) {
      MutexLock lock(mutex_);
      if (view_.head && view_.head->position == head.position) view_.head->position = *fenced;
      return Error{Code::no_quorum, "the cluster's store did not take revision " +
                                        std::to_string(sent.revision) +
                                        "; EXAConf was not changed, try again"};
    }
    last = fenced.error();
    if (last.code == Code::conflict || last.code == Code::wrong_state) {
      const auto found = store_.was_published({sent.revision, sent.checksum}, limits);
      if (found && *found) return **found;
      if (found && last.code == Code::wrong_state) return last;
      if (found)  // an earlier fence, whose answer got lost too, moved the position
        return Error{Code::no_quorum, "the cluster's store did not take revision " +
                                          std::to_string(sent.revision) +
                                          "; EXAConf was not changed, try again"};
      last = found.error();
    }
    MutexLock lock(mutex_);
    const auto pause = Clock::now() + std::chrono::milliseconds(50);
    while (Clock::now() < pause) wake_.wait_until(mutex_, pause);
  }
  return Error{Code::unknown_outcome, "revision " + std::to_string(sent.revision) +
                                          " was sent to the cluster's store, which does not tell whether it "
                                          "took it (" +
                                          last.text + "); look at the revision in force later"};
}

void Coordinator::when_held(std::int64_t revision, std::function<void(std::vector<int> behind)> done) {
  {
    MutexLock lock(mutex_);
    waiters_.push_back({revision, view_.head ? view_.head->position : 0,
                        Clock::now() + options_.hold_patience, std::move(done)});
  }
  settle_waiters();
}

void Coordinator::settle_waiters() {
  std::vector<std::pair<std::function<void(std::vector<int>)>, std::vector<int>>> due;
  {
    MutexLock lock(mutex_);
    // A node that was behind once (its disk is full, say) is named and not waited for, until it has taken up
    // something newer: it would hold each commit up for the whole patience.
    std::erase_if(lagging_, [&](const auto& lagging) REQUIRES_LOCK(mutex_) {
      const auto live = view_.live.find(lagging.first);
      return live == view_.live.end() || live->second.revision > lagging.second;
    });
    std::erase_if(waiters_, [&](Waiter& waiter) REQUIRES_LOCK(mutex_) {
      std::vector<int> behind;
      bool waits = false;
      // A view older than the publication does not tell who lives now: nobody is known to hold it then.
      const bool is_old = view_.position < waiter.position;
      for (const auto& [node, held] : view_.live)
        if (node != options_.node && (is_old || held.revision < waiter.revision)) {
          behind.push_back(node);
          waits = waits || !lagging_.contains(node);
        }
      if ((is_old || waits) && Clock::now() < waiter.until && !ended_) return false;
      if (!is_old)
        for (const int node : behind) lagging_.emplace(node, view_.live.at(node).revision);
      due.emplace_back(std::move(waiter.done), std::move(behind));
      return true;
    });
  }
  for (auto& [done, behind] : due) done(std::move(behind));
}

}  // namespace confd::cluster
