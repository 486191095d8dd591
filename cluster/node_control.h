// NodeControl: runs node operations. A handler never knows whether a node is this one or another.
//
// A node operation is declared like a job (name, function) and registered where it lives. Operations of this
// node are called directly on the caller's thread; there is no peer link yet, so another node is
// Code::node_unreachable. Thread-safety: register_operation() before the daemon serves, run() from any
// thread.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace confd::cluster {

using NodeOperation =
    std::function<base::Result<base::Value>(const base::Struct& params, std::stop_token stop)>;

class NodeControl {
 public:
  explicit NodeControl(int own_node) : own_node_(own_node) {}
  int own_node() const { return own_node_; }

  // REQUIRES: no operation of that name yet.
  void register_operation(std::string name, NodeOperation operation);
  // Errors: the operation's own, Code::node_unreachable, Code::internal for an unknown operation.
  base::Result<base::Value> run(int node, std::string_view operation, const base::Struct& params,
                                std::stop_token stop);

 private:
  const int own_node_;
  std::map<std::string, NodeOperation, std::less<>> operations_;
};

}  // namespace confd::cluster
