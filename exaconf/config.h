// Config: one immutable, valid revision of EXAConf with typed look-ups. Readers hold a shared_ptr<const
// Config> and never lock.
//
// Built from text by load(); a text that is not valid makes no Config. Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "exaconf/document.h"

namespace confd::exaconf {

struct Group {
  std::string name;
  std::int64_t id = 0;
};

struct User {
  std::string name;
  std::int64_t id = 0;
  std::string group;  // primary, by name
  std::vector<std::string> additional_groups;
  std::vector<std::string> authorized_keys;
  bool login_enabled = false;
  std::string passwd;  // crypt(3) text; empty or "*" = no password login. Never logged.
};

struct Node {
  int id = 0;
  std::string name;
  std::string private_net;  // "127.0.0.11/24"
  std::string private_ip;   // without prefix
  std::string public_net;   // empty when none
  std::string public_ip;
  std::string uuid;
  std::string state;  // "" or "suspended", lower case
  int affinity = 0;
};

class Config {
 public:
  // Parses, checks integrity (stored checksum) and validates; Checksum = COMMIT, NONE, DISABLED as in spec §4
  // are accepted as they are (the Store commits). Errors: Code::invalid_config; all problems are in the text,
  // the first with its line.
  static base::Result<std::shared_ptr<const Config>> load(std::string_view text);
  // The same for a Document that is known to be canonical (after a transaction); no integrity check,
  // validation only.
  static base::Result<std::shared_ptr<const Config>> from_document(Document document);

  const Document& document() const { return document_; }
  const std::string& text() const { return text_; }  // canonical
  std::int64_t revision() const { return revision_; }
  const std::string& checksum() const { return checksum_; }  // the stored word
  // Value of [section] key, or nullptr. "None" and empty are returned as they are.
  const std::string* get(std::string_view section, std::string_view key) const;

  // By name; order of the file is kept in the vectors of names.
  const std::map<std::string, Group, std::less<>>& groups() const { return groups_; }
  const std::map<std::string, User, std::less<>>& users() const { return users_; }
  const std::map<int, Node>& nodes() const { return nodes_; }
  const User* user(std::string_view name) const;
  const User* user_by_id(std::int64_t id) const;
  const Group* group(std::string_view name) const;
  const Group* group_by_id(std::int64_t id) const;
  // Primary and additional groups, by name; empty for an unknown user.
  std::vector<std::string> groups_of(std::string_view user_name) const;

  // Ids of sections "Kind : id" in order of the file: kind "DB", "BucketFS", "EXAVolume", "RemoteVolume", ...
  std::vector<std::string> ids(std::string_view kind) const;
  // Top-level section "Kind : id" in any spelling of blanks, or nullptr. An empty id finds plain sections.
  const Section* section(std::string_view kind, std::string_view id = {}) const;

  int xmlrpc_port() const;  // [Global] XMLRPCPort, 443 when absent

  // Unlike that of every other Config of this process: what was derived from a Config may be kept under it.
  std::uint64_t serial() const { return serial_; }

 private:
  Config();
  const std::uint64_t serial_;
  Document document_;
  std::string text_;
  std::string checksum_;
  std::int64_t revision_ = 0;
  std::map<std::string, Group, std::less<>> groups_;
  std::map<std::string, User, std::less<>> users_;
  std::map<int, Node> nodes_;
};

using ConfigPtr = std::shared_ptr<const Config>;

}  // namespace confd::exaconf
