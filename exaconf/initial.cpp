#include "exaconf/initial.h"

#include <string_view>
#include <vector>

#include "base/text.h"
#include "exaconf/config.h"
#include "exaconf/line_grammar.h"
#include "exaconf/migration.h"
#include "exaconf/secrets.h"
#include "exaconf/transaction.h"
#include "exaconf/value_types.h"

namespace confd::exaconf {
namespace {

constexpr std::string_view kDatabaseVersion = "8.20.0";
constexpr std::string_view kOwner = "500 : 500";  // exadefusr, exausers

struct BuiltInGroup {
  std::string_view name;
  int id;
};
constexpr BuiltInGroup kGroups[] = {{"root", 0},        {"exausers", 500},   {"exaadm", 499},
                                    {"exadbadm", 498},  {"exastoradm", 497}, {"exabfsadm", 496},
                                    {"exasaasadm", 495}};
constexpr std::string_view kAllGroups = "exausers, exaadm, exadbadm, exastoradm, exabfsadm, exasaasadm";
constexpr std::string_view kAdministratorGroups = "exaadm, exadbadm, exastoradm, exabfsadm, exasaasadm";

base::Error bad(std::string text) {
  return {base::Code::bad_parameter, std::move(text)};
}

base::Result<std::uint64_t> size_setting(std::string_view name, std::string_view text) {
  const auto size = parse_size(text);
  if (!size || *size == 0)
    return bad(std::string(name) + " '" + std::string(text) + "' is not a size such as '4 GiB'");
  return *size;
}

// Appends sections and keys to a document, in order.
class Builder {
 public:
  Section& top(std::string_view name, std::string_view title = {}) {
    Section& section = document_.root.sections.emplace_back();
    section.name = name;
    if (document_.root.sections.size() > 1) section.comments.emplace_back();
    if (!title.empty()) section.comments.push_back("# " + std::string(title));
    return section;
  }
  static Section& inner(Section& parent, std::string_view name) {
    Section& section = parent.sections.emplace_back();
    section.name = name;
    return section;
  }
  static void key(Section& section, std::string_view key, std::string_view value,
                  std::string_view comment = {}) {
    Entry& entry = section.entries.emplace_back();
    entry.key = key;
    entry.value = value;
    if (!comment.empty()) entry.comments.push_back("# " + std::string(comment));
  }
  Document take() { return std::move(document_); }

 private:
  Document document_;
};

void add_global(Builder& builder, const InitialSettings& settings, base::Random& random) {
  const std::string etc = settings.root_directory + "/etc";
  Section& global = builder.top("Global");
  Builder::key(global, "Revision", "0");
  Builder::key(global, "Checksum", "COMMIT");
  Builder::key(global, "ClusterName", "cl4");
  Builder::key(global, "Platform", "Vm");
  Builder::key(global, "LicenseFile", etc + "/license.exasol_license");
  Builder::key(global, "CoredPort", "325");
  Builder::key(global, "SSHPort", "22");
  Builder::key(global, "IssueTracker", "Jira");
  Builder::key(global, "XMLRPCPort", std::to_string(settings.xmlrpc_port), "HTTPS port of confd");
  Builder::key(global, "WebUIBackendPort", "4444");
  Builder::key(global, "WebUIDomain", "exacluster.local");
  Builder::key(global, "EnableLoadBalancer", "False");
  Builder::key(global, "AuthenticationToken", new_authentication_token(random));
  Builder::key(global, "Networks", "private", "'private' must be listed, 'public' may be");
  Builder::key(global, "NameServers", "");
  Builder::key(global, "Timezone", "Europe/Berlin");
  Builder::key(global, "LegacyPlatformManager", "True");
  Builder::key(global, "LicenseRAWMEMWarnThreshold", "80");
  Builder::key(global, "Hugepages", "0", "0 = none, host = the host's, auto = by the databases, or a count");
  Builder::key(global, "StorageConnectionThreads", "16");
  Builder::key(global, "StorageMaxConnections", "1024");
  Builder::key(global, "MetaPackage", "none");
  Builder::key(global, "ConfVersion", kConfVersion);
  Builder::key(global, "OSVersion", kConfVersion);
  Builder::key(global, "DBVersion", kDatabaseVersion);
  Builder::key(global, "ImageVersion", kDatabaseVersion);
  Builder::key(global, "CoredUsePrivilegedPorts", "True");
  Builder::key(global, "CoredAllowOnlySameSubnet", "True");
  Builder::key(global, "CoredSubnets", "");

  Section& ssl = builder.top("SSL", "Certificate of all services of the cluster");
  Builder::key(ssl, "Cert", etc + "/ssl/ssl.crt");
  Builder::key(ssl, "CertKey", etc + "/ssl/ssl.key");
  Builder::key(ssl, "CertAuth", etc + "/ssl/ssl.ca");
  Builder::key(ssl, "CertVerify", "none", "Client certificates: none, optional or required");
  Builder::key(ssl, "CertDomainName", "");
}

void add_accounts(Builder& builder, const InitialSettings& settings) {
  Section& groups = builder.top("Groups");
  for (const BuiltInGroup& group : kGroups)
    Builder::key(Builder::inner(groups, group.name), "ID", std::to_string(group.id));

  Section& users = builder.top("Users");
  const auto add = [&](std::string_view name, std::string_view id, std::string_view group, bool login,
                       std::string_view more, std::string_view passwd) {
    Section& user = Builder::inner(users, name);
    Builder::key(user, "ID", id);
    Builder::key(user, "Group", group);
    Builder::key(user, "LoginEnabled", format_bool(login));
    if (!passwd.empty()) Builder::key(user, "Passwd", passwd);
    Builder::key(user, "AdditionalGroups", more);
  };
  add("root", "0", "root", true, kAllGroups, "");
  add("exadefusr", "500", "exausers", false, kAdministratorGroups, "");
  add("exasaasusr", "499", "exausers", false, "exasaasadm,", "");
  add(settings.admin_name, "501", "exaadm", true, "exausers,", settings.admin_passwd_hash);
}

void add_node(Builder& builder, const InitialSettings& settings, const Network& net, base::Random& random) {
  const std::string id = std::to_string(settings.node_id);
  Section& node = builder.top("Node : " + id);
  Builder::key(node, "PrivateNet", format_network(net));
  Builder::key(node, "PublicNet", "");
  Builder::key(node, "Name", "n" + id);
  Builder::key(node, "Affinity", id, "The node with the lowest affinity becomes master");
  Builder::key(node, "UUID", new_node_uuid(random));
  Section& disk = Builder::inner(node, "Disk : disk1");
  Builder::key(disk, "Component", "exastorage");
  Builder::key(disk, "Devices", "dev.1",
               "Size of the file dev.1 when it is made: " + format_size(*parse_size(settings.device_size)));
}

void add_volume(Builder& builder, std::string_view name, std::string_view type, std::uint64_t size,
                int node_id) {
  const bool archive = type == "archive";
  Section& volume = builder.top("EXAVolume : " + std::string(name), "A volume");
  Builder::key(volume, "Type", type);
  Builder::key(volume, "Size", format_size(size), "Usable size, before redundancy");
  Builder::key(volume, "Disk", "disk1");
  Builder::key(volume, "Nodes", std::to_string(node_id), "Nodes for redundancy alone come last");
  Builder::key(volume, "NumMasterNodes", "1");
  Builder::key(volume, "Redundancy", "1");
  Builder::key(volume, "BlockSize", archive ? "64 KiB" : "4 KiB");
  Builder::key(volume, "StripeSize", archive ? "64 KiB" : "256 KiB");
  Builder::key(volume, "Owner", kOwner, "Numbers of the user and the group");
  Builder::key(volume, "Permissions", "rwx");
  Builder::key(volume, "Shared", "True");
  Builder::key(volume, "Priority", "10", "0 = highest, 20 = lowest");
}

void add_services(Builder& builder, base::Random& random) {
  Section& logging = builder.top("Logging", "Rotation of logs");
  Builder::key(logging, "LogRotationTypes", "local,");
  Builder::key(logging, "RemoteLogRotationVolume", "None");
  Builder::key(logging, "RemoteLogRotationPrefix", "None");

  Section& bucketfs = builder.top("BucketFS : bfsdefault", "The default BucketFS");
  Builder::key(bucketfs, "Owner", kOwner);
  Builder::key(bucketfs, "HttpPort", "0", "0 = off");
  Builder::key(bucketfs, "HttpsPort", "2581", "0 = off");
  Builder::key(bucketfs, "SyncKey", new_base64_password(random));
  Builder::key(bucketfs, "SyncPeriod", "30000");
  Builder::key(bucketfs, "mode", "rsync");
  Builder::key(bucketfs, "bucketvolume", "None");
  Section& bucket = Builder::inner(bucketfs, "Bucket : default");
  Builder::key(bucket, "ReadPasswd", new_base64_password(random));
  Builder::key(bucket, "WritePasswd", new_base64_password(random));
  Builder::key(bucket, "Public", "True");
}

}  // namespace

base::Result<std::string> initial_exaconf(const InitialSettings& settings, base::Random& random) {
  if (settings.node_id < 11)
    return bad("node id " + std::to_string(settings.node_id) + ": 0 to 10 are reserved");
  const auto net = parse_network(settings.private_net, settings.node_id);
  if (!net)
    return bad("private net '" + settings.private_net +
               "' is not an address with a prefix such as 127.0.0.11/8");
  if (settings.xmlrpc_port < 1 || settings.xmlrpc_port > 65535)
    return bad("port " + std::to_string(settings.xmlrpc_port) + " is not between 1 and 65535");
  if (!is_plain_name(settings.admin_name) || settings.admin_name.find_first_of("/: \t") != std::string::npos)
    return bad("admin name '" + settings.admin_name + "' can't be the name of a user");
  for (const std::string_view taken : {"root", "exadefusr", "exasaasusr", "exameta", "_owner", "_self"})
    if (settings.admin_name == taken) return bad("admin name '" + settings.admin_name + "' is built in");
  if (!is_plain_value(settings.admin_passwd_hash))
    return bad("the password hash of the admin is no crypt(3) text");
  if (!base::is_valid_utf8(settings.root_directory) || !is_plain_value(settings.root_directory))
    return bad("root directory '" + settings.root_directory + "' can't be written into EXAConf");
  const auto device = size_setting("device size", settings.device_size);
  if (!device) return device.error();
  const auto data = size_setting("data volume size", settings.data_volume_size);
  if (!data) return data.error();
  const auto archive = size_setting("archive volume size", settings.archive_volume_size);
  if (!archive) return archive.error();
  if (*data > *device || *archive > *device - *data)
    return bad("the volumes (" + format_size(*data) + " and " + format_size(*archive) +
               ") do not fit on the device (" + format_size(*device) + ")");

  Builder builder;
  add_global(builder, settings, random);
  add_accounts(builder, settings);
  add_node(builder, settings, *net, random);
  Section& storage = builder.top("EXAStorage", "Storage of the cluster");
  Builder::key(storage, "BgRecEnabled", "True", "Restore redundancy in the background");
  Builder::key(storage, "BgRecLimit", "", "MiB/s; empty = automatic");
  Builder::key(storage, "SpaceWarnThreshold", "90", "Percent of a node's space that give a warning");
  add_volume(builder, "DataVolume1", "data", *data, settings.node_id);
  add_volume(builder, "ArchiveVolume1", "archive", *archive, settings.node_id);
  add_services(builder, random);
  const auto sealed = seal(builder.take(), 1);
  if (!sealed) return sealed.error();
  return (*sealed)->text();
}

}  // namespace confd::exaconf
