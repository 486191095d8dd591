// codec_probe: answers for python_oracle_test.py. Each line of stdin is a JSON struct {"op": ..., "value":
// ...}; each line of stdout is the JSON answer: a text, a value, or {"error": text}.
#include <iostream>
#include <string>

#include "base/json.h"
#include "base/python_literal.h"
#include "base/yaml.h"

using namespace confd::base;

namespace {

Value answer(const std::string& op, const Value& value) {
  if (op == "dump_yaml") return dump_yaml(value);
  if (op == "dump_yaml_in_order") return dump_yaml_in_order(value);
  if (op == "repr") return python_repr(value);
  if (op == "pformat") return python_pformat(value, 4);
  if (op == "json") return value;
  if (op == "json_indented") return render_json_indented(value);
  if (op == "parse_yaml") {
    Result<Value> parsed = parse_yaml(value.as_string());
    if (!parsed) return Struct{{"error", parsed.error().text}};
    return Struct{{"value", std::move(*parsed)}};
  }
  return Struct{{"error", "unknown operation " + op}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const Result<Value> request = parse_json(line);
    if (!request) {
      std::cout << render_json(Struct{{"error", request.error().text}}) << '\n';
      continue;
    }
    std::cout << render_json(answer(request->find("op")->as_string(), *request->find("value"))) << '\n';
  }
}
