#include "jobs/volume_view.h"

#include <algorithm>

#include "base/text.h"
#include "exaconf/value_types.h"

namespace confd::jobs {

using storage::SegmentStatus;
using storage::Volume;

namespace {

constexpr std::string_view kDocumentedFolder = "/exa/data/storage/";

base::Array texts(const std::vector<std::string>& items) {
  return {items.begin(), items.end()};
}

using Databases = std::multimap<std::string, std::string>;

Databases databases_by_volume(const exaconf::Config& config) {
  Databases databases;
  for (const std::string& name : config.ids("DB"))
    if (std::string volume = config.section("DB", name)->value_or("DataVolume", ""); !volume.empty())
      databases.emplace(std::move(volume), name);
  return databases;
}

std::vector<std::string> labels_of(const Volume& volume, const Databases& databases) {
  std::vector<std::string> labels;
  if (volume.name != storage::default_name(volume.id)) labels.push_back("#Name#" + volume.name);
  labels.insert(labels.end(), volume.labels.begin(), volume.labels.end());
  const auto [first, last] = databases.equal_range(volume.name);
  for (auto database = first; database != last; ++database) {
    std::string label = "pub:" + database->second + "_persistent";
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(std::move(label));
  }
  return labels;
}

}  // namespace

std::vector<std::string> shown_labels(const exaconf::Config& config, const Volume& volume) {
  return labels_of(volume, databases_by_volume(config));
}

VolumeView::VolumeView(const exaconf::Config& config, const storage::NodeStatuses& nodes)
    : nodes_(nodes), databases_(databases_by_volume(config)) {
  for (const auto& [id, status] : nodes) {
    if (const exaconf::Section* node = config.section("Node", std::to_string(id)))
      for (const exaconf::Section& section : node->sections)
        if (const exaconf::Heading heading = section.heading(); heading.kind == "Disk")
          disks_[id][heading.id] = static_cast<int>(base::split_list(section.value_or("Devices", "")).size());
    if (status.report == nullptr) continue;
    for (const storage::DeviceReport& device : status.report->devices)
      if (!device.use_crc) without_checksums_[id].insert(device.name);
  }
}

int VolumeView::devices_per_node(const Volume& volume) const {
  if (volume.placement.empty()) return 0;
  const auto node = disks_.find(volume.placement.front().front().node);
  if (node == disks_.end()) return 0;
  const auto disk = node->second.find(volume.disk);
  return disk == node->second.end() ? 0 : disk->second;
}

bool VolumeView::uses_checksums(const storage::VolumeStatus& status) const {
  if (without_checksums_.empty()) return true;
  for (const SegmentStatus& segment : status.segments) {
    const auto without = without_checksums_.find(segment.segment.node);
    if (segment.report == nullptr || without == without_checksums_.end()) continue;
    for (const std::string& device : segment.report->devices)
      if (without->second.contains(device)) return false;
  }
  return true;
}

base::Value VolumeView::segment_value(const SegmentStatus& status, const std::string& volume_id) const {
  const storage::Segment& segment = status.segment;
  const auto node = nodes_.find(segment.node);
  base::Struct value;
  value.reserve(10);
  value.append("end_block", std::to_string(segment.end_block));
  value.append("index", std::to_string(segment.id.index));
  value.append("nid", node == nodes_.end() ? base::Value() : base::Value(node->second.number));
  value.append("partitions", base::Array());
  value.append("phys_nid", segment.node);
  value.append("sid", std::to_string(segment.number));
  value.append("start_block", std::to_string(segment.start_block));
  value.append("state", storage::text_of(status.state));
  value.append("type", storage::text_of(status.type));
  value.append("vid", volume_id);
  return value;
}

base::Value VolumeView::show(const Volume& volume, Detail detail) const {
  const storage::VolumeStatus status = storage::status_of(volume, nodes_);
  const std::string id = std::to_string(volume.id);
  const bool is_whole = volume.problem.empty();
  const auto size = [&](std::uint64_t bytes) -> base::Value {
    if (detail == Detail::list) return static_cast<std::int64_t>(bytes);
    return exaconf::format_size(bytes);
  };
  base::Array segments, nodes_list, volume_nodes;
  segments.reserve(status.segments.size());
  for (const SegmentStatus& segment : status.segments) segments.push_back(segment_value(segment, id));
  for (const int node : storage::nodes_of(volume.placement)) {
    const auto count = std::find_if(status.unrecovered.begin(), status.unrecovered.end(),
                                    [&](const auto& entry) { return entry.first == node; });
    if (count == status.unrecovered.end()) continue;  // it holds none
    nodes_list.push_back(base::Struct{{"id", node}, {"unrecovered_segments", count->second}});
    volume_nodes.emplace_back(node);
  }
  base::Struct value;
  value.reserve(28);
  value.append("app_io_enabled", volume.app_io);
  value.append("block_distribution", "vertical");
  value.append("block_size", size(volume.block_size));
  value.append("bytes_per_block", static_cast<std::int64_t>(volume.block_size));
  value.append("group", volume.owner.gid);
  value.append("hdd_type", volume.disk);
  value.append("hdds_per_node", devices_per_node(volume));
  value.append("id", id);
  value.append("int_io_enabled", volume.int_io);
  value.append("labels", texts(labels_of(volume, databases_)));
  value.append("name", volume.name);
  value.append("nodes_list", std::move(nodes_list));
  value.append("num_master_nodes", volume.masters);
  value.append("owner", volume.owner.uid);
  value.append("permissions", volume.permissions);
  value.append("priority", volume.priority);
  value.append("redundancy", volume.redundancy);
  value.append("segments", std::move(segments));
  value.append("shared", volume.shared);
  value.append("size", exaconf::format_size(is_whole ? storage::usable_bytes(volume) : volume.size));
  value.append("snapshots", base::Array());
  value.append("state", storage::text_of(status.state));
  value.append("stripe_size", size(volume.stripe_size));
  value.append("type", "MASTER");
  value.append("unlock_conditions", texts(status.unlock_conditions));
  value.append("use_crc", uses_checksums(status));
  value.append("users", base::Array());
  value.append("volume_nodes", std::move(volume_nodes));
  return value;
}

base::Struct device_value(const storage::DeviceReport& device, int number) {
  return {{"name", device.path},
          {"type", device.disk},
          {"hid", number},
          {"state", device.state},
          {"io_error", device.io_error},
          {"crc_error", device.crc_error},
          {"read_only", device.read_only},
          {"ephemeral", device.ephemeral},
          {"direct_io", device.direct_io},
          {"use_crc", device.use_crc},
          {"sync_crc", device.sync_crc},
          {"checksum_algorithm", device.checksum_algorithm},
          {"superblock_size", exaconf::format_size(device.superblock_bytes)},
          {"sector_size", static_cast<std::int64_t>(device.sector_size)},
          {"num_sectors", static_cast<std::int64_t>(device.sectors)},
          {"num_data_sectors", static_cast<std::int64_t>(device.data_sectors)},
          {"num_free_sectors", static_cast<std::int64_t>(device.free_sectors)}};
}

bool names_device(std::string_view given, const storage::DeviceReport& device) {
  if (given == device.name || given == device.path) return true;
  return given.starts_with(kDocumentedFolder) && given.substr(kDocumentedFolder.size()) == device.name;
}

}  // namespace confd::jobs
