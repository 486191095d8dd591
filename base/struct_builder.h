// StructBuilder: makes a Struct from members as a parser meets them; a name that comes again replaces the
// value and keeps its place, as in Python's dict. Stays linear for structs of any size, where Struct::set
// would be quadratic and so a way to stall the daemon. Used by the JSON, YAML and XML-RPC parsers.
// Thread-safety: one thread at a time.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>

#include "base/value.h"

namespace confd::base {

class StructBuilder {
 public:
  void set(std::string name, Value value) {
    if (Value* present = find(name)) {
      *present = std::move(value);
      return;
    }
    if (!index_.empty()) index_.emplace(name, members_.size());
    members_.append(std::move(name), std::move(value));
    if (members_.size() == kIndexedFrom)
      for (std::size_t i = 0; i < members_.size(); ++i)
        index_.emplace(members_.begin()[difference(i)].first, i);
  }

  Value* find(const std::string& name) {
    if (index_.empty()) return members_.find(name);
    const auto at = index_.find(name);
    return at == index_.end() ? nullptr : &members_.begin()[difference(at->second)].second;
  }

  // The struct; the builder is empty afterwards.
  Struct take() {
    index_.clear();
    return std::exchange(members_, Struct());
  }

 private:
  static constexpr std::size_t kIndexedFrom = 24;
  static std::ptrdiff_t difference(std::size_t i) { return static_cast<std::ptrdiff_t>(i); }

  Struct members_;
  std::unordered_map<std::string, std::size_t> index_;  // empty below kIndexedFrom members
};

}  // namespace confd::base
