// Membership: the cluster as the daemon uses it: the store in etcd, the coordinator over it, and who is
// master. With `cluster: store: local` there is none, and the one node is master.
//
// Order: open() connects to nothing yet; begin() after the scheduler is there; end() before it goes.
// Thread-safety: any thread after begin().
#pragma once

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
#include "cluster/members.h"
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

  // `adopt`: takes up an agreed revision durably and calls back.
  base::Status begin(std::function<void(exaconf::ConfigPtr, std::function<void(base::Status)>)> adopt);
  void end();

  MasterView master_view() const;
  bool is_cluster() const override { return true; }
  std::optional<int> master() const override { return master_view().node; }
  std::vector<int> live_nodes() const override;
  base::Status hand_over(int to) override;
  // See cluster::Coordinator.
  base::Status agree(const exaconf::Config& base, const exaconf::Config& next);
  void when_held(std::int64_t revision, std::function<void(std::vector<int> behind)> done);
  void held();
  // Asks the store; waits for it a while.
  base::Result<bool> was_published(std::int64_t revision, const std::string& checksum);

 private:
  Membership(const Settings& settings, int node, exaconf::Store& store, base::Log& log,
             std::shared_ptr<const rpc::ClientTls> tls);
  cluster::Coordinator::Options options_;
  exaconf::Store& store_;
  base::Log& log_;
  cluster::EtcdClient etcd_;
  cluster::EtcdAgreedStore agreed_;
  std::unique_ptr<cluster::Coordinator> coordinator_;
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
