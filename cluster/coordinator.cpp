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

constexpr std::chrono::seconds kAdoptAgain{1};

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

bool Coordinator::is_head(const exaconf::Config& config, const AgreedRevision& head) {
  return config.revision() == head.revision && config.checksum() == head.checksum;
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
    std::erase_if(told_by_, [this](const auto& each)
                                REQUIRES_LOCK(mutex_) { return !view_.live.contains(each.first); });
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
      return live == view_.live.end() || held_by(live->first, live->second) > lagging.second;
    });
    std::erase_if(waiters_, [&](Waiter& waiter) REQUIRES_LOCK(mutex_) {
      std::vector<int> behind;
      bool waits = false;
      // A view older than the publication does not tell who lives now: nobody is known to hold it then.
      const bool is_old = view_.position < waiter.position;
      for (const auto& [node, held] : view_.live)
        if (node != options_.node && (is_old || held_by(node, held) < waiter.revision)) {
          behind.push_back(node);
          waits = waits || !lagging_.contains(node);
        }
      if ((is_old || waits) && Clock::now() < waiter.until && !ended_) return false;
      if (!is_old)
        for (const int node : behind) lagging_.emplace(node, held_by(node, view_.live.at(node)));
      due.emplace_back(std::move(waiter.done), std::move(behind));
      return true;
    });
  }
  for (auto& [done, behind] : due) done(std::move(behind));
}

}  // namespace confd::cluster
