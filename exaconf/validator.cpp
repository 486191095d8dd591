#include "exaconf/validator.h"

#include <map>
#include <optional>
#include <set>
#include <unordered_set>

#include "base/text.h"
#include "exaconf/value_types.h"

namespace confd::exaconf {
namespace {

class Validator {
 public:
  explicit Validator(const Document& document) : document_(document) {}

  std::vector<Problem> run() {
    global_ = document_.root.section("Global");
    if (!global_) {
      report(0, "there is no section [Global]: the file is not initialised");
      return std::move(problems_);
    }
    check_headings();
    check_global();
    check_accounts();
    check_nodes();
    return std::move(problems_);
  }

 private:
  void report(std::size_t line, std::string text) {
    problems_.push_back({line, std::move(text), Problem::Kind::validation});
  }

  static std::size_t line_of(const Section& section, std::string_view key) {
    const Entry* entry = section.entry(key);
    return entry && entry->line > 0 ? entry->line : section.line;
  }

  void check_headings() {
    std::unordered_set<std::string> seen;
    for (const Section& section : document_.root.sections) {
      if (section.name.find(':') == std::string::npos) continue;
      const Heading heading = section.heading();
      if (!seen.insert(heading.kind + ":" + heading.id).second)
        report(section.line, "[" + section.name + "] names the same as an earlier [" +
                                 heading_name(heading.kind, heading.id) + "]: remove one of them");
    }
  }

  void check_global() {
    const std::string* revision = global_->find("Revision");
    if (!revision) {
      report(global_->line, "Revision is missing in section 'Global'");
    } else if (const auto number = base::parse_int(*revision); !number || *number < 0) {
      report(line_of(*global_, "Revision"), "Revision in section 'Global' is not a decimal number");
    }
    const auto networks = base::split_list(global_->value_or("Networks", ""));
    for (const std::string& network : networks) {
      if (network == "private") has_private_ = true;
      if (network == "public") has_public_ = true;
    }
    if (!has_private_)
      report(line_of(*global_, "Networks"), "Networks in section 'Global' must contain 'private'");
    docker_ = base::equals_ignoring_case(global_->value_or("Platform", ""), "docker");
    if (docker_ && !document_.root.section("Docker"))
      report(line_of(*global_, "Platform"), "Platform is Docker but there is no section [Docker]");
    if (const std::string* port = global_->find("XMLRPCPort"); port && !is_unset(*port)) {
      const auto number = base::parse_int(*port);
      if (!number || *number < 1 || *number > 65535)
        report(line_of(*global_, "XMLRPCPort"), "XMLRPCPort in section 'Global' is not a port (1 to 65535)");
    }
  }

  void check_id(std::string_view kind, const Section& section) {
    const auto id = base::parse_int(section.value_or("ID", ""));
    if (!id || *id < 0)
      report(line_of(section, "ID"),
             "ID of " + std::string(kind) + " '" + section.name + "' is missing or not a number");
  }

  void check_accounts() {
    if (const Section* groups = document_.root.section("Groups"))
      for (const Section& group : groups->sections) check_id("group", group);
    const Section* users = document_.root.section("Users");
    if (!users) return;
    for (const Section& user : users->sections) {
      check_id("user", user);
      if (const std::string* enabled = user.find("LoginEnabled"); enabled && !parse_bool(*enabled))
        report(line_of(user, "LoginEnabled"),
               "LoginEnabled of user '" + user.name + "' is neither True nor False");
    }
  }

  void check_nodes() {
    std::map<std::string, std::map<std::string, std::string>> owners;  // key -> value -> section
    for (const Section& section : document_.root.sections) {
      const Heading heading = section.heading();
      if (heading.kind != "Node" || section.name.find(':') == std::string::npos) continue;
      const auto id = base::parse_int(heading.id);
      if (!id || *id < 0 || *id > 1'000'000) {
        report(section.line, "[" + section.name + "]: the id of a node is a decimal number");
        continue;
      }
      check_node(section, static_cast<int>(*id));
      for (const char* key : {"Name", "DockerVolume", "PrivateNet", "PublicNet"}) {
        const std::string* value = section.find(key);
        if (!value || is_unset(*value)) continue;
        const auto [at, added] = owners[key].emplace(*value, section.name);
        if (!added)
          report(line_of(section, key), std::string(key) + " '" + *value + "' in section '" + section.name +
                                            "' is already used in section '" + at->second + "'");
      }
      check_devices(section);
    }
  }

  void check_node(const Section& section, int id) {
    if (section.value_or("Name", "").empty())
      report(line_of(section, "Name"), "Name is missing in section '" + section.name + "'");
    check_net(section, "PrivateNet", id);
    if (has_public_) check_net(section, "PublicNet", id);
    if (docker_ && section.value_or("DockerVolume", "").empty())
      report(line_of(section, "DockerVolume"), "DockerVolume is missing in section '" + section.name + "'");
  }

  void check_net(const Section& section, const std::string& key, int id) {
    const std::string* net = section.find(key);
    if (!net || net->empty()) {
      report(line_of(section, key), key + " is missing in section '" + section.name + "'");
    } else if (!parse_network(*net, id)) {
      report(line_of(section, key), key + " '" + *net + "' in section '" + section.name +
                                        "' is not an address with a prefix such as 10.0.0.11/24");
    }
  }

  void check_devices(const Section& node) {
    std::map<std::string, std::string> disks;  // device -> disk
    for (const Section& disk : node.sections) {
      if (disk.heading().kind != "Disk") continue;
      for (const std::string& device : base::split_list(disk.value_or("Devices", ""))) {
        const auto [at, added] = disks.emplace(device, disk.name);
        if (!added)
          report(line_of(disk, "Devices"), "device '" + device + "' of '" + disk.name + "' in section '" +
                                               node.name + "' is already used by '" + at->second + "'");
      }
    }
  }

  const Document& document_;
  const Section* global_ = nullptr;
  bool has_private_ = false;
  bool has_public_ = false;
  bool docker_ = false;
  std::vector<Problem> problems_;
};

std::string stored_checksum(const Document& document) {
  const Section* global = document.root.section("Global");
  return global ? global->value_or("Checksum", "NONE") : "NONE";
}

}  // namespace

std::vector<Problem> validate(const Document& document) {
  return Validator(document).run();
}

Integrity integrity_of(const Document& document) {
  const std::string stored = stored_checksum(document);
  if (base::equals_ignoring_case(stored, "commit")) return Integrity::commit;
  if (base::equals_ignoring_case(stored, "none")) return Integrity::none;
  if (base::equals_ignoring_case(stored, "disabled")) return Integrity::disabled;
  return stored == document.checksum() ? Integrity::matches : Integrity::differs;
}

Problem integrity_problem(const Document& document) {
  const Section* global = document.root.section("Global");
  const Entry* entry = global ? global->entry("Checksum") : nullptr;
  return {entry ? entry->line : 0,
          "EXAConf: Integrity check failed! The stored checksum '" + stored_checksum(document) +
              "' does not match the actual checksum '" + document.checksum() +
              "'. Set checksum to 'COMMIT' if you made intentional changes.",
          Problem::Kind::integrity};
}

}  // namespace confd::exaconf
