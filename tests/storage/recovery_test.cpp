// Recovery: its order and limits, restoring, calibration, moving a copy, suspended nodes, forced levels, and
// segments that are emptied while a copy is away.
#include "storage/recovery.h"

#include <catch2/catch.hpp>
#include <set>
#include <utility>

#include "storage/states.h"
#include "tests/storage/archive_cluster.h"

namespace confd::storage {
namespace {

using base::Code;
using base::Status;
using test::ArchiveCluster;
using test::check_equal;

const SegmentId kMaster{7, 0, 1}, kCopy{7, 0, 2};

std::string folder(ArchiveCluster& cluster, int node) {
  return cluster.at(node).storage->segments().front().folder;
}

Status clear(ArchiveCluster& cluster) {
  return clear_copies(cluster.at(13).link, copies_of(layout_of(cluster.volume()), 0),
                      suspended_nodes(*cluster.config), {});
}

TEST_CASE("restoring reads every file and fetches what is damaged or gone") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  for (int i = 0; i < 5; ++i) REQUIRE(cluster.put(11, "f" + std::to_string(i), std::string(200, 'x')).ok());
  // Of the same size, so that nobody notices before he reads it.
  cluster.at(12).files.put(folder(cluster, 12) + "/files/f1", std::string(200, 'y'));
  REQUIRE(cluster.at(12).files.remove(folder(cluster, 12) + "/files/f2").ok());
  cluster.settle();
  REQUIRE(cluster.at(12).recovery->restore(7, {}).ok());
  CHECK(cluster.at(12).storage->segment(kCopy)->state == SegmentState::recovering);
  cluster.settle();
  CHECK(*cluster.at(12).files.read(folder(cluster, 12) + "/files/f1") == std::string(200, 'x'));
  CHECK(*cluster.at(12).files.read(folder(cluster, 12) + "/files/f2") == std::string(200, 'x'));
  check_equal(cluster);
  CHECK(cluster.at(13).recovery->restore(7, {}).error().code == Code::not_found);
}

TEST_CASE("restoring ends a stop") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  cluster.at(12).die();
  REQUIRE(cluster.put(11, "f", "new").ok());
  cluster.at(12).start(true);
  cluster.at(12).recovery->stop(7);
  cluster.settle();
  CHECK(cluster.at(12).storage->segment(kCopy)->state == SegmentState::recovering);
  REQUIRE(cluster.at(12).recovery->restore(7, {}).ok());
  cluster.settle();
  check_equal(cluster);
}

TEST_CASE("a calibration sets four fifths of what came from another node as the limit") {
  ArchiveCluster cluster(1, 2, 1, "[EXAStorage]\n    BgRecLimit = \n\n");
  cluster.edit("EXAVolume : arch", "Size", "160 MiB");
  cluster.piece = 1 << 20;
  cluster.bytes_per_second = 50 << 20;
  auto& node = cluster.at(12);
  REQUIRE(node.storage->resize(kCopy, 320, {}).ok());
  CHECK(node.recovery->automatic_limit() == 0);
  const auto measured = node.recovery->calibrate({});
  REQUIRE(measured.ok());
  CHECK(measured->bytes == kCalibrationBytes);
  CHECK(measured->source == 11);
  CHECK(measured->bytes_per_second() / kMiB == 50);
  CHECK(node.recovery->automatic_limit() == 40 * kMiB);
  CHECK(node.storage->recovery_limit() == 40);
  // Nothing of it stays.
  CHECK(node.files.list(folder(cluster, 12) + "/incoming")->empty());
  const auto report = node.control->run_here("storage.report", {}, {});
  CHECK(report->find("auto_bg_rec_limit")->as_int() == 40);

  // A slow link ends it after three seconds.
  cluster.bytes_per_second = 4 << 20;
  REQUIRE(node.recovery->calibrate({}).ok());
  CHECK(node.storage->recovery_limit() == 3);
  // Without the first node the next one is asked, and without any the disk is measured.
  cluster.at(11).die();
  CHECK(node.recovery->calibrate({})->source == 13);
  cluster.at(13).die();
  CHECK(node.recovery->calibrate({})->source == std::nullopt);
}

TEST_CASE("a calibration wants room, and says where there is none") {
  ArchiveCluster cluster(1, 2);
  const auto full = cluster.at(12).recovery->calibrate({});
  CHECK(full.error().code == Code::busy);
  CHECK(full.error().text.find("is full on node 12") != std::string::npos);
  CHECK(cluster.at(13).recovery->calibrate({}).error().code == Code::wrong_state);
  CHECK(cluster.at(12).recovery->automatic_limit() == 0);
}

TEST_CASE("a recovery without a limit of EXAConf honours the automatic one") {
  ArchiveCluster cluster(1, 2);
  cluster.edit("EXAVolume : arch", "Size", "160 MiB");
  REQUIRE(cluster.at(11).storage->resize(kMaster, 320, {}).ok());
  REQUIRE(cluster.at(12).storage->resize(kCopy, 320, {}).ok());
  cluster.piece = 64 << 10;
  cluster.settle();
  cluster.at(12).die();
  for (int i = 0; i < 8; ++i)
    REQUIRE(cluster.put(11, "f" + std::to_string(i), std::string(1 << 20, 'x')).ok());
  cluster.at(12).start(true);
  auto& recovery = *cluster.at(12).recovery;
  cluster.bytes_per_second = 2560 << 10;
  REQUIRE(recovery.calibrate({}).ok());
  CHECK(recovery.automatic_limit() == 2 * kMiB);
  cluster.bytes_per_second = 0;
  const auto begun = cluster.clock.steady_now();
  recovery.round({});
  const double seconds = std::chrono::duration<double>(cluster.clock.steady_now() - begun).count();
  CHECK(seconds > 4 * 0.95);
  CHECK(seconds < 4 * 1.2);
  check_equal(cluster);
}

TEST_CASE("internal I/O that is switched off stops copying until it is on again") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  cluster.at(12).die();
  REQUIRE(cluster.put(11, "f", "new").ok());
  cluster.at(12).start(true);
  cluster.edit("EXAVolume : arch", "IntIO", "False");
  cluster.settle();
  CHECK(cluster.at(12).storage->segment(kCopy)->state == SegmentState::recovering);
  cluster.edit("EXAVolume : arch", "IntIO", "True");
  cluster.settle();
  check_equal(cluster);
}

TEST_CASE("a forced level is the only one that is read and written until it is forced no more") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "before").ok());
  cluster.edit("EXAVolume : arch", "ForcedRedundancy", "2");
  REQUIRE(cluster.put(13, "f", "forced").ok());
  CHECK(*cluster.get(13, "f") == "forced");
  cluster.settle();
  // Not copied to the other level.
  CHECK(*cluster.at(11).files.read(folder(cluster, 11) + "/files/f") == "before");
  CHECK(*cluster.at(12).files.read(folder(cluster, 12) + "/files/f") == "forced");
  cluster.at(12).die();
  const auto away = cluster.get(13, "f");
  CHECK(away.error().code == Code::wrong_state);
  CHECK(away.error().text.find("forced to redundancy level 2") != std::string::npos);
  cluster.at(12).start(true);
  cluster.edit("EXAVolume : arch", "ForcedRedundancy", "1");
  cluster.settle();
  CHECK(*cluster.get(11, "f") == "forced");
  check_equal(cluster);
}

TEST_CASE("a suspended node locks the volume; unlocked by hand it misses writes and gets them when resumed") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "before").ok());
  cluster.edit("Node : 12", "StorageState", "suspended");
  const Status locked = cluster.put(13, "f", "new");
  CHECK(locked.error().code == Code::wrong_state);
  CHECK(locked.error().text.find("locked until node 12 is resumed") != std::string::npos);
  cluster.edit("EXAVolume : arch", "ClearedConditions", "node 12 is resumed");
  REQUIRE(cluster.put(13, "f", "new").ok());
  cluster.settle();
  // It does no I/O.
  CHECK(*cluster.at(12).files.read(folder(cluster, 12) + "/files/f") == "before");
  CHECK(*cluster.get(13, "f") == "new");
  cluster.edit("Node : 12", "StorageState", "");
  CHECK(*cluster.get(12, "f") == "new");
  cluster.settle();
  check_equal(cluster);
  cluster.at(11).die();
  CHECK(*cluster.get(12, "f") == "new");
}

TEST_CASE("a copy whose device was disabled is compared before it is used") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "before").ok());
  REQUIRE(cluster.at(12).storage->disable_device("dev.1", {}).ok());
  REQUIRE(cluster.put(13, "f", "new").ok());
  REQUIRE(cluster.at(12).storage->enable_device("dev.1", {}).ok());
  CHECK(cluster.at(12).storage->segment(kCopy)->state == SegmentState::recovering);
  cluster.settle();
  check_equal(cluster);
  cluster.at(11).die();
  CHECK(*cluster.get(13, "f") == "new");
}

TEST_CASE("an emptied segment stays empty on all copies") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  for (int i = 0; i < 20; ++i)
    REQUIRE(cluster.put(11, "d" + std::to_string(i % 3) + "/f" + std::to_string(i), "content").ok());
  REQUIRE(clear(cluster).ok());
  cluster.settle();
  CHECK(cluster.store(13).list("", {})->empty());
  for (const int node : {11, 12})
    CHECK(cluster.at(node).files.list(folder(cluster, node) + "/files")->empty());
  REQUIRE(clear(cluster).ok());
  // The names are free: also what was a folder.
  REQUIRE(cluster.put(11, "d1", "a file now").ok());
  CHECK(*cluster.get(13, "d1") == "a file now");
  cluster.settle();
  check_equal(cluster);
}

TEST_CASE("a copy that was away when a segment was emptied brings nothing back") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  for (int i = 0; i < 5; ++i) REQUIRE(cluster.put(11, "f" + std::to_string(i), "old").ok());
  const bool master_away = GENERATE(true, false);
  const int away = master_away ? 11 : 12, stays = 23 - away;
  cluster.at(away).die();
  REQUIRE(clear(cluster).ok());
  REQUIRE(cluster.put(13, "f3", "new").ok());
  cluster.at(stays).die();
  cluster.at(stays).start(true);
  cluster.at(away).start(true);
  cluster.settle();
  CHECK(cluster.store(13).list("", {})->size() == 1);
  CHECK(*cluster.get(13, "f3") == "new");
  check_equal(cluster);
}

TEST_CASE("emptying is refused while no copy has everything") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  cluster.at(12).die();
  REQUIRE(cluster.put(13, "f", "two").ok());
  cluster.at(11).die();
  cluster.at(12).start(true);
  cluster.settle();
  CHECK(clear(cluster).error().code == Code::wrong_state);
  cluster.at(11).start(true);
  cluster.settle();
  CHECK(*cluster.get(13, "f") == "two");
}

TEST_CASE(
    "a power cut while a segment is emptied leaves files whole or gone, and all gone when it was done") {
  for (int calls = 1; calls < 20; ++calls) {
    ArchiveCluster cluster(1, 2);
    cluster.settle();
    for (int i = 0; i < 4; ++i) REQUIRE(cluster.put(11, "d/f" + std::to_string(i), "content").ok());
    auto& node = cluster.at(12);
    node.files.fail_from(node.files.calls() + calls);
    const Status done = clear(cluster);
    node.die();
    node.start(true);
    cluster.settle();
    CAPTURE(calls);
    REQUIRE(done.ok());  // node 11 has it, and the note
    CHECK(cluster.store(13).list("", {})->empty());
    check_equal(cluster);
  }
}

TEST_CASE("the volume that comes first by priority is recovered first") {
  ArchiveCluster cluster(1, 2, 1, "[EXAStorage]\n    BgRecLimit = 1\n\n");
  cluster.settle();
  // A second volume, with lower priority although its id comes after.
  std::string text(cluster.config->text());
  const auto at = text.find("[EXAVolume : arch]");
  const auto end = text.find("\n\n", at);
  std::string second = text.substr(at, end + 2 - at);
  second.replace(second.find(": arch]"), 7, ": last]");
  second.replace(second.find("ID = 7"), 6, "ID = 8");
  text.insert(at, second);
  cluster.config = test::load_config(text);
  for (const auto& [level, node] : {std::pair(1, 11), std::pair(2, 12)}) {
    const auto placed = cluster.at(node).storage->allocate({{8, 0, static_cast<std::uint32_t>(level)},
                                                            48,
                                                            512 << 10,
                                                            "disk1",
                                                            SegmentKind::archive,
                                                            SegmentState::online},
                                                           {});
    REQUIRE(placed.ok());
    REQUIRE(cluster.at(node).files.make_directories(placed->folder, 0700).ok());
  }
  cluster.settle();
  const auto put = [&](std::int64_t vid) {
    LocalArchiveStore store(cluster.at(11).link, [&] { return cluster.config; }, {.volume = vid});
    bool given = false;
    return store.put("f",
                     [&](std::size_t) -> base::Result<std::string> {
                       return std::exchange(given, true) ? "" : std::string(1 << 20, 'x');
                     },
                     1 << 20, {});
  };
  cluster.at(12).die();
  REQUIRE(put(7).ok());
  REQUIRE(put(8).ok());
  cluster.at(12).start(true);
  const auto first = [&](const std::string& low) {
    cluster.edit("EXAVolume : arch", "Priority", low == "arch" ? "1" : "10");
    cluster.edit("EXAVolume : last", "Priority", low == "last" ? "1" : "10");
    // The first one asks to stop: the other one is not looked at.
    std::stop_source stop;
    cluster.at(12).stop_when_waiting = &stop;
    cluster.at(12).recovery->round(stop.get_token());
    cluster.at(12).stop_when_waiting = nullptr;
    std::set<std::uint64_t> volumes;
    for (const auto& [id, left] : cluster.at(12).recovery->left()) volumes.insert(id.vid);
    return volumes;
  };
  CHECK(first("last") == std::set<std::uint64_t>{8});
  cluster.at(12).die();
  cluster.at(12).start(false);
  CHECK(first("arch") == std::set<std::uint64_t>{7});
}

}  // namespace
}  // namespace confd::storage
