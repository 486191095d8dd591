// JSON text <-> Value (Boost.JSON underneath). Used by the JSON dialects, the job journal, confd_client -j.
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace confd::base {

struct JsonLimits {
  std::size_t depth = 64;                // nested arrays and structs
  std::size_t values = std::size_t(-1);  // in the whole text
};

// Whole text, RFC 8259, UTF-8. A duplicate member keeps the last value. Integers outside int64 become
// doubles. Errors: Code::bad_parameter with the position.
Result<Value> parse_json(std::string_view text, const JsonLimits& limits = {});

// One line, members in order, non-ASCII text as it is, no escaping beyond what RFC 8259 demands. Doubles
// round-trip.
std::string render_json(const Value& value);
// The same at the end of `out`.
void append_json(std::string& out, const Value& value);
void append_json(std::string& out, const Struct& value);
void append_json(std::string& out, std::string_view text);
// Like Python's json.dumps(x, indent=2): empty containers stay `[]` and `{}`.
std::string render_json_indented(const Value& value);

}  // namespace confd::base
