#include "base/python_text.h"

#include <algorithm>
#include <iterator>

#include "base/unicode_printable.h"
#include "base/utf8.h"

namespace confd::base {
namespace {

bool ends_line(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

}  // namespace

bool python_printable(char32_t code) {
  const auto* after = std::upper_bound(std::begin(kNotPrintable), std::end(kNotPrintable), code,
                                       [](char32_t c, const CodeRange& range) { return c < range.first; });
  return after == std::begin(kNotPrintable) || code > std::prev(after)->last;
}

bool python_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

std::vector<std::string_view> python_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character c = utf8_at(text, at);
    at += c.size;
    if (!c.valid || !ends_line(c.code)) continue;
    if (c.code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(start, at - start));
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::vector<std::string_view> python_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t start = 0;
  bool in_space = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character c = utf8_at(text, at);
    const bool space = c.valid && python_space(c.code);
    if (in_space && !space) {
      words.push_back(text.substr(start, at - start));
      start = at;
    }
    in_space = space;
    at += c.size;
  }
  if (start < text.size()) words.push_back(text.substr(start));
  return words;
}

}  // namespace confd::base
