// Any bytes into the XML-RPC parser. What it takes must be rendered and taken again as the same values; what
// the reader of plain calls takes must be what the whole way makes of it.
#include <cstdint>
#include <cstdlib>

#include "base/text.h"
#include "rpc/plain_call.h"
#include "rpc/xmlrpc.h"

using namespace confd;

namespace {

bool holds(const base::Value& value, std::string_view character) {
  if (value.is_string()) return value.as_string().find(character) != std::string::npos;
  if (value.is_array()) {
    for (const base::Value& item : value.as_array())
      if (holds(item, character)) return true;
  } else if (value.is_struct()) {
    for (const auto& [name, member] : value.as_struct())
      if (name.find(character) != std::string::npos || holds(member, character)) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto plain = rpc::read_plain_call(text, {})) {
    const auto whole = rpc::parse_call(std::string(text) + "<!-- -->");  // a comment: not plain
    if (!whole || whole->method != plain->method ||
        !(base::Value(whole->params) == base::Value(plain->params)))
      std::abort();
  }
  const auto call = rpc::parse_call(text);
  if (!call) {
    if (call.error().text.empty() || call.error().code != base::Code::bad_parameter) std::abort();
    // Any bytes as a text of ours must give an answer that can be read.
    const std::string answer = rpc::render_response(text);
    if (!base::is_valid_utf8(answer)) std::abort();
    return 0;
  }
  const base::Value params(call->params);
  std::string again = rpc::render_response(params);
  // base64 may bring characters that XML cannot hold; they come back as U+FFFD.
  const auto replace = [&](std::string_view from, std::string_view to) {
    const std::size_t at = again.find(from);
    again.replace(at, from.size(), to);
  };
  replace("<methodResponse>", "<methodCall><methodName>m</methodName>");
  replace("</methodResponse>", "</methodCall>");
  const auto second = rpc::parse_call(again, {.depth = 66, .values = 2'000'000});
  if (!second || second->params.size() != 1) std::abort();
  if (!holds(second->params[0], "\xEF\xBF\xBD") && !(second->params[0] == params)) std::abort();
  return 0;
}
