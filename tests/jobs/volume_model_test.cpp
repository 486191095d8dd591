// Random sequences of the jobs of volumes, with nodes that go and come back and operations that fail, against
// a simple model: what each node holds is what EXAConf says, no more and no less, as soon as all is calm.
#include <catch2/catch.hpp>
#include <random>

#include "storage/reconcile.h"
#include "tests/support/storage_job_test.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::kGibibyte;
using test::StorageJobTest;

constexpr int kLast = 16;

class Sequence {
 public:
  explicit Sequence(unsigned seed) : random_(seed), test_({}, kLast) {}

  void step() {
    fail_some();
    const std::string job = act();
    CAPTURE(job);
    test_.storage.refuse = nullptr;
    check_names();
    if (below(3) == 0) move_nodes();
  }

  // All nodes are back, recovery and reconcile have done what there was to do.
  void calm_down() {
    test_.storage.refuse = nullptr;
    test_.members.live.clear();
    for (int id = 11; id <= kLast; ++id) test_.members.live.push_back(id);
    for (int round = 0; round < 4; ++round) {
      for (auto& [id, node] : test_.storage.nodes)
        for (auto& [key, segment] : node.segments) segment.state = "ONLINE";
      const JobRun run = test_.run("storage_reconcile");
      CAPTURE(run.text);
      REQUIRE(run.ok());
    }
    check_names();
    check_nodes_hold_what_exaconf_says();
  }

 private:
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  int any_node() { return 11 + static_cast<int>(below(kLast - 10)); }

  void fail_some() {
    if (below(3) != 0) return;
    const std::size_t nth = below(5);
    test_.storage.refuse = [nth, asked = std::size_t{0}](
                               int, const std::string& operation,
                               const base::Struct&) mutable -> std::optional<base::Error> {
      if (operation == "storage.report" || asked++ != nth) return std::nullopt;
      return base::Error{Code::io_error, "it fails"};
    };
  }

  void move_nodes() {
    test_.members.live = {11};
    for (int id = 12; id <= kLast; ++id)
      if (below(4) != 0) test_.members.live.push_back(id);
  }

  std::string nodes_text(std::size_t count) {
    std::vector<int> ids;
    while (ids.size() < count)
      if (const int id = any_node(); std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    std::string text;
    for (const int id : ids) text += (text.empty() ? "[" : ", ") + std::to_string(id);
    return text + "]";
  }

  std::string act() {
    const auto volumes = storage::volumes_of(test_.config());
    if (volumes->empty() || (volumes->size() < 5 && below(4) == 0)) return create();
    const storage::Volume& volume = (*volumes)[below(volumes->size())];
    const std::string which = R"({"vid": )" + std::to_string(volume.id);
    switch (below(8)) {
      case 0:
        return run("st_volume_delete", which + "}");
      case 1:
        return run("st_volume_enlarge",
                   which + R"(, "blocks_per_node": )" + std::to_string(1 + below(100'000)) + "}");
      case 2:
        return run("st_volume_shrink",
                   which + R"(, "blocks_per_node": )" + std::to_string(64 + below(10'000)) + "}");
      case 3:
        return run("st_volume_increase_redundancy",
                   which + R"(, "delta": )" + std::to_string(1 + below(2)) + "}");
      case 4:
        return run("st_volume_decrease_redundancy", which + R"(, "delta": 1})");
      case 5: {
        const std::size_t count = 1 + below(2);
        const std::string from = nodes_text(count);
        return run("st_volume_move_node",
                   which + R"(, "src_nodes": )" + from + R"(, "dst_nodes": )" + nodes_text(count) + "}");
      }
      case 6: {
        const std::size_t masters = 1 + below(2);
        return run("st_volume_append_node", which + R"(, "node_num": )" + std::to_string(masters) +
                                                R"(, "node_ids": )" + nodes_text(masters * (1 + below(2))) +
                                                "}");
      }
      default:
        return run("storage_reconcile", "{}");
    }
  }

  std::string create() {
    const std::size_t masters = 1 + below(3), redundancy = 1 + below(3);
    const std::size_t count = std::min<std::size_t>(masters * (1 + below(redundancy)), kLast - 10);
    return run("st_volume_create",
               R"({"type": "data", "disk": "disk1", "name": "vol)" + std::to_string(++made_) +
                   R"(", "size": ")" + std::to_string(1 + below(9'000)) + R"( MiB", "num_master_nodes": )" +
                   std::to_string(masters) + R"(, "redundancy": )" + std::to_string(redundancy) +
                   R"(, "nodes": )" + nodes_text(count) + "}");
  }

  std::string run(const std::string& job, const std::string& params) {
    const JobRun result = test_.run(job, params);
    if (result.code == Code::internal) FAIL(job << " " << params << ": " << result.text);
    return job + " " + params + ": " + (result.ok() ? "OK" : result.text);
  }

  // At any moment: no volume of EXAConf is broken, none has an id of another one, and the placement is sound.
  void check_names() {
    std::set<std::int64_t> ids;
    const auto volumes = storage::volumes_of(test_.config());
    for (const storage::Volume& volume : *volumes) {
      CAPTURE(volume.name);
      REQUIRE(volume.problem == "");
      REQUIRE(volume.has_id);
      REQUIRE(ids.insert(volume.id).second);
      REQUIRE(storage::usable_bytes(volume) >= volume.size);
    }
    for (const auto& [id, node] : test_.storage.nodes) REQUIRE(test_.storage.free_bytes(id, "disk1") >= 0);
  }

  void check_nodes_hold_what_exaconf_says() {
    std::map<int, std::map<test::FakeStorageNodes::Key, std::int64_t>> wanted, found;
    const auto volumes = storage::volumes_of(test_.config());
    for (const storage::Volume& volume : *volumes) {
      const storage::Layout layout = storage::layout_of(volume);
      for (const storage::Segment& segment : layout.segments)
        wanted[segment.node][{volume.id, segment.id.index, segment.id.level}] =
            static_cast<std::int64_t>(layout.segment_blocks);
    }
    for (const auto& [id, node] : test_.storage.nodes)
      for (const auto& [key, segment] : node.segments) found[id][key] = segment.blocks;
    REQUIRE(found == wanted);
    const JobRun list = test_.run("st_volume_list");
    for (const base::Value& volume : list.output->as_array()) {
      CAPTURE(volume.find("name")->as_string());
      REQUIRE(volume.find("state")->as_string() == "ONLINE");
    }
  }

  std::mt19937 random_;
  StorageJobTest test_;
  int made_ = 0;
};

}  // namespace

TEST_CASE("After any sequence of jobs the nodes hold what EXAConf says") {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Sequence sequence(seed);
    for (int i = 0; i < 12; ++i) sequence.step();
    sequence.calm_down();
  }
}

}  // namespace confd::jobs
