// Overview: the reports of all storage nodes, asked for at the same time, so that a listing takes as long as
// the slowest node and never longer than its deadline.
//
// Thread-safety: pure function; the nodes are asked on threads of its own, which have ended when it returns.
#pragma once

#include <chrono>
#include <map>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "cluster/node_control.h"
#include "storage/report.h"

namespace confd::storage {

struct Overview {
  std::map<int, NodeReport> reports;
  std::map<int, base::Error> failures;  // of those that did not answer, or not in time
};

Overview ask_nodes(cluster::NodeControl& control, const std::vector<int>& nodes,
                   std::chrono::milliseconds patience, const std::stop_token& stop);

}  // namespace confd::storage
