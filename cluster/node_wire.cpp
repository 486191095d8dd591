#include "cluster/node_wire.h"

#include "base/json.h"

namespace confd::cluster::wire {

using base::Code;
using base::Error;
using base::Result;

std::string render_params(const base::Struct& params) {
  return base::render_json(base::Struct{{"params", params}});
}

Result<base::Struct> parse_params(std::string_view body) {
  const auto parsed = base::parse_json(body);
  if (!parsed) return parsed.error();
  const base::Value* params = parsed->is_struct() ? parsed->find("params") : nullptr;
  if (params == nullptr || !params->is_struct())
    return Error{Code::bad_parameter, "the body must be {\"params\": {...}}"};
  return params->as_struct();
}

std::string render_answer(const Result<base::Value>& answer) {
  if (answer) return base::render_json(base::Struct{{"result", *answer}});
  return base::render_json(
      base::Struct{{"error", base::Struct{{"code", static_cast<int>(answer.error().code)},
                                          {"text", answer.error().text}}}});
}

Result<base::Value> parse_answer(std::string_view body) {
  const auto parsed = base::parse_json(body);
  if (!parsed) return Error{Code::io_error, parsed.error().text};
  const base::Value* result = parsed->is_struct() ? parsed->find("result") : nullptr;
  if (result != nullptr) return *result;
  const base::Value* error = parsed->is_struct() ? parsed->find("error") : nullptr;
  const base::Value* code = error != nullptr && error->is_struct() ? error->find("code") : nullptr;
  const base::Value* text = error != nullptr && error->is_struct() ? error->find("text") : nullptr;
  if (code == nullptr || !code->is_int() || text == nullptr || !text->is_string())
    return Error{Code::io_error, "there is neither a result nor an error in it"};
  // A newer node may know codes that this one does not.
  const bool known = code->as_int() > static_cast<int>(Code::ok) &&
                     code->as_int() <= static_cast<int>(Code::unknown_outcome);
  return Error{known ? static_cast<Code>(code->as_int()) : Code::job_error, text->as_string()};
}

}  // namespace confd::cluster::wire
