// kill -9 of a process that changes the storage of a node, on real files: everything that it saw done is
// there afterwards, the one change that it was in is done or not done, and confd --fsck finds nothing.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <sstream>

#include "storage/check.h"
#include "storage/node_storage.h"
#include "tests/storage/storage_node.h"
#include "tests/support/temporary_folder.h"

namespace confd::storage {
namespace {

using Model = std::map<std::uint64_t, std::uint64_t>;  // volume -> blocks of its only segment

struct Site {
  Site() {
    for (const char* name : {"dev.1", "dev.2"})
      REQUIRE(::truncate(folder.write(name, "").c_str(), 64 << 20) == 0);
    config = test::config_with_disks(test::disk("disk1", "dev.1, dev.2", "        DirectIO = False\n"));
  }
  StoragePlace place() const { return {11, folder.path(), {}}; }
  std::unique_ptr<NodeStorage> start() {
    auto storage = std::make_unique<NodeStorage>(
        place(), NodeStorage::Services{system_storage_files(), base::system_clock(), base::system_random()});
    REQUIRE(storage->apply(*config).ok());
    return storage;
  }
  Model there(const NodeStorage& storage) const {
    Model model;
    for (const LocalSegment& segment : storage.segments()) {
      CHECK(segment.reason.empty());
      model[segment.id.vid] = segment.blocks;
    }
    return model;
  }
  test::TemporaryFolder folder;
  exaconf::ConfigPtr config;
};

void tell(int pipe, const std::string& line) {
  if (::write(pipe, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(1);
}

// The child: changes without end. A line before each ("vid blocks", 0 blocks: given back) and one after it.
[[noreturn]] void change_until_killed(NodeStorage& storage, unsigned seed, int pipe) {
  std::mt19937 random(seed);
  Model known;
  for (;;) {
    const std::uint64_t vid = 10 + random() % 4, blocks = random() % 3 == 0 ? 0 : 1 + random() % 2000;
    tell(pipe, std::to_string(vid) + " " + std::to_string(blocks) + "\n");
    const SegmentId id{vid, 0, 1};
    const bool done = blocks == 0           ? storage.free(id, {}).ok()
                      : known.contains(vid) ? storage.resize(id, blocks, {}).ok()
                                            : storage.allocate({id, blocks, 4096, "disk1"}, {}).ok();
    if (!done) ::_exit(2);
    if (blocks == 0)
      known.erase(vid);
    else
      known[vid] = blocks;
    tell(pipe, "done\n");
  }
}

std::string read_all(int pipe) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = ::read(pipe, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  return text;
}

TEST_CASE("kill -9 loses nothing that was reported, and leaves nothing half done") {
  Site site;
  std::mt19937 random(20261122);
  Model model;
  int in_a_change = 0;
  for (int round = 0; round < 25; ++round) {
    CAPTURE(round);
    // The child begins with what is there: so that it resizes and frees, too.
    {
      auto storage = site.start();
      for (const auto& [vid, blocks] : model) REQUIRE(storage->free({vid, 0, 1}, {}).ok());
      model.clear();
    }
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const unsigned seed = static_cast<unsigned>(random());
    const auto delay = static_cast<useconds_t>(2000 + random() % 60000);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(ends[0]);
      change_until_killed(*site.start(), seed, ends[1]);
    }
    ::close(ends[1]);
    // Any moment will do.
    timespec wait{0, static_cast<long>(delay) * 1000};
    ::nanosleep(&wait, nullptr);
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    std::istringstream lines(read_all(ends[0]));
    ::close(ends[0]);

    Model after;
    bool open = false;
    for (std::string line; std::getline(lines, line);) {
      if (line == "done") {
        model = after;
        open = false;
        continue;
      }
      std::istringstream words(line);
      std::uint64_t vid = 0, blocks = 0;
      words >> vid >> blocks;
      after = model;
      if (blocks == 0)
        after.erase(vid);
      else
        after[vid] = blocks;
      open = true;
    }
    in_a_change += open ? 1 : 0;
    auto storage = site.start();
    const Model there = site.there(*storage);
    if (open)
      CHECK((there == model || there == after));
    else
      CHECK(there == model);
    model = there;
    const CheckReport report = check_storage(system_storage_files(), site.place(), *site.config, false);
    for (const std::string& problem : report.problems)
      if (problem.find("EXAConf has no such segment") == std::string::npos) FAIL("fsck: " << problem);
  }
  CHECK(in_a_change > 0);
}

}  // namespace
}  // namespace confd::storage
