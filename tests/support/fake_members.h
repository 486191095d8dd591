// FakeMembers: a cluster as a test wants it to be.
#pragma once

#include <functional>
#include <vector>

#include "cluster/members.h"

namespace confd::test {

struct FakeMembers : cluster::Members {
  bool cluster_on = false;
  std::optional<int> master_node = 11;
  std::vector<int> live{11};
  std::vector<int> handed_to;
  std::vector<int> store_nodes;
  base::Status hand_over_result;
  std::function<void()> on_look;  // before each answer of live_nodes()
  std::function<void()> on_store_look;

  bool is_cluster() const override { return cluster_on; }
  std::optional<int> master() const override { return master_node; }
  std::vector<int> live_nodes() const override {
    if (on_look) on_look();
    return live;
  }
  std::vector<int> store_members() const override {
    if (on_store_look) on_store_look();
    return store_nodes;
  }
  base::Status hand_over(int to) override {
    handed_to.push_back(to);
    return hand_over_result;
  }
};

}  // namespace confd::test
