#include "tests/support/fake_agreed_store.h"

#include <utility>

namespace confd::test {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using cluster::AgreedRevision;
using cluster::AgreedView;
using cluster::HeldRevision;

void FakeCluster::next_publication(Answers answers) {
  MutexLock lock(mutex_);
  answers_ = answers;
}

bool FakeCluster::deliver() {
  std::function<bool()> arrives;
  {
    MutexLock lock(mutex_);
    arrives = std::exchange(on_its_way_, nullptr);
  }
  return arrives && arrives();
}

void FakeCluster::cut(int node, bool is_cut) {
  MutexLock lock(mutex_);
  if (is_cut)
    cut_.insert(node);
  else
    cut_.erase(node);
  change_.notify_all();
}

void FakeCluster::hold_view(int node, bool is_held) {
  MutexLock lock(mutex_);
  if (is_held)
    held_[node] = false;
  else
    held_.erase(node);
  change_.notify_all();
}

bool FakeCluster::holds_view(int node) {
  MutexLock lock(mutex_);
  const auto held = held_.find(node);
  return held != held_.end() && held->second;
}

int FakeCluster::reports() {
  MutexLock lock(mutex_);
  return reports_;
}

void FakeCluster::nudge() {
  MutexLock lock(mutex_);
  changed();
}

AgreedView FakeCluster::view() {
  MutexLock lock(mutex_);
  expire();
  return view_;
}

std::vector<std::pair<HeldRevision, int>> FakeCluster::heads() {
  MutexLock lock(mutex_);
  return heads_;
}

std::map<std::string, std::string> FakeCluster::ends() {
  MutexLock lock(mutex_);
  return ends_;
}

void FakeCluster::expire() {
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (Clock::now() < it->second.ends) {
      ++it;
      continue;
    }
    if (master_lease_ == it->first) {
      master_lease_ = term_ = 0;
      view_.master.reset();
    }
    for (auto live = live_lease_.begin(); live != live_lease_.end();)
      if (live->second == it->first) {
        view_.live.erase(live->first);
        live = live_lease_.erase(live);
      } else {
        ++live;
      }
    it = leases_.erase(it);
    changed();
  }
}

void FakeCluster::changed() {
  ++view_.position;
  change_.notify_all();
}

Result<std::int64_t> FakeCluster::put(std::int64_t base, cluster::AgreedStore::Term term,
                                      const AgreedRevision& next, const std::vector<cluster::JobNote>& ends) {
  expire();
  if (term_ == 0 || term_ != term) return Error{Code::wrong_state, "not master"};
  if ((view_.head ? view_.head->position : 0) != base) return Error{Code::conflict, "another head"};
  if (history_.contains(next.revision)) return Error{Code::conflict, "that number was given"};
  changed();
  view_.head = next;
  view_.head->position = view_.position;
  history_[next.revision] = {next.checksum, view_.position};
  heads_.push_back({{next.revision, next.checksum}, view_.master.value_or(0)});
  for (const cluster::JobNote& end : ends) ends_[end.id] = end.text;
  return view_.position;
}

Status FakeAgreedStore::reach() {
  cluster_->expire();
  if (cluster_->cut_.contains(node_)) return Error{Code::no_quorum, "the store can't be reached"};
  return {};
}

Result<AgreedView> FakeAgreedStore::read(const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there.error();
  return cluster_->view_;
}

Status FakeAgreedStore::watch(AgreedView view, const std::function<bool(const AgreedView&)>& each,
                              std::stop_token stop) {
  std::int64_t seen = view.position;
  while (!stop.stop_requested()) {
    AgreedView now;
    {
      MutexLock lock(cluster_->mutex_);
      const auto until = FakeCluster::Clock::now() + std::chrono::milliseconds(10);
      while (cluster_->view_.position == seen && FakeCluster::Clock::now() < until)
        cluster_->change_.wait_until(cluster_->mutex_, until);
      if (Status there = reach(); !there) return there;
      if (cluster_->view_.position == seen) continue;
      now = cluster_->view_;
      while (cluster_->held_.contains(node_) && !stop.stop_requested()) {
        cluster_->held_[node_] = true;
        cluster_->change_.wait_until(cluster_->mutex_,
                                     FakeCluster::Clock::now() + std::chrono::milliseconds(10));
      }
    }
    seen = now.position;
    if (!each(now)) return {};
  }
  return Error{Code::stopped, "stopped"};
}

Result<cluster::AgreedStore::Lease> FakeAgreedStore::open_lease(std::chrono::seconds, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there.error();
  const Lease lease = ++cluster_->last_lease_;
  cluster_->leases_[lease] = {FakeCluster::Clock::now() + life_, life_};
  return lease;
}

Status FakeAgreedStore::renew(Lease lease, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there;
  const auto it = cluster_->leases_.find(lease);
  if (it == cluster_->leases_.end()) return Error{Code::not_found, "the lease has ended"};
  it->second.ends = FakeCluster::Clock::now() + it->second.life;
  return {};
}

Status FakeAgreedStore::end_lease(Lease lease, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there;
  if (const auto it = cluster_->leases_.find(lease); it != cluster_->leases_.end()) it->second.ends = {};
  cluster_->expire();
  return {};
}

Status FakeAgreedStore::report(Lease lease, int node, const HeldRevision& held, std::int64_t at,
                               const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there;
  if (!cluster_->leases_.contains(lease)) return Error{Code::not_found, "the lease has ended"};
  if (at != 0 && (!cluster_->view_.head || cluster_->view_.head->position != at))
    return Error{Code::conflict, "another head"};
  ++cluster_->reports_;
  cluster_->view_.live[node] = held;
  cluster_->live_lease_[node] = lease;
  cluster_->changed();
  return {};
}

Result<cluster::AgreedStore::Term> FakeAgreedStore::become_master(Lease lease, int node, std::int64_t at,
                                                                  const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there.error();
  if (!cluster_->leases_.contains(lease)) return Error{Code::not_found, "the lease has ended"};
  if (cluster_->master_lease_ != 0 && cluster_->master_lease_ != lease) return 0;
  if ((cluster_->view_.head ? cluster_->view_.head->position : 0) != at)
    return Error{Code::conflict, "another head"};
  if (cluster_->master_lease_ == lease) return cluster_->term_;
  cluster_->master_lease_ = lease;
  cluster_->view_.master = node;
  cluster_->view_.successor.reset();
  cluster_->changed();
  cluster_->term_ = cluster_->view_.position;
  return cluster_->term_;
}

Status FakeAgreedStore::resign(Term term, Lease, int successor, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there;
  if (cluster_->term_ != term) return {};
  cluster_->master_lease_ = cluster_->term_ = 0;
  cluster_->view_.master.reset();
  if (successor != 0) cluster_->view_.successor = successor;
  cluster_->changed();
  return {};
}

Status FakeAgreedStore::end_former_term(int node, const Limits& limits) {
  Term term = 0;
  {
    MutexLock lock(cluster_->mutex_);
    if (Status there = reach(); !there) return there;
    if (cluster_->view_.master == node) term = cluster_->term_;
  }
  return term == 0 ? Status() : resign(term, 0, 0, limits);
}

Result<std::int64_t> FakeAgreedStore::publish(std::int64_t base, Term term, const AgreedRevision& next,
                                              const std::vector<cluster::JobNote>& ends, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there.error();
  const auto answers = std::exchange(cluster_->answers_, FakeCluster::Answers::arrive);
  const Error lost{Code::unknown_outcome, "the answer got lost"};
  if (answers == FakeCluster::Answers::lost_before) return lost;
  if (answers == FakeCluster::Answers::late) {
    cluster_->on_its_way_ = [shared = cluster_, base, term, next, ends] {
      MutexLock later(shared->mutex_);
      return shared->put(base, term, next, ends).ok();
    };
    return lost;
  }
  auto put = cluster_->put(base, term, next, ends);
  if (answers == FakeCluster::Answers::lost_after) return lost;
  return put;
}

Result<std::int64_t> FakeAgreedStore::fence(const AgreedRevision& head, Term term, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there.error();
  if (cluster_->term_ == 0 || cluster_->term_ != term) return Error{Code::wrong_state, "not master"};
  if (!cluster_->view_.head || cluster_->view_.head->position != head.position)
    return Error{Code::conflict, "another head"};
  cluster_->changed();
  cluster_->view_.head->position = cluster_->view_.position;
  return cluster_->view_.position;
}

Result<std::optional<std::int64_t>> FakeAgreedStore::was_published(const HeldRevision& what, const Limits&) {
  MutexLock lock(cluster_->mutex_);
  if (Status there = reach(); !there) return there.error();
  const auto it = cluster_->history_.find(what.revision);
  if (it == cluster_->history_.end() || it->second.first != what.checksum)
    return std::optional<std::int64_t>();
  return std::optional(it->second.second);
}

}  // namespace confd::test
