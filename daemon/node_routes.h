// NodeRoutes: what this node does for the others of its cluster: POST /node/<operation> and the pieces of
// files (cluster/node_wire.h), for callers whose certificate the cluster's authority signed and whose node
// EXAConf has. Everybody else is refused (403) before a body is read.
//
// Operations run on threads of their own, so that neither users nor nodes can starve the other; beyond the
// limits a call is refused (503). At the caller's deadline, or when he is gone, the operation's stop token is
// set. Thread-safety: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"
#include "cluster/node_control.h"
#include "daemon/node_transfers.h"
#include "exaconf/config.h"
#include "rpc/http_server.h"
#include "scheduler/worker_pool.h"

namespace confd::daemon {

class NodeRoutes {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Limits {
    std::size_t calls = 64;           // at once
    std::size_t calls_per_node = 48;  // of one caller
    std::uint64_t body = 16u << 20;
    NodeTransfers::Limits transfers;
  };
  // `nodes` and what `config` uses outlive this; the HttpServer has stopped before this ends.
  NodeRoutes(Limits limits, cluster::NodeControl& nodes, std::function<exaconf::ConfigPtr()> config,
             base::Random& random, std::function<void(const std::string&)> warn);
  // Stops what runs and waits for its end.
  ~NodeRoutes();

  static bool owns(std::string_view path);
  // For paths that it owns.
  rpc::HeaderDecision on_header(const rpc::HttpRequest& head) EXCLUDES(mutex_);
  void on_request(rpc::HttpRequest request, std::shared_ptr<void> context, rpc::Responder responder)
      EXCLUDES(mutex_);

  std::size_t running() const EXCLUDES(mutex_);  // calls between their header and their answer
  std::size_t open_transfers() const { return transfers_.open_count(); }

 private:
  struct Arrival;
  rpc::HttpResponse answer(const rpc::HttpRequest& request, const Arrival& arrival);
  base::Result<base::Value> run(const rpc::HttpRequest& request, const Arrival& arrival);
  bool is_known(const rpc::HttpRequest& head) const;
  void watch_deadlines() EXCLUDES(mutex_);

  const Limits limits_;
  cluster::NodeControl& nodes_;
  const std::function<exaconf::ConfigPtr()> config_;
  const std::function<void(const std::string&)> warn_;
  NodeTransfers transfers_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::multimap<Time, Arrival*> arrivals_ GUARDED_BY(mutex_);  // by deadline; they take themselves out
  std::map<int, std::size_t> per_node_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  scheduler::WorkerPool workers_;
  std::thread watch_;
};

}  // namespace confd::daemon
