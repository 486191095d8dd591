// Jobs of devices: st_device_add, _remove, _modify, _enable, _disable, _enlarge, _clear_errors, _info
// (spec/jobs/storage.yaml). The node does the work; EXAConf keeps which devices a disk has.
#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "exaconf/value_types.h"
#include "jobs/families.h"
#include "jobs/node_rules.h"
#include "jobs/volume_rules.h"
#include "jobs/volume_view.h"

namespace confd::jobs {

using base::Code;
using storage::DeviceReport;

namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kDatabaseAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kStorageAdmins[] = {"root", "exaadm", "exastoradm"};
constexpr std::string_view kInfoAdmins[] = {"root", "exastoradm", "exaadm"};
constexpr std::int64_t kMostSectors = std::int64_t{1} << 52;

constexpr Param kNode = {.name = "node", .types = kInt, .help = "node id", .completion = Completion::node};
constexpr Param kDevname = {.name = "devname", .help = "device, by its name in EXAConf or its path"};
constexpr Param kDeviceParams[] = {kNode, kDevname};
constexpr std::string_view kDeviceExamples[] = {R"({"node": 11, "devname": "/exa/data/storage/dev.1"})"};

std::vector<Lock> lock_device(const base::Struct& params) {
  std::vector<Lock> locks = node_locks(params, "node");
  locks.push_back({LockLevel::device, "node " + std::to_string(params.find("node")->as_int())});
  return locks;
}

// As EXAConf writes it: below the storage folder by its name alone.
std::string configured_name(JobContext& context, const std::string& given) {
  const std::string folders[] = {"/exa/data/storage/",
                                 base::join_path(context.services().root_directory, "data/storage") + "/"};
  for (const std::string& folder : folders)
    if (given.starts_with(folder) && given.size() > folder.size()) return given.substr(folder.size());
  return given;
}

std::string disk_section(int node, const std::string& disk) {
  return "Node : " + std::to_string(node) + "/Disk : " + disk;
}

int node_of(JobContext& context) {
  return known_node(context.config(), context.number("node")).id;
}

storage::NodeReport report_of(JobContext& context, int node) {
  return or_throw(storage::parse_report(context.run(node, "storage.report", {}, Recorded::size_only)));
}

const DeviceReport& known_device(const storage::NodeReport& report, const std::string& given) {
  for (const DeviceReport& device : report.devices)
    if (names_device(given, device)) return device;
  std::vector<std::string> names;
  for (const DeviceReport& device : report.devices) names.push_back(device.name);
  throw JobError{Code::not_found, "node " + std::to_string(report.node) + " has no device '" + given +
                                      "'; it has " + (names.empty() ? "none" : base::join(names, ", "))};
}

std::vector<std::string> devices_in(const exaconf::Section& disk) {
  return base::split_list(disk.value_or("Devices", ""));
}

// Adds the device to one disk of the node, or takes it off all others.
void write_devices(JobContext& context, int node, const std::string& device,
                   const std::optional<std::string>& disk) {
  exaconf::Transaction& edits = context.transaction();
  bool has_disk = false;
  for (const exaconf::Section& section : context.config().section("Node", std::to_string(node))->sections) {
    const exaconf::Heading heading = section.heading();
    if (heading.kind != "Disk") continue;
    std::vector<std::string> devices = devices_in(section);
    const bool is_it = disk && heading.id == *disk;
    has_disk = has_disk || is_it;
    const bool has_device = std::find(devices.begin(), devices.end(), device) != devices.end();
    if (is_it == has_device) continue;
    if (is_it)
      devices.push_back(device);
    else
      std::erase(devices, device);
    or_throw(edits.set("Node : " + std::to_string(node) + "/" + section.name, "Devices",
                       exaconf::format_list(devices)));
  }
  if (!disk || has_disk) return;
  const std::string section = disk_section(node, *disk);
  or_throw(edits.add_section(section));
  or_throw(edits.set(section, "Component", "exastorage"));
  or_throw(edits.set(section, "Devices", exaconf::format_list({device})));
  if (!context.flag_or("direct_io", true)) or_throw(edits.set(section, "DirectIO", "False"));
  if (context.flag_or("ephemeral", false)) or_throw(edits.set(section, "Ephemeral", "True"));
}

void check_disk_name(const std::string& disk) {
  if (disk.empty() || disk.size() > 64 || base::trim(disk) != disk ||
      disk.find_first_of("/:[]#'\",\n\r") != std::string::npos)
    refuse_parameter("disk", "'" + disk + "' can't be the name of a disk");
}

void check_device_name(const std::string& name) {
  if (name.empty() || name.size() > 1024 || base::trim(name) != name ||
      name.find_first_of("#'\",:\n\r") != std::string::npos || name.find("..") != std::string::npos)
    refuse_parameter("devname", "'" + name + "' can't be the name of a device");
}

void check_sector_size(JobContext& context) {
  if (context.param("sector_size") == nullptr) return;
  const auto bytes = exaconf::parse_size(context.text("sector_size"));
  const bool is_power = bytes && *bytes != 0 && (*bytes & (*bytes - 1)) == 0;
  if (!is_power || *bytes < 512 || *bytes > (1u << 20))
    refuse_parameter("sector_size", "'" + context.text("sector_size") +
                                        "' is no power of two from 512 B to 1 MiB such as '4 KiB'");
}

// The parameters of the job that the node operation has too.
base::Struct operation_params(JobContext& context, const std::string& device,
                              std::initializer_list<std::string_view> names) {
  base::Struct params{{"devname", device}};
  for (const std::string_view name : names)
    if (const base::Value* value = context.param(name)) params.append(std::string(name), *value);
  return params;
}

void check_node_param(JobContext& context) {
  node_of(context);
}

// --- st_device_add ---

constexpr Param kAddParams[] = {
    kNode,
    {.name = "disk", .help = "disk that the device joins; made when the node has none of that name"},
    kDevname,
};
constexpr Param kAddOptions[] = {
    {.name = "sector_size", .help = "sector size with unit", .default_text = "4 KiB"},
    {.name = "seccount", .types = kInt, .help = "number of sectors; 0 = all there are", .default_text = "0"},
    {.name = "read_only", .types = kBool, .help = "it may not be written", .default_text = "false"},
    {.name = "sync_crc", .types = kBool, .help = "write checksums at once", .default_text = "true"},
    {.name = "use_crc", .types = kBool, .help = "keep checksums", .default_text = "true"},
    {.name = "ephemeral",
     .types = kBool,
     .help = "its content is volatile",
     .default_text = "as the disk has it, else false"},
    {.name = "direct_io",
     .types = kBool,
     .help = "open it with direct I/O",
     .default_text = "as the disk has it, else true"},
};
constexpr std::string_view kAddExamples[] = {
    R"({"node": 11, "disk": "default", "devname": "/exa/data/storage/dev.1", "sector_size": "4 KiB", "seccount": 13107200, "read_only": false})"};

void check_st_device_add(JobContext& context) {
  const int node = node_of(context);
  check_disk_name(context.text("disk"));
  const std::string device = configured_name(context, context.text("devname"));
  check_device_name(device);
  check_sector_size(context);
  if (context.param("seccount") != nullptr) ranged(context, "seccount", 0, kMostSectors);
  for (const exaconf::Section& section : context.config().section("Node", std::to_string(node))->sections) {
    if (section.heading().kind != "Disk") continue;
    const auto devices = devices_in(section);
    if (std::find(devices.begin(), devices.end(), device) != devices.end())
      throw JobError{Code::exists, "device '" + device + "' belongs to disk '" + section.heading().id +
                                       "' of node " + std::to_string(node) + " already"};
  }
}

// What is not given is as the disk's other devices have it.
void add_disk_settings(JobContext& context, int node, base::Struct& params) {
  const exaconf::Section* disk =
      context.config().section("Node", std::to_string(node))->section("Disk : " + context.text("disk"));
  for (const auto& [name, key, otherwise] :
       {std::tuple("direct_io", "DirectIO", true), std::tuple("ephemeral", "Ephemeral", false)})
    if (params.find(name) == nullptr)
      params.append(name, disk == nullptr ? otherwise
                                          : exaconf::parse_bool(disk->value_or(key, "")).value_or(otherwise));
}

// On the node first: EXAConf names no device that could not be taken into use. Segments go on it only when
// EXAConf names it: another job may take room at any time, and what dies in between must leave none of it
// on a device that nobody would look for.
std::optional<base::Value> st_device_add(JobContext& context) {
  const int node = node_of(context);
  const std::string device = configured_name(context, context.text("devname"));
  base::Struct params = operation_params(
      context, device,
      {"disk", "sector_size", "seccount", "read_only", "sync_crc", "use_crc", "ephemeral", "direct_io"});
  add_disk_settings(context, node, params);
  context.run(node, "storage.device_add", params);
  write_devices(context, node, device, context.text("disk"));
  context.publish_now();
  const auto used = context.services().nodes.run(node, "storage.device_use",
                                                 operation_params(context, device, {}), context.stop());
  if (!used)
    context.warn("device '" + device + "' takes segments as soon as node " + std::to_string(node) +
                 " has the new revision: " + used.error().text);
  return std::nullopt;
}

// --- st_device_remove ---

std::optional<base::Value> st_device_remove(JobContext& context) {
  const int node = node_of(context);
  const std::string device = known_device(report_of(context, node), context.text("devname")).name;
  context.run(node, "storage.device_remove", operation_params(context, device, {}));
  write_devices(context, node, device, std::nullopt);
  return std::nullopt;
}

// --- st_device_modify ---

constexpr Param kModifyOptions[] = {
    {.name = "disk", .help = "disk that it is to belong to"},
    {.name = "num_sectors", .types = kInt, .help = "number of sectors; another one erases the device"},
    {.name = "read_only", .types = kBool, .help = "it may not be written"},
    {.name = "sector_size", .help = "sector size with unit; another one erases the device"},
};
constexpr std::string_view kModifyExamples[] = {
    R"({"node": 11, "devname": "/exa/data/storage/dev.1", "sector_size": "1 KiB"})"};

void check_st_device_modify(JobContext& context) {
  node_of(context);
  if (context.param("disk") != nullptr) check_disk_name(context.text("disk"));
  if (context.param("num_sectors") != nullptr) ranged(context, "num_sectors", 0, kMostSectors);
  check_sector_size(context);
  if (std::none_of(std::begin(kModifyOptions), std::end(kModifyOptions),
                   [&](const Param& param) { return context.param(param.name) != nullptr; }))
    throw JobError{Code::bad_parameter,
                   "there is nothing to change: give disk, num_sectors, read_only or "
                   "sector_size"};
}

std::optional<base::Value> st_device_modify(JobContext& context) {
  const int node = node_of(context);
  const std::string device = known_device(report_of(context, node), context.text("devname")).name;
  context.run(node, "storage.device_modify",
              operation_params(context, device, {"disk", "num_sectors", "read_only", "sector_size"}));
  if (context.param("disk") != nullptr) write_devices(context, node, device, context.text("disk"));
  return std::nullopt;
}

// --- st_device_enable, st_device_disable, st_device_clear_errors, st_device_enlarge ---

void on_device(JobContext& context, std::string_view operation,
               std::initializer_list<std::string_view> names = {}) {
  const int node = node_of(context);
  const std::string device = known_device(report_of(context, node), context.text("devname")).name;
  context.run(node, operation, operation_params(context, device, names));
}

std::optional<base::Value> st_device_enable(JobContext& context) {
  on_device(context, "storage.device_enable");
  return std::nullopt;
}

std::optional<base::Value> st_device_disable(JobContext& context) {
  on_device(context, "storage.device_disable");
  return std::nullopt;
}

std::optional<base::Value> st_device_clear_errors(JobContext& context) {
  on_device(context, "storage.device_clear_errors");
  return std::nullopt;
}

constexpr Param kEnlargeParams[] = {
    kNode,
    kDevname,
    {.name = "num_sectors", .types = kInt, .help = "new number of sectors; 0 = all there are"},
};
constexpr std::string_view kEnlargeExamples[] = {
    R"({"node": 11, "devname": "/exa/data/storage/dev.1", "num_sectors": 0})"};

void check_st_device_enlarge(JobContext& context) {
  node_of(context);
  ranged(context, "num_sectors", 0, kMostSectors);
}

std::optional<base::Value> st_device_enlarge(JobContext& context) {
  on_device(context, "storage.device_enlarge", {"num_sectors"});
  return std::nullopt;
}

// --- st_device_info ---

constexpr Param kInfoParams[] = {
    {.name = "node_id", .types = kInt, .help = "node id", .completion = Completion::node},
    kDevname,
};
constexpr std::string_view kInfoExamples[] = {R"({"node_id": 11, "devname": "/exa/data/storage/dev.1"})"};

void check_st_device_info(JobContext& context) {
  known_node(context.config(), context.number("node_id"));
}

std::optional<base::Value> st_device_info(JobContext& context) {
  const int node = known_node(context.config(), context.number("node_id")).id;
  const storage::NodeReport report = report_of(context, node);
  const DeviceReport& device = known_device(report, context.text("devname"));
  return device_value(device, static_cast<int>(&device - report.devices.data()));
}

constexpr JobDescriptor kDeviceJobs[] = {
    {.name = "st_device_add",
     .help = "Attach a further device to a node's disk",
     .long_help = "The file or block device must be there; it gets a superblock, and what was on it is lost.",
     .kind = JobKind::modify,
     .mandatory = kAddParams,
     .optional = kAddOptions,
     .groups = kStorageAdmins,
     .examples = kAddExamples,
     .locks = &lock_device,
     .check = &check_st_device_add,
     .execute = &st_device_add,
     .publishes_early = true},
    {.name = "st_device_clear_errors",
     .help = "Reset the error flags of a device",
     .kind = JobKind::modify,
     .mandatory = kDeviceParams,
     .groups = kDatabaseAdmins,
     .examples = kDeviceExamples,
     .locks = &lock_device,
     .check = &check_node_param,
     .execute = &st_device_clear_errors},
    {.name = "st_device_disable",
     .help = "Take a device out of use as if it had failed",
     .long_help = "Volumes go on with their other copies; one without is locked until the device is enabled.",
     .kind = JobKind::modify,
     .mandatory = kDeviceParams,
     .groups = kDatabaseAdmins,
     .examples = kDeviceExamples,
     .locks = &lock_device,
     .check = &check_node_param,
     .execute = &st_device_disable},
    {.name = "st_device_enable",
     .help = "Put a device into use again",
     .kind = JobKind::modify,
     .mandatory = kDeviceParams,
     .groups = kDatabaseAdmins,
     .examples = kDeviceExamples,
     .locks = &lock_device,
     .check = &check_node_param,
     .execute = &st_device_enable},
    {.name = "st_device_enlarge",
     .help = "Use more sectors of a device that grew",
     .kind = JobKind::modify,
     .mandatory = kEnlargeParams,
     .groups = kDatabaseAdmins,
     .examples = kEnlargeExamples,
     .locks = &lock_device,
     .check = &check_st_device_enlarge,
     .execute = &st_device_enlarge},
    {.name = "st_device_info",
     .help = "Describe one device of a node",
     .kind = JobKind::read,
     .mandatory = kInfoParams,
     .users = kRootUser,
     .groups = kInfoAdmins,
     .examples = kInfoExamples,
     .returns = "struct with name (path), type (disk), hid (number of the device on its node), state "
                "(`ONLINE`, `OFFLINE`, `DISABLED`), io_error, crc_error, read_only, ephemeral, direct_io, "
                "use_crc, sync_crc, checksum_algorithm, superblock_size, sector_size, num_sectors, "
                "num_data_sectors and num_free_sectors",
     .check = &check_st_device_info,
     .execute = &st_device_info},
    {.name = "st_device_modify",
     .help = "Give a device new parameters",
     .long_help = "Another sector size or count erases the device.",
     .kind = JobKind::modify,
     .mandatory = kDeviceParams,
     .optional = kModifyOptions,
     .groups = kDatabaseAdmins,
     .examples = kModifyExamples,
     .locks = &lock_device,
     .check = &check_st_device_modify,
     .execute = &st_device_modify},
    {.name = "st_device_remove",
     .help = "Detach an unused device from a node",
     .kind = JobKind::modify,
     .mandatory = kDeviceParams,
     .groups = kDatabaseAdmins,
     .examples = kDeviceExamples,
     .locks = &lock_device,
     .check = &check_node_param,
     .execute = &st_device_remove},
};

}  // namespace

std::span<const JobDescriptor> device_jobs() {
  return kDeviceJobs;
}

}  // namespace confd::jobs
