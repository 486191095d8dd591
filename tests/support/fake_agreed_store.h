// FakeAgreedStore: the cluster's store in memory, one object a node over what they share. A test cuts nodes
// off, loses answers, and lets a publication arrive late.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "base/mutex.h"
#include "cluster/agreed_store.h"

namespace confd::test {

// What the nodes share. Thread-safety: any thread.
class FakeCluster {
 public:
  enum class Answers { arrive, lost_after, lost_before, late };
  // Of the next publication: `lost_after`: it happens, `lost_before`: it never does, `late`: with deliver().
  void next_publication(Answers answers) EXCLUDES(mutex_);
  // What was on its way arrives; true when it changed the head.
  bool deliver() EXCLUDES(mutex_);
  void cut(int node, bool is_cut) EXCLUDES(mutex_);
  // The node's watch takes the next change and keeps it to itself until it is let go; true: it has one.
  void hold_view(int node, bool is_held) EXCLUDES(mutex_);
  bool holds_view(int node) EXCLUDES(mutex_);
  // How often nodes reported what they hold.
  int reports() EXCLUDES(mutex_);
  // A change that is none of EXAConf.
  void nudge() EXCLUDES(mutex_);
  cluster::AgreedView view() EXCLUDES(mutex_);
  // Every head there ever was, with the node that published it.
  std::vector<std::pair<cluster::HeldRevision, int>> heads() EXCLUDES(mutex_);
  // Ends of jobs that came with a revision: id -> text.
  std::map<std::string, std::string> ends() EXCLUDES(mutex_);

 private:
  friend class FakeAgreedStore;
  using Clock = std::chrono::steady_clock;
  struct LeaseState {
    Clock::time_point ends;
    std::chrono::milliseconds life;
  };
  void expire() REQUIRES_LOCK(mutex_);
  void changed() REQUIRES_LOCK(mutex_);
  base::Result<std::int64_t> put(std::int64_t base, cluster::AgreedStore::Term term,
                                 const cluster::AgreedRevision& next,
                                 const std::vector<cluster::JobNote>& ends) REQUIRES_LOCK(mutex_);

  base::Mutex mutex_;
  base::CondVar change_;
  std::set<int> cut_ GUARDED_BY(mutex_);
  std::map<int, bool> held_ GUARDED_BY(mutex_);  // node: there is a view
  std::map<std::int64_t, LeaseState> leases_ GUARDED_BY(mutex_);
  std::int64_t last_lease_ GUARDED_BY(mutex_) = 0;
  cluster::AgreedView view_ GUARDED_BY(mutex_);
  std::int64_t master_lease_ GUARDED_BY(mutex_) = 0;
  std::int64_t term_ GUARDED_BY(mutex_) = 0;
  std::map<int, std::int64_t> live_lease_ GUARDED_BY(mutex_);
  std::map<std::int64_t, std::pair<std::string, std::int64_t>> history_ GUARDED_BY(mutex_);
  std::vector<std::pair<cluster::HeldRevision, int>> heads_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> ends_ GUARDED_BY(mutex_);
  int reports_ GUARDED_BY(mutex_) = 0;
  Answers answers_ GUARDED_BY(mutex_) = Answers::arrive;
  std::function<bool()> on_its_way_ GUARDED_BY(mutex_);
};

class FakeAgreedStore : public cluster::AgreedStore {
 public:
  // `life`: of every lease, whatever is asked for (etcd's are whole seconds).
  FakeAgreedStore(std::shared_ptr<FakeCluster> cluster, int node, std::chrono::milliseconds life)
      : cluster_(std::move(cluster)), node_(node), life_(life) {}

  base::Result<cluster::AgreedView> read(const Limits& limits) override;
  base::Status watch(cluster::AgreedView view, const std::function<bool(const cluster::AgreedView&)>& each,
                     std::stop_token stop) override;
  base::Result<Lease> open_lease(std::chrono::seconds life, const Limits& limits) override;
  base::Status renew(Lease lease, const Limits& limits) override;
  base::Status end_lease(Lease lease, const Limits& limits) override;
  base::Status report(Lease lease, int node, const cluster::HeldRevision& held, std::int64_t at,
                      const Limits& limits) override;
  base::Result<Term> become_master(Lease lease, int node, std::int64_t at, const Limits& limits) override;
  base::Status resign(Term term, Lease lease, int successor, const Limits& limits) override;
  base::Status end_former_term(int node, const Limits& limits) override;
  base::Result<std::int64_t> publish(std::int64_t base, Term term, const cluster::AgreedRevision& next,
                                     const std::vector<cluster::JobNote>& ends,
                                     const Limits& limits) override;
  base::Result<std::int64_t> fence(const cluster::AgreedRevision& head, Term term,
                                   const Limits& limits) override;
  base::Result<std::optional<std::int64_t>> was_published(const cluster::HeldRevision& what,
                                                          const Limits& limits) override;

 private:
  base::Status reach() REQUIRES_LOCK(cluster_->mutex_);
  const std::shared_ptr<FakeCluster> cluster_;
  const int node_;
  const std::chrono::milliseconds life_;
};

}  // namespace confd::test
