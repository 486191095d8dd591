// scan_xml: one linear pass over an XML text before a parser sees it. It refuses what we never accept, in
// microseconds and without memory: DTDs and other declarations, entities beyond the five, references to
// characters XML cannot hold, bytes that are not UTF-8, deep nesting, too many elements, text around the
// document. It does not check that tags match: the parser does. Used by rpc/xmlrpc.cpp. Thread-safety: pure
// function.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace confd::rpc {

struct XmlScanLimits {
  std::size_t depth = 200;  // nested elements
  std::size_t elements = 5'000'000;
};

struct XmlProblem {
  std::size_t offset = 0;  // byte
  std::string text;
};

std::optional<XmlProblem> scan_xml(std::string_view xml, const XmlScanLimits& limits);

}  // namespace confd::rpc
