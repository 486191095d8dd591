#include "base/json_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/python_literal.h"
#include "base/utf8.h"

namespace confd::base {
namespace {

// Bytes that stand in a JSON text as they are.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> table{};
  for (unsigned byte = 0x20; byte < 0x80; ++byte) table[byte] = byte != '"' && byte != '\\';
  return table;
}();

// Eight bytes at a time: has any of them a high bit, a control character, a quote or a backslash?
bool eight_plain(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kHigh = 0x8080808080808080u;
  const std::uint64_t quote = word ^ (kOnes * '"');
  const std::uint64_t backslash = word ^ (kOnes * '\\');
  const std::uint64_t odd =
      word | (word - kOnes * 0x20) | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash);
  return (odd & kHigh) == 0;
}

std::size_t plain_end(std::string_view text, std::size_t at) {
  while (at < text.size() && kPlain[static_cast<unsigned char>(text[at])]) ++at;
  return at;
}

}  // namespace

void JsonText::grow(std::size_t bytes) {
  const auto written = static_cast<std::size_t>(at_ - out_.data());
  out_.resize(std::max(written + bytes, 2 * out_.size()));
  at_ = out_.data() + written;
  end_ = out_.data() + out_.size();
}

void JsonText::text(std::string_view text) {
  need(text.size() + 2);
  *at_++ = '"';
  // Copied and looked at in one go; nearly always that is all.
  const char* from = text.data();
  std::size_t left = text.size();
  for (; left >= 8; left -= 8, from += 8, at_ += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    if (!eight_plain(word)) break;
    std::memcpy(at_, &word, sizeof word);
  }
  for (; left > 0 && kPlain[static_cast<unsigned char>(*from)]; --left) *at_++ = *from++;
  if (left > 0) escaped({from, left});
  raw('"');
}

void JsonText::escaped(std::string_view text) {
  std::size_t plain_from = 0;
  for (std::size_t at = 0; (at = plain_end(text, at)) < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x80) {
      const Utf8Character character = utf8_at(text, at);
      if (character.valid) {
        at += character.size;
        continue;
      }
    }
    raw(text.substr(plain_from, at - plain_from));
    switch (byte) {
      case '"':
        raw("\\\"");
        break;
      case '\\':
        raw("\\\\");
        break;
      case '\b':
        raw("\\b");
        break;
      case '\f':
        raw("\\f");
        break;
      case '\n':
        raw("\\n");
        break;
      case '\r':
        raw("\\r");
        break;
      case '\t':
        raw("\\t");
        break;
      default:
        if (byte < 0x20) {
          constexpr char kHex[] = "0123456789abcdef";
          raw("\\u00");
          raw(kHex[byte >> 4]);
          raw(kHex[byte & 15]);
        } else {
          raw(kReplacementCharacter);
        }
    }
    plain_from = ++at;
  }
  raw(text.substr(plain_from));
}

void JsonText::structure(const Struct& value) {
  char separator = '{';
  for (const auto& [name, member] : value) {
    raw(std::exchange(separator, ','));
    text(name);
    raw(':');
    this->value(member);
  }
  raw(separator == '{' ? std::string_view("{}") : std::string_view("}"));
}

void JsonText::value(const Value& value) {
  switch (value.type()) {
    case Value::Type::null:
      raw("null");
      break;
    case Value::Type::boolean:
      raw(value.as_bool() ? std::string_view("true") : std::string_view("false"));
      break;
    case Value::Type::integer:
      integer(value.as_int());
      break;
    case Value::Type::real:  // JSON knows no infinity and no NaN
      raw(std::isfinite(value.as_real()) ? python_repr(value.as_real()) : "null");
      break;
    case Value::Type::string:
      text(value.as_string());
      break;
    case Value::Type::array: {
      char separator = '[';
      for (const Value& item : value.as_array()) {
        raw(std::exchange(separator, ','));
        this->value(item);
      }
      raw(separator == '[' ? std::string_view("[]") : std::string_view("]"));
      break;
    }
    case Value::Type::structure:
      structure(value.as_struct());
      break;
  }
}

}  // namespace confd::base
