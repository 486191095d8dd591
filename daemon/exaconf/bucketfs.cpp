// Commands on BucketFS services and their buckets.
#include "base/random.h"
#include "base/text.h"
#include "daemon/exaconf/command.h"
#include "exaconf/secrets.h"

namespace confd::exaconf_program {
namespace {

using exaconf::Section;

std::string service_section(const std::string& name) {
  return "BucketFS : " + name;
}

const Section& require_bucket(Edit& edit, const std::string& service, const std::string& bucket) {
  for (const Section& section : edit.require("BucketFS", service, "BucketFS").sections)
    if (exaconf::same_heading(section.name, "Bucket : " + bucket)) return section;
  throw Failure("BucketFS '" + service + "' has no bucket '" + bucket + "'");
}

std::string port(const Arguments& arguments, std::string_view name) {
  return std::to_string(*arguments.integer(name, 0, 65535));
}

// Two services on one port would not start.
void check_port(const Edit& edit, const std::string& service, const std::string& number) {
  if (number == "0") return;
  for (const std::string& other : edit.config().ids("BucketFS")) {
    if (other == service) continue;
    const Section& section = *edit.config().section("BucketFS", other);
    for (const char* key : {"HttpPort", "HttpsPort"})
      if (section.value_or(key, "") == number)
        throw Failure("port " + number + " is " + key + " of BucketFS '" + other + "'");
  }
}

void set_ports(Edit& edit, const Arguments& arguments, const std::string& name) {
  if (arguments.has("http-port") && arguments.has("https-port") &&
      port(arguments, "http-port") == port(arguments, "https-port") && port(arguments, "http-port") != "0")
    throw Failure("the HTTP and the HTTPS port are the same");
  for (const auto& [option, key] : {std::pair{"http-port", "HttpPort"}, {"https-port", "HttpsPort"}}) {
    if (!arguments.has(option)) continue;
    check_port(edit, name, port(arguments, option));
    edit.set(service_section(name), key, port(arguments, option));
  }
}

constexpr Option kAdd[] = {
    {'n', "name", "name of the service", true},
    {'o', "owner", "UID:GID", true},
    {'p', "http-port", "0 = off", true},
    {'P', "https-port", "0 = off", true},
    {'s', "sync-period", "milliseconds between two looks at the other nodes; default 30000"},
    {'S', "sync-key", "secret that the nodes share; default: a new one"},
    {'A', "path", "folder of the data; default /exa/data/bucketfs"},
};
void add_bucketfs(Edit& edit, const Arguments& arguments) {
  const std::string name = checked_name("BucketFS", arguments.get("name"));
  if (edit.find("BucketFS", name)) throw Failure("BucketFS '" + name + "' exists");
  const std::string section = service_section(name);
  edit.add(section);
  edit.set(section, "Owner", checked_owner(edit.config(), arguments.get("owner")));
  set_ports(edit, arguments, name);
  edit.set(section, "SyncKey",
           arguments.has("sync-key") ? exaconf::encode_base64_password(arguments.get("sync-key"))
                                     : exaconf::new_base64_password(base::system_random()));
  edit.set(section, "SyncPeriod",
           std::to_string(arguments.integer("sync-period", 1, 86'400'000).value_or(30000)));
  if (arguments.has("path")) edit.set(section, "Path", arguments.get("path"));
  edit.set(section, "mode", "rsync");
  edit.set(section, "bucketvolume", "None");
}

constexpr Option kModify[] = {
    {'n', "name", "name of the service", true},
    {'o', "owner", "UID:GID"},
    {'p', "http-port", "0 = off"},
    {'P', "https-port", "0 = off"},
    {'s', "sync-period", "milliseconds between two looks at the other nodes"},
};
void modify_bucketfs(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  (void)edit.require("BucketFS", name, "BucketFS");
  const std::string section = service_section(name);
  if (arguments.has("owner"))
    edit.set(section, "Owner", checked_owner(edit.config(), arguments.get("owner")));
  set_ports(edit, arguments, name);
  if (const auto period = arguments.integer("sync-period", 1, 86'400'000))
    edit.set(section, "SyncPeriod", std::to_string(*period));
}

constexpr Option kRemove[] = {{'n', "name", "name of the service", true}};
void remove_bucketfs(Edit& edit, const Arguments& arguments) {
  const std::string& name = arguments.get("name");
  (void)edit.require("BucketFS", name, "BucketFS");
  for (const std::string& database : edit.config().ids("DB"))
    for (const Section& driver : edit.config().section("DB", database)->sections)
      if (driver.value_or("BucketFS", "") == name)
        throw Failure("BucketFS '" + name + "' holds the " + driver.name + " drivers of database '" +
                      database + "'");
  edit.remove(service_section(name));
}

constexpr Option kBucketName{'n', "name", "name of the bucket", true};
constexpr Option kBucketService{'N', "bfs-name", "name of the BucketFS service", true};
constexpr Option kBucket[] = {
    kBucketName,
    kBucketService,
    {'p', "public", "True or False: may be read without password (add: default False)"},
    {'r', "read-passwd", "clear or base64 (add: default a new one)"},
    {'w', "write-passwd", "clear or base64 (add: default a new one)"},
    {'a', "additional-files", "comma list of prefix:glob"},
};
void set_bucket(Edit& edit, const Arguments& arguments, const std::string& section) {
  for (const auto& [option, key] : {std::pair{"read-passwd", "ReadPasswd"}, {"write-passwd", "WritePasswd"}})
    if (arguments.has(option)) edit.set(section, key, exaconf::encode_base64_password(arguments.get(option)));
  if (const auto open = arguments.boolean("public")) edit.set(section, "Public", exaconf::format_bool(*open));
  if (arguments.has("additional-files"))
    edit.set(section, "AdditionalFiles",
             base::join(base::split_list(arguments.get("additional-files")), ", "));
}
void add_bucket(Edit& edit, const Arguments& arguments) {
  const std::string name = checked_name("bucket", arguments.get("name"));
  const std::string& service = arguments.get("bfs-name");
  for (const Section& section : edit.require("BucketFS", service, "BucketFS").sections)
    if (exaconf::same_heading(section.name, "Bucket : " + name))
      throw Failure("BucketFS '" + service + "' has a bucket '" + name + "'");
  const std::string section = service_section(service) + "/Bucket : " + name;
  edit.add(section);
  edit.set(section, "ReadPasswd", exaconf::new_base64_password(base::system_random()));
  edit.set(section, "WritePasswd", exaconf::new_base64_password(base::system_random()));
  edit.set(section, "Public", "False");
  set_bucket(edit, arguments, section);
}
void modify_bucket(Edit& edit, const Arguments& arguments) {
  (void)require_bucket(edit, arguments.get("bfs-name"), arguments.get("name"));
  set_bucket(edit, arguments,
             service_section(arguments.get("bfs-name")) + "/Bucket : " + arguments.get("name"));
}

constexpr Option kRemoveBucket[] = {kBucketName, kBucketService};
void remove_bucket(Edit& edit, const Arguments& arguments) {
  const std::string& service = arguments.get("bfs-name");
  const std::string& bucket = arguments.get("name");
  (void)require_bucket(edit, service, bucket);
  for (const std::string& database : edit.config().ids("DB"))
    for (const Section& driver : edit.config().section("DB", database)->sections)
      if (driver.value_or("BucketFS", "") == service && driver.value_or("Bucket", "") == bucket)
        throw Failure("bucket '" + bucket + "' holds the " + driver.name + " drivers of database '" +
                      database + "'");
  edit.remove(service_section(service) + "/Bucket : " + bucket);
}

constexpr Command kCommands[] = {
    {"add-bucketfs", "Add a BucketFS service", kAdd, &add_bucketfs},
    {"modify-bucketfs", "Change a BucketFS service", kModify, &modify_bucketfs},
    {"remove-bucketfs", "Remove a BucketFS service", kRemove, &remove_bucketfs},
    {"add-bucket", "Add a bucket to a BucketFS service", kBucket, &add_bucket},
    {"modify-bucket", "Change a bucket", kBucket, &modify_bucket},
    {"remove-bucket", "Remove a bucket", kRemoveBucket, &remove_bucket},
};

}  // namespace

std::span<const Command> bucketfs_commands() {
  return kCommands;
}

}  // namespace confd::exaconf_program
