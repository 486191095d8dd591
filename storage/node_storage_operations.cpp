#include "storage/node_storage_operations.h"

#include <utility>

#include "exaconf/value_types.h"
#include "storage/crc32c.h"
#include "storage/space.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;

namespace {

using Type = Value::Type;
using Params = std::vector<std::pair<std::string, Type>>;

const Params kSegmentParams = {{"vid", Type::integer}, {"index", Type::integer}, {"level", Type::integer}};

Params with(Params params, std::initializer_list<std::pair<std::string, Type>> more) {
  params.insert(params.end(), more);
  return params;
}

std::int64_t number(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

Error wrong(const std::string& name, const std::string& what) {
  return {Code::bad_parameter, "parameter '" + name + "' " + what};
}

// REQUIRES: the parameter is there and an integer.
Result<std::uint64_t> count(const Struct& params, const std::string& name) {
  const std::int64_t value = params.find(name)->as_int();
  if (value < 0) return wrong(name, "can't be " + std::to_string(value));
  return static_cast<std::uint64_t>(value);
}

Result<std::optional<std::uint64_t>> optional_count(const Struct& params, const std::string& name) {
  const Value* value = params.find(name);
  if (value == nullptr || value->is_null()) return std::optional<std::uint64_t>();
  if (!value->is_int()) return wrong(name, "has the wrong type");
  const auto given = count(params, name);
  if (!given) return given.error();
  return std::optional(*given);
}

Result<std::optional<bool>> optional_flag(const Struct& params, const std::string& name) {
  const Value* value = params.find(name);
  if (value == nullptr || value->is_null()) return std::optional<bool>();
  if (!value->is_bool()) return wrong(name, "has the wrong type");
  return std::optional(value->as_bool());
}

// An integer, or a text such as "4 KiB".
Result<std::optional<std::uint64_t>> optional_size(const Struct& params, const std::string& name) {
  const Value* value = params.find(name);
  if (value == nullptr || !value->is_string()) return optional_count(params, name);
  const auto bytes = exaconf::parse_size(value->as_string());
  if (!bytes) return wrong(name, "is no size: '" + value->as_string() + "'; write one such as '4 KiB'");
  return std::optional(*bytes);
}

// REQUIRES: kSegmentParams were checked.
Result<SegmentId> segment_id(const Struct& params) {
  constexpr std::uint64_t kMost = 0x7FFFFFFF;
  SegmentId id;
  for (const std::string name : {"vid", "index", "level"}) {
    const auto value = count(params, name);
    if (!value) return value.error();
    if (*value > kMost || (name == "level" && *value == 0))
      return wrong(name, "can't be " + std::to_string(*value));
    if (name == "vid") id.vid = *value;
    if (name == "index") id.index = static_cast<std::uint32_t>(*value);
    if (name == "level") id.level = static_cast<std::uint32_t>(*value);
  }
  return id;
}

Result<SegmentState> segment_state(const Struct& params) {
  const std::string& name = params.find("state")->as_string();
  const auto state = parse_state(name);
  if (!state) return wrong("state", "can't be '" + name + "'; ONLINE, OFFLINE and RECOVERING are known");
  return *state;
}

base::Array partitions_value(const LocalSegment& segment) {
  base::Array partitions;
  partitions.reserve(segment.partitions.size());
  for (const Partition& partition : segment.partitions) {
    Struct value;
    value.append("device", partition.device);
    value.append("start_sector", number(partition.start_sector));
    value.append("sectors", number(partition.sectors));
    partitions.push_back(std::move(value));
  }
  return partitions;
}

// Appended one by one: a node has thousands of segments, and a braced list copies what it holds.
Value segment_value(const LocalSegment& segment, std::optional<std::uint64_t> used) {
  Struct value;
  value.reserve(12);
  value.append("vid", number(segment.id.vid));
  value.append("index", number(segment.id.index));
  value.append("level", number(segment.id.level));
  value.append("blocks", number(segment.blocks));
  value.append("block_size", number(segment.block_size));
  value.append("disk", segment.disk);
  value.append("kind", kind_name(segment.kind));
  value.append("state", state_name(segment.state));
  value.append("reason", segment.reason);
  value.append("used_bytes", used ? Value(number(*used)) : Value());
  value.append("partitions", partitions_value(segment));
  value.append("folder", segment.folder);
  return value;
}

Value placed_value(const LocalSegment& segment) {
  return Struct{{"partitions", partitions_value(segment)}, {"folder", segment.folder}};
}

Value device_value(const Device& device) {
  const Geometry& geometry = device.superblock.geometry;
  const DeviceFlags& flags = device.superblock.flags;
  return Struct{{"name", device.spec.name},
                {"disk", device.spec.disk},
                {"path", device.spec.path},
                {"state", device.state()},
                {"reason", device.reason},
                {"sector_size", number(geometry.sector_size)},
                {"sectors", number(geometry.sectors)},
                {"data_sectors", number(geometry.data_sectors)},
                {"free_sectors", number(free_sectors(device.superblock))},
                {"superblock_bytes", number(kSuperblockBytes)},
                {"checksum_algorithm", kChecksumAlgorithm},
                {"read_only", flags.read_only},
                {"sync_crc", flags.sync_crc},
                {"use_crc", flags.use_crc},
                {"direct_io", flags.direct_io},
                {"ephemeral", flags.ephemeral},
                {"io_error", device.io_error},
                {"crc_error", device.crc_error}};
}

Result<Value> report(NodeStorage& storage) {
  base::Array devices, segments, warnings;
  for (const Device& device : storage.devices()) devices.push_back(device_value(device));
  for (const LocalSegment& segment : storage.segments()) {
    // Never measured here: who asks has seconds, and a folder with many files takes longer.
    segments.push_back(segment_value(segment, storage.last_used_bytes(segment.id)));
  }
  for (const std::string& text : storage.space_warnings()) warnings.push_back(text);
  Struct value;
  value.append("node", storage.node());
  value.append("devices", std::move(devices));
  value.append("segments", std::move(segments));
  value.append("warnings", std::move(warnings));
  value.append("auto_bg_rec_limit", number(storage.recovery_limit()));
  return Value(std::move(value));
}

Result<Value> allocate(NodeStorage& storage, const Struct& params, std::stop_token stop) {
  SegmentRequest request;
  const auto id = segment_id(params);
  if (!id) return id.error();
  const auto blocks = count(params, "blocks");
  if (!blocks) return blocks.error();
  const auto block_size = count(params, "block_size");
  if (!block_size) return block_size.error();
  const std::string& kind_text = params.find("kind")->as_string();
  const auto kind = parse_kind(kind_text);
  if (!kind) return wrong("kind", "can't be '" + kind_text + "'; data, archive and temporary are known");
  const auto state = segment_state(params);
  if (!state) return state.error();
  const auto placed = storage.allocate(
      {*id, *blocks, *block_size, params.find("disk")->as_string(), *kind, *state}, std::move(stop));
  if (!placed) return placed.error();
  return placed_value(*placed);
}

Result<DeviceSpec> new_device(const Struct& params) {
  DeviceSpec spec;
  spec.name = params.find("devname")->as_string();
  spec.disk = params.find("disk")->as_string();
  const auto sector_size = optional_size(params, "sector_size");
  if (!sector_size) return sector_size.error();
  spec.sector_size = sector_size->value_or(kDefaultSectorSize);
  const auto sectors = optional_count(params, "seccount");
  if (!sectors) return sectors.error();
  spec.all_sectors = sectors->value_or(0);
  const std::pair<const char*, bool DeviceFlags::*> flags[] = {{"read_only", &DeviceFlags::read_only},
                                                               {"sync_crc", &DeviceFlags::sync_crc},
                                                               {"use_crc", &DeviceFlags::use_crc},
                                                               {"ephemeral", &DeviceFlags::ephemeral},
                                                               {"direct_io", &DeviceFlags::direct_io}};
  for (const auto& [name, flag] : flags) {
    const auto given = optional_flag(params, name);
    if (!given) return given.error();
    if (*given) spec.flags.*flag = **given;
  }
  return spec;
}

Result<DeviceChange> device_change(const Struct& params) {
  DeviceChange change;
  if (const Value* disk = params.find("disk"); disk != nullptr && !disk->is_null()) {
    if (!disk->is_string()) return wrong("disk", "has the wrong type");
    change.disk = disk->as_string();
  }
  auto sectors = optional_count(params, "num_sectors");
  if (!sectors) return sectors.error();
  change.num_sectors = *sectors;
  auto sector_size = optional_size(params, "sector_size");
  if (!sector_size) return sector_size.error();
  change.sector_size = *sector_size;
  auto read_only = optional_flag(params, "read_only");
  if (!read_only) return read_only.error();
  change.read_only = *read_only;
  return change;
}

Result<Value> nothing(const Status& done) {
  if (!done) return done.error();
  return Value();
}

// Operations on one segment that answer with nothing.
using OnSegment = std::function<Status(const SegmentId&, const Struct&, std::stop_token)>;
cluster::NodeOperation on_segment(OnSegment work) {
  return [work = std::move(work)](const Struct& params, std::stop_token stop) -> Result<Value> {
    const auto id = segment_id(params);
    if (!id) return id.error();
    return nothing(work(*id, params, std::move(stop)));
  };
}

cluster::NodeOperation on_device(NodeStorage& storage,
                                 Status (NodeStorage::*work)(const std::string&, std::stop_token)) {
  return [&storage, work](const Struct& params, std::stop_token stop) {
    return nothing((storage.*work)(params.find("devname")->as_string(), std::move(stop)));
  };
}

}  // namespace

void register_storage_operations(cluster::NodeControl& control, NodeStorage& storage) {
  const auto repeatable = [](Params params) {
    return cluster::OperationTraits{.repeatable = true, .params = std::move(params)};
  };
  const Params device = {{"devname", Type::string}};
  control.register_operation("storage.report",
                             [&storage](const Struct&, std::stop_token) { return report(storage); },
                             {.repeatable = true, .timeout = std::chrono::seconds(30)});
  control.register_operation(
      "storage.allocate",
      [&storage](const Struct& params, std::stop_token stop) {
        return allocate(storage, params, std::move(stop));
      },
      repeatable(with(kSegmentParams, {{"blocks", Type::integer},
                                       {"block_size", Type::integer},
                                       {"disk", Type::string},
                                       {"kind", Type::string},
                                       {"state", Type::string}})));
  control.register_operation("storage.free",
                             on_segment([&storage](const SegmentId& id, const Struct&, std::stop_token stop) {
                               return storage.free(id, std::move(stop));
                             }),
                             repeatable(kSegmentParams));
  control.register_operation(
      "storage.resize",
      [&storage](const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto id = segment_id(params);
        if (!id) return id.error();
        const auto blocks = count(params, "blocks");
        if (!blocks) return blocks.error();
        const auto resized = storage.resize(*id, *blocks, std::move(stop));
        if (!resized) return resized.error();
        return placed_value(*resized);
      },
      repeatable(with(kSegmentParams, {{"blocks", Type::integer}})));
  control.register_operation(
      "storage.clear",
      on_segment([&storage](const SegmentId& id, const Struct& params, std::stop_token stop) -> Status {
        const auto bytes = count(params, "num_bytes");
        if (!bytes) return bytes.error();
        return storage.clear(id, *bytes, std::move(stop));
      }),
      repeatable(with(kSegmentParams, {{"num_bytes", Type::integer}})));
  control.register_operation(
      "storage.set_state",
      on_segment([&storage](const SegmentId& id, const Struct& params, std::stop_token stop) -> Status {
        const auto state = segment_state(params);
        if (!state) return state.error();
        return storage.set_state(id, *state, std::move(stop));
      }),
      repeatable(with(kSegmentParams, {{"state", Type::string}})));

  control.register_operation("storage.device_add",
                             [&storage](const Struct& params, std::stop_token stop) -> Result<Value> {
                               const auto spec = new_device(params);
                               if (!spec) return spec.error();
                               return nothing(storage.add_device(*spec, std::move(stop)));
                             },
                             {.params = with(device, {{"disk", Type::string}})});
  control.register_operation(
      "storage.device_modify",
      [&storage](const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto change = device_change(params);
        if (!change) return change.error();
        return nothing(storage.modify_device(params.find("devname")->as_string(), *change, std::move(stop)));
      },
      {.params = device});
  control.register_operation("storage.device_use", on_device(storage, &NodeStorage::use_device),
                             repeatable(device));
  control.register_operation("storage.device_remove", on_device(storage, &NodeStorage::remove_device),
                             {.params = device});
  control.register_operation("storage.device_disable", on_device(storage, &NodeStorage::disable_device),
                             repeatable(device));
  control.register_operation("storage.device_enable", on_device(storage, &NodeStorage::enable_device),
                             repeatable(device));
  control.register_operation("storage.device_clear_errors",
                             on_device(storage, &NodeStorage::clear_device_errors), repeatable(device));
  control.register_operation(
      "storage.device_enlarge",
      [&storage](const Struct& params, std::stop_token stop) -> Result<Value> {
        const auto sectors = count(params, "num_sectors");
        if (!sectors) return sectors.error();
        return nothing(
            storage.enlarge_device(params.find("devname")->as_string(), *sectors, std::move(stop)));
      },
      repeatable(with(device, {{"num_sectors", Type::integer}})));
}

}  // namespace confd::storage
