// Nodes with an archive volume, all in this process: storage and files in memory, node operations called
// directly. A node can die at any moment, lose what was not synced, and start again.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "exaconf/transaction.h"
#include "storage/local_archive_store.h"
#include "storage/node_storage_operations.h"
#include "storage/recovery.h"
#include "tests/storage/storage_node.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_sync_record.h"
#include "tests/support/volume_text.h"

namespace confd::test {

// What ArchiveSegment reads through: a picture of the file at the moment it is opened.
class OpenedContent : public storage::DeviceFile {
 public:
  explicit OpenedContent(std::string content) : content_(std::move(content)) {}
  base::Result<std::uint64_t> size() override { return static_cast<std::uint64_t>(content_.size()); }
  base::Result<std::string> read_at(std::uint64_t offset, std::size_t bytes) override {
    if (offset + bytes > content_.size()) return base::Error{base::Code::io_error, "it ends too early"};
    return content_.substr(offset, bytes);
  }
  base::Status write_at(std::uint64_t, std::string_view) override {
    return base::Error{base::Code::io_error, "opened for reading"};
  }
  base::Status sync() override { return {}; }

 private:
  const std::string content_;
};

inline storage::ArchiveSegment::Services archive_services(FakeFileSystem& files, FakeClock& clock,
                                                          FakeRandom& random) {
  return {files, clock, random,
          [&files](const std::string& path) -> base::Result<std::unique_ptr<storage::DeviceFile>> {
            auto content = files.read(path);
            if (!content) return content.error();
            return std::unique_ptr<storage::DeviceFile>(std::make_unique<OpenedContent>(std::move(*content)));
          }};
}

class ArchiveCluster {
 public:
  struct Node;
  class Link : public storage::ArchiveLink {
   public:
    Link(ArchiveCluster& cluster, int own)
        : cluster_(cluster),
          own_(own),
          record_(cluster.record, [this] { return cluster_.at(own_).answers(); }) {}
    int own_node() const override { return own_; }
    base::Result<base::Value> run(int node, std::string_view operation, const base::Struct& params,
                                  std::stop_token stop) override {
      if (!cluster_.at(own_).up) return away(own_);
      Node& there = cluster_.at(node);
      if (!there.answers()) return away(node);
      auto answer = there.control->run_here(operation, params, stop);
      // The operation may have run and its answer be lost.
      if (!there.up || !cluster_.at(own_).up) return away(node);
      return answer;
    }
    base::Result<base::Struct> fetch(int node, std::string_view operation, const base::Struct& params,
                                     const Give& sink, const Transfer& transfer) override {
      if (!cluster_.at(own_).up) return away(own_);
      Node& there = cluster_.at(node);
      if (!there.answers()) return away(node);
      const auto source = there.control->open_source(operation, params, transfer.stop);
      if (!source) return source.error();
      if (const auto told = cluster_.at(own_).on_fetch; told && operation == "archive.get") told();
      for (;;) {
        if (!there.answers()) return away(node);
        const auto part = (*source)->read(cluster_.piece);
        if (!part) return part.error();
        if (cluster_.bytes_per_second > 0)
          cluster_.clock.advance(
              std::chrono::nanoseconds(1'000'000'000 * part->size() / cluster_.bytes_per_second));
        if (part->empty()) return (*source)->about();
        if (base::Status done = sink(*part); !done) return done.error();
      }
    }
    base::Result<base::Value> send(int node, std::string_view operation, const base::Struct& params,
                                   const More& more, const Transfer& transfer) override {
      if (!cluster_.at(own_).up) return away(own_);
      Node& there = cluster_.at(node);
      if (!there.answers()) return away(node);
      const auto sink = there.control->open_sink(operation, params, transfer.stop);
      if (!sink) return sink.error();
      for (;;) {
        const auto part = more();
        if (!part) return part.error();
        if (!there.answers()) return away(node);
        if (part->empty()) return (*sink)->finish();
        if (base::Status done = (*sink)->write(*part); !done) return done.error();
      }
    }

    cluster::SyncRecord* record() override { return &record_; }

   private:
    static base::Error away(int node) {
      return {base::Code::node_unreachable, "node " + std::to_string(node) + " can't be reached"};
    }
    ArchiveCluster& cluster_;
    const int own_;
    FakeSyncRecord record_;
  };

  struct Node {
    Node(ArchiveCluster& cluster, int id, unsigned seed)
        : number(id), storage_files(seed), link(cluster, id), all(cluster) {
      storage_files.put_device(StorageNode::path("dev.1"), 256 * storage::kMiB);
      build();
    }
    void build() {
      recovery.reset();
      control.reset();
      copies.reset();
      storage.reset();
      storage = std::make_unique<storage::NodeStorage>(
          storage::NodeStorage::Options{number, StorageNode::kFolder, {}},
          storage::NodeStorage::Services{storage_files, all.clock, random, nullptr});
      REQUIRE(storage->apply(*all.config).ok());
      copies = std::make_unique<storage::ArchiveCopies>(*storage, archive_services(files, all.clock, random));
      control = std::make_unique<cluster::NodeControl>(number);
      storage::register_storage_operations(*control, *storage);
      storage::register_archive_operations(*control, *copies);
      recovery = std::make_unique<storage::Recovery>(
          link, *copies,
          storage::Recovery::Services{all.clock, [this] { return all.config; }, nullptr,
                                      [this](base::SteadyTime until, std::stop_token) {
                                        if (stop_when_waiting != nullptr) stop_when_waiting->request_stop();
                                        const auto now = all.clock.steady_now();
                                        if (until > now) all.clock.advance(until - now);
                                      }});
      storage::register_recovery_operations(*control, *recovery);
      up = true;
    }
    // Counts down to its death, when one is planned.
    bool answers() {
      if (dies_in > 0 && --dies_in == 0) die();
      return up;
    }
    // From now on nothing it does reaches its disk, and nobody hears of it.
    void die() {
      up = false;
      files.fail_from(1);
    }
    void start(bool power_was_cut) {
      dies_in = 0;
      if (power_was_cut) {
        files.power_cut();
        storage_files.power_cut();
      } else {
        files.kill();
        storage_files.fail_from(0);
      }
      build();
    }
    const int number;
    FakeStorageFiles storage_files;
    FakeFileSystem files;
    FakeRandom random;
    Link link;
    ArchiveCluster& all;
    std::unique_ptr<storage::NodeStorage> storage;
    std::unique_ptr<storage::ArchiveCopies> copies;
    std::unique_ptr<cluster::NodeControl> control;
    std::unique_ptr<storage::Recovery> recovery;
    std::atomic<bool> up{true};
    std::function<void()> on_fetch;                 // before it gets a file
    std::stop_source* stop_when_waiting = nullptr;  // of what its recovery does then
    std::atomic<int> dies_in{0};
  };

  explicit ArchiveCluster(int masters = 3, int redundancy = 2, unsigned seed = 1,
                          const std::string& settings = {}) {
    configure(masters, redundancy, settings);
    for (int id = 11; id <= 13; ++id)
      nodes_.emplace(id, std::make_unique<Node>(*this, id, seed + static_cast<unsigned>(id)));
    const storage::Layout layout = storage::layout_of(volume());
    for (const storage::Segment& segment : layout.segments)
      allocate(segment, layout.segment_blocks, storage::SegmentState::online);
  }

  // Nodes 11 to `last` with an EXAConf of the test's own; no segments.
  ArchiveCluster(exaconf::ConfigPtr own, int last, unsigned seed) : config(std::move(own)) {
    for (int id = 11; id <= last; ++id)
      nodes_.emplace(id, std::make_unique<Node>(*this, id, seed + static_cast<unsigned>(id)));
  }

  void configure(int masters, int redundancy, const std::string& settings = {}) {
    std::string text = storage_config_text(
        "[EXAVolume : arch]\n    Type = archive\n    Size = 24 MiB\n    Disk = disk1\n"
        "    Nodes = 11, 12, 13\n    NumMasterNodes = " +
        std::to_string(masters) + "\n    Redundancy = " + std::to_string(redundancy) +
        "\n    BlockSize = 512 KiB\n    StripeSize = 512 KiB\n    Owner = 500 : 500\n    ID = 7\n\n" +
        settings);
    config = load_config(text);
  }
  // A further revision of EXAConf.
  void edit(const std::string& section, const std::string& key, const std::string& value) {
    exaconf::Transaction edits(config);
    REQUIRE(edits.set(section, key, value).ok());
    auto next = exaconf::seal(edits.document(), config->revision() + 1);
    REQUIRE(next.ok());
    config = *next;
  }
  void allocate(const storage::Segment& segment, std::uint64_t blocks, storage::SegmentState state) {
    const storage::SegmentId id{7, static_cast<std::uint32_t>(segment.id.index),
                                static_cast<std::uint32_t>(segment.id.level)};
    const auto placed =
        at(segment.node)
            .storage->allocate({id, blocks, 512 << 10, "disk1", storage::SegmentKind::archive, state}, {});
    REQUIRE(placed.ok());
    REQUIRE(at(segment.node).files.make_directories(placed->folder, 0700).ok());
  }
  storage::Volume volume() const { return storage::volumes_of(*config)->front(); }
  Node& at(int node) { return *nodes_.at(node); }

  // Rounds of recovery on all nodes that are up.
  void settle(int rounds = 3) {
    for (int i = 0; i < rounds; ++i)
      for (auto& [id, node] : nodes_)
        if (node->up) node->recovery->round({});
  }
  storage::LocalArchiveStore store(int node, std::int64_t volume_id = 7) {
    storage::LocalArchiveStore::Options options;
    options.volume = volume_id;
    options.settle = std::chrono::milliseconds(0);
    return {at(node).link, [this] { return config; }, options};
  }
  base::Status put(int node, const std::string& path, const std::string& content,
                   std::int64_t volume_id = 7) {
    std::size_t at_byte = 0;
    auto there = store(node, volume_id);
    const auto done = there.put(path,
                                [&](std::size_t) -> base::Result<std::string> {
                                  std::string next = content.substr(at_byte, piece);
                                  at_byte += next.size();
                                  return next;
                                },
                                content.size(), {});
    return done ? base::Status() : base::Status(done.error());
  }
  base::Result<std::string> get(int node, const std::string& path, std::uint64_t offset = 0,
                                std::int64_t volume_id = 7) {
    std::string content;
    auto there = store(node, volume_id);
    const auto done = there.get(path, offset,
                                [&](std::string_view next) -> base::Status {
                                  content += next;
                                  return {};
                                },
                                {});
    if (!done) return done.error();
    return content;
  }

  FakeClock clock;
  SharedSyncRecord record;
  exaconf::ConfigPtr config;
  std::size_t piece = 100;
  std::uint64_t bytes_per_second = 0;  // of what is fetched; 0: takes no time

 private:
  std::map<int, std::unique_ptr<Node>> nodes_;
};

// Copies of a segment hold the same.
inline void check_equal(ArchiveCluster& cluster) {
  std::map<int, std::uint64_t> digests;
  for (const storage::Segment& segment : storage::layout_of(cluster.volume()).segments) {
    const storage::SegmentId id{7, static_cast<std::uint32_t>(segment.id.index),
                                static_cast<std::uint32_t>(segment.id.level)};
    auto copy = cluster.at(segment.node).copies->find(id);
    REQUIRE(copy.ok());
    REQUIRE(copy->place.state == storage::SegmentState::online);
    const auto state = copy->files->state("", {});
    REQUIRE(state.ok());
    REQUIRE(state->in_step);
    REQUIRE(state->missed.empty());
    REQUIRE(state->damaged == 0);
    const auto [known, added] = digests.emplace(segment.id.index, state->digest);
    REQUIRE(known->second == state->digest);
  }
}

}  // namespace confd::test
