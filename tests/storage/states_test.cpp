// States of volumes as tables: which nodes are there, what they report, and what comes of it.
#include "storage/states.h"

#include <catch2/catch.hpp>

#include "tests/support/volume_text.h"

namespace confd::storage {
namespace {

using test::load_config;
using test::storage_config_text;
using test::volume_section;

// A cluster of three nodes with one volume; all segments are online until a test says otherwise.
struct Cluster {
  explicit Cluster(const std::string& section) { read(section); }

  void read(const std::string& section) {
    config = load_config(storage_config_text(section));
    volume = volumes_of(*config)->front();
  }
  void suspend(int node) {
    exaconf::Transaction edits(config);
    REQUIRE(edits.set("Node : " + std::to_string(node), "StorageState", "suspended").ok());
    config = *exaconf::seal(edits.document(), 4);
  }
  // Segments of the volume on a node, as it reports them.
  void set(int node, int index, int level, const std::string& state) { states[{node, index, level}] = state; }

  VolumeStatus status() {
    reports.clear();
    for (const auto& [id, node] : config->nodes()) {
      if (away.contains(id)) continue;
      NodeReport report;
      report.node = id;
      for (const Segment& segment : layout_of(volume).segments) {
        if (segment.node != id) continue;
        const auto given = states.find({id, segment.id.index, segment.id.level});
        const std::string state = given == states.end() ? "ONLINE" : given->second;
        if (state == "none") continue;
        SegmentReport& entry = report.segments.emplace_back();
        entry.id = segment.id;
        entry.state = state;
      }
      report.index();
      reports.emplace(id, std::move(report));
    }
    return status_of(volume, node_statuses(*config, reports));
  }
  // "ONLINE: MASTER ONLINE, REDUNDANT OFFLINE" by level and index.
  std::string text() {
    const VolumeStatus now = status();
    std::string line(text_of(now.state));
    const char* separator = ": ";
    for (const SegmentStatus& segment : now.segments) {
      line += separator;
      line.append(text_of(segment.type)).append(" ").append(text_of(segment.state));
      separator = ", ";
    }
    return line;
  }

  exaconf::ConfigPtr config;
  Volume volume;
  std::set<int> away;
  std::map<std::tuple<int, int, int>, std::string> states;
  std::map<int, NodeReport> reports;
};

const std::string kMirrored =
    volume_section("v", "11,12", "    ID = 0\n    NumMasterNodes = 1\n    Redundancy = 2\n");
const std::string kSingle = volume_section("v", "11", "    ID = 0\n    Redundancy = 1\n");
const std::string kRing = volume_section("v", "11,12,13", "    ID = 0\n    Redundancy = 2\n");

using Conditions = std::vector<std::string>;
using Unrecovered = std::vector<std::pair<int, int>>;

}  // namespace

TEST_CASE("A volume with all copies is online") {
  Cluster cluster(kMirrored);
  CHECK(cluster.text() == "ONLINE: MASTER ONLINE, REDUNDANT ONLINE");
  CHECK(cluster.status().unlock_conditions.empty());
  CHECK(cluster.status().unrecovered == Unrecovered{{11, 0}, {12, 0}});
}

TEST_CASE("A lost master is stood in for by a deputy, and the volume is degraded") {
  Cluster cluster(kMirrored);
  cluster.away = {11};
  CHECK(cluster.text() == "DEGRADED: MASTER OFFLINE, DEPUTY ONLINE");
  CHECK(cluster.status().unrecovered == Unrecovered{{11, 1}, {12, 0}});
  cluster.away = {12};
  CHECK(cluster.text() == "DEGRADED: MASTER ONLINE, REDUNDANT OFFLINE");
  cluster.away = {13};
  CHECK(cluster.text() == "ONLINE: MASTER ONLINE, REDUNDANT ONLINE");
}

TEST_CASE("A volume that lost all copies of a segment is locked until one is back") {
  Cluster cluster(kMirrored);
  cluster.away = {11, 12};
  CHECK(cluster.text() == "LOCKED: MASTER OFFLINE, REDUNDANT OFFLINE");
  CHECK(cluster.status().unlock_conditions == Conditions{"segment 0 is online on node 11 or 12"});
  cluster.away = {11};
  CHECK(cluster.status().state == VolumeState::degraded);
  CHECK(cluster.status().unlock_conditions.empty());

  Cluster single(kSingle);
  single.away = {11};
  CHECK(single.text() == "LOCKED: MASTER OFFLINE");
}

TEST_CASE("A segment that its node does not have, or whose device is off, is offline") {
  for (const char* state : {"none", "OFFLINE"}) {
    CAPTURE(state);
    Cluster cluster(kMirrored);
    cluster.set(12, 0, 2, state);
    CHECK(cluster.text() == "DEGRADED: MASTER ONLINE, REDUNDANT OFFLINE");
    Cluster single(kSingle);
    single.set(11, 0, 1, state);
    CHECK(single.text() == "LOCKED: MASTER OFFLINE");
  }
}

TEST_CASE("A copy that is being refilled makes the volume recovering, an offline one degraded") {
  Cluster cluster(kRing);
  cluster.set(11, 0, 1, "RECOVERING");
  CHECK(cluster.text() ==
        "RECOVERING: MASTER RECOVERING, MASTER ONLINE, MASTER ONLINE, DEPUTY ONLINE, REDUNDANT ONLINE, "
        "REDUNDANT ONLINE");
  CHECK(cluster.status().unrecovered == Unrecovered{{11, 1}, {12, 0}, {13, 0}});
  cluster.away = {13};
  CHECK(cluster.status().state == VolumeState::degraded);
  CHECK(cluster.status().unrecovered == Unrecovered{{11, 1}, {12, 0}, {13, 2}});
}

TEST_CASE("A copy that is not whole does not stand in for one that is lost") {
  Cluster cluster(kMirrored);
  cluster.set(12, 0, 2, "RECOVERING");
  cluster.away = {11};
  CHECK(cluster.text() == "LOCKED: MASTER OFFLINE, REDUNDANT RECOVERING");
}

TEST_CASE("With three copies the first one that is online is the deputy") {
  Cluster cluster(volume_section("v", "11,12,13", "    NumMasterNodes = 1\n    Redundancy = 3\n"));
  cluster.away = {11};
  CHECK(cluster.text() == "DEGRADED: MASTER OFFLINE, DEPUTY ONLINE, REDUNDANT ONLINE");
  cluster.away = {11, 12};
  CHECK(cluster.text() == "DEGRADED: MASTER OFFLINE, REDUNDANT OFFLINE, DEPUTY ONLINE");
}

TEST_CASE("A suspended node locks every volume with a segment on it, also when it is off") {
  Cluster cluster(kMirrored);
  cluster.suspend(12);
  CHECK(cluster.text() == "LOCKED: MASTER ONLINE, REDUNDANT OFFLINE");
  CHECK(cluster.status().unlock_conditions == Conditions{"node 12 is resumed"});
  CHECK(node_statuses(*cluster.config, cluster.reports).at(12).state == NodeState::suspended);
  cluster.away = {12};
  CHECK(cluster.status().unlock_conditions == Conditions{"node 12 is resumed"});
  Cluster other(kSingle);
  other.suspend(12);
  CHECK(other.status().state == VolumeState::online);
}

TEST_CASE("A volume locked by hand has no unlock condition") {
  Cluster cluster(volume_section("v", "11", "    ID = 0\n    Locked = True\n"));
  CHECK(cluster.text() == "LOCKED: MASTER ONLINE");
  CHECK(cluster.status().unlock_conditions.empty());
}

TEST_CASE("Conditions cleared by hand lock no more; their causes stay") {
  Cluster cluster(kMirrored);
  cluster.suspend(12);
  cluster.volume.cleared_conditions = {"node 12 is resumed"};
  CHECK(cluster.text() == "DEGRADED: MASTER ONLINE, REDUNDANT OFFLINE");
  cluster.away = {11};
  CHECK(cluster.status().unlock_conditions == Conditions{"segment 0 is online on node 11 or 12"});
}

TEST_CASE("A segment on the move is recovering until it is there") {
  Cluster cluster(
      volume_section("v", "11,13", "    NumMasterNodes = 1\n    Redundancy = 1\n    Placement = 11>13,\n"));
  cluster.set(13, 0, 1, "RECOVERING");
  CHECK(cluster.text() == "RECOVERING: MASTER ONLINE, MASTER RECOVERING");
  cluster.set(13, 0, 1, "none");
  CHECK(cluster.status().state == VolumeState::recovering);
  cluster.set(13, 0, 1, "ONLINE");
  CHECK(cluster.status().state == VolumeState::online);
}

TEST_CASE("A volume whose section makes no sense is locked, with the reason") {
  Cluster cluster(kSingle);
  cluster.volume.problem = "it has no Size";
  CHECK(cluster.text() == "LOCKED");
  CHECK(cluster.status().unlock_conditions ==
        Conditions{"its section of EXAConf is put right: it has no Size"});
}

TEST_CASE("Storage nodes are numbered from 0 and are online, offline or suspended") {
  Cluster cluster(kRing);
  cluster.suspend(13);
  cluster.away = {12};
  cluster.status();
  const NodeStatuses nodes = node_statuses(*cluster.config, cluster.reports);
  CHECK(nodes.at(11).number == 0);
  CHECK(nodes.at(13).number == 2);
  CHECK(text_of(nodes.at(11).state) == "online");
  CHECK(text_of(nodes.at(12).state) == "offline");
  CHECK(text_of(nodes.at(13).state) == "suspended");
}

// Whatever is away or in whatever state: what the states promise holds.
TEST_CASE("States hold together for every combination of three nodes") {
  const char* kStates[] = {"ONLINE", "OFFLINE", "RECOVERING", "none"};
  Cluster cluster(kMirrored);
  for (const char* first : kStates)
    for (const char* second : kStates)
      for (int away = 0; away < 8; ++away) {
        cluster.set(11, 0, 1, first);
        cluster.set(12, 0, 2, second);
        cluster.away.clear();
        for (int bit = 0; bit < 3; ++bit)
          if ((away & (1 << bit)) != 0) cluster.away.insert(11 + bit);
        CAPTURE(first, second, away);
        const VolumeStatus status = cluster.status();
        int online = 0, unrecovered = 0, deputies = 0;
        for (const SegmentStatus& segment : status.segments) {
          if (segment.state == CopyState::online) ++online;
          if (segment.type == SegmentType::deputy) {
            ++deputies;
            CHECK(segment.state == CopyState::online);
          }
        }
        for (const auto& [node, count] : status.unrecovered) unrecovered += count;
        CHECK(unrecovered == 2 - online);
        CHECK((status.state == VolumeState::locked) == (online == 0));
        CHECK((status.state == VolumeState::online) == (online == 2));
        CHECK(status.unlock_conditions.empty() == (online > 0));
        CHECK(deputies == (status.segments[0].state != CopyState::online && online > 0 ? 1 : 0));
      }
}

}  // namespace confd::storage
