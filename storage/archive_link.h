// ArchiveLink: how the copies of archive segments on all nodes are reached, the own node's included; an
// interface so that tests run several nodes in one process. Thread-safety: any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cluster/node_control.h"
#include "cluster/sync_record.h"

namespace confd::storage {

class ArchiveLink {
 public:
  using Transfer = cluster::PeerLink::Transfer;
  using Give = std::function<base::Status(std::string_view)>;
  using More = std::function<base::Result<std::string>()>;

  virtual ~ArchiveLink() = default;
  virtual int own_node() const = 0;
  // As NodeControl's.
  virtual base::Result<base::Value> run(int node, std::string_view operation, const base::Struct& params,
                                        std::stop_token stop) = 0;
  virtual base::Result<base::Struct> fetch(int node, std::string_view operation, const base::Struct& params,
                                           const Give& sink, const Transfer& transfer) = 0;
  virtual base::Result<base::Value> send(int node, std::string_view operation, const base::Struct& params,
                                         const More& more, const Transfer& transfer) = 0;
  // Which copies are current, as the cluster has agreed; nullptr: there is one node.
  virtual cluster::SyncRecord* record() { return nullptr; }
};

// Over NodeControl, which outlives this.
class NodeArchiveLink : public ArchiveLink {
 public:
  explicit NodeArchiveLink(cluster::NodeControl& control) : control_(control) {}
  int own_node() const override { return control_.own_node(); }
  base::Result<base::Value> run(int node, std::string_view operation, const base::Struct& params,
                                std::stop_token stop) override {
    return control_.run(node, operation, params, std::move(stop));
  }
  base::Result<base::Struct> fetch(int node, std::string_view operation, const base::Struct& params,
                                   const Give& sink, const Transfer& transfer) override {
    return control_.fetch(node, operation, params, sink, transfer);
  }
  base::Result<base::Value> send(int node, std::string_view operation, const base::Struct& params,
                                 const More& more, const Transfer& transfer) override {
    return control_.send(node, operation, params, more, transfer);
  }
  cluster::SyncRecord* record() override { return control_.sync_record(); }

 private:
  cluster::NodeControl& control_;
};

}  // namespace confd::storage
