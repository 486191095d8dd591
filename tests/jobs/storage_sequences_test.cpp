// Random sequences of the jobs of volumes on the real storage of four nodes in one process, with files that
// are written, nodes that go in the middle of a job (also with the power), come back and recover, against a
// simple model. After every step: the devices are sound, each volume's state is what its segments make of it,
// and every acknowledged file has its content. When all is calm: the nodes hold what EXAConf says and no
// more, all copies are equal, all volumes ONLINE.
//
// CONFD_STORAGE_SEQUENCES: how many; CONFD_STORAGE_SEED: the first one, alone without the other. A failure
// names the seed.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <set>

#include "storage/check.h"
#include "tests/storage/archive_cluster.h"
#include "tests/support/cluster_nodes.h"
#include "tests/support/job_fixture.h"

namespace confd::jobs {
namespace {

using base::Code;
using base::Result;
using base::Value;
using storage::SegmentState;
using test::ArchiveCluster;
using test::ClusterNodes;
using test::JobRun;
using test::JobTest;

constexpr int kLast = 14;

class Sequence {
 public:
  explicit Sequence(unsigned seed)
      : random_(seed),
        jobs_(test::storage_config_text({}, kLast)),
        cluster_(test::load_config(test::storage_config_text({}, kLast)), kLast, seed),
        nodes_(jobs_.nodes, cluster_) {
    jobs_.members.cluster_on = true;
    show_living();
  }

  // `steps`: what was done, for the reader of a failure.
  void step(std::string& steps) {
    const std::string text = act();
    steps += text + "\n";
    CAPTURE(text);
    take_config();
    check_devices();
    check_states();
    check_files();
  }

  void calm_down() {
    if (down_ != 0) bring_back();
    settle();
    check_devices();
    check_states();
    check_files();
    check_all_is_as_exaconf_says();
  }
  int failed_jobs = 0, done_jobs = 0, failed_writes = 0;

 private:
  using Contents = std::map<std::string, std::vector<std::string>>;  // path -> what it may be; "": no file

  std::size_t below(std::size_t n) { return random_() % n; }
  // REQUIRE for what is asked very often.
  static void need(bool holds, const std::string& what) {
    if (!holds) FAIL(what);
  }

  // Of who lives; the master does.
  void show_living() {
    jobs_.members.live.clear();
    for (int id = 11; id <= kLast; ++id)
      if (cluster_.at(id).up) jobs_.members.live.push_back(id);
  }
  void take_config() { cluster_.config = test::load_config(std::string(jobs_.config().text())); }
  std::shared_ptr<const storage::Volumes> volumes() { return storage::volumes_of(*cluster_.config); }

  std::string act() {
    const auto all = volumes();
    const std::size_t what = below(20);
    if (all->empty() || (all->size() < 3 && what == 0)) return job(create_params());
    const storage::Volume& volume = (*all)[below(all->size())];
    if (what < 9 && volume.kind == storage::VolumeKind::archive) return write(volume);
    if (what < 12) return go_or_come_back();
    const std::string which = R"({"vid": )" + std::to_string(volume.id);
    switch (below(9)) {
      case 0:
        return job({"st_volume_delete", which + "}"});
      case 1:
        return job(
            {"st_volume_enlarge", which + R"(, "blocks_per_node": )" + std::to_string(1 + below(8)) + "}"});
      case 2:
        return job(
            {"st_volume_shrink", which + R"(, "blocks_per_node": )" + std::to_string(64 + below(300)) + "}"});
      case 3:
        return job(
            {"st_volume_increase_redundancy",
             which + R"(, "delta": 1)" +
                 (below(2) == 0 ? ""
                                : R"(, "nodes": )" + node_list(static_cast<std::size_t>(volume.masters))) +
                 "}"});
      case 4:
        return job({"st_volume_decrease_redundancy", which + R"(, "delta": 1})"});
      case 5: {
        const auto from = storage::nodes_of(volume.placement);
        return job({"st_volume_move_node", which + R"(, "src_nodes": [)" +
                                               std::to_string(from[below(from.size())]) +
                                               R"(], "dst_nodes": )" + node_list(1) + "}"});
      }
      case 6:
        return job({"st_volume_append_node",
                    which + R"(, "node_num": 1, "node_ids": )" + node_list(1 + below(2)) + "}"});
      case 7:
        if (volume.kind == storage::VolumeKind::archive && below(2) == 0)
          return job({"st_node_restore", which + R"(, "nid": )" + std::to_string(any_node()) + "}"});
        return job({"storage_reconcile", "{}"});
      default: {
        if (volume.kind != storage::VolumeKind::archive) return job({"storage_reconcile", "{}"});
        const std::string name = volume.name;
        const bool done =
            last_job_of({"st_volume_clear_data", which + R"(, "num_bytes": 0, "node_ids": []})"});
        for (auto& [path, may_be] : files_[name]) {
          if (done) may_be = {""};
          if (!done) may_be.push_back("");
        }
        return "clear " + name;
      }
    }
  }

  struct Call {
    std::string name, params;
  };
  int any_node() { return 11 + static_cast<int>(below(kLast - 10)); }
  std::string node_list(std::size_t count) {
    std::vector<int> ids;
    while (ids.size() < std::min<std::size_t>(count, kLast - 10))
      if (const int id = any_node(); std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    std::string text;
    for (const int id : ids) text += (text.empty() ? "[" : ", ") + std::to_string(id);
    return text + "]";
  }

  Call create_params() {
    const std::size_t masters = 1 + below(2), redundancy = 1 + below(3);
    const std::size_t count = std::min<std::size_t>(masters * (1 + below(redundancy)), kLast - 10);
    return {"st_volume_create", R"({"type": ")" + std::string(below(4) == 0 ? "data" : "archive") +
                                    R"(", "disk": "disk1", "name": "vol)" + std::to_string(++made_) +
                                    R"(", "size": ")" + std::to_string(1 + below(8)) +
                                    R"( MiB", "num_master_nodes": )" + std::to_string(masters) +
                                    R"(, "redundancy": )" + std::to_string(redundancy) + R"(, "nodes": )" +
                                    node_list(count) + "}"};
  }

  // Sometimes a node goes in the middle of it, with what it had not synced.
  bool last_job_of(const Call& call) {
    int victim = 0;
    if (down_ == 0 && below(5) == 0) {
      victim = 12 + static_cast<int>(below(kLast - 11));
      go_down(victim);
      auto& node = cluster_.at(victim);
      if (below(2) == 0)
        node.dies_in = 1 + static_cast<int>(below(6));
      else
        node.storage_files.fail_from(node.storage_files.calls() + 1 + static_cast<int>(below(10)));
    }
    const JobRun run = jobs_.run(call.name, call.params);
    if (run.code == Code::internal) FAIL(call.name << " " << call.params << ": " << run.text);
    told_ = call.name + " " + call.params + ": " + (run.ok() ? "OK" : run.text);
    ++(run.ok() ? done_jobs : failed_jobs);
    if (victim != 0) {
      cluster_.at(victim).die();
      show_living();
      // The job may have left it the only copy.
      take_config();
      excuse(victim);
    }
    return run.ok();
  }
  std::string job(const Call& call) {
    last_job_of(call);
    std::set<std::string> there;
    take_config();
    for (const storage::Volume& volume : *volumes()) there.insert(volume.name);
    std::erase_if(files_, [&](const auto& known) { return !there.contains(known.first); });
    // As every two seconds: new segments are compared before they are used.
    cluster_.settle(2);
    return told_;
  }

  std::string write(const storage::Volume& volume) {
    const std::string path = "d" + std::to_string(below(2)) + "/f" + std::to_string(below(4));
    const std::string content(1 + below(400), static_cast<char>('a' + below(26)));
    auto& may_be = files_[volume.name].try_emplace(path, std::vector<std::string>{""}).first->second;
    const bool removes = below(4) == 0;
    int from = any_node();
    if (from == down_) from = 11;
    int victim = 0;
    if (down_ == 0 && below(6) == 0) {
      victim = 12 + static_cast<int>(below(kLast - 11));
      go_down(victim);
      cluster_.at(victim).dies_in = 1 + static_cast<int>(below(12));
    }
    const base::Status done = removes ? cluster_.store(from, volume.id).remove(path, {})
                                      : cluster_.put(from, path, content, volume.id);
    if (victim != 0) {
      cluster_.at(victim).die();
      show_living();
    }
    const std::string now = removes ? "" : content;
    if (done) may_be = {now};
    if (!done) may_be.push_back(now);
    failed_writes += done ? 0 : 1;
    return (removes ? "remove " : "write ") + path + " of " + volume.name + " from node " +
           std::to_string(from) + ": " + (done ? "OK" : done.error().text);
  }

  // Volumes whose only copy goes with it may be away until it is back.
  void go_down(int node) {
    down_ = node;
    excused_.clear();
    excuse(node);
  }
  void excuse(int node) {
    for (const storage::Volume& volume : *volumes()) {
      const auto holders = storage::nodes_of(volume.placement);
      if (volume.redundancy == 1 && std::find(holders.begin(), holders.end(), node) != holders.end())
        excused_.insert(volume.name);
      for (const auto& row : volume.placement) {
        // As long as a copy is not whole, nobody may go but those whose copy is not either.
        bool stays = false;
        for (std::size_t level = 0; level < row.size(); ++level)
          if (row[level].node != node && is_whole(volume, row, level)) stays = true;
        if (!stays) excused_.insert(volume.name);
      }
    }
  }
  bool is_whole(const storage::Volume& volume, const std::vector<storage::Holder>& row, std::size_t level) {
    const auto index = static_cast<std::uint32_t>(&row - volume.placement.data());
    const storage::SegmentId id{static_cast<std::uint64_t>(volume.id), index,
                                static_cast<std::uint32_t>(level) + 1};
    const auto segment = cluster_.at(row[level].node).storage->segment(id);
    if (!segment || segment->state != SegmentState::online) return false;
    if (volume.kind != storage::VolumeKind::archive) return true;
    const auto copy = cluster_.at(row[level].node).copies->find(id);
    const auto state =
        copy ? copy->files->state("", {}) : Result<storage::ArchiveSegment::State>(copy.error());
    return state && state->in_step;
  }

  std::string go_or_come_back() {
    if (down_ != 0) {
      bring_back();
      settle();
      return "come back";
    }
    const int node = 12 + static_cast<int>(below(kLast - 11));
    go_down(node);
    cluster_.at(node).die();
    show_living();
    cluster_.settle(1);
    return "node " + std::to_string(node) + " goes";
  }
  void bring_back() {
    cluster_.at(down_).start(below(2) == 0);
    down_ = 0;
    show_living();
  }

  // Recovery, the database engines of data volumes, and reconcile, until there is nothing left to do.
  void settle() {
    for (int round = 0; round < 4; ++round) {
      for (int id = 11; id <= kLast; ++id) {
        if (!cluster_.at(id).up) continue;
        cluster_.at(id).recovery->round({});
        for (const storage::LocalSegment& segment : cluster_.at(id).storage->segments())
          if (segment.kind == storage::SegmentKind::data && segment.state == SegmentState::recovering)
            REQUIRE(cluster_.at(id).storage->set_state(segment.id, SegmentState::online, {}).ok());
      }
      const JobRun run = jobs_.run("storage_reconcile");
      CAPTURE(run.text);
      REQUIRE(run.ok());
      take_config();
    }
    for (int round = 0; round < 3; ++round)
      for (int id = 11; id <= kLast; ++id)
        if (cluster_.at(id).up) cluster_.at(id).recovery->round({});
    if (down_ == 0) excused_.clear();
  }

  // No sector has two owners, and the superblocks are whole. What EXAConf does not know yet, or no more, is
  // looked at when all is calm.
  void check_devices() {
    for (int id = 11; id <= kLast; ++id) {
      if (!cluster_.at(id).up) continue;
      const auto report = storage::check_storage(
          cluster_.at(id).storage_files, {id, test::StorageNode::kFolder, {}}, *cluster_.config, false);
      for (const std::string& problem : report.problems)
        if (problem.find("EXAConf") == std::string::npos) FAIL("node " << id << ": " << problem);
    }
  }

  void check_states() {
    const JobRun list = jobs_.run("st_volume_list");
    REQUIRE(list.ok());
    std::map<std::string, std::string> shown;
    for (const Value& volume : list.output->as_array())
      shown[volume.find("name")->as_string()] = volume.find("state")->as_string();
    for (const storage::Volume& volume : *volumes()) {
      bool locked = false, degraded = false, recovering = false;
      for (std::size_t index = 0; index < volume.placement.size(); ++index) {
        bool is_there = false;
        for (std::size_t level = 0; level < volume.placement[index].size(); ++level) {
          const storage::Holder& holder = volume.placement[index][level];
          const storage::SegmentId id{static_cast<std::uint64_t>(volume.id),
                                      static_cast<std::uint32_t>(index),
                                      static_cast<std::uint32_t>(level) + 1};
          for (const bool arrives : {false, true}) {
            if (arrives && !holder.next) continue;
            auto& node = cluster_.at(arrives ? *holder.next : holder.node);
            const auto segment = node.up ? node.storage->segment(id) : std::nullopt;
            const bool is_online = segment && segment->state == SegmentState::online;
            is_there = is_there || is_online;
            if (is_online) continue;
            (arrives || (segment && segment->state == SegmentState::recovering) ? recovering : degraded) =
                true;
          }
        }
        locked = locked || !is_there;
      }
      const std::string state = locked       ? "LOCKED"
                                : degraded   ? "DEGRADED"
                                : recovering ? "RECOVERING"
                                             : "ONLINE";
      need(shown[volume.name] == state,
           "volume " + volume.name + " is shown " + shown[volume.name] + ", not " + state);
    }
  }

  void check_files() {
    for (const storage::Volume& volume : *volumes()) {
      if (volume.kind != storage::VolumeKind::archive) continue;
      for (const auto& [path, may_be] : files_[volume.name]) {
        const auto there = cluster_.get(11, path, 0, volume.id);
        const std::string where = path + " of " + volume.name;
        if (!there && there.error().code != Code::not_found) {
          need(excused_.contains(volume.name), where + ": " + there.error().text);
          continue;
        }
        const std::string is = there ? *there : "";
        need(std::find(may_be.begin(), may_be.end(), is) != may_be.end(),
             where + " holds " + (is.empty() ? "nothing" : is.substr(0, 1) + "...") + ", not " +
                 (may_be.front().empty() ? "nothing" : may_be.front().substr(0, 1) + "..."));
      }
    }
  }

  void check_all_is_as_exaconf_says() {
    std::map<int, std::map<storage::SegmentId, std::uint64_t>> wanted, found;
    for (const storage::Volume& volume : *volumes()) {
      const storage::Layout layout = storage::layout_of(volume);
      std::map<int, std::uint64_t> digests;
      for (const storage::Segment& segment : layout.segments) {
        const storage::SegmentId id{static_cast<std::uint64_t>(volume.id),
                                    static_cast<std::uint32_t>(segment.id.index),
                                    static_cast<std::uint32_t>(segment.id.level)};
        wanted[segment.node][id] = layout.segment_blocks;
        need(!segment.arrives, "a move of " + volume.name + " has not ended");
        if (volume.kind != storage::VolumeKind::archive) continue;
        const auto copy = cluster_.at(segment.node).copies->find(id);
        need(copy.ok(), "no copy");
        const auto state = copy->files->state("", {});
        need(state && state->in_step && state->damaged == 0,
             "a copy of " + volume.name + " on node " + std::to_string(segment.node) + " is not in sync");
        // Notes about nodes that hold no copy any more stay, and hurt nobody.
        for (const storage::Segment& other : layout.segments)
          need(other.id.index != segment.id.index || !state->missed.contains(other.node),
               "node " + std::to_string(segment.node) + " has a note about node " +
                   std::to_string(other.node) + " that stays");
        need(digests.emplace(segment.id.index, state->digest).first->second == state->digest,
             "copies of " + volume.name + " differ");
      }
    }
    for (int id = 11; id <= kLast; ++id)
      for (const storage::LocalSegment& segment : cluster_.at(id).storage->segments())
        found[id][segment.id] = segment.blocks;
    REQUIRE(found == wanted);
    for (int id = 11; id <= kLast; ++id) {
      const auto report = storage::check_storage(
          cluster_.at(id).storage_files, {id, test::StorageNode::kFolder, {}}, *cluster_.config, false);
      for (const std::string& problem : report.problems) FAIL("node " << id << ": " << problem);
    }
    const JobRun list = jobs_.run("st_volume_list");
    for (const Value& volume : list.output->as_array())
      need(volume.find("state")->as_string() == "ONLINE",
           "volume " + volume.find("name")->as_string() + " is " + volume.find("state")->as_string());
  }

  std::mt19937 random_;
  JobTest jobs_;
  ArchiveCluster cluster_;
  ClusterNodes nodes_;
  std::map<std::string, Contents> files_;  // by volume
  std::set<std::string> excused_;
  int down_ = 0, made_ = 0;
  std::string told_;
};

}  // namespace

TEST_CASE("Any sequence of jobs, writes and losses of nodes keeps space, states and files", "[sequences]") {
  const char* more = std::getenv("CONFD_STORAGE_SEQUENCES");
  const char* chosen = std::getenv("CONFD_STORAGE_SEED");
  const unsigned sequences = more != nullptr     ? static_cast<unsigned>(std::strtoul(more, nullptr, 10))
                             : chosen != nullptr ? 1
                                                 : 25;
  const unsigned first = chosen != nullptr ? static_cast<unsigned>(std::strtoul(chosen, nullptr, 10)) : 1;
  int failed_jobs = 0, done_jobs = 0, failed_writes = 0;
  for (unsigned seed = first; seed < first + sequences; ++seed) {
    Sequence sequence(seed);
    std::string steps;
    for (int i = 0; i < 30; ++i) {
      CAPTURE(seed, steps);
      sequence.step(steps);
    }
    CAPTURE(seed, steps);
    sequence.calm_down();
    failed_jobs += sequence.failed_jobs;
    done_jobs += sequence.done_jobs;
    failed_writes += sequence.failed_writes;
  }
  // It does what it is made for.
  CHECK(done_jobs > failed_jobs / 4);
  CHECK(failed_jobs > 0);
  if (chosen == nullptr) CHECK(failed_writes > 0);
}

}  // namespace confd::jobs
