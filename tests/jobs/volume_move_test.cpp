// Moving the copies of an archive volume, with real storage under the jobs.
#include <catch2/catch.hpp>

#include "tests/support/cluster_nodes.h"
#include "tests/support/job_fixture.h"

namespace confd::jobs {

using test::ArchiveCluster;
using test::ClusterNodes;
using test::JobRun;
using test::JobTest;

constexpr int kLast = 14;

// st_volume_move_node while files are written, until the new copy has taken over.
TEST_CASE("A move while files are written loses nothing") {
  for (const int redundancy : {1, 2}) {
    JobTest jobs(test::storage_config_text({}, kLast));
    ArchiveCluster cluster(test::load_config(test::storage_config_text({}, kLast)), kLast, 1);
    ClusterNodes nodes(jobs.nodes, cluster);
    jobs.members.cluster_on = true;
    jobs.members.live = {11, 12, 13, 14};
    const auto run = [&](const std::string& job, const std::string& params = "{}") {
      const JobRun result = jobs.run(job, params);
      cluster.config = test::load_config(std::string(jobs.config().text()));
      return result;
    };
    const auto state = [&] {
      return run("st_volume_info", R"({"vid": 0})").output->find("state")->as_string();
    };
    REQUIRE(
        run("st_volume_create",
            R"({"type": "archive", "disk": "disk1", "name": "a", "size": "4 MiB", "num_master_nodes": 1, "redundancy": )" +
                std::to_string(redundancy) + R"(, "nodes": )" + (redundancy == 1 ? "[11]}" : "[11, 12]}"))
            .text == "");
    cluster.settle();
    if (cluster.at(14).up) cluster.at(14).recovery->round({});
    std::map<std::string, std::string> files;
    const auto write = [&](int i) {
      const std::string path = "f" + std::to_string(i % 12), content = "content " + std::to_string(i);
      REQUIRE(cluster.put(11 + i % 4, path, content, 0).ok());
      files[path] = content;
    };
    for (int i = 0; i < 10; ++i) write(i);
    // One file comes at a time, so that writes come in between.
    REQUIRE(run("st_volume_move_node", R"({"vid": 0, "src_nodes": [11], "dst_nodes": [13]})").text == "");
    CHECK(state() == "RECOVERING");
    int between = 10;
    cluster.at(13).on_fetch = [&] {
      if (between < 40) write(between++);
    };
    cluster.at(13).recovery->round({});
    CHECK(between > 12);
    REQUIRE(run("storage_reconcile").text == "");
    for (int i = 40; i < 50; ++i) write(i);
    cluster.at(13).on_fetch = nullptr;
    for (int round = 0; round < 3; ++round) {
      for (int id = 11; id <= kLast; ++id) cluster.at(id).recovery->round({});
      REQUIRE(run("storage_reconcile").text == "");
    }
    CHECK(state() == "ONLINE");
    CHECK(cluster.at(11).storage->segments().empty());
    // The new holder has all of it alone.
    cluster.at(11).die();
    cluster.at(12).die();
    for (const auto& [path, content] : files) CHECK(*cluster.get(14, path, 0, 0) == content);
  }
}

}  // namespace confd::jobs
