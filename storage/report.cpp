#include "storage/report.h"

#include <functional>

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Value;

namespace {

// Members of one struct of a report; the first that is wrong is kept.
class Members {
 public:
  Members(const Value& value, std::string_view what) : value_(value), what_(what) {}

  const Value* get(std::string_view name, Value::Type type) {
    const Value* member = value_.find(name);
    if (member != nullptr && member->type() == type) return member;
    if (problem_.empty())
      problem_ = "storage.report: " + std::string(name) + " of " + what_ +
                 (member == nullptr ? " is missing" : " has the wrong type");
    return nullptr;
  }
  void read(std::string_view name, std::string& out) {
    if (const Value* member = get(name, Value::Type::string)) out = member->as_string();
  }
  void read(std::string_view name, bool& out) {
    if (const Value* member = get(name, Value::Type::boolean)) out = member->as_bool();
  }
  void read(std::string_view name, std::uint64_t& out) {
    if (const Value* member = get(name, Value::Type::integer))
      out = static_cast<std::uint64_t>(member->as_int());
  }
  void read(std::string_view name, std::int64_t& out) {
    if (const Value* member = get(name, Value::Type::integer)) out = member->as_int();
  }
  void read(std::string_view name, int& out) {
    if (const Value* member = get(name, Value::Type::integer)) out = static_cast<int>(member->as_int());
  }
  const base::Array& list(std::string_view name) {
    static const base::Array kNone;
    const Value* member = get(name, Value::Type::array);
    return member == nullptr ? kNone : member->as_array();
  }
  const std::string& problem() const { return problem_; }

 private:
  const Value& value_;
  const std::string what_;
  std::string problem_;
};

std::string read_device(const Value& value, DeviceReport& device) {
  Members members(value, "a device");
  members.read("name", device.name);
  members.read("disk", device.disk);
  members.read("path", device.path);
  members.read("state", device.state);
  members.read("sector_size", device.sector_size);
  members.read("sectors", device.sectors);
  members.read("data_sectors", device.data_sectors);
  members.read("free_sectors", device.free_sectors);
  members.read("superblock_bytes", device.superblock_bytes);
  members.read("checksum_algorithm", device.checksum_algorithm);
  members.read("read_only", device.read_only);
  members.read("sync_crc", device.sync_crc);
  members.read("use_crc", device.use_crc);
  members.read("direct_io", device.direct_io);
  members.read("ephemeral", device.ephemeral);
  members.read("io_error", device.io_error);
  members.read("crc_error", device.crc_error);
  return members.problem();
}

std::string read_segment(const Value& value, SegmentReport& segment) {
  Members members(value, "a segment");
  members.read("vid", segment.id.volume);
  members.read("index", segment.id.index);
  members.read("level", segment.id.level);
  members.read("blocks", segment.blocks);
  members.read("block_size", segment.block_size);
  members.read("disk", segment.disk);
  members.read("kind", segment.kind);
  members.read("state", segment.state);
  if (const Value* used = value.find("used_bytes"); used == nullptr || !used->is_null())
    members.read("used_bytes", segment.used_bytes.emplace());
  members.read("folder", segment.folder);
  for (const Value& part : members.list("partitions"))
    if (const Value* device = part.find("device"); device != nullptr && device->is_string())
      segment.devices.push_back(device->as_string());
  return members.problem();
}

}  // namespace

std::size_t NodeReport::Hash::operator()(const SegmentKey& id) const {
  return std::hash<std::uint64_t>()(static_cast<std::uint64_t>(id.volume) * 1'000'003u +
                                    static_cast<std::uint64_t>(id.index) * 31u +
                                    static_cast<std::uint64_t>(id.level));
}

void NodeReport::index() {
  by_id.clear();
  by_id.reserve(segments.size());
  for (std::size_t i = 0; i < segments.size(); ++i) by_id.emplace(segments[i].id, i);
}

const SegmentReport* NodeReport::segment(const SegmentKey& id) const {
  const auto found = by_id.find(id);
  return found == by_id.end() ? nullptr : &segments[found->second];
}

std::uint64_t NodeReport::free_bytes(const std::string& disk) const {
  std::uint64_t bytes = 0;
  for (const DeviceReport& device : devices)
    if (device.disk == disk && device.state == "ONLINE" && !device.read_only) bytes += device.free_bytes();
  return bytes;
}

bool NodeReport::has_disk(const std::string& disk) const {
  for (const DeviceReport& device : devices)
    if (device.disk == disk) return true;
  return false;
}

Result<NodeReport> parse_report(const Value& value) {
  NodeReport report;
  Members members(value, "the node");
  members.read("node", report.node);
  const base::Array& devices = members.list("devices");
  const base::Array& segments = members.list("segments");
  if (!members.problem().empty()) return Error{Code::internal, members.problem()};
  for (const Value& item : devices)
    if (std::string problem = read_device(item, report.devices.emplace_back()); !problem.empty())
      return Error{Code::internal, std::move(problem)};
  report.segments.reserve(segments.size());
  for (const Value& item : segments)
    if (std::string problem = read_segment(item, report.segments.emplace_back()); !problem.empty())
      return Error{Code::internal, std::move(problem)};
  if (const Value* warnings = value.find("warnings"); warnings != nullptr && warnings->is_array())
    for (const Value& text : warnings->as_array())
      if (text.is_string()) report.warnings.push_back(text.as_string());
  if (const Value* limit = value.find("auto_bg_rec_limit"); limit != nullptr && limit->is_int())
    report.auto_bg_rec_limit = limit->as_int();
  report.index();
  return report;
}

}  // namespace confd::storage
