#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>

#include "base/json_text.h"
#include "base/struct_builder.h"

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
      append_json(out, std::string_view(name));
      out += ": ";
      append_indented(out, member, indent + 2);
    }
    new_line(indent);
    out += '}';
  } else {
    append_json(out, value);
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
  JsonText(out, 256).value(value);
  return out;
}

void append_json(std::string& out, const Value& value) {
  JsonText(out).value(value);
}

void append_json(std::string& out, const Struct& value) {
  JsonText(out).structure(value);
}

void append_json(std::string& out, std::string_view text) {
  JsonText(out).text(text);
}

std::string render_json_indented(const Value& value) {
  std::string out;
  append_indented(out, value, 0);
  return out;
}

}  // namespace confd::base
