#include <array>
#include <charconv>
#include <limits>

#include "base/python_literal.h"
#include "base/utf8.h"
#include "rpc/xmlrpc.h"

namespace confd::rpc {
namespace {

using base::Value;

// What a byte needs in XML text: 0 = nothing, 1 = look closer.
constexpr std::array<bool, 256> kLookCloser = [] {
  std::array<bool, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) table[byte] = byte < 0x20 || byte >= 0x80;
  table['\n'] = table['\t'] = false;
  table['&'] = table['<'] = table['>'] = true;
  return table;
}();

void append_text(std::string& out, std::string_view text) {
  std::size_t plain_from = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (!kLookCloser[byte]) {
      ++at;
      continue;
    }
    std::string_view instead = base::kReplacementCharacter;
    if (byte == '&')
      instead = "&amp;";
    else if (byte == '<')
      instead = "&lt;";
    else if (byte == '>')
      instead = "&gt;";
    else if (byte == '\r')
      instead = "&#13;";  // a bare one would arrive as \n
    unsigned size = 1;
    if (byte >= 0x80) {
      const base::Utf8Character character = base::utf8_at(text, at);
      size = character.size;
      if (character.valid && character.code != 0xFFFE && character.code != 0xFFFF) {
        at += size;
        continue;
      }
    }
    out.append(text, plain_from, at - plain_from);
    out += instead;
    at += size;
    plain_from = at;
  }
  out.append(text, plain_from, text.size() - plain_from);
}

void append_number(std::string& out, std::int64_t number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_value(std::string& out, const Value& value);

void append_member(std::string& out, std::string_view name, const Value& value) {
  out += "<member><name>";
  append_text(out, name);
  out += "</name>";
  append_value(out, value);
  out += "</member>";
}

// Lists of a thousand structs are megabytes: when one is written the room for its like is made at once.
void append_items(std::string& out, const base::Array& items) {
  constexpr std::size_t kMany = 16;
  const std::size_t start = out.size();
  for (const Value& item : items) {
    append_value(out, item);
    if (&item == items.data() && items.size() >= kMany) {
      const std::size_t wanted = out.size() + (out.size() - start) * (items.size() + items.size() / 8);
      if (wanted > out.capacity()) out.reserve(wanted);
    }
  }
}

void append_value(std::string& out, const Value& value) {
  switch (value.type()) {
    case Value::Type::null:
      out += "<value><nil/></value>";
      break;
    case Value::Type::boolean:
      out += value.as_bool() ? "<value><boolean>1</boolean></value>" : "<value><boolean>0</boolean></value>";
      break;
    case Value::Type::integer: {
      const std::int64_t number = value.as_int();
      const bool small = number >= std::numeric_limits<std::int32_t>::min() &&
                         number <= std::numeric_limits<std::int32_t>::max();
      out += small ? "<value><int>" : "<value><i8>";
      append_number(out, number);
      out += small ? "</int></value>" : "</i8></value>";
      break;
    }
    case Value::Type::real:
      out += "<value><double>";
      out += base::python_repr(value.as_real());
      out += "</double></value>";
      break;
    case Value::Type::string:
      out += "<value><string>";
      append_text(out, value.as_string());
      out += "</string></value>";
      break;
    case Value::Type::array:
      out += "<value><array><data>";
      append_items(out, value.as_array());
      out += "</data></array></value>";
      break;
    case Value::Type::structure:
      out += "<value><struct>";
      for (const auto& [name, member] : value.as_struct()) append_member(out, name, member);
      out += "</struct></value>";
      break;
  }
}

constexpr std::string_view kResponseStart = "<?xml version='1.0'?>\n<methodResponse><params><param>";
constexpr std::string_view kResponseEnd = "</param></params></methodResponse>\n";

}  // namespace

std::string render_response(const Value& value) {
  std::string out;
  out.reserve(1024);
  out += kResponseStart;
  append_value(out, value);
  out += kResponseEnd;
  return out;
}

std::string render_struct_response(const std::function<void(const PutMember& put)>& fill) {
  std::string out;
  out.reserve(1024);
  out.append(kResponseStart).append("<value><struct>");
  fill([&out](std::string_view name, const Value& value) { append_member(out, name, value); });
  out.append("</struct></value>").append(kResponseEnd);
  return out;
}

std::string render_fault(const MethodFault& fault) {
  std::string out = "<?xml version='1.0'?>\n<methodResponse><fault>";
  append_value(out, base::Struct{{"faultCode", fault.code}, {"faultString", fault.text}});
  out += "</fault></methodResponse>\n";
  return out;
}

}  // namespace confd::rpc
