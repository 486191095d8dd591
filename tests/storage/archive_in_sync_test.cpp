// Copies that missed a write while they were alive: what the cluster's record does that notes can't.
#include "storage/archive_in_sync.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "tests/storage/archive_cluster.h"

namespace confd::storage {
namespace {

using base::Code;
using test::ArchiveCluster;
using test::check_equal;

const SegmentId kMaster{7, 0, 1}, kCopy{7, 0, 2};

std::string folder(ArchiveCluster& cluster, int node) {
  return cluster.at(node).storage->segments().front().folder;
}

cluster::SyncRecord::Marks marks(ArchiveCluster& cluster) {
  base::MutexLock lock(cluster.record.mutex);
  return cluster.record.marks["7/0"];
}

// Node 12 takes nothing, and says that it is well.
void put_without_12(ArchiveCluster& cluster, const std::string& path, const std::string& content) {
  cluster.at(12).up = false;
  const auto done = cluster.put(13, path, content);
  cluster.at(12).up = true;
  REQUIRE(done.ok());
}

TEST_CASE("a copy that missed a write while it was alive does not serve alone, not even at once") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  put_without_12(cluster, "f", "two");
  CHECK(*cluster.get(13, "f") == "two");  // its note tells it
  cluster.at(11).die();
  // No round of recovery has been since.
  const auto there = cluster.get(12, "f");
  REQUIRE(!there);
  CHECK(there.error().code == Code::wrong_state);
  CHECK(there.error().text.find("node 12: it missed changes that only others have") != std::string::npos);
  CHECK(there.error().text.find("node 11: ") != std::string::npos);
  CHECK(cluster.put(13, "f", "three").error().code == Code::wrong_state);
  CHECK(cluster.store(12).remove("f", {}).error().code == Code::wrong_state);
  CHECK(cluster.store(12).list("", {}).error().code == Code::wrong_state);

  // It learns it by itself, and says so.
  cluster.at(12).recovery->round({});
  CHECK(cluster.at(12).storage->segment(kCopy)->state == SegmentState::recovering);
  cluster.at(11).start(true);
  cluster.settle();
  CHECK(*cluster.get(12, "f") == "two");
  check_equal(cluster);
  CHECK(marks(cluster).empty());
}

TEST_CASE("the record is neither read nor written while all copies are well") {
  ArchiveCluster cluster(1, 3);
  cluster.settle();
  const int reads = cluster.record.reads, changes = cluster.record.changes;
  REQUIRE(cluster.put(13, "f", "one").ok());
  CHECK(*cluster.get(11, "f") == "one");
  CHECK(cluster.store(12).list("", {}).ok());
  CHECK(cluster.store(12).remove("f", {}).ok());
  cluster.settle();
  CHECK(cluster.record.reads == reads);
  CHECK(cluster.record.changes == changes);
  // A write that one misses is agreed on once, further ones are only looked at.
  put_without_12(cluster, "f", "two");
  CHECK(cluster.record.changes == changes + 1);
  put_without_12(cluster, "f", "three");
  CHECK(cluster.record.changes == changes + 1);
}

TEST_CASE("without the cluster's majority nothing is acknowledged that a copy misses") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  cluster.record.has_majority = false;
  // All copies are well: nothing is to be agreed on.
  CHECK(cluster.put(13, "f", "two").ok());
  CHECK(*cluster.get(13, "f") == "two");
  cluster.at(12).die();
  const auto refused = cluster.put(13, "f", "three");
  REQUIRE(!refused);
  CHECK(refused.error().text.find("the cluster's store can't be reached") != std::string::npos);
  CHECK(cluster.get(13, "f").error().code == Code::wrong_state);
  cluster.record.has_majority = true;
  CHECK(*cluster.get(13, "f") == "two");
  CHECK(cluster.put(13, "f", "three").ok());
  cluster.at(12).start(true);
  cluster.settle();
  check_equal(cluster);
}

TEST_CASE("all copies together need no majority to be compared after a start") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  put_without_12(cluster, "f", "two");
  cluster.record.has_majority = false;
  for (const int node : {11, 12}) {
    cluster.at(node).die();
    cluster.at(node).start(true);
  }
  cluster.settle();
  CHECK(*cluster.get(13, "f") == "two");
  CHECK(marks(cluster).size() == 1);
  // One of them alone: it can't be asked whether it missed something.
  cluster.at(11).die();
  CHECK(cluster.get(12, "f").error().code == Code::wrong_state);
  cluster.at(11).start(true);
  cluster.record.has_majority = true;
  cluster.settle();
  check_equal(cluster);
  CHECK(marks(cluster).empty());
}

TEST_CASE("a copy that misses a write while it comes back stays left behind") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  put_without_12(cluster, "f", "one");
  // A second file is written, without it, when it has begun to fetch the first.
  bool once = false;
  cluster.at(12).on_fetch = [&] {
    if (std::exchange(once, true)) return;
    put_without_12(cluster, "g", "two");
  };
  cluster.at(12).recovery->round({});
  CHECK(once);
  CHECK(marks(cluster).contains(12));
  CHECK(!marks(cluster).at(12).is_returning);
  CHECK(cluster.at(12).storage->segment(kCopy)->state == SegmentState::recovering);
  cluster.at(12).on_fetch = {};
  cluster.settle();
  check_equal(cluster);
  CHECK(marks(cluster).empty());
}

TEST_CASE("a writer that dies before the agreement leaves copies that agree again") {
  // After each call of the others that it makes.
  for (int calls = 1; calls < 40; ++calls) {
    CAPTURE(calls);
    ArchiveCluster cluster(1, 2);
    cluster.settle();
    REQUIRE(cluster.put(13, "f", "one").ok());
    cluster.at(12).up = false;
    cluster.at(13).dies_in = calls;
    const bool acknowledged = cluster.put(13, "f", "two").ok();
    cluster.at(12).up = true;
    cluster.at(13).dies_in = 0;
    cluster.at(11).die();
    const auto alone = cluster.get(12, "f");
    if (alone) {
      CHECK(!acknowledged);
      CHECK(*alone == "one");
    }
    cluster.at(11).start(true);
    cluster.at(13).die();
    cluster.at(13).start(true);
    cluster.settle();
    if (acknowledged) CHECK(*cluster.get(12, "f") == "two");
    check_equal(cluster);
    CHECK(marks(cluster).empty());
    if (acknowledged) break;
  }
}

TEST_CASE("a copy whose note is with a node that just started is not read") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  put_without_12(cluster, "f", "two");
  // Its note does not count before it has compared itself.
  cluster.at(11).die();
  cluster.at(11).start(true);
  CHECK(cluster.get(13, "f").error().code == Code::wrong_state);
  cluster.settle();
  CHECK(*cluster.get(13, "f") == "two");
}

TEST_CASE("a new copy that was never filled does not take itself for current") {
  ArchiveCluster cluster(1, 3);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  cluster.at(11).up = cluster.at(12).up = false;
  REQUIRE(cluster.put(13, "f", "two").ok());
  // Its disk is another one: the copy is made anew.
  const SegmentId third{7, 0, 3};
  REQUIRE(cluster.at(13).storage->set_state(third, SegmentState::recovering, {}).ok());
  REQUIRE(cluster.at(13).files.remove(folder(cluster, 13) + "/files/f").ok());
  REQUIRE(cluster.at(13).files.remove(folder(cluster, 13) + "/manifest").ok());
  cluster.at(13).die();
  cluster.at(13).start(true);
  cluster.at(13).recovery->round({});
  CHECK(cluster.at(13).storage->segment(third)->state == SegmentState::recovering);
}

TEST_CASE("marks and notes of copies that are no more go") {
  ArchiveCluster cluster(1, 3);
  cluster.settle();
  put_without_12(cluster, "f", "one");
  // Node 12 holds no copy any more.
  cluster.at(12).up = false;
  cluster.edit("EXAVolume : arch", "Redundancy", "2");
  cluster.edit("EXAVolume : arch", "Placement", "11/13");
  const auto notes = [&] { return cluster.at(11).copies->find(kMaster)->files->state("", {})->missed; };
  CHECK(notes().size() == 1);
  cluster.at(11).recovery->round({});
  CHECK(notes().empty());
  test::FakeSyncRecord record(cluster.record, [] { return true; });
  LeftoverMarks leftover(record);
  base::SteadyTime now;
  leftover.look(*volumes_of(*cluster.config), now, {});
  now += std::chrono::seconds(30);
  leftover.look(*volumes_of(*cluster.config), now, {});
  CHECK(marks(cluster).size() == 1);
  now += std::chrono::seconds(31);
  leftover.look(*volumes_of(*cluster.config), now, {});
  CHECK(marks(cluster).empty());
  // A copy that is there keeps its mark.
  REQUIRE(record.leave_behind("7/0", {13}, {11}, {}).ok());
  for (int i = 0; i < 3; ++i, now += std::chrono::seconds(61))
    leftover.look(*volumes_of(*cluster.config), now, {});
  CHECK(marks(cluster).size() == 1);
  leftover.look({}, now, {});
  leftover.look({}, now + std::chrono::seconds(61), {});
  CHECK(marks(cluster).empty());
}

// Nodes are cut off and come back, die and start, as many at a time as it happens. What is read is what was
// acknowledged last, or nothing is: never an older file.
TEST_CASE("whatever nodes are cut off or die, no older file is read") {
  const char* more = std::getenv("CONFD_STORAGE_SEQUENCES");
  const unsigned sequences = more != nullptr ? static_cast<unsigned>(std::strtoul(more, nullptr, 10)) : 40;
  int acknowledged = 0, read = 0, refused = 0;
  for (unsigned seed = 1; seed <= sequences; ++seed) {
    std::mt19937 random(seed);
    ArchiveCluster cluster(1, 2 + static_cast<int>(random() % 2), seed);
    cluster.settle();
    std::map<std::string, std::vector<std::string>> model;  // what was acknowledged last, and what may be
    std::map<int, char> state{{11, ' '}, {12, ' '}, {13, ' '}};  // c: cut off, d: dead
    const auto back = [&](int node) {
      if (state[node] == 'd') cluster.at(node).start(random() % 2 == 0);
      cluster.at(node).dies_in = 0;
      cluster.at(node).up = true;
      state[node] = ' ';
    };
    for (int step = 0; step < 80; ++step) {
      const int node = 11 + static_cast<int>(random() % 3);
      const std::string path = "f" + std::to_string(random() % 3);
      const std::string content = std::to_string(seed) + "/" + std::to_string(step);
      auto& known = model.try_emplace(path, std::vector<std::string>{""}).first->second;
      CAPTURE(seed, step, node, path);
      switch (random() % 8) {
        case 0:
          if (state[node] != ' ') break;
          cluster.at(node).up = false;
          state[node] = 'c';
          break;
        case 1:
          if (state[node] == 'd') break;
          cluster.at(node).die();
          state[node] = 'd';
          break;
        case 2:
        case 3:
          back(node);
          break;
        case 4:
          if (state[node] == ' ') cluster.at(node).recovery->round({});
          break;
        default: {
          if (state[node] != ' ') break;
          const int victim = 11 + static_cast<int>(random() % 3);
          if (state[victim] == ' ' && random() % 3 == 0)
            cluster.at(victim).dies_in = 1 + static_cast<int>(random() % 12);
          const bool removes = random() % 5 == 0;
          const auto done = removes ? cluster.store(node).remove(path, {}) : cluster.put(node, path, content);
          if (done)
            known = {removes ? "" : content}, ++acknowledged;
          else
            known.push_back(removes ? "" : content);
          cluster.at(victim).dies_in = 0;
          if (state[victim] == ' ' && !cluster.at(victim).up) state[victim] = 'd';
        }
      }
      for (auto& [name, may_be] : model) {
        const int reader = 11 + static_cast<int>(random() % 3);
        const auto there = cluster.get(reader, name);
        if (!there && there.error().code != Code::not_found) {
          ++refused;
          continue;
        }
        ++read;
        const std::string is = there ? *there : "";
        CAPTURE(name, is, may_be.front(), may_be.size(), reader);
        REQUIRE(std::find(may_be.begin(), may_be.end(), is) != may_be.end());
      }
    }
    for (const int node : {11, 12, 13}) back(node);
    cluster.settle(4);
    check_equal(cluster);
    for (auto& [name, may_be] : model) {
      const auto there = cluster.get(13, name);
      CAPTURE(seed, name, there ? *there : there.error().text, may_be.front());
      REQUIRE((there || there.error().code == Code::not_found));
      REQUIRE(std::find(may_be.begin(), may_be.end(), there ? *there : "") != may_be.end());
    }
    CHECK(marks(cluster).empty());
  }
  CHECK(acknowledged > 0);
  CHECK(read > 0);
  CHECK(refused > 0);
}

TEST_CASE("what a table of copies says of who is current") {
  struct Row {
    const char* what;
    bool away_1, online_1, marked_1, away_2, marked_2, enough;
  };
  // Node 13 asks; it is RECOVERING.
  const Row rows[] = {
      {"all are there", false, false, true, false, true, true},
      {"one is in sync", false, true, false, true, false, true},
      {"one is there and was left behind itself", false, true, true, true, false, false},
      {"one is there, is not ONLINE, and the other was left behind", false, false, false, true, true, false},
      {"both are away, left behind", true, true, true, true, true, false},
      {"none was left behind, and one that is not ONLINE is there", false, false, false, true, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    test::SharedSyncRecord shared;
    test::FakeSyncRecord record(shared, [] { return true; });
    std::set<int> left;
    if (row.marked_1) left.insert(11);
    if (row.marked_2) left.insert(12);
    if (!left.empty()) REQUIRE(record.leave_behind("7/0", left, {14}, {}).ok());
    const SegmentKey key{7, 0, 3};
    std::vector<PeerCopy> copies(3);
    copies[0].place = {{7, 0, 1}, 11};
    copies[1].place = {{7, 0, 2}, 12};
    copies[2].place = {key, 13};
    const base::Error away{Code::node_unreachable, "away"};
    if (row.away_1) copies[0].away = away;
    if (row.away_2) copies[1].away = away;
    copies[0].online = copies[0].in_step = row.online_1;
    copies[1].online = copies[1].in_step = true;
    const ReturnOfCopy back(&record, key, 13, {});
    back.apply(copies);
    CHECK(back.is_enough(copies) == row.enough);
    CHECK(back.end({}).ok());
  }
}

}  // namespace
}  // namespace confd::storage
