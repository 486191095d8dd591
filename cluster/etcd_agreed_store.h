// EtcdAgreedStore: AgreedStore in etcd. Keys, below a prefix that names the cluster:
//
//   conf               EXAConf, the whole text, deflated (cluster/deflated_text.h); its mod_revision is the
//                      position
//   history/<revision> checksum; revision in 12 digits; the last thousand
//   master             "<node>", on the master's lease; its create_revision is the term
//   successor          "<node>", on the lease of the master that gave way to it
//   node/<id>          "<revision> <checksum>" the node holds, on the node's lease
//
// Thread-safety: any thread.
#pragma once

#include <deque>
#include <string>

#include "base/mutex.h"
#include "cluster/agreed_store.h"
#include "cluster/etcd_client.h"

namespace confd::cluster {

class EtcdAgreedStore : public AgreedStore {
 public:
  // `silence`: a watch without any sign of life for that long is taken for dead.
  EtcdAgreedStore(EtcdClient& etcd, std::string prefix, std::chrono::milliseconds silence);

  base::Result<AgreedView> read(const Limits& limits) override;
  base::Status watch(AgreedView view, const std::function<bool(const AgreedView&)>& each,
                     std::stop_token stop) override;
  base::Result<Lease> open_lease(std::chrono::seconds life, const Limits& limits) override;
  base::Status renew(Lease lease, const Limits& limits) override;
  base::Status end_lease(Lease lease, const Limits& limits) override;
  base::Status report(Lease lease, int node, const HeldRevision& held, std::int64_t at,
                      const Limits& limits) override;
  base::Result<Term> become_master(Lease lease, int node, std::int64_t at, const Limits& limits) override;
  base::Status resign(Term term, Lease lease, int successor, const Limits& limits) override;
  base::Status end_former_term(int node, const Limits& limits) override;
  base::Result<std::int64_t> publish(std::int64_t base, Term term, const AgreedRevision& next,
                                     const std::vector<JobNote>& ends, const Limits& limits) override;
  base::Result<std::int64_t> fence(const AgreedRevision& head, Term term, const Limits& limits) override;
  base::Result<std::optional<std::int64_t>> was_published(const HeldRevision& what,
                                                          const Limits& limits) override;
  base::Status tidy(const Limits& limits) override;
  // Puts it as the head, whatever stands there. REQUIRES: no confd uses this store
  base::Status restore(const AgreedRevision& next, const Limits& limits);

 private:
  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  std::string end_of(std::string_view name) const;
  std::string history_key(std::int64_t revision) const;
  base::Status put(AgreedView& view, const KeyValue& value) const;

  EtcdClient& etcd_;
  const std::string prefix_;
  const std::chrono::milliseconds silence_;
  base::Mutex mutex_;
  std::deque<std::int64_t> published_ GUARDED_BY(mutex_);  // positions, since what was forgotten last
};

}  // namespace confd::cluster
