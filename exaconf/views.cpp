#include "exaconf/views.h"

#include <span>

#include "base/text.h"
#include "exaconf/value_types.h"

namespace confd::exaconf {
namespace {

enum class Type { text, text_or_null, integer, boolean, size, mebibytes, owner, nodes, list, seconds };

// One member of a view. An empty or missing value takes `otherwise`, written as in the file; without one it
// is left out.
struct Field {
  std::string_view key;
  std::string_view name;
  Type type = Type::text;
  const char* otherwise = nullptr;
};

base::Value strings(std::string_view text) {
  base::Array items;
  for (std::string& item : base::split_list(text)) items.emplace_back(std::move(item));
  return items;
}

base::Value owner_value(const Owner& owner) {
  return base::Array{owner.uid, owner.gid};
}

// Text that is not of the type is shown as it stands in the file.
base::Value typed(Type type, const std::string& text) {
  switch (type) {
    case Type::text:
      return text;
    case Type::text_or_null:
      return text.empty() ? base::Value() : base::Value(text);
    case Type::integer:
      if (const auto number = base::parse_int(text)) return *number;
      break;
    case Type::boolean:
      if (const auto flag = parse_bool(text)) return *flag;
      break;
    case Type::size:
      if (const auto size = parse_size(text)) return static_cast<std::int64_t>(*size);
      break;
    case Type::mebibytes:
      if (const auto size = parse_size(text)) return static_cast<std::int64_t>(*size >> 20);
      break;
    case Type::owner:
      if (const auto owner = parse_owner(text)) return owner_value(*owner);
      break;
    case Type::nodes:
      if (const auto nodes = parse_node_list(text)) {
        base::Array ids;
        for (const int id : *nodes) ids.emplace_back(id);
        return ids;
      }
      break;
    case Type::list:
      return strings(text);
    case Type::seconds:
      if (const auto duration = parse_duration(text)) return *duration;
      break;
  }
  return text;
}

void add_fields(base::Struct& view, const Section& section, std::span<const Field> fields) {
  for (const Field& field : fields) {
    const std::string* value = section.find(field.key);
    if (value && !value->empty()) {
      view.append(std::string(field.name), typed(field.type, *value));
    } else if (field.otherwise) {
      view.append(std::string(field.name), typed(field.type, field.otherwise));
    }
  }
}

// Sections "Kind : id" by id; make(view, section) fills each.
template <class Make>
base::Struct by_id(const std::vector<Section>& sections, std::string_view kind, Make make) {
  base::Struct all;
  for (const Section& section : sections) {
    if (!section.name.starts_with(kind) || section.name.find(':') == std::string::npos) continue;
    const Heading heading = section.heading();
    if (heading.kind != kind) continue;
    base::Struct view;
    view.reserve(16);
    make(view, section, heading.id);
    all.set(heading.id, std::move(view));
  }
  return all;
}

constexpr Field kDisk[] = {
    {"Component", "component", Type::text, "exastorage"},
    {"Devices", "devices", Type::list, ""},
    {"Drives", "drives", Type::list},
};
constexpr Field kDiskRest[] = {
    {"Ephemeral", "ephemeral", Type::boolean, "False"},
    {"DirectIO", "direct_io", Type::boolean, "True"},
};

constexpr Field kVolume[] = {
    {"Type", "type"},
    {"Size", "size", Type::size, "0"},
    {"Disk", "disk", Type::text_or_null, ""},
    {"Redundancy", "redundancy", Type::integer, "1"},
    {"Owner", "owner", Type::owner},
    {"Nodes", "nodes", Type::nodes},
    {"Permissions", "permissions", Type::text, "rwx"},
    {"Labels", "labels", Type::list},
};
constexpr Field kVolumeRest[] = {
    {"Priority", "priority", Type::integer, "10"},   {"Shared", "shared", Type::boolean, "True"},
    {"BlockSize", "block_size", Type::size},         {"StripeSize", "stripe_size", Type::size},
    {"PartitionSize", "partition_size", Type::size}, {"HttpPort", "http_port", Type::integer},
    {"HttpsPort", "https_port", Type::integer},      {"FtpPort", "ftp_port", Type::integer},
    {"FtpsPort", "ftps_port", Type::integer},        {"SftpPort", "sftp_port", Type::integer},
};

constexpr Field kObjectVolume[] = {
    {"Type", "type"},
    {"Bucket", "bucket"},
    {"Prefix", "prefix"},
    {"Owner", "owner", Type::owner},
    {"Region", "region"},
    {"Credentials", "credentials"},
    {"EndPoint", "end_point"},
    {"Labels", "labels", Type::list},
    {"Options", "options"},
    {"Priority", "priority", Type::integer, "10"},
    {"Shared", "shared", Type::boolean, "True"},
    {"Permissions", "permissions", Type::text, "rwx"},
};

constexpr Field kRemoteVolume[] = {
    {"Type", "type"},
    {"ID", "vid"},
    {"URL", "url"},
    {"Owner", "owner", Type::owner},
    {"Username", "username"},
    {"Passwd", "passwd"},
    {"Labels", "labels", Type::list},
    {"Options", "options"},
    {"HttpPort", "http_port", Type::integer},
    {"HttpsPort", "https_port", Type::integer},
    {"FtpPort", "ftp_port", Type::integer},
    {"FtpsPort", "ftps_port", Type::integer},
    {"SftpPort", "sftp_port", Type::integer},
};

constexpr Field kDatabase[] = {
    {"ID", "uuid"},
    {"Version", "version"},
    {"DataVolume", "data_volume"},
    {"CloudDataVolume", "cloud_data_volume"},
    {"SnapshotVolume", "snapshot_volume"},
    {"CloudDataVolumeSync", "data_volume_sync"},
    {"SnapshotVolumeSync", "snapshot_volume_sync"},
    {"MemSize", "mem_size", Type::mebibytes},
    {"Port", "port", Type::integer},
    {"Nodes", "nodes", Type::nodes},
    {"NumActiveNodes", "num_active_nodes", Type::integer},
    {"Owner", "owner", Type::owner},
    {"Params", "params"},
    {"LdapServers", "ldap_servers", Type::list},
    {"Interfaces", "interfaces", Type::list},
};
constexpr Field kDatabaseRest[] = {
    {"EnableAuditing", "enable_auditing", Type::boolean},
    {"VolumeQuota", "volume_quota", Type::size},
    {"VolumeMoveDelay", "volume_move_delay", Type::integer},
    {"MasterDatabase", "master_database"},
    {"InitialSQL", "initial_sql"},
    {"DefaultSysPasswdHash", "default_sys_passwd_hash"},
    {"AdditionalSysPasswdHashes", "additional_sys_passwd_hashes", Type::list},
    {"BuiltinScriptLanguageName", "builtin_script_language_name"},
    {"MaxSystemHeapMemory", "max_system_heap_memory", Type::mebibytes},
};
constexpr Field kJdbc[] = {
    {"BucketFS", "bucketfs", Type::text, "bfsdefault"},
    {"Bucket", "bucket", Type::text, "default"},
    {"Dir", "dir", Type::text, "drivers/jdbc"},
    {"AdditionalURLs", "additional_urls", Type::list, ""},
};
constexpr Field kOracle[] = {
    {"BucketFS", "bucketfs", Type::text, "bfsdefault"},
    {"Bucket", "bucket", Type::text, "default"},
    {"Dir", "dir", Type::text, "drivers/oracle"},
};
constexpr Field kKerberos[] = {
    {"Keytab", "keytab"}, {"Host", "host"}, {"Realm", "realm"}, {"Service", "service"}};
constexpr Field kBackup[] = {
    {"Enabled", "enabled", Type::boolean, "True"},
    {"Volume", "volume"},
    {"Level", "level", Type::integer},
    {"Minute", "minute", Type::text, "*"},
    {"Hour", "hour", Type::text, "*"},
    {"Day", "day", Type::text, "*"},
    {"Month", "month", Type::text, "*"},
    {"Weekday", "weekday", Type::text, "*"},
    {"Expire", "expire", Type::seconds},
};

constexpr Field kBucketFs[] = {
    {"Owner", "owner", Type::owner},
    {"HttpPort", "http_port", Type::integer, "0"},
    {"HttpsPort", "https_port", Type::integer, "0"},
    {"SyncKey", "sync_key"},
    {"SyncPeriod", "sync_period"},
    {"Path", "path"},
    {"mode", "mode"},
    {"bucketvolume", "bucketvolume"},
};
constexpr Field kBucket[] = {
    {"ReadPasswd", "read_passwd"},
    {"WritePasswd", "write_passwd"},
    {"Public", "public", Type::boolean, "False"},
    {"AdditionalFiles", "additional_files", Type::list},
};

constexpr Field kSsl[] = {
    {"Cert", "cert", Type::text, ""},
    {"CertKey", "cert_key", Type::text, ""},
    {"CertAuth", "cert_auth", Type::text, ""},
    {"CertVerify", "cert_verify", Type::text, "none"},
    {"CertDomainName", "cert_dn", Type::text, ""},
};
constexpr Field kStorage[] = {
    {"BgRecEnabled", "bg_rec_enabled", Type::boolean, "True"},
    {"BgRecLimit", "bg_rec_limit", Type::integer},
    {"SpaceWarnThreshold", "space_warn_threshold", Type::integer, "90"},
};

base::Value ports(const std::string& text) {
  const auto pairs = parse_pair_list(text);
  if (!pairs) return text;
  base::Array list;
  for (const auto& [first, second] : *pairs)
    list.push_back(base::Array{typed(Type::integer, first), typed(Type::integer, second)});
  return list;
}

// "disk2:58 GiB" -> ["disk2", bytes]
base::Value cache_disk(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return text;
  return base::Array{base::trim(std::string_view(text).substr(0, colon)),
                     typed(Type::size, text.substr(colon + 1))};
}

void name_first(base::Struct& view, std::string_view id) {
  view.append("name", id);
}

// Mapping = dev.1:/host/folder: the pairs as they are, and where each device lies inside and on the host.
void add_mapping(base::Struct& view, const Section& disk) {
  const auto pairs = parse_pair_list(disk.value_or("Mapping", ""));
  if (!pairs || pairs->empty()) return;
  base::Array mapping;
  base::Array devices;
  for (const auto& [device, folder] : *pairs) {
    mapping.push_back(base::Array{device, folder});
    devices.push_back(base::Array{"/exa/data/storage/" + device, folder + "/" + device});
  }
  view.append("mapping", std::move(mapping));
  view.append("mapped_devices", std::move(devices));
}

void fill_node(base::Struct& view, const Section& section, const Node& node, const std::string& docker_root) {
  view.append("id", std::to_string(node.id));
  view.append("name", node.name);
  view.append("private_net", node.private_net);
  view.append("private_ip", node.private_ip);
  if (!node.public_net.empty()) {
    view.append("public_net", node.public_net);
    view.append("public_ip", node.public_ip);
  }
  if (!node.uuid.empty()) view.append("uuid", node.uuid);
  view.append("affinity", std::to_string(node.affinity));
  view.append("disks",
              by_id(section.sections, "Disk", [](base::Struct& disk, const Section& s, const auto& id) {
                name_first(disk, id);
                add_fields(disk, s, kDisk);
                add_mapping(disk, s);
                add_fields(disk, s, kDiskRest);
              }));
  if (const std::string volume = section.value_or("DockerVolume", ""); !volume.empty())
    view.append("docker_volume", docker_root + "/" + volume);
  if (const std::string exposed = section.value_or("ExposedPorts", ""); !exposed.empty())
    view.append("exposed_ports", ports(exposed));
  constexpr Field kInterfaces[] = {{"PrivateInterface", "private_interface"},
                                   {"PublicInterface", "public_interface"}};
  add_fields(view, section, kInterfaces);
  view.append("state", node.state);
}

void fill_volume(base::Struct& view, const Section& section, const std::string& id) {
  name_first(view, id);
  add_fields(view, section, kVolume);
  const base::Value* nodes = view.find("nodes");
  const auto all = nodes && nodes->is_array() ? static_cast<std::int64_t>(nodes->as_array().size()) : 0;
  const auto masters = base::parse_int(section.value_or("NumMasterNodes", ""));
  view.append("num_master_nodes", masters.value_or(all));
  add_fields(view, section, kVolumeRest);
}

template <std::size_t N>
void add_driver(base::Struct& view, const Section& database, const char* name, const char* member,
                const Field (&fields)[N]) {
  static const Section kNone;
  const Section* section = database.section(name);
  base::Struct driver;
  add_fields(driver, section ? *section : kNone, fields);
  view.append(member, std::move(driver));
}

void add_schedules(base::Struct& view, const Section& database, const char* kind, const char* member) {
  base::Struct schedules =
      by_id(database.sections, kind, [](base::Struct& schedule, const Section& section, const auto& id) {
        name_first(schedule, id);
        add_fields(schedule, section, kBackup);
      });
  if (!schedules.empty()) view.append(member, std::move(schedules));
}

void fill_database(base::Struct& view, const Section& section, const std::string& id) {
  name_first(view, id);
  add_fields(view, section, kDatabase);
  if (const std::string cache = section.value_or("CacheVolumeDisk", ""); !cache.empty())
    view.append("cache_volume_disk", cache_disk(cache));
  add_fields(view, section, kDatabaseRest);
  // A worker cluster's database is never started by itself (spec §8).
  const bool worker = !section.value_or("MasterDatabase", "").empty();
  const bool start = parse_bool(section.value_or("AutoStart", "True")).value_or(true);
  view.append("auto_start", start && !worker);
  add_driver(view, section, "JDBC", "jdbc", kJdbc);
  add_driver(view, section, "Oracle", "oracle", kOracle);
  if (section.section("Kerberos")) add_driver(view, section, "Kerberos", "kerberos", kKerberos);
  add_schedules(view, section, "Backup", "backups");
  add_schedules(view, section, "Snapshot", "snapshots");
}

void fill_bucketfs(base::Struct& view, const Section& section, const std::string& id) {
  name_first(view, id);
  add_fields(view, section, kBucketFs);
  view.append("buckets",
              by_id(section.sections, "Bucket", [](base::Struct& bucket, const Section& s, const auto& b) {
                name_first(bucket, b);
                add_fields(bucket, s, kBucket);
              }));
}

base::Value single(const Config& config, std::string_view name, std::span<const Field> fields) {
  base::Struct view;
  if (const Section* section = config.document().root.section(name)) add_fields(view, *section, fields);
  return view;
}

base::Value names(const std::vector<std::string>& items) {
  base::Array list;
  list.reserve(items.size());
  for (const std::string& item : items) list.emplace_back(item);
  return list;
}

}  // namespace

base::Value nodes_view(const Config& config) {
  const std::string* root = config.get("Docker", "RootDir");
  return by_id(config.document().root.sections, "Node",
               [&](base::Struct& view, const Section& section, const std::string& id) {
                 const int number = static_cast<int>(base::parse_int(id).value_or(0));
                 fill_node(view, section, config.nodes().at(number), root ? *root : std::string());
               });
}

base::Value volumes_view(const Config& config) {
  return by_id(config.document().root.sections, "EXAVolume", fill_volume);
}

base::Value object_volumes_view(const Config& config) {
  return by_id(config.document().root.sections, "ObjectVolume",
               [](base::Struct& view, const Section& section, const std::string& id) {
                 name_first(view, id);
                 add_fields(view, section, kObjectVolume);
               });
}

base::Value remote_volumes_view(const Config& config) {
  return by_id(config.document().root.sections, "RemoteVolume",
               [](base::Struct& view, const Section& section, const std::string& id) {
                 name_first(view, id);
                 add_fields(view, section, kRemoteVolume);
               });
}

base::Value databases_view(const Config& config) {
  return by_id(config.document().root.sections, "DB", fill_database);
}

base::Value bucketfs_view(const Config& config) {
  return by_id(config.document().root.sections, "BucketFS", fill_bucketfs);
}

base::Value users_view(const Config& config) {
  base::Struct all;
  const Section* users = config.document().root.section("Users");
  if (!users) return all;
  all.reserve(users->sections.size());
  for (const Section& section : users->sections) {
    const User& user = *config.user(section.name);
    base::Struct view;
    view.append("group", user.group);
    view.append("id", user.id);
    view.append("login_enabled", user.login_enabled);
    view.append("passwd", user.passwd);
    view.append("additional_groups", names(user.additional_groups));
    view.append("authorized_keys", names(user.authorized_keys));
    all.append(section.name, std::move(view));
  }
  return all;
}

base::Value groups_view(const Config& config) {
  base::Struct all;
  const Section* groups = config.document().root.section("Groups");
  if (!groups) return all;
  all.reserve(groups->sections.size());
  for (const Section& section : groups->sections) {
    base::Struct view;
    view.append("id", config.group(section.name)->id);
    all.append(section.name, std::move(view));
  }
  return all;
}

base::Value ssl_view(const Config& config) {
  return single(config, "SSL", kSsl);
}

base::Value storage_view(const Config& config) {
  return single(config, "EXAStorage", kStorage);
}

}  // namespace confd::exaconf
