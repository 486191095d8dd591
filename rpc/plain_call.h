// read_plain_call: XML-RPC calls as the usual clients write them, read in one pass without a tree: no
// attributes, entities, comments or CDATA, ASCII only. Whatever is not of that form, and whatever is wrong,
// is left to parse_call's whole way, which says so: this one never refuses anything. Used by rpc/xmlrpc.cpp.
// Thread-safety: pure function.
#pragma once

#include <optional>
#include <string_view>

#include "rpc/xmlrpc.h"

namespace confd::rpc {

std::optional<MethodCall> read_plain_call(std::string_view xml, const XmlRpcLimits& limits);

}  // namespace confd::rpc
