// The difference of two documents by section and key, for job records and `exaconf diff`. Thread-safety: pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/value.h"
#include "exaconf/document.h"

namespace confd::exaconf {

struct Change {
  std::string section;  // "Users/alice"; "" = before the first section
  std::string key;      // empty: the section itself came or went
  std::optional<std::string> before;
  std::optional<std::string> after;
};

// Revision and Checksum are left out.
std::vector<Change> difference(const Document& before, const Document& after);
// [{section, key, before, after}] with secrets masked as "***".
base::Value render_changes(const std::vector<Change>& changes);
// Keys whose values must not be shown: Passwd, ReadPasswd, WritePasswd, Password, SyncKey,
// AuthenticationToken, Credentials, *Hash(es), sasl_password ...
bool is_secret_key(std::string_view key);

}  // namespace confd::exaconf
