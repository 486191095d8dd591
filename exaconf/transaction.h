// Transaction: edits on a copy of one revision, kept as a list of operations so that they can be applied
// again to a newer revision when other jobs published meanwhile (group commit). Nothing is visible before the
// Store or the publisher publishes it.
//
// Paths: `section` is a top-level name ("Global", "Users", "BucketFS : bfsdefault", found in any spelling of
// blanks); "Users/alice" addresses a subsection. Values are checked at once: a newline or `#` is quoted where
// the format allows, refused where it does not; text must be UTF-8. Every call throws nothing and returns an
// Error that names the path. Thread-safety: one thread at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "exaconf/config.h"

namespace confd::exaconf {

class Transaction {
 public:
  explicit Transaction(ConfigPtr base);

  // Sees the edits made so far.
  const Document& document() const { return document_; }
  ConfigPtr base() const { return base_; }

  // Sets or adds a key. Error: Code::not_found when the section is not there.
  base::Status set(std::string_view section, std::string_view key, std::string_view value);
  // Fine when the key is not there.
  base::Status unset(std::string_view section, std::string_view key);
  // Adds an empty section; its parent must exist. Error: Code::exists.
  base::Status add_section(std::string_view section, std::vector<std::string> comments = {});
  // Error: Code::not_found.
  base::Status remove_section(std::string_view section);

  bool changed() const { return !operations_.empty() && document_differs(); }

  // The edits again on another base. Error: Code::conflict, naming the path that is no longer there (or is
  // there already).
  base::Result<Transaction> rebased(ConfigPtr newer) const;

  // What changed against the base, for the job record: [{section, key, before, after}], secrets masked
  // (Passwd, *Passwd, SyncKey, tokens, ...).
  base::Value diff() const;

 private:
  struct Operation {
    enum class Kind { set, unset, add_section, remove_section } kind;
    std::string section, key, value;
    std::vector<std::string> comments;
  };
  base::Status apply(Operation operation);
  bool document_differs() const;
  // The section and its parent; null when not there.
  struct Place {
    Section* parent = nullptr;
    Section* section = nullptr;
    std::string_view name;  // last part of the path
  };
  Place find(std::string_view path);
  Section* find_in(Section& parent, std::size_t depth, std::string_view name);

  ConfigPtr base_;
  Document document_;
  std::vector<Operation> operations_;
  // Sections of the last parents looked into, by depth, so that a thousand edits of [Users] do not walk its
  // list a thousand times.
  struct Index {
    Index() = default;
    Index(const Index&) {}  // a copy looks into other sections
    Index& operator=(const Index&) {
      reset(nullptr);
      return *this;
    }
    void reset(const Section* new_parent) {
      parent = new_parent;
      positions.clear();
    }
    const Section* parent = nullptr;
    std::unordered_map<std::string, std::size_t> positions;
  };
  Index indexes_[2];
};

// The document of a finished transaction as the next revision: Revision set, Checksum computed and stored
// (kept when DISABLED), validated as a whole. Error: Code::invalid_config with all problems.
base::Result<ConfigPtr> seal(Document document, std::int64_t revision);

}  // namespace confd::exaconf
