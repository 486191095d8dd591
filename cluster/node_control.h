// NodeControl: runs node operations. A handler never knows whether a node is this one or another.
//
// A node operation is declared like a job (name, function, traits) and registered where it lives. Operations
// of this node are called directly on the caller's thread, those of others over the PeerLink; without one,
// another node is Code::node_unreachable. Operations that move files have functions of their own: the callee
// opens a source or a sink, which is read or written in pieces (cluster/file_stream.h). Thread-safety:
// register_*() and set_peer_link() before the daemon serves, all else from any thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "cluster/file_stream.h"
#include "cluster/peer_link.h"

namespace confd::cluster {

class SyncRecord;

using NodeOperation =
    std::function<base::Result<base::Value>(const base::Struct& params, std::stop_token stop)>;

struct OperationTraits {
  // May run twice without harm (it reads, or sets what it is told): asked again when the answer got lost.
  bool repeatable = false;
  std::chrono::milliseconds timeout{std::chrono::minutes(10)};  // on another node
  // Parameters that must be there, with their types: callers from other nodes are not believed.
  std::vector<std::pair<std::string, base::Value::Type>> params = {};
};

class NodeControl {
 public:
  explicit NodeControl(int own_node) : own_node_(own_node) {}
  int own_node() const { return own_node_; }

  // REQUIRES: no operation of that name and kind yet.
  void register_operation(std::string name, NodeOperation operation, OperationTraits traits = {});
  void register_fetch(std::string name, FetchOperation operation);
  void register_send(std::string name, SendOperation operation);
  // `link` outlives this.
  void set_peer_link(PeerLink& link) { link_ = &link; }
  // What the nodes agree on about their copies of segments; nullptr: there is one node. `record` outlives all
  // calls.
  void set_sync_record(SyncRecord& record) { sync_record_ = &record; }
  SyncRecord* sync_record() const { return sync_record_; }

  // Errors: the operation's own, Code::node_unreachable, Code::timeout, Code::unknown_outcome (asked, the
  // answer got lost, not repeatable), Code::internal for an unknown operation.
  base::Result<base::Value> run(int node, std::string_view operation, const base::Struct& params,
                                std::stop_token stop);
  // As PeerLink's, from or to any node.
  base::Result<base::Struct> fetch(int node, std::string_view operation, const base::Struct& params,
                                   const std::function<base::Status(std::string_view)>& sink,
                                   const PeerLink::Transfer& transfer);
  base::Result<base::Value> send(int node, std::string_view operation, const base::Struct& params,
                                 const std::function<base::Result<std::string>()>& more,
                                 const PeerLink::Transfer& transfer);

  // What this node offers to the others; Code::internal for an unknown operation.
  bool has_operation(std::string_view name) const { return operations_.contains(name); }
  bool has_fetch(std::string_view name) const { return fetches_.contains(name); }
  bool has_send(std::string_view name) const { return sends_.contains(name); }
  base::Result<base::Value> run_here(std::string_view operation, const base::Struct& params,
                                     std::stop_token stop) const;
  base::Result<std::unique_ptr<FileSource>> open_source(std::string_view operation,
                                                        const base::Struct& params,
                                                        std::stop_token stop) const;
  base::Result<std::unique_ptr<FileSink>> open_sink(std::string_view operation, const base::Struct& params,
                                                    std::stop_token stop) const;

 private:
  struct Operation {
    NodeOperation run;
    OperationTraits traits;
  };
  base::Error unknown(std::string_view operation) const;
  base::Error no_link(int node) const;

  const int own_node_;
  PeerLink* link_ = nullptr;
  SyncRecord* sync_record_ = nullptr;
  std::map<std::string, Operation, std::less<>> operations_;
  std::map<std::string, FetchOperation, std::less<>> fetches_;
  std::map<std::string, SendOperation, std::less<>> sends_;
};

}  // namespace confd::cluster
