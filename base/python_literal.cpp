#include "base/python_literal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/python_text.h"
#include "base/utf8.h"

namespace confd::base {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, std::string_view lead, char32_t code, int digits) {
  out += lead;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[code >> shift & 15];
}

void append_repr(std::string& out, std::string_view text) {
  const bool prefer_double =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = prefer_double ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character c = utf8_at(text, at);
    at += c.size;
    if (!c.valid) {
      append_hex(out, "\\udc", c.code, 2);  // as Python's surrogateescape
    } else if (c.code == '\\' || c.code == static_cast<unsigned char>(quote)) {
      out += '\\';
      out += static_cast<char>(c.code);
    } else if (c.code == '\n') {
      out += "\\n";
    } else if (c.code == '\r') {
      out += "\\r";
    } else if (c.code == '\t') {
      out += "\\t";
    } else if (c.code < 0x20 || c.code == 0x7F) {
      append_hex(out, "\\x", c.code, 2);
    } else if (c.code < 0x7F) {
      out += static_cast<char>(c.code);
    } else if (python_printable(c.code)) {
      append_utf8(out, c.code);
    } else if (c.code <= 0xFF) {
      append_hex(out, "\\x", c.code, 2);
    } else if (c.code <= 0xFFFF) {
      append_hex(out, "\\u", c.code, 4);
    } else {
      append_hex(out, "\\U", c.code, 8);
    }
  }
  out += quote;
}

// repr(float): the shortest digits that read back the same, positional from 1e-4 up to below 1e16.
void append_real(std::string& out, double number) {
  if (std::isnan(number)) {
    out += "nan";
    return;
  }
  if (std::isinf(number)) {
    out += number < 0 ? "-inf" : "inf";
    return;
  }
  char text[48];
  const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::scientific).ptr;
  const std::string_view all(text, static_cast<std::size_t>(end - text));
  const std::size_t e = all.find('e');
  int exponent = 0;
  const char* digits_of_exponent = text + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(digits_of_exponent, end, exponent);
  if (exponent < -4 || exponent >= 16) {
    out += all;  // to_chars writes at least two digits of exponent, as Python does
    return;
  }
  char fixed[48];
  const auto stop = std::to_chars(fixed, fixed + sizeof fixed, number, std::chars_format::fixed).ptr;
  const std::string_view positional(fixed, static_cast<std::size_t>(stop - fixed));
  out += positional;
  if (positional.find('.') == std::string_view::npos) out += ".0";
}

using SortedMembers = std::vector<const Struct::Member*>;

SortedMembers sorted(const Struct& members) {
  SortedMembers order;
  order.reserve(members.size());
  for (const Struct::Member& member : members) order.push_back(&member);
  // UTF-8 sorts as the code points do.
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->first < b->first; });
  return order;
}

void append_repr(std::string& out, const Value& value, bool sort_members) {
  switch (value.type()) {
    case Value::Type::null:
      out += "None";
      break;
    case Value::Type::boolean:
      out += value.as_bool() ? "True" : "False";
      break;
    case Value::Type::integer:
      out += std::to_string(value.as_int());
      break;
    case Value::Type::real:
      append_real(out, value.as_real());
      break;
    case Value::Type::string:
      append_repr(out, value.as_string());
      break;
    case Value::Type::array: {
      out += '[';
      bool first = true;
      for (const Value& item : value.as_array()) {
        if (!std::exchange(first, false)) out += ", ";
        append_repr(out, item, sort_members);
      }
      out += ']';
      break;
    }
    case Value::Type::structure: {
      out += '{';
      bool first = true;
      const auto member = [&](const Struct::Member& m) {
        if (!std::exchange(first, false)) out += ", ";
        append_repr(out, m.first);
        out += ": ";
        append_repr(out, m.second, sort_members);
      };
      if (sort_members) {
        for (const Struct::Member* m : sorted(value.as_struct())) member(*m);
      } else {
        for (const Struct::Member& m : value.as_struct()) member(m);
      }
      out += '}';
      break;
    }
  }
}

// pprint's way of laying out: what fits into the line goes as its repr, else one item a line.
class PrettyPrinter {
 public:
  explicit PrettyPrinter(int step) : step_(step) {}

  std::string format(const Value& value) {
    format(value, 0, 0, 0);
    return std::move(out_);
  }

 private:
  static constexpr int kWidth = 80;

  // `indent`: column where the value starts; `allowance`: what must fit behind it.
  void format(const Value& value, int indent, int allowance, int level) {
    std::string flat;
    append_repr(flat, value, true);
    if (length(flat) <= kWidth - indent - allowance) {
      out_ += flat;
    } else if (value.is_struct()) {
      format_struct(value.as_struct(), indent, allowance + 1, level + 1);
    } else if (value.is_array()) {
      format_array(value.as_array(), indent, allowance + 1, level + 1);
    } else if (value.is_string()) {
      format_string(value.as_string(), indent, allowance, level + 1);
    } else {
      out_ += flat;
    }
  }

  void open(char bracket) {
    out_ += bracket;
    if (step_ > 1) out_.append(static_cast<std::size_t>(step_ - 1), ' ');
  }

  void new_line(int indent) {
    out_ += '\n';
    out_.append(static_cast<std::size_t>(indent), ' ');
  }

  void format_struct(const Struct& members, int indent, int allowance, int level) {
    open('{');
    indent += step_;
    const SortedMembers order = sorted(members);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const bool last = i + 1 == order.size();
      std::string name;
      append_repr(name, order[i]->first);
      out_ += name;
      out_ += ": ";
      format(order[i]->second, indent + length(name) + 2, last ? allowance : 1, level);
      if (last) break;
      out_ += ',';
      new_line(indent);
    }
    out_ += '}';
  }

  void format_array(const Array& items, int indent, int allowance, int level) {
    open('[');
    indent += step_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool last = i + 1 == items.size();
      format(items[i], indent, last ? allowance : 1, level);
      if (last) break;
      out_ += ',';
      new_line(indent);
    }
    out_ += ']';
  }

  // Breaks a long text at line ends, then at white space, into literals that stand side by side.
  void format_string(const std::string& text, int indent, int allowance, int level) {
    if (text.empty()) {
      out_ += "''";
      return;
    }
    if (level == 1) {
      ++indent;
      ++allowance;
    }
    std::vector<std::string> chunks;
    const std::vector<std::string_view> lines = python_lines(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool last_line = i + 1 == lines.size();
      std::string whole = python_repr(lines[i]);
      if (length(whole) <= kWidth - indent - (last_line ? allowance : 0)) {
        chunks.push_back(std::move(whole));
        continue;
      }
      const std::vector<std::string_view> words = python_words(lines[i]);
      std::string_view current;
      for (std::size_t j = 0; j < words.size(); ++j) {
        const std::string_view candidate(current.empty() ? words[j].data() : current.data(),
                                         current.size() + words[j].size());
        const int room = kWidth - indent - (last_line && j + 1 == words.size() ? allowance : 0);
        if (length(python_repr(candidate)) > room) {
          if (!current.empty()) chunks.push_back(python_repr(current));
          current = words[j];
        } else {
          current = candidate;
        }
      }
      if (!current.empty()) chunks.push_back(python_repr(current));
    }
    const bool brackets = level == 1 && chunks.size() > 1;
    if (brackets) out_ += '(';
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      if (i > 0) new_line(indent);
      out_ += chunks[i];
    }
    if (brackets) out_ += ')';
  }

  static int length(std::string_view text) { return static_cast<int>(utf8_length(text)); }

  const int step_;
  std::string out_;
};

}  // namespace

std::string python_repr(const Value& value) {
  std::string out;
  append_repr(out, value, false);
  return out;
}

std::string python_repr(std::string_view text) {
  std::string out;
  append_repr(out, text);
  return out;
}

std::string python_pformat(const Value& value, int indent) {
  return PrettyPrinter(indent).format(value);
}

}  // namespace confd::base
