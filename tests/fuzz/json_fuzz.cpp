// Any bytes into the JSON parser. What it takes must be rendered, both ways, and taken again as the same
// value.
#include "base/json.h"

#include <cstdint>
#include <cstdlib>

#include "base/python_literal.h"

using namespace confd::base;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Value> value = parse_json({reinterpret_cast<const char*>(data), size});
  if (!value) {
    if (value.error().text.empty() || value.error().code != Code::bad_parameter) std::abort();
    return 0;
  }
  for (const std::string& text : {render_json(*value), render_json_indented(*value)}) {
    const Result<Value> again = parse_json(text);
    if (!again || !(*again == *value)) std::abort();
  }
  if (python_pformat(*value).empty() || python_repr(*value).empty()) std::abort();
  return 0;
}
