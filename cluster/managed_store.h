// ManagedStore: `cluster: store: managed`: keeps this node's member of etcd going, and, while this node is
// master, the roster of members: it adds, promotes and removes them one at a time (cluster/etcd_roster.h).
//
// Nodes find the store by EXAConf: the members' private addresses and the two ports. A store is founded by a
// node that is alone in EXAConf, and by `confd --recover-store`; every other member is added by the master to
// a store that answers. Key `member/<node>` in the store: the id of a member whose data this node has lost.
// Threads: one for the own member, one for the roster. Thread-safety: any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/log.h"
#include "base/mutex.h"
#include "cluster/etcd_client.h"
#include "cluster/etcd_roster.h"
#include "cluster/etcd_server.h"
#include "exaconf/config.h"

namespace confd::cluster {

class ManagedStore {
 public:
  struct Options {
    EtcdServerSettings server;  // its address is EXAConf's
    int members = 0;            // cluster/etcd_roster.h wanted_members()
    std::string prefix;         // of our keys
  };
  ManagedStore(Options options, EtcdClient& etcd, base::FileSystem& files, base::Log& log,
               std::function<exaconf::ConfigPtr()> current);
  ~ManagedStore();  // the member goes on when end() was not called, as after a kill

  // Takes over or starts the member and keeps it going from now on. Returns at once.
  void begin();
  // The roster too, while `is_master`.
  void begin_roster(std::function<bool()> is_master, std::function<std::vector<int>()> live_nodes);
  void end_roster();
  // Stops the member as well.
  void end();

  // What is waited for; empty: all is well.
  std::string status() const EXCLUDES(mutex_);
  // Nodes whose members count for the majority, as last seen (the master looks every two seconds, others
  // every thirty); also of nodes that are not in EXAConf any more.
  std::vector<int> voters() const EXCLUDES(mutex_);

  // Where the store is sought: this node's own member, those that should be there, those that were seen
  // last, the other nodes.
  static std::vector<EtcdClient::Endpoint> endpoints(const exaconf::Config& config, const Options& options,
                                                     const std::vector<int>& seen = {});

 private:
  using Clock = std::chrono::steady_clock;
  void keep_member(std::stop_token stop);
  void look_at_member(const std::stop_token& stop);
  bool is_of_another_store(const exaconf::Config& config, const std::stop_token& stop);
  void play(const OwnPart& part, const OwnSituation& situation, const std::stop_token& stop);
  void note_seen(const std::vector<EtcdMember>& members) EXCLUDES(mutex_);
  void follow_endpoints(const exaconf::Config& config) EXCLUDES(mutex_);
  void tend_roster(std::stop_token stop);
  bool change_roster(const std::stop_token& stop);  // true: something was changed
  base::Result<RosterView> look_at_roster(const exaconf::Config& config, const std::stop_token& stop)
      EXCLUDES(mutex_);
  base::Status act(const RosterAction& action, const exaconf::Config& config, const std::stop_token& stop);
  std::string peer_url(const exaconf::Node& node) const;
  void tell(std::string ManagedStore::*what, std::string text) EXCLUDES(mutex_);
  bool pause(Clock::duration time, const std::stop_token& stop) EXCLUDES(mutex_);

  const Options options_;
  EtcdClient& etcd_;
  base::FileSystem& files_;
  base::Log& log_;
  const std::function<exaconf::ConfigPtr()> current_;
  std::function<bool()> is_master_;
  std::function<std::vector<int>()> live_nodes_;
  std::unique_ptr<EtcdServer> server_;  // the keeper's, and end()'s after it
  Clock::time_point asked_anew_;        // the keeper's
  Clock::time_point look_for_members_;  // the same
  Clock::time_point look_for_store_;    // the same

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  std::string own_status_ GUARDED_BY(mutex_);
  std::string roster_status_ GUARDED_BY(mutex_);
  std::vector<int> seen_ GUARDED_BY(mutex_);  // nodes that had a member when last asked
  std::vector<int> voters_ GUARDED_BY(mutex_);
  std::jthread keeper_;
  std::jthread tender_;
};

}  // namespace confd::cluster
