#include "storage/local_archive_store.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "tests/storage/archive_cluster.h"

namespace confd::storage {
namespace {

using base::Code;
using base::Status;
using test::ArchiveCluster;
using test::check_equal;

TEST_CASE("files go to two nodes and are found from any") {
  ArchiveCluster cluster;
  cluster.settle();
  std::map<std::string, std::string> files;
  for (int i = 0; i < 30; ++i) {
    const std::string path = "DB1/id_" + std::to_string(i) + "/backup";
    files[path] = std::string(static_cast<std::size_t>(i) * 50, static_cast<char>('a' + i % 26));
    REQUIRE(cluster.put(11 + i % 3, path, files[path]).ok());
  }
  for (int node = 11; node <= 13; ++node) {
    for (const auto& [path, content] : files) CHECK(*cluster.get(node, path) == content);
    CHECK(cluster.store(node).list("", {})->size() == 30);
    CHECK(cluster.store(node).list("DB1/id_3", {})->size() == 1);
    CHECK((*cluster.store(node).find("DB1/id_3/backup", {}))->size == 150);
    CHECK(!*cluster.store(node).find("DB1/id_99/backup", {}));
  }
  CHECK(*cluster.get(12, "DB1/id_29/backup", 1440) == files["DB1/id_29/backup"].substr(1440));
  CHECK(cluster.get(12, "nothing").error().code == Code::not_found);
  REQUIRE(cluster.store(12).remove("DB1/id_3/backup", {}).ok());
  REQUIRE(cluster.store(12).remove("DB1/id_3/backup", {}).ok());
  CHECK(cluster.get(11, "DB1/id_3/backup").error().code == Code::not_found);
  check_equal(cluster);
}

TEST_CASE("files are spread over the masters, and stay where they are when nodes are appended") {
  std::map<int, int> per_master;
  for (int i = 0; i < 3000; ++i) {
    const std::string path = "f" + std::to_string(i);
    const auto three = ranked_masters(path, 3);
    ++per_master[three.front()];
    // Without the new ones the order is as before.
    auto five = ranked_masters(path, 5);
    std::erase_if(five, [](int index) { return index >= 3; });
    CHECK(five == three);
  }
  for (const auto& [index, files] : per_master) CHECK(files > 900);
}

TEST_CASE("an acknowledged file is readable while any node is away, and its copy comes back") {
  ArchiveCluster cluster;
  cluster.settle();
  for (int i = 0; i < 12; ++i) REQUIRE(cluster.put(11, "f" + std::to_string(i), std::string(500, 'x')).ok());
  cluster.at(12).die();
  for (int i = 0; i < 12; ++i) CHECK(*cluster.get(11, "f" + std::to_string(i)) == std::string(500, 'x'));
  for (int i = 6; i < 18; ++i) REQUIRE(cluster.put(11, "f" + std::to_string(i), std::string(300, 'y')).ok());
  REQUIRE(cluster.store(13).remove("f0", {}).ok());
  cluster.at(12).start(true);
  // What it missed is not read from it.
  for (int i = 6; i < 18; ++i) CHECK(*cluster.get(12, "f" + std::to_string(i)) == std::string(300, 'y'));
  cluster.settle();
  check_equal(cluster);
  cluster.at(11).die();
  for (int i = 6; i < 18; ++i) CHECK(*cluster.get(12, "f" + std::to_string(i)) == std::string(300, 'y'));
  CHECK(cluster.get(12, "f0").error().code == Code::not_found);
}

TEST_CASE("a copy that missed something does not serve alone") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "one").ok());
  cluster.at(12).die();
  REQUIRE(cluster.put(13, "f", "two").ok());
  cluster.at(11).die();
  cluster.at(12).start(true);
  cluster.settle();
  const auto there = cluster.get(13, "f");
  REQUIRE(!there);
  CHECK(there.error().code == Code::wrong_state);
  CHECK(there.error().text.find("node 11") != std::string::npos);
  cluster.at(11).start(true);
  cluster.settle();
  CHECK(*cluster.get(13, "f") == "two");
  check_equal(cluster);
}

TEST_CASE("a write that one copy took with it is older than what is acknowledged while it is away") {
  for (int i = 0; i < 8; ++i) {  // of equal versions the checksum would decide
    ArchiveCluster cluster(1, 2);
    cluster.settle();
    REQUIRE(cluster.put(13, "f", "one").ok());
    // A writer and node 11 die together when only node 11 has the change.
    auto& link = cluster.at(13).link;
    base::Struct copy{{"vid", 7}, {"index", 0}, {"level", 1}, {"path", "f"}};
    std::string rest = "lost " + std::to_string(i);
    const auto staged =
        link.send(11, "archive.put", copy, [&] { return base::Result(std::exchange(rest, "")); }, {});
    REQUIRE(staged.ok());
    copy.set("stage", *staged->find("stage"));
    copy.set("version", 2);
    copy.set("without", base::Array());
    REQUIRE(link.run(11, "archive.commit", copy, {}).ok());
    cluster.at(11).die();
    REQUIRE(cluster.put(13, "f", "two").ok());
    cluster.at(11).start(true);
    cluster.settle();
    CHECK(*cluster.get(13, "f") == "two");
    check_equal(cluster);
  }
}

TEST_CASE("the last copy serves alone after a restart") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  cluster.at(12).die();
  REQUIRE(cluster.put(13, "f", "two").ok());
  cluster.at(11).die();
  cluster.at(11).start(true);
  cluster.settle();
  CHECK(*cluster.get(13, "f") == "two");
}

TEST_CASE("a damaged file is read from the other copy and repaired") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  REQUIRE(cluster.put(13, "f", "the right content").ok());
  const std::string folder = cluster.at(11).storage->segments().front().folder;
  cluster.at(11).files.put(folder + "/files/f", "the wrong content");
  CHECK(*cluster.get(11, "f") == "the right content");
  cluster.settle();
  CHECK(*cluster.at(11).files.read(folder + "/files/f") == "the right content");
  check_equal(cluster);
}

TEST_CASE("a full volume refuses a write and says how full it is") {
  ArchiveCluster cluster(1, 2);
  cluster.settle();
  const std::string folder = cluster.at(12).storage->segments().front().folder;
  cluster.at(12).storage_files.put_file(folder + "/files/big", 24 * kMiB - 100);
  cluster.clock.advance(std::chrono::minutes(1));
  const Status done = cluster.put(11, "f", std::string(1000, 'x'));
  REQUIRE(!done);
  CHECK(done.error().code == Code::busy);
  CHECK(done.error().text.find("full") != std::string::npos);
  CHECK(!*cluster.store(11).find("f", {}));
}

TEST_CASE("a source that breaks off or gives another size leaves the old file") {
  ArchiveCluster cluster;
  cluster.settle();
  REQUIRE(cluster.put(11, "f", "old").ok());
  auto store = cluster.store(11);
  int calls = 0;
  const auto breaks = [&](std::size_t) -> base::Result<std::string> {
    if (++calls == 3) return base::Error{Code::io_error, "the source broke off"};
    return std::string("piece");
  };
  CHECK(store.put("f", breaks, {}, {}).error().text == "the source broke off");
  const auto one = [&, given = false](std::size_t) mutable -> base::Result<std::string> {
    return std::exchange(given, true) ? std::string() : std::string("piece");
  };
  CHECK(store.put("f", one, 6, {}).error().code == Code::bad_parameter);
  CHECK(store.put("f", one, 4, {}).error().code == Code::bad_parameter);
  CHECK(*cluster.get(12, "f") == "old");
  check_equal(cluster);
}

TEST_CASE("recovery honours its limit, pauses, and tells what is left") {
  ArchiveCluster cluster(1, 2);
  cluster.piece = 64 << 10;
  cluster.settle();
  cluster.at(12).die();
  for (int i = 0; i < 8; ++i)
    REQUIRE(cluster.put(11, "f" + std::to_string(i), std::string(1 << 20, static_cast<char>('a' + i))).ok());
  cluster.at(12).start(true);
  auto& recovery = *cluster.at(12).recovery;
  const SegmentId id{7, 0, 2};
  cluster.configure(1, 2, "[EXAStorage]\n    BgRecEnabled = False\n    BgRecLimit = 2\n\n");
  recovery.round({});
  CHECK(recovery.left().at(id).files == 8);
  CHECK(recovery.left().at(id).bytes == 8 << 20);
  cluster.configure(1, 2, "[EXAStorage]\n    BgRecEnabled = True\n    BgRecLimit = 2\n\n");
  recovery.stop(7);
  recovery.round({});
  CHECK(recovery.left().at(id).files == 8);
  CHECK(cluster.at(12).storage->segment(id)->state == SegmentState::recovering);
  recovery.restart(7);
  const auto begun = cluster.clock.steady_now();
  recovery.round({});
  const double seconds = std::chrono::duration<double>(cluster.clock.steady_now() - begun).count();
  CHECK(seconds > 4 * 0.95);
  CHECK(seconds < 4 * 1.2);
  CHECK(recovery.left().empty());
  check_equal(cluster);
  CHECK(recovery_line("n22", 269082355302, 269082355302 / 355.0) ==
        "Recovery state for node 'n22': 250.60 GiB left | ETF 6m");
}

// Writes, removals and reads from any node while nodes die in the middle and come back. Never all copies of a
// segment at a time, and the next node dies when the others are in sync again: what else can happen, no
// number of copies survives.
TEST_CASE("no acknowledged file is lost while a copy lives") {
  const char* more = std::getenv("CONFD_STORAGE_SEQUENCES");
  const unsigned sequences = more != nullptr ? static_cast<unsigned>(std::strtoul(more, nullptr, 10)) : 40;
  int failed_writes = 0;
  for (unsigned seed = 1; seed <= sequences; ++seed) {
    std::mt19937 random(seed);
    ArchiveCluster cluster(random() % 2 == 0 ? 1 : 3, 2 + static_cast<int>(random() % 2), seed);
    cluster.settle();
    // The last acknowledged content ("": none), and what failed writes since may have left.
    std::map<std::string, std::vector<std::string>> model;
    int down = 0;
    for (int step = 0; step < 60; ++step) {
      const int node = 11 + static_cast<int>(random() % 3);
      const int from = node == down ? 11 + (node - 10) % 3 : node;
      const std::string path = "d" + std::to_string(random() % 3) + "/f" + std::to_string(random() % 4);
      const std::string content(1 + random() % 700, static_cast<char>('a' + random() % 26));
      auto& known = model.try_emplace(path, std::vector<std::string>{""}).first->second;
      CAPTURE(seed, step, node, down, path);
      const auto keep = [&](const Status& done, const std::string& text) {
        if (done) known = {text};
        if (!done) known.push_back(text);
        failed_writes += done ? 0 : 1;
      };
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          keep(cluster.put(from, path, content), content);
          break;
        case 3:
          keep(cluster.store(from).remove(path, {}), "");
          break;
        case 4:  // a node dies somewhere in the middle of it
        case 5:
          if (down != 0 || node == from) break;
          [[fallthrough]];
        case 6: {
          if (down != 0) break;
          const int victim = random() % 3 == 0 ? from : 11 + (from - 10) % 3;
          cluster.at(victim).dies_in = 1 + static_cast<int>(random() % 12);
          if (random() % 4 == 0)
            keep(cluster.store(from).remove(path, {}), "");
          else
            keep(cluster.put(from, path, content), content);
          cluster.at(victim).die();
          down = victim;
          cluster.settle(1);
          break;
        }
        default:
          if (down == 0) break;
          cluster.at(down).start(random() % 2 == 0);
          if (random() % 2 == 0) {
            // It dies again while it recovers.
            cluster.at(down).files.fail_from(cluster.at(down).files.calls() + 1 +
                                             static_cast<int>(random() % 10));
            cluster.at(down).recovery->round({});
            cluster.at(down).die();
            cluster.at(down).start(true);
          }
          cluster.settle();
          down = 0;
          check_equal(cluster);
          break;
      }
      for (auto& [name, may_be] : model) {
        const int reader = down == 11 ? 12 : 11;
        const auto there = cluster.get(reader, name);
        CAPTURE(there ? std::string() : there.error().text);
        REQUIRE((there || there.error().code == Code::not_found));
        const std::string is = there ? *there : "";
        CAPTURE(name, is, may_be.size());
        REQUIRE(std::find(may_be.begin(), may_be.end(), is) != may_be.end());
      }
    }
    if (down != 0) cluster.at(down).start(true);
    cluster.settle();
    check_equal(cluster);
  }
  CHECK(failed_writes > 0);
}

}  // namespace
}  // namespace confd::storage
