#include "exaconf/migration.h"

#include <set>

#include "base/text.h"
#include "exaconf/secrets.h"
#include "exaconf/value_types.h"
#include "exaconf/version.h"

namespace confd::exaconf {
namespace {

void set(Section& section, std::string_view key, std::string_view value) {
  if (Entry* entry = section.entry(key)) {
    entry->value = value;
    return;
  }
  Entry& entry = section.entries.emplace_back();
  entry.key = key;
  entry.value = value;
}

void set_if_missing(Section& section, std::string_view key, std::string_view value) {
  if (!section.entry(key)) set(section, key, value);
}

void unset(Section& section, std::string_view key) {
  std::erase_if(section.entries, [&](const Entry& entry) { return entry.key == key; });
}

void rename_key(Section& section, std::string_view from, std::string_view to) {
  if (section.entry(to)) return;
  if (Entry* entry = section.entry(from)) entry->key = to;
}

Section& add(Section& parent, std::string_view name) {
  Section& section = parent.sections.emplace_back();
  section.name = name;
  return section;
}

class Migration {
 public:
  Migration(Document document, base::Random& random, const MigrationSettings& settings)
      : document_(std::move(document)), random_(random), settings_(settings) {}

  base::Result<Migrated> run() {
    Section* global = document_.root.section("Global");
    if (!global) return invalid("there is no section [Global]: the file is not initialised");
    const std::string word = global->value_or("ConfVersion", "");
    const auto from = parse_version(word);
    if (!from) return invalid("ConfVersion '" + word + "' is no version");
    const auto to = parse_version(settings_.to);
    if (!to) return invalid("version '" + settings_.to + "' to migrate to is no version");
    if (*from > *to)
      return base::Error{base::Code::unsupported, "EXAConf: the file was written by version " + word +
                                                      ", which is newer than " + settings_.to +
                                                      ": use a newer confd"};
    Migrated done;
    for (const Step& step : kSteps) {
      const auto version = parse_version(step.version);
      if (*version <= *from || *version > *to) continue;
      (this->*step.apply)();
      done.steps.emplace_back(step.version);
    }
    if (*from < *to) set(this->global(), "ConfVersion", settings_.to);
    done.document = std::move(document_);
    return done;
  }

 private:
  struct Step {
    std::string_view version;
    void (Migration::*apply)();
  };

  static base::Error invalid(const std::string& text) {
    return {base::Code::invalid_config, "EXAConf: " + text};
  }

  Section& global() { return *document_.root.section("Global"); }

  template <class Function>
  void each(std::string_view kind, Function function) {
    for (Section& section : document_.root.sections)
      if (section.name.find(':') != std::string::npos && section.heading().kind == kind) function(section);
  }

  void names() {
    each("Node", [](Section& node) { rename_key(node, "Hostname", "Name"); });
  }
  void revision() { set_if_missing(global(), "Revision", "1"); }
  void integrity() {
    each("Node", [](Section& node) { set_if_missing(node, "UUID", "IMPORT"); });
    set_if_missing(global(), "Checksum", "COMMIT");
  }
  void timezone() { set_if_missing(global(), "Timezone", "Europe/Berlin"); }

  void accounts() {
    struct Default {
      std::string_view name, id;
    };
    constexpr Default kGroups[] = {{"root", "0"},          {"exausers", "500"},   {"exadbadm", "1001"},
                                   {"exastoradm", "1002"}, {"exabfsadm", "1003"}, {"exaadm", "1004"}};
    if (!document_.root.section("Groups")) {
      Section& groups = add(document_.root, "Groups");
      groups.comments.emplace_back();
      for (const Default& group : kGroups) set(add(groups, group.name), "ID", group.id);
    }
    if (!document_.root.section("Users")) {
      Section& users = add(document_.root, "Users");
      users.comments.emplace_back();
      add_user(users, "root", "0", "root", true, "exausers, exadbadm, exastoradm, exabfsadm, exaadm");
      add_user(users, "exadefusr", "500", "exausers", false, "exadbadm, exastoradm, exabfsadm, exaadm");
    }
    add_unknown_owners();
  }

  static void add_user(Section& users, std::string_view name, std::string_view id, std::string_view group,
                       bool login, std::string_view more) {
    Section& user = add(users, name);
    set(user, "ID", id);
    set(user, "Group", group);
    set(user, "LoginEnabled", format_bool(login));
    if (!more.empty()) set(user, "AdditionalGroups", more);
  }

  // Owners without an account get one, so that nothing belongs to nobody.
  void add_unknown_owners() {
    std::set<std::int64_t> uids, gids;
    for (const Section& section : document_.root.sections)
      for (const char* key : {"Owner", "ServiceOwner"})
        if (const auto owner = parse_owner(section.value_or(key, ""))) {
          uids.insert(owner->uid);
          gids.insert(owner->gid);
        }
    Section& groups = *document_.root.section("Groups");
    int number = 0;
    for (const std::int64_t gid : gids) {
      if (!name_of(groups, gid).empty()) continue;
      set(add(groups, "exausers" + std::to_string(++number)), "ID", std::to_string(gid));
    }
    Section& users = *document_.root.section("Users");
    number = 0;
    for (const std::int64_t uid : uids) {
      if (!name_of(users, uid).empty()) continue;
      add_user(users, "exadefusr" + std::to_string(++number), std::to_string(uid), "exausers", false, "");
    }
  }
  static std::string name_of(const Section& accounts, std::int64_t id) {
    for (const Section& account : accounts.sections)
      if (base::parse_int(account.value_or("ID", "")) == id) return account.name;
    return {};
  }

  // REVersion is not added: step 8.18.0 would remove it again.
  void hugepages() { set_if_missing(global(), "Hugepages", "0"); }

  void bucketfs_owner() {
    const Section* old = document_.root.section("BucketFS");
    if (!old) return;
    const std::string owner = old->value_or("ServiceOwner", "");
    if (!owner.empty()) each("BucketFS", [&](Section& service) { set_if_missing(service, "Owner", owner); });
    std::erase_if(document_.root.sections, [](const Section& section) { return section.name == "BucketFS"; });
  }
  void active_nodes() {
    each("DB", [](Section& database) { rename_key(database, "NumMasterNodes", "NumActiveNodes"); });
  }
  void ssl_and_remote_passwords() {
    if (Section* ssl = document_.root.section("SSL")) {
      for (const auto& [key, name] :
           {std::pair{"Cert", "ssl.crt"}, {"CertKey", "ssl.key"}, {"CertAuth", "ssl.ca"}})
        if (Entry* entry = ssl->entry(key); entry && entry->value.starts_with("/path/to/"))
          entry->value = std::string("/exa/etc/ssl/") + name;
    }
    each("RemoteVolume", [](Section& volume) {
      rename_key(volume, "Password", "Passwd");
      if (Entry* entry = volume.entry("Passwd"); entry && !is_unset(entry->value))
        entry->value = base::base64_encode(entry->value);
    });
    set_if_missing(global(), "AuthenticationToken", new_authentication_token(random_));
  }
  void certificate_check() {
    if (Section* ssl = document_.root.section("SSL")) set_if_missing(*ssl, "CertVerify", "none");
  }
  void cored() {
    set_if_missing(global(), "CoredUsePrivilegedPorts", "False");
    set_if_missing(global(), "CoredAllowOnlySameSubnet", "False");
    set_if_missing(global(), "CoredSubnets", "");
  }
  void database_ids() {
    each("DB", [&](Section& database) {
      const std::string name = database.heading().id;
      set_if_missing(database, "ID", is_database_id(name) ? name : new_database_id(random_));
    });
  }
  void remote_volumes() {
    Section* old = document_.find("RemoteVolume : cloud_data_remote_volume");
    if (!old) return;
    std::int64_t id = 10000;
    each("RemoteVolume", [&](const Section& volume) {
      id = std::max(id, base::parse_int(volume.value_or("ID", "")).value_or(0));
    });
    const std::string url = old->value_or("URL", "");
    Section backup = *old;
    backup.name = "RemoteVolume : default_backup_volume";
    set(backup, "ID", std::to_string(id + 1));
    set(backup, "URL", url + "/backup");
    old->name = "RemoteVolume : default_logrotation_volume";
    old->raw_name.clear();
    set(*old, "URL", url + "/logs");
    document_.root.sections.insert(
        document_.root.sections.begin() + (old - document_.root.sections.data()) + 1, std::move(backup));
    if (Section* logging = document_.root.section("Logging"))
      if (Entry* entry = logging->entry("RemoteLogRotationVolume");
          entry && entry->value == "cloud_data_remote_volume")
        entry->value = "default_logrotation_volume";
  }
  void runtime_version() { unset(global(), "REVersion"); }
  void license() {
    Entry* entry = global().entry("LicenseFile");
    if (settings_.license_moved && entry && entry->value == "/exa/etc/license.xml")
      entry->value = "/exa/etc/license.exasol_license";
  }

  static constexpr Step kSteps[] = {
      {"6.0.1", &Migration::names},
      {"6.0.4", &Migration::revision},
      {"6.0.7", &Migration::integrity},
      {"6.1.1", &Migration::timezone},
      {"6.1.2", &Migration::accounts},
      {"6.1.3", &Migration::hugepages},
      {"6.1.4", &Migration::bucketfs_owner},
      {"6.1.5", &Migration::active_nodes},
      {"6.2.2", &Migration::ssl_and_remote_passwords},
      {"7.0.0", &Migration::certificate_check},
      {"7.1.2", &Migration::cored},
      {"7.2.0-dev2", &Migration::database_ids},
      {"8.13.0", &Migration::remote_volumes},
      {"8.18.0", &Migration::runtime_version},
      {"8.29.0", &Migration::license},
  };

  Document document_;
  base::Random& random_;
  const MigrationSettings& settings_;
};

}  // namespace

base::Result<Migrated> migrate(Document document, base::Random& random, const MigrationSettings& settings) {
  return Migration(std::move(document), random, settings).run();
}

}  // namespace confd::exaconf
