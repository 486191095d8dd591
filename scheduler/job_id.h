// JobId: `<node id of the master that took it>.<counter>`, decimal, unpadded (spec/rpc.md §9). Thread-safety:
// a plain value.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace confd::scheduler {

struct JobId {
  int node = 0;
  std::uint64_t number = 0;
  std::string text() const;
  static std::optional<JobId> parse(std::string_view text);
  friend auto operator<=>(const JobId&, const JobId&) = default;
};

}  // namespace confd::scheduler
