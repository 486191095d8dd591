// Membership: the cluster as the daemon uses it: the store in etcd, the coordinator over it, and who is
// master. With `cluster: store: local` there is none, and the one node is master.
//
// Order: open() connects to nothing yet (with `store: managed` it starts this node's member of the store);
// begin() after the scheduler is there; end() before it goes. The destructor gives up the lease, then stops
// the member. Thread-safety: any thread after begin().
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/file_system.h"
#include "base/log.h"
#include "base/result.h"
#include "cluster/coordinator.h"
#include "cluster/etcd_agreed_store.h"
#include "cluster/etcd_client.h"
#include "cluster/etcd_job_board.h"
#include "cluster/etcd_sync_record.h"
#include "cluster/managed_store.h"
#include "cluster/members.h"
#include "cluster/node_control.h"
#include "daemon/root.h"
#include "daemon/settings.h"
#include "exaconf/store.h"

namespace confd::daemon {

struct MasterView {
  bool here = true;         // this node accepts jobs
  std::optional<int> node;  // who is master, when that is known
};

class Membership : public cluster::Members {
 public:
  // Error: settings or certificates that can't be used.
  static base::Result<std::unique_ptr<Membership>> open(const Settings& settings, const Root& root,
                                                        base::FileSystem& files, int node,
                                                        exaconf::Store& store, base::Log& log);
  ~Membership() override;

  // `adopt`: takes up an agreed revision durably and calls back.
  // `nodes`: over which nodes tell the master what they hold; outlives this.
  base::Status begin(std::function<void(exaconf::ConfigPtr, std::function<void(base::Status)>)> adopt,
                     cluster::NodeControl& nodes);
  // Declares that operation, before the daemon serves.
  void register_operations(cluster::NodeControl& nodes);
  void end();

  // What is waited for; empty: all is well.
  std::string status() const;
  MasterView master_view() const;
  bool is_cluster() const override { return true; }
  std::optional<int> master() const override { return master_view().node; }
  std::vector<int> live_nodes() const override;
  base::Status hand_over(int to) override;
  std::vector<int> store_members() const override;
  // This node can't record jobs: as master it hands over to the node that is first in turn of those that
  // live. Without any it stays, and says so in the log; may block for a second.
  void step_aside();
  // It gave mastership up a moment ago, and nobody is known to have it yet.
  bool is_handing_over() const;
  cluster::JobBoard& board() { return board_; }
  cluster::SyncRecord& sync_record() { return sync_record_; }
  // See cluster::Coordinator.
  base::Status as_master(const std::function<base::Status(cluster::AgreedStore::Term,
                                                          const cluster::AgreedStore::Limits&)>& work);
  base::Status agree(const exaconf::Config& base, const exaconf::Config& next,
                     const std::vector<cluster::JobNote>& ends);
  void when_held(std::int64_t revision, std::function<void(std::vector<int> behind)> done);
  void held();
  // Asks the store; waits for it a while.
  base::Result<bool> was_published(std::int64_t revision, const std::string& checksum);

 private:
  Membership(const Settings& settings, int node, exaconf::Store& store, base::Log& log,
             std::shared_ptr<const rpc::ClientTls> tls, std::vector<cluster::EtcdClient::Endpoint> endpoints);
  cluster::Coordinator::Options options_;
  exaconf::Store& store_;
  base::Log& log_;
  cluster::EtcdClient etcd_;
  cluster::EtcdAgreedStore agreed_;
  cluster::EtcdJobBoard board_;
  cluster::EtcdSyncRecord sync_record_;
  std::unique_ptr<cluster::ManagedStore> managed_;  // with `store: managed`
  cluster::Coordinator* coordinator() const { return running_.load(std::memory_order_acquire); }
  std::unique_ptr<cluster::Coordinator> coordinator_;
  // The same, once it has begun: others ask meanwhile.
  std::atomic<cluster::Coordinator*> running_{nullptr};
  // Until then others have time to become master: ticks of the steady clock.
  std::atomic<std::chrono::steady_clock::rep> handing_over_until_{0};
  std::optional<std::chrono::steady_clock::time_point> stepped_aside_;  // step_aside() only
};

// One node and `cluster: store: local`.
class OneNode : public cluster::Members {
 public:
  explicit OneNode(int node) : node_(node) {}
  bool is_cluster() const override { return false; }
  std::optional<int> master() const override { return node_; }
  std::vector<int> live_nodes() const override { return {node_}; }
  base::Status hand_over(int to) override;

 private:
  const int node_;
};

// "10.0.0.11:2379, 10.0.0.12" Error: what is wrong with which of them.
base::Result<std::vector<cluster::EtcdClient::Endpoint>> parse_endpoints(const std::string& text);

}  // namespace confd::daemon
