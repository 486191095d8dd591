#include "base/yaml_types.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>

#include "base/text.h"

namespace confd::base {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool digit_or_bar(char c) {
  return digit(c) || c == '_';
}

// Reads a text from the left; each step says whether it found what it was asked for.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}
  bool end() const { return rest_.empty(); }
  bool one(std::string_view set) {
    if (rest_.empty() || set.find(rest_[0]) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool text(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  template <class Predicate>
  std::size_t run(Predicate predicate, std::size_t most = std::string_view::npos) {
    std::size_t n = 0;
    while (n < rest_.size() && n < most && predicate(rest_[n])) ++n;
    rest_.remove_prefix(n);
    return n;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// (:[0-5]?[0-9])+ ; leaves the cursor where it was when there is none.
bool sexagesimal_part(Cursor& at) {
  bool found = false;
  for (;;) {
    Cursor next = at;
    if (!next.text(":")) return found;
    Cursor two = next;
    if (two.one("012345") && two.run(digit, 1) == 1)
      at = two;
    else if (next.run(digit, 1) == 1)
      at = next;
    else
      return found;
    found = true;
  }
}

bool is_integer(std::string_view text) {
  Cursor at(text);
  at.one("-+");
  if (Cursor binary = at; binary.text("0b"))
    return binary.run([](char c) { return c == '0' || c == '1' || c == '_'; }) > 0 && binary.end();
  if (Cursor hex = at; hex.text("0x"))
    return hex.run([](char c) {
      return digit_or_bar(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    }) > 0 &&
           hex.end();
  if (at.text("0")) {
    at.run([](char c) { return (c >= '0' && c <= '7') || c == '_'; });
    return at.end();
  }
  if (!at.one("123456789")) return false;
  at.run(digit_or_bar);
  sexagesimal_part(at);
  return at.end();
}

bool exponent_or_end(Cursor at) {
  if (at.end()) return true;
  return at.one("eE") && at.one("-+") && at.run(digit) > 0 && at.end();
}

bool is_real(std::string_view text) {
  Cursor at(text);
  if (Cursor fraction = at; fraction.text(".") && fraction.run(digit, 1) == 1) {
    fraction.run(digit_or_bar);
    if (exponent_or_end(fraction)) return true;
  }
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  at.one("-+");
  if (at.rest() == ".inf" || at.rest() == ".Inf" || at.rest() == ".INF") return true;
  if (at.run(digit, 1) != 1) return false;
  at.run(digit_or_bar);
  const bool sexagesimal = sexagesimal_part(at);
  if (!at.text(".")) return false;
  at.run(digit_or_bar);
  return sexagesimal ? at.end() : exponent_or_end(at);
}

bool is_timestamp(std::string_view text) {
  Cursor at(text);
  if (at.run(digit) != 4 || !at.text("-")) return false;
  const std::size_t month = at.run(digit);
  if (month < 1 || month > 2 || !at.text("-")) return false;
  const std::size_t day = at.run(digit);
  if (day < 1 || day > 2) return false;
  if (at.end()) return month == 2 && day == 2;
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  if (!at.one("Tt") && at.run(blank) == 0) return false;
  if (const std::size_t hour = at.run(digit); hour < 1 || hour > 2) return false;
  if (!at.text(":") || at.run(digit) != 2 || !at.text(":") || at.run(digit) != 2) return false;
  if (at.text(".")) at.run(digit);
  if (at.end()) return true;
  at.run(blank);
  if (at.text("Z")) return at.end();
  if (!at.one("-+")) return false;
  if (const std::size_t zone = at.run(digit); zone < 1 || zone > 2) return false;
  if (at.end()) return true;
  return at.text(":") && at.run(digit) == 2 && at.end();
}

bool is_boolean(std::string_view text) {
  constexpr std::string_view kWords[] = {"yes",   "Yes",   "YES",   "no", "No", "NO", "true", "True", "TRUE",
                                         "false", "False", "FALSE", "on", "On", "ON", "off",  "Off",  "OFF"};
  return text.size() <= 5 && std::find(std::begin(kWords), std::end(kWords), text) != std::end(kWords);
}

std::string without_bars(std::string_view text) {
  std::string digits(text);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  return digits;
}

// Sign taken off `text`.
bool take_sign(std::string_view& text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative;
}

std::optional<std::int64_t> integer_value(std::string_view plain) {
  const std::string digits = without_bars(plain);
  std::string_view text = digits;
  const bool negative = take_sign(text);
  std::uint64_t number = 0;
  if (text.find(':') != std::string_view::npos) {
    for (const std::string& part : split(text, ':')) {
      std::uint64_t place = 0;
      if (std::from_chars(part.data(), part.data() + part.size(), place).ec != std::errc())
        return std::nullopt;
      if (__builtin_mul_overflow(number, 60u, &number) || __builtin_add_overflow(number, place, &number))
        return std::nullopt;
    }
  } else {
    int base = 10;
    if (text.starts_with("0b")) {
      base = 2;
      text.remove_prefix(2);
    } else if (text.starts_with("0x")) {
      base = 16;
      text.remove_prefix(2);
    } else if (text.size() > 1 && text[0] == '0') {
      base = 8;
    }
    const auto end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number, base);
    if (problem != std::errc() || stop != end) return std::nullopt;
  }
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (number > kMost + (negative ? 1 : 0)) return std::nullopt;
  return negative ? static_cast<std::int64_t>(0 - number) : static_cast<std::int64_t>(number);
}

double real_value(std::string_view plain) {
  const std::string digits = to_lower(without_bars(plain));
  std::string_view text = digits;
  const double sign = take_sign(text) ? -1 : 1;
  if (text == ".inf") return sign * std::numeric_limits<double>::infinity();
  if (text == ".nan") return std::numeric_limits<double>::quiet_NaN();
  double number = 0;
  for (const std::string& part : split(text, ':')) {
    double place = 0;
    const auto [stop, problem] = std::from_chars(part.data(), part.data() + part.size(), place);
    if (problem == std::errc::result_out_of_range && part.find("e-") == std::string::npos)
      place = std::numeric_limits<double>::infinity();
    static_cast<void>(stop);
    number = number * 60 + place;
  }
  return sign * number;
}

}  // namespace

YamlType yaml_type(std::string_view plain) {
  if (plain.empty()) return YamlType::null;
  switch (plain[0]) {
    case 'y':
    case 'Y':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'o':
    case 'O':
      return is_boolean(plain) ? YamlType::boolean : YamlType::string;
    case 'n':
    case 'N':
      if (plain == "null" || plain == "Null" || plain == "NULL") return YamlType::null;
      return is_boolean(plain) ? YamlType::boolean : YamlType::string;
    case '~':
      return plain == "~" ? YamlType::null : YamlType::string;
    case '=':
      return plain == "=" ? YamlType::value : YamlType::string;
    case '<':
      return plain == "<<" ? YamlType::merge : YamlType::string;
    default:
      break;
  }
  const bool number = digit(plain[0]) || plain[0] == '-' || plain[0] == '+';
  if (number && is_integer(plain)) return YamlType::integer;
  if ((number || plain[0] == '.') && is_real(plain)) return YamlType::real;
  if (digit(plain[0]) && is_timestamp(plain)) return YamlType::timestamp;
  return YamlType::string;
}

Value yaml_plain_value(std::string_view plain) {
  switch (yaml_type(plain)) {
    case YamlType::null:
      return {};
    case YamlType::boolean: {
      const std::string word = to_lower(plain);
      return word == "yes" || word == "true" || word == "on";
    }
    case YamlType::integer:
      if (const auto number = integer_value(plain)) return static_cast<long long>(*number);
      return plain;
    case YamlType::real:
      return real_value(plain);
    default:
      return plain;
  }
}

}  // namespace confd::base
