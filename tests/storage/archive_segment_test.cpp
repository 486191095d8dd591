#include <catch2/catch.hpp>
#include <cstdio>
#include <random>

#include "storage/crc32c.h"
#include "tests/storage/archive_cluster.h"
#include "tests/support/temporary_folder.h"

namespace confd::storage {
namespace {

using base::Code;
using base::Status;

constexpr const char* kFolder = "/data/7/0.1";

struct Copy {
  Copy() {
    REQUIRE(files.make_directories(kFolder, 0700).ok());
    reopen();
  }
  void reopen() {
    segment = std::make_unique<ArchiveSegment>(kFolder, test::archive_services(files, clock, random));
  }
  Status put(const std::string& path, const std::string& content, std::uint64_t version) {
    const auto sink = segment->stage(path, [](std::uint64_t) { return Status(); }, {});
    if (!sink) return sink.error();
    for (std::size_t at = 0; at < content.size(); at += 10)
      if (Status done = (*sink)->write(content.substr(at, 10)); !done) return done;
    const auto staged = (*sink)->finish();
    if (!staged) return staged.error();
    return segment->commit(path, staged->find("stage")->as_string(), version, {}, {});
  }
  base::Result<std::string> get(const std::string& path, std::uint64_t offset = 0) {
    const auto source = segment->read(path, offset, std::nullopt, {});
    if (!source) return source.error();
    std::string content;
    for (;;) {
      const auto piece = (*source)->read(7);
      if (!piece) return piece.error();
      if (piece->empty()) return content;
      content += *piece;
    }
  }
  test::FakeFileSystem files;
  test::FakeClock clock;
  test::FakeRandom random;
  std::unique_ptr<ArchiveSegment> segment;
};

TEST_CASE("a segment keeps files across a restart") {
  Copy copy;
  REQUIRE(copy.put("DB1/id_1/level_0/node_0/backup_1", "the content of it", 1).ok());
  REQUIRE(copy.put("readme", "", 2).ok());
  copy.files.power_cut();
  copy.reopen();
  CHECK(*copy.get("DB1/id_1/level_0/node_0/backup_1") == "the content of it");
  CHECK(*copy.get("DB1/id_1/level_0/node_0/backup_1", 4) == "content of it");
  CHECK(*copy.get("readme") == "");
  CHECK(copy.files.read(std::string(kFolder) + "/files/DB1/id_1/level_0/node_0/backup_1").ok());
  CHECK(copy.segment->list("DB1", "", 10, {})->size() == 1);
  CHECK(copy.segment->list("", "DB1/id_1/level_0/node_0/backup_1", 10, {})->front().first == "readme");
  CHECK(copy.segment->list("DB", "", 10, {})->empty());
}

TEST_CASE("of two changes of a file the newer stands, whichever comes first") {
  Copy copy;
  REQUIRE(copy.put("a", "new", 5).ok());
  REQUIRE(copy.put("a", "old", 4).ok());
  CHECK(*copy.get("a") == "new");
  REQUIRE(copy.segment->remove("a", 4, {}, {}).ok());
  CHECK(*copy.get("a") == "new");
  REQUIRE(copy.segment->remove("a", 6, {}, {}).ok());
  CHECK(copy.get("a").error().code == Code::not_found);
  REQUIRE(copy.put("a", "late", 5).ok());
  CHECK(copy.get("a").error().code == Code::not_found);
  CHECK(copy.segment->state("a", {})->counter == 6);
  CHECK(copy.files.list(std::string(kFolder) + "/incoming")->empty());
}

TEST_CASE("a name is a file or a folder, and paths stay inside") {
  Copy copy;
  REQUIRE(copy.put("a/b", "1", 1).ok());
  CHECK(copy.put("a", "2", 2).error().code == Code::exists);
  CHECK(copy.put("a/b/c", "2", 2).error().code == Code::exists);
  for (const char* path : {"", "/a", "a/", "../a", "a/../b", "a\nb"})
    CHECK(copy.put(path, "x", 3).error().code == Code::bad_parameter);
}

TEST_CASE("content that changed on the disk is never given out") {
  Copy copy;
  REQUIRE(copy.put("a", "right content", 1).ok());
  REQUIRE(copy.put("b", "right content", 2).ok());
  copy.files.put(std::string(kFolder) + "/files/a", "wrong content");
  copy.files.put(std::string(kFolder) + "/files/b", "short");
  copy.reopen();
  CHECK(copy.get("a").error().text == "'a' is damaged on this node: wrong checksum");
  CHECK(copy.get("b").error().text == "'b' is damaged on this node: it has 5 bytes");
  CHECK(copy.segment->damaged() == std::set<std::string>{"a", "b"});
  // The same change again repairs it.
  REQUIRE(copy.put("a", "right content", 1).ok());
  CHECK(*copy.get("a") == "right content");
}

TEST_CASE("a manifest that is lost or damaged is made from the files") {
  Copy copy;
  REQUIRE(copy.put("a", "one", 1).ok());
  REQUIRE(copy.put("b/c", "two", 2).ok());
  const std::string path = std::string(kFolder) + "/manifest";
  SECTION("lost") {
    REQUIRE(copy.files.remove(path).ok());
  }
  SECTION("damaged in the middle") {
    std::string text = *copy.files.read(path);
    text[text.find(" F 1 ") + 3] = '9';
    copy.files.put(path, text);
  }
  SECTION("something else") {
    copy.files.put(path, "hello\n");
  }
  // Not even a restart is needed.
  CHECK(*copy.get("a") == "one");
  CHECK(*copy.get("b/c") == "two");
  CHECK(copy.segment->state("a", {})->entry->version == 0);
}

TEST_CASE("a manifest of another format is refused and left as it is") {
  Copy copy;
  REQUIRE(copy.put("a", "one", 1).ok());
  const std::string path = std::string(kFolder) + "/manifest";
  const auto line = [](const std::string& text) {
    char crc[16];
    std::snprintf(crc, sizeof crc, "%08x ", crc32c(text));
    return crc + text + "\n";
  };
  const std::string other = line("A 1") + line("C 1 0") + line("F 1 3 " + std::string(64, '0') + " - a");
  copy.files.put(path, other);
  const auto refused = copy.get("a");
  CHECK(refused.error().code == Code::unsupported);
  CHECK(refused.error().text.find("'A 1'") != std::string::npos);
  CHECK(copy.put("b", "two", 2).error().code == Code::unsupported);
  CHECK(*copy.files.read(path) == other);
  CHECK(copy.files.read(std::string(kFolder) + "/files/a").ok());
}

TEST_CASE("notes of copies that missed something are kept until they have all") {
  Copy copy;
  REQUIRE(copy.segment->note({12, 13}, {}).ok());
  const std::uint64_t seen = copy.segment->state("", {})->missed.at(12);
  REQUIRE(copy.segment->note({12}, {}).ok());
  CHECK(copy.segment->rejoin(12, seen, {}).error().code == Code::busy);
  copy.files.power_cut();
  copy.reopen();
  const auto missed = copy.segment->state("", {})->missed;
  REQUIRE(missed.size() == 2);
  CHECK(missed.at(12) > seen);
  REQUIRE(copy.segment->rejoin(12, missed.at(12), {}).ok());
  copy.files.power_cut();
  copy.reopen();
  CHECK(copy.segment->state("", {})->missed.count(12) == 0);
  // A note is never the same as one before.
  REQUIRE(copy.segment->note({12}, {}).ok());
  CHECK(copy.segment->state("", {})->missed.at(12) > missed.at(12));
}

TEST_CASE("a segment on a real file system") {
  const test::TemporaryFolder folder;
  const auto open = [](const std::string& path) {
    return system_storage_files().open_device(path, {.write = false});
  };
  const ArchiveSegment::Services services{base::system_file_system(), base::system_clock(),
                                          base::system_random(), open};
  const std::string place = folder.path() + "/0.1";
  const std::string content(3'000'000, 'c');
  CHECK(ArchiveSegment(place, services).state("", {}).error().code == Code::not_found);
  REQUIRE(base::system_file_system().make_directories(place, 0700).ok());
  {
    ArchiveSegment segment(place, services);
    const auto sink = segment.stage("DB1/id_1/backup", [](std::uint64_t) { return Status(); }, {});
    REQUIRE(sink.ok());
    REQUIRE((*sink)->write(content).ok());
    const auto staged = (*sink)->finish();
    REQUIRE(staged.ok());
    REQUIRE(segment.commit("DB1/id_1/backup", staged->find("stage")->as_string(), 1, {12}, {}).ok());
    // Broken off: nothing stays.
    const auto other = segment.stage("b", [](std::uint64_t) { return Status(); }, {});
    REQUIRE((*other)->write("piece").ok());
  }
  ArchiveSegment segment(place, services);
  CHECK(segment.state("", {})->missed.count(12) == 1);
  const auto source = segment.read("DB1/id_1/backup", 1'000'000, 1, {});
  REQUIRE(source.ok());
  std::string got;
  for (;;) {
    const auto piece = (*source)->read(1 << 20);
    REQUIRE(piece.ok());
    if (piece->empty()) break;
    got += *piece;
  }
  CHECK(got == content.substr(1'000'000));
  CHECK(segment.list("", "", 10, {})->size() == 1);
  CHECK(base::system_file_system().list(place + "/incoming")->empty());
  // The folders go with their last file, so that their name is free.
  REQUIRE(segment.remove("DB1/id_1/backup", 2, {}, {}).ok());
  CHECK(base::system_file_system().list(place + "/files")->empty());
}

TEST_CASE("a power cut at any call leaves each change done or not done") {
  int failures = 0;
  for (unsigned seed = 1; seed <= 400; ++seed) {
    std::mt19937 random(seed);
    Copy copy;
    std::map<std::string, std::string> model;
    std::uint64_t version = 0;
    for (int step = 0; step < 12; ++step) {
      const std::string path = "d" + std::to_string(random() % 2) + "/f" + std::to_string(random() % 3);
      const std::string content(random() % 40, static_cast<char>('a' + random() % 26));
      const bool removes = random() % 4 == 0;
      copy.files.fail_from(copy.files.calls() + 1 + static_cast<int>(random() % 16));
      ++version;
      const Status done =
          removes ? copy.segment->remove(path, version, {}, {}) : copy.put(path, content, version);
      failures += done ? 0 : 1;
      CAPTURE(seed, step, path, removes);
      if (random() % 3 != 0) {
        copy.files.power_cut();
        copy.reopen();
      }
      copy.files.fail_from(0);
      const auto there = copy.get(path);
      const auto before = model.find(path);
      const bool is_new =
          removes ? !there && there.error().code == Code::not_found : there && *there == content;
      const bool is_old = before == model.end() ? !there && there.error().code == Code::not_found
                                                : there && *there == before->second;
      if (done) REQUIRE(is_new);
      REQUIRE((is_new || is_old));
      if (is_new && removes) model.erase(path);
      if (is_new && !removes) model[path] = content;
      const auto all = copy.segment->list("", "", 100, {});
      REQUIRE(all->size() == model.size());
      for (const auto& [name, text] : model) REQUIRE(*copy.get(name) == text);
    }
    copy.reopen();
    REQUIRE(copy.segment->state("", {})->damaged == 0);
    if (const auto left = copy.files.list(std::string(kFolder) + "/incoming")) REQUIRE(left->empty());
  }
  CHECK(failures > 400);
}

}  // namespace
}  // namespace confd::storage
