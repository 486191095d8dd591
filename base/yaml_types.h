// Which type YAML 1.1 sees in a plain scalar, by the rules of PyYAML's resolver. Both sides use it: the
// parser to type a scalar, the emitter to know when a text needs quotes. Thread-safety: pure functions.
#pragma once

#include <string_view>

#include "base/value.h"

namespace confd::base {

enum class YamlType { string, null, boolean, integer, real, timestamp, merge, value };

YamlType yaml_type(std::string_view plain);

// The value of a plain scalar. Timestamps, `=` and integers beyond 64 bit stay strings.
Value yaml_plain_value(std::string_view plain);

}  // namespace confd::base
