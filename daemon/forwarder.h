// Forwarder: carries calls that came through the local socket of a node that is not master to the master,
// over the peer link (node operation "rpc.call"): confd_client works alike on every node. The master believes
// the node who the caller is, as it believes its own kernel (docs/security.md).
//
// Thread-safety: any thread. Calls wait on threads of the forwarder's own, at both ends.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "auth/identity.h"
#include "cluster/node_control.h"
#include "daemon/dialects.h"
#include "exaconf/config.h"
#include "scheduler/worker_pool.h"

namespace confd::daemon {

class Forwarder {
 public:
  explicit Forwarder(cluster::NodeControl& nodes) : nodes_(nodes) {}
  ~Forwarder();  // gives up what still waits; the jobs go on at the master

  // `request`: of a POST to one of the RPC paths.
  void forward(int master, const rpc::HttpRequest& request, const auth::Identity& caller, DialectAnswer done);

 private:
  cluster::NodeControl& nodes_;
  std::stop_source stop_;
  scheduler::WorkerPool threads_{16};
};

// The master's end. `answer`: Routes::answer(). All arguments outlive the server.
void register_forwarding(
    cluster::NodeControl& nodes, std::function<exaconf::ConfigPtr()> config,
    std::function<void(const rpc::HttpRequest&, std::shared_ptr<const auth::Identity>, DialectAnswer)>
        answer);

}  // namespace confd::daemon
