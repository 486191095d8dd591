// Value -> Python source text: repr(x) and pprint.pformat(x, indent=4, width=80). Used by job_help and
// confd_client -P. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/value.h"

namespace confd::base {

// Exactly CPython 3's repr: quote choice, escapes, True/False/None, float repr; dicts in order of insertion.
std::string python_repr(const Value& value);
std::string python_repr(std::string_view text);
inline std::string python_repr(const std::string& text) {
  return python_repr(std::string_view(text));
}
inline std::string python_repr(const char* text) {
  return python_repr(std::string_view(text));
}

// Exactly CPython 3.11's pprint.pformat(x, indent=indent, width=80): sorts dict keys, breaks long strings
// into adjacent literals.
std::string python_pformat(const Value& value, int indent = 4);

}  // namespace confd::base
