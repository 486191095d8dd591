// FakeStorageNodes: the storage of several nodes in memory, with the node operations storage.* as jobs see
// them: space that runs out, segments that are there or not, nodes that do not answer, any operation failing.
//
//   FakeStorageNodes storage(test.nodes);       // node 11 is the own one, others come over the fake link
//   storage.add(11, "dev.1", "disk1", 32 GiB);
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/mutex.h"
#include "cluster/node_control.h"

namespace confd::test {

struct FakeDevice {
  std::string name, disk;
  std::int64_t sectors = 0;  // of 4 KiB, all for data
  std::string state = "ONLINE";
  bool read_only = false, io_error = false, use_crc = true;
};

struct FakeSegment {
  std::int64_t blocks = 0, block_size = 0;
  std::string disk, kind, state;
  std::int64_t used_bytes = 0;
  std::int64_t bytes() const { return blocks * block_size; }
  friend bool operator==(const FakeSegment&, const FakeSegment&) = default;
};

class FakeStorageNodes : public cluster::PeerLink {
 public:
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // volume, index, level
  struct Node {
    std::vector<FakeDevice> devices;
    std::map<Key, FakeSegment> segments;
  };

  explicit FakeStorageNodes(cluster::NodeControl& control)
      : PeerLink(control.own_node(), nullptr, [](int) { return std::nullopt; }), own_(control.own_node()) {
    for (const char* name : {"report", "allocate", "free", "resize", "clear", "set_state", "device_add",
                             "device_use", "device_modify", "device_remove", "device_enable",
                             "device_disable", "device_enlarge", "device_clear_errors"})
      control.register_operation("storage." + std::string(name),
                                 [this, name](const base::Struct& params, std::stop_token) {
                                   return run(own_, "storage." + std::string(name), params);
                                 });
    for (const char* name : {"recovery.stop", "recovery.restore", "recovery.calibrate", "archive.find",
                             "archive.clear", "archive.note"})
      control.register_operation(name, [this, name](const base::Struct& params, std::stop_token) {
        return run(own_, name, params);
      });
    control.set_peer_link(*this);
  }

  void add(int node, const std::string& name, const std::string& disk, std::int64_t bytes) {
    nodes[node].devices.push_back({name, disk, bytes / 4096});
  }
  std::int64_t free_bytes(int node, const std::string& disk) {
    std::int64_t bytes = 0;
    for (const FakeDevice& device : nodes[node].devices)
      if (device.disk == disk) bytes += device.sectors * 4096;
    for (const auto& [key, segment] : nodes[node].segments)
      if (segment.disk == disk) bytes -= segment.bytes();
    return bytes;
  }

  base::Result<base::Value> call(int node, std::string_view operation, const base::Struct& params,
                                 const Call&) override {
    return run(node, std::string(operation), params);
  }

  std::map<int, Node> nodes;
  std::set<int> unreachable;
  // Asked before each operation; an error is its answer.
  std::function<std::optional<base::Error>(int node, const std::string& operation,
                                           const base::Struct& params)>
      refuse;
  // "12 storage.allocate", in order, without reports.
  std::vector<std::string> calls;
  std::map<std::string, base::Struct> others;  // answers to operations that are not storage.*
  base::Struct added;                          // by the last storage.device_add
  std::vector<base::Struct> asked;             // parameters of these
  std::int64_t auto_bg_rec_limit = 0;          // in all reports

 private:
  static std::int64_t number(const base::Struct& params, std::string_view name) {
    const base::Value* value = params.find(name);
    if (value == nullptr || !value->is_int()) FAIL("no integer " << name);
    return value->as_int();
  }
  static std::string text(const base::Struct& params, std::string_view name) {
    const base::Value* value = params.find(name);
    if (value == nullptr || !value->is_string()) FAIL("no text " << name);
    return value->as_string();
  }

  base::Result<base::Value> run(int id, const std::string& operation, const base::Struct& params) {
    if (unreachable.contains(id)) return base::Error{base::Code::node_unreachable, "no route to it"};
    if (refuse)
      if (auto error = refuse(id, operation, params)) return *error;
    Node& node = nodes[id];
    if (operation == "storage.report") return report(id, node);
    // Copies of archive segments are asked at the same time.
    base::MutexLock lock(mutex_);
    calls.push_back(std::to_string(id) + " " + operation);
    if (!operation.starts_with("storage.")) {
      asked.push_back(params);
      const auto answer = others.find(operation);
      return answer == others.end() ? base::Value() : base::Value(answer->second);
    }
    if (operation.starts_with("storage.device_")) return device(node, operation.substr(15), params);
    const Key key{number(params, "vid"), number(params, "index"), number(params, "level")};
    if (operation == "storage.allocate") return allocate(id, node, key, params);
    if (operation == "storage.free") {
      node.segments.erase(key);
      return base::Value();
    }
    const auto found = node.segments.find(key);
    if (found == node.segments.end()) return base::Error{base::Code::not_found, "no such segment"};
    if (operation == "storage.set_state") {
      found->second.state = text(params, "state");
    } else if (operation == "storage.clear") {
      const std::int64_t bytes = number(params, "num_bytes");
      if (bytes == 0) found->second.used_bytes = 0;
    } else {
      REQUIRE(operation == "storage.resize");
      const std::int64_t blocks = number(params, "blocks");
      const std::int64_t more = (blocks - found->second.blocks) * found->second.block_size;
      if (more > free_bytes(id, found->second.disk)) return full(id, found->second.disk);
      found->second.blocks = blocks;
    }
    return base::Value();
  }

  base::Error full(int id, const std::string& disk) {
    return {base::Code::busy, "node " + std::to_string(id) + ": " + disk + " has " +
                                  std::to_string(free_bytes(id, disk)) + " bytes free"};
  }

  base::Result<base::Value> allocate(int id, Node& node, const Key& key, const base::Struct& params) {
    const FakeSegment segment{number(params, "blocks"), number(params, "block_size"), text(params, "disk"),
                              text(params, "kind"),     text(params, "state"),        0};
    if (const auto found = node.segments.find(key); found != node.segments.end()) {
      if (!(found->second == segment)) return base::Error{base::Code::exists, "another segment is there"};
      return base::Value(base::Struct{{"partitions", base::Array()}});
    }
    if (segment.bytes() > free_bytes(id, segment.disk)) return full(id, segment.disk);
    node.segments.emplace(key, segment);
    return base::Value(base::Struct{{"partitions", base::Array()}});
  }

  base::Result<base::Value> device(Node& node, const std::string& what, const base::Struct& params) {
    const std::string name = text(params, "devname");
    const auto found = std::find_if(node.devices.begin(), node.devices.end(),
                                    [&](const FakeDevice& device) { return device.name == name; });
    if (what == "add") {
      if (found != node.devices.end()) return base::Error{base::Code::exists, "the device is there"};
      added = params;
      node.devices.push_back({name, text(params, "disk"), 1 << 20});
      return base::Value();
    }
    if (found == node.devices.end()) return base::Error{base::Code::not_found, "no such device"};
    if (what == "remove") node.devices.erase(found);
    if (what == "enable") found->state = "ONLINE";
    if (what == "disable") found->state = "DISABLED";
    if (what == "clear_errors") found->io_error = false;
    if (what == "enlarge") found->sectors = number(params, "num_sectors");
    if (what == "modify" && params.contains("disk")) found->disk = text(params, "disk");
    return base::Value();
  }

  base::Result<base::Value> report(int id, Node& node) {
    base::Array devices, segments;
    for (const FakeDevice& device : node.devices)
      devices.push_back(base::Struct{{"name", device.name},
                                     {"disk", device.disk},
                                     {"path", "/exa/data/storage/" + device.name},
                                     {"state", device.state},
                                     {"sector_size", 4096},
                                     {"sectors", device.sectors},
                                     {"data_sectors", device.sectors},
                                     {"free_sectors", free_bytes(id, device.disk) / 4096},
                                     {"superblock_bytes", 4 << 20},
                                     {"checksum_algorithm", "FLETCHER2"},
                                     {"read_only", device.read_only},
                                     {"sync_crc", true},
                                     {"use_crc", device.use_crc},
                                     {"direct_io", true},
                                     {"ephemeral", false},
                                     {"io_error", device.io_error},
                                     {"crc_error", false}});
    for (const auto& [key, segment] : node.segments) {
      const auto& [volume, index, level] = key;
      base::Array partitions;
      for (const FakeDevice& device : node.devices)
        if (device.disk == segment.disk && partitions.empty())
          partitions.push_back(base::Struct{
              {"device", device.name}, {"start_sector", 0}, {"sectors", segment.bytes() / 4096}});
      segments.push_back(base::Struct{{"vid", volume},
                                      {"index", index},
                                      {"level", level},
                                      {"blocks", segment.blocks},
                                      {"block_size", segment.block_size},
                                      {"disk", segment.disk},
                                      {"kind", segment.kind},
                                      {"state", segment.state},
                                      {"used_bytes", segment.used_bytes},
                                      {"partitions", std::move(partitions)},
                                      {"folder", "/exa/data/storage/x"}});
    }
    return base::Value(base::Struct{{"node", id},
                                    {"devices", std::move(devices)},
                                    {"segments", std::move(segments)},
                                    {"auto_bg_rec_limit", auto_bg_rec_limit}});
  }

  const int own_;
  base::Mutex mutex_;
};

}  // namespace confd::test
