// Any bytes into the YAML parser. What it takes must be dumped and taken again as the same value.
#include "base/yaml.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>

using namespace confd::base;

namespace {

// NaN is not equal to itself.
bool holds_nan(const Value& value) {
  if (value.is_real()) return std::isnan(value.as_real());
  if (value.is_array()) {
    for (const Value& item : value.as_array())
      if (holds_nan(item)) return true;
  } else if (value.is_struct()) {
    for (const auto& [name, member] : value.as_struct())
      if (holds_nan(member)) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Value> value =
      parse_yaml({reinterpret_cast<const char*>(data), size}, {.depth = 64, .nodes = 20'000});
  if (!value) {
    if (value.error().text.empty() || value.error().code != Code::bad_parameter) std::abort();
    return 0;
  }
  if (holds_nan(*value)) return 0;
  for (const std::string& text : {dump_yaml(*value), dump_yaml_in_order(*value)}) {
    const Result<Value> again = parse_yaml(text);
    if (!again || !(*again == *value)) std::abort();
  }
  return 0;
}
