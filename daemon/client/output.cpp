#include "daemon/client/output.h"

#include "base/json.h"
#include "base/python_literal.h"
#include "base/yaml.h"

namespace confd::client {
namespace {

using base::Value;

// Texts stay as they are unless a line could not hold them.
std::string flat_leaf(const Value& value) {
  if (!value.is_string()) return base::render_json(value);
  const std::string& text = value.as_string();
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20) return base::render_json(value);
  return text;
}

void append_flat(std::string& out, const std::string& path, const Value& value) {
  const auto below = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
  if (value.is_struct() && !value.as_struct().empty()) {
    for (const auto& [name, member] : value.as_struct()) append_flat(out, below(name), member);
  } else if (value.is_array() && !value.as_array().empty()) {
    std::size_t index = 0;
    for (const Value& item : value.as_array()) append_flat(out, below(std::to_string(index++)), item);
  } else {
    if (!path.empty()) out += path + ": ";
    out += flat_leaf(value);
    out += '\n';
  }
}

}  // namespace

std::string render_flat(const Value& value) {
  std::string out;
  append_flat(out, {}, value);
  return out;
}

std::string render(const Value& value, Format format) {
  switch (format) {
    case Format::json:
      return base::render_json_indented(value) + "\n";
    case Format::python:
      return base::python_repr(value) + "\n";
    case Format::flat:
      return render_flat(value);
    case Format::yaml:
      break;
  }
  return base::dump_yaml(value);
}

std::string render_ok(Format format) {
  return render_text("OK", format);
}

std::string render_text(const std::string& text, Format format) {
  if (format == Format::json || format == Format::python) return render(text, format);
  return text.ends_with('\n') ? text : text + "\n";
}

}  // namespace confd::client
