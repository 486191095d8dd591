// ClusterNodes: the way of jobs to the nodes of an ArchiveCluster: real storage under real jobs.
//
//   ArchiveCluster cluster(config, 14, seed);  ClusterNodes nodes(test.nodes, cluster);
// The master is node 11.
#pragma once

#include <string>

#include "cluster/peer_link.h"
#include "tests/storage/archive_cluster.h"

namespace confd::test {

// The jobs' way to the nodes. What storage does to folders happens to the files as well: in the tests these
// are two.
class ClusterNodes : public cluster::PeerLink {
 public:
  ClusterNodes(cluster::NodeControl& control, ArchiveCluster& cluster)
      : PeerLink(control.own_node(), nullptr, [](int) { return std::nullopt; }), cluster_(cluster) {
    for (const char* name :
         {"storage.report", "storage.allocate", "storage.free", "storage.resize", "storage.clear",
          "storage.set_state", "recovery.restore", "archive.find", "archive.clear", "archive.note"})
      control.register_operation(name, [this, name](const base::Struct& params, std::stop_token stop) {
        return run(11, name, params, std::move(stop));
      });
    control.set_peer_link(*this);
  }
  base::Result<base::Value> call(int node, std::string_view operation, const base::Struct& params,
                                 const Call& call) override {
    return run(node, operation, params, call.stop);
  }

 private:
  base::Result<base::Value> run(int node, std::string_view operation, const base::Struct& params,
                                std::stop_token stop) {
    const base::Error away{base::Code::node_unreachable,
                           "node " + std::to_string(node) + " can't be reached"};
    ArchiveCluster::Node& there = cluster_.at(node);
    if (!there.answers()) return away;
    std::string folder;
    if (operation == "storage.free")
      for (const storage::LocalSegment& segment : there.storage->segments())
        if (static_cast<std::int64_t>(segment.id.vid) == params.find("vid")->as_int() &&
            static_cast<std::int64_t>(segment.id.index) == params.find("index")->as_int() &&
            static_cast<std::int64_t>(segment.id.level) == params.find("level")->as_int())
          folder = segment.folder;
    auto answer = there.control->run_here(operation, params, std::move(stop));
    if (answer && operation == "storage.allocate")
      REQUIRE(there.files.make_directories(answer->find("folder")->as_string(), 0700).ok());
    if (answer && !folder.empty()) wipe(there.files, folder);
    if (!there.up) return away;
    return answer;
  }
  static void wipe(FakeFileSystem& files, const std::string& folder) {
    const auto names = files.list(folder);
    if (!names) return;
    for (const std::string& name : *names) {
      const std::string path = folder + "/" + name;
      if (const auto status = files.status(path); status && status->is_directory)
        wipe(files, path);
      else
        REQUIRE(files.remove(path).ok());
    }
    REQUIRE(files.sync_directory(folder).ok());
    REQUIRE(files.remove(folder).ok());
  }
  ArchiveCluster& cluster_;
};

}  // namespace confd::test
