// Members: who is in the cluster at this moment, for jobs. With one node: that node, always.
// Thread-safety: any thread.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"

namespace confd::cluster {

class Members {
 public:
  virtual ~Members() = default;
  // EXAConf is kept on several nodes (`cluster: store` is not local): nodes may be added.
  virtual bool is_cluster() const = 0;
  virtual std::optional<int> master() const = 0;
  // Nodes that renew their lease, this one included; at most a lease old.
  virtual std::vector<int> live_nodes() const = 0;
  // This master gives way to `to`, which becomes master when it can; returns at once. Errors:
  // Code::wrong_state when `to` is not alive or this node is not master, Code::unsupported with one node.
  virtual base::Status hand_over(int to) = 0;
  // The nodes that a store of our own runs on, as last seen; empty when it is not ours.
  virtual std::vector<int> store_members() const { return {}; }
};

}  // namespace confd::cluster
