// XML-RPC calls and answers as Python 2.7 xmlrpclib and Python 3 xmlrpc.client speak them (spec/rpc.md §6).
// pugixml underneath.
//
// Refused: DTDs and entities beyond the five predefined ones (no entity bombs), nesting and sizes beyond
// XmlRpcLimits, values that are not UTF-8. base64 and dateTime.iso8601 arrive as strings (decoded bytes; the
// text). ex:nil, i1..i8, and values without a type tag are read. Thread-safety: pure functions.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/value.h"

namespace confd::rpc {

struct XmlRpcLimits {
  std::size_t depth = 64;          // nested arrays and structs
  std::size_t values = 1'000'000;  // in one call
};

struct MethodCall {
  std::string method;
  base::Array params;
};

struct MethodFault {
  int code = 0;
  std::string text;
};

// Errors: Code::bad_parameter with what was wrong and where (byte offset).
base::Result<MethodCall> parse_call(std::string_view xml, const XmlRpcLimits& limits = {});

// Integers outside 32 bit go as <i8>; nil as <nil/>; characters XML 1.0 cannot hold become U+FFFD.
std::string render_response(const base::Value& value);
// A struct that does not exist as such: `fill` hands its members over one by one, none is copied.
using PutMember = std::function<void(std::string_view name, const base::Value& value)>;
std::string render_struct_response(const std::function<void(const PutMember& put)>& fill);
std::string render_fault(const MethodFault& fault);

}  // namespace confd::rpc
