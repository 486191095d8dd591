// Versions as EXAConf writes them: "8.32.0", "7.2.0-dev2", "6.1.14-d1" (spec/exaconf.md §6).
//
// Order: numbers first (missing ones are 0), then the suffix dev < alpha < beta < rc < none < p, its number,
// then the build. Thread-safety: a plain value.
#pragma once

#include <compare>
#include <optional>
#include <string_view>
#include <vector>

namespace confd::exaconf {

struct Version {
  std::vector<int> numbers;  // without trailing zeros
  int suffix = 0;            // -4 dev ... -1 rc, 0 none, 1 p
  int suffix_number = 0;
  int build = 0;

  friend auto operator<=>(const Version&, const Version&) = default;
};

std::optional<Version> parse_version(std::string_view text);

}  // namespace confd::exaconf
