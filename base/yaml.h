// YAML text <-> Value. Used by confd_client's output and parameters, job files, etc/confd.yaml.
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace confd::base {

// Byte for byte what PyYAML's yaml.dump(x, default_flow_style=False) gives for the same data
// (spec/confd_client.md §3): keys sorted, folding at width 80, `...` after a bare scalar, quotes only where
// YAML 1.1 would change the type, non-ASCII text escaped in double quotes (allow_unicode is off by default).
std::string dump_yaml(const Value& value);

// The same with members in their own order (PyYAML sort_keys=False), for job files.
std::string dump_yaml_in_order(const Value& value);

struct YamlLimits {
  std::size_t depth = 64;
  std::size_t nodes = 1'000'000;  // aliases count each time they are used, so that a "bomb" is refused
};

// One document, typed as YAML 1.1 / PyYAML's safe_load does: yes/no/on/off are booleans, 0x1f and 0o17-less
// octals (017) and 1_000 and sexagesimal 1:30 are integers, .inf, ~, null, <<-merge. Timestamps stay strings.
// Mapping keys become strings. An empty text is null. Errors: Code::bad_parameter with line and column.
Result<Value> parse_yaml(std::string_view text, const YamlLimits& limits = {});

}  // namespace confd::base
