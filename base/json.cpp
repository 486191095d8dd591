#include "base/json.h"

#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/python_literal.h"
#include "base/struct_builder.h"
#include "base/utf8.h"

namespace confd::base {
namespace {

namespace json = boost::json;
using boost::json::error_code;

// Receives the parser's events and builds the Value. Numbers are converted here, from their text:
// Boost.JSON 1.81 rounds doubles to within one unit only, and ours have to round-trip.
class Builder {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  explicit Builder(std::size_t most_values) : values_left_(most_values) {}

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(true); }
  bool on_object_end(std::size_t, error_code& failure) {
    Value value(frames_.back().members.take());
    frames_.pop_back();
    return add(std::move(value), failure);
  }
  bool on_array_begin(error_code&) { return open(false); }
  bool on_array_end(std::size_t, error_code& failure) {
    Value value(std::move(frames_.back().items));
    frames_.pop_back();
    return add(std::move(value), failure);
  }
  bool on_key_part(json::string_view part, std::size_t, error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, error_code&) {
    text_.append(part.data(), part.size());
    frames_.back().key = std::exchange(text_, {});
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, error_code& failure) {
    text_.append(part.data(), part.size());
    return add(Value(std::exchange(text_, {})), failure);
  }
  bool on_number_part(json::string_view part, error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t number, json::string_view, error_code& failure) {
    text_.clear();
    return add(Value(static_cast<long long>(number)), failure);
  }
  bool on_uint64(std::uint64_t, json::string_view part, error_code& failure) {
    return on_double(0, part, failure);
  }
  bool on_double(double, json::string_view part, error_code& failure) {
    text_.append(part.data(), part.size());
    double number = 0;
    const auto end = text_.data() + text_.size();
    const auto [stop, problem] = std::from_chars(text_.data(), end, number);
    if (problem == std::errc::result_out_of_range && tiny(text_)) {
      number = text_[0] == '-' ? -0.0 : 0.0;
    } else if (problem != std::errc() || stop != end) {
      failure = json::make_error_code(json::error::exponent_overflow);
      return false;
    }
    text_.clear();
    return add(Value(number), failure);
  }
  bool on_bool(bool flag, error_code& failure) { return add(Value(flag), failure); }
  bool on_null(error_code& failure) { return add(Value(), failure); }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

  Value take() { return std::move(root_); }

 private:
  struct Frame {
    bool is_struct;
    Array items;
    StructBuilder members;
    std::string key;
  };

  bool open(bool is_struct) {
    frames_.push_back(Frame{is_struct, {}, {}, {}});
    return true;
  }

  bool add(Value value, error_code& failure) {
    if (values_left_-- == 0) {
      failure = json::make_error_code(json::error::array_too_large);
      return false;
    }
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (Frame& top = frames_.back(); top.is_struct) {
      top.members.set(std::move(top.key), std::move(value));
    } else {
      top.items.push_back(std::move(value));
    }
    return true;
  }

  // from_chars reports overflow and underflow alike.
  static bool tiny(const std::string& text) {
    const std::size_t e = text.find_first_of("eE");
    return e == std::string::npos ? text.find_first_of("123456789") > text.find('.') : text[e + 1] == '-';
  }

  std::size_t values_left_;
  std::vector<Frame> frames_;
  std::string text_;
  Value root_;
};

// Bytes that stand in a JSON text as they are.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> table{};
  for (unsigned byte = 0x20; byte < 0x80; ++byte) table[byte] = byte != '"' && byte != '\\';
  return table;
}();

// Eight bytes at a time: has any of them a high bit, a control character, a quote or a backslash?
bool eight_plain(const char* bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kHigh = 0x8080808080808080u;
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t backslash = word ^ (kOnes * '\\');
  const std::uint64_t odd =
      word | (word - kOnes * 0x20) | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash);
  return (odd & kHigh) == 0;
}

std::size_t plain_end(std::string_view text, std::size_t at) {
  while (at + 8 <= text.size() && eight_plain(text.data() + at)) at += 8;
  while (at < text.size() && kPlain[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

void append_string(std::string& out, std::string_view text) {
  std::size_t at = plain_end(text, 0);
  if (at == text.size()) {  // nearly always; each job of a client is rendered for the record of jobs
    out += '"';
    out += text;
    out += '"';
    return;
  }
  out += '"';
  std::size_t plain_from = 0;
  for (; (at = plain_end(text, at)) < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x80) {
      const Utf8Character character = utf8_at(text, at);
      if (character.valid) {
        at += character.size;
        continue;
      }
    }
    out.append(text, plain_from, at - plain_from);
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20) {
          constexpr char kHex[] = "0123456789abcdef";
          out += "\\u00";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        } else {
          out += kReplacementCharacter;
        }
    }
    plain_from = ++at;
  }
  out.append(text, plain_from, text.size() - plain_from);
  out += '"';
}

void append_scalar(std::string& out, const Value& value) {
  switch (value.type()) {
    case Value::Type::boolean:
      out += value.as_bool() ? "true" : "false";
      break;
    case Value::Type::integer: {
      char digits[24];
      out.append(digits, std::to_chars(digits, digits + sizeof digits, value.as_int()).ptr);
      break;
    }
    case Value::Type::real:  // JSON knows no infinity and no NaN
      out += std::isfinite(value.as_real()) ? python_repr(value.as_real()) : "null";
      break;
    case Value::Type::string:
      append_string(out, value.as_string());
      break;
    default:
      out += "null";
  }
}

void append_compact(std::string& out, const Value& value);

void append_compact(std::string& out, const Struct& value) {
  char separator = '{';
  for (const auto& [name, member] : value) {
    out += std::exchange(separator, ',');
    append_string(out, name);
    out += ':';
    append_compact(out, member);
  }
  out += separator == '{' ? "{}" : "}";
}

void append_compact(std::string& out, const Value& value) {
  if (value.is_array()) {
    char separator = '[';
    for (const Value& item : value.as_array()) {
      out += std::exchange(separator, ',');
      append_compact(out, item);
    }
    out += separator == '[' ? "[]" : "]";
  } else if (value.is_struct()) {
    append_compact(out, value.as_struct());
  } else {
    append_scalar(out, value);
  }
}

void append_indented(std::string& out, const Value& value, std::size_t indent) {
  const auto new_line = [&](std::size_t width) {
    out += '\n';
    out.append(width, ' ');
  };
  if (value.is_array() && !value.as_array().empty()) {
    char separator = '[';
    for (const Value& item : value.as_array()) {
      out += std::exchange(separator, ',');
      new_line(indent + 2);
      append_indented(out, item, indent + 2);
    }
    new_line(indent);
    out += ']';
  } else if (value.is_struct() && !value.as_struct().empty()) {
    char separator = '{';
    for (const auto& [name, member] : value.as_struct()) {
      out += std::exchange(separator, ',');
      new_line(indent + 2);
      append_string(out, name);
      out += ": ";
      append_indented(out, member, indent + 2);
    }
    new_line(indent);
    out += '}';
  } else {
    append_compact(out, value);
  }
}

}  // namespace

Result<Value> parse_json(std::string_view text, const JsonLimits& limits) {
  json::parse_options options;
  options.max_depth = limits.depth;
  json::basic_parser<Builder> parser(options, limits.values);
  error_code failure;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), failure);
  if (!failure && consumed < text.size()) failure = json::make_error_code(json::error::extra_data);
  if (failure == json::error::array_too_large)
    return Error{Code::bad_parameter, "more than " + std::to_string(limits.values) + " values in one text"};
  if (failure)
    return Error{Code::bad_parameter,
                 "not valid JSON at byte " + std::to_string(consumed) + ": " + failure.message()};
  return parser.handler().take();
}

std::string render_json(const Value& value) {
  std::string out;
  out.reserve(256);
  append_compact(out, value);
  return out;
}

void append_json(std::string& out, const Value& value) {
  append_compact(out, value);
}

void append_json(std::string& out, const Struct& value) {
  append_compact(out, value);
}

void append_json(std::string& out, std::string_view text) {
  append_string(out, text);
}

std::string render_json_indented(const Value& value) {
  std::string out;
  append_indented(out, value, 0);
  return out;
}

}  // namespace confd::base
