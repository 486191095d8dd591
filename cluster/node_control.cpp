#include "cluster/node_control.h"

#include <cstdlib>

namespace confd::cluster {

void NodeControl::register_operation(std::string name, NodeOperation operation) {
  // Two operations of one name are a mistake in our own composition: no state to go on with.
  if (!operations_.emplace(std::move(name), std::move(operation)).second) std::abort();
}

base::Result<base::Value> NodeControl::run(int node, std::string_view operation, const base::Struct& params,
                                           std::stop_token stop) {
  if (node != own_node_)
    return base::Error{base::Code::node_unreachable,
                       "node " + std::to_string(node) + " can't be reached from node " +
                           std::to_string(own_node_) +
                           ": this version has no link between nodes and manages its own node only"};
  const auto it = operations_.find(operation);
  if (it == operations_.end())
    return base::Error{base::Code::internal, "node " + std::to_string(node) + " knows no operation '" +
                                                 std::string(operation) + "'"};
  return it->second(params, std::move(stop));
}

}  // namespace confd::cluster
