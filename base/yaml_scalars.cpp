// Scalars of YamlScanner: plain, quoted, block.
#include "base/utf8.h"
#include "base/yaml_scanner.h"

namespace confd::base {

std::string YamlScanner::scan_plain() {
  std::string text;
  std::string space;
  const bool flow = simple_keys_.size() > 1;
  const auto indent = static_cast<std::size_t>(indent_ + 1);
  const auto flow_indicator = [&](std::size_t ahead) {
    const char c = at(ahead);
    return flow && (c == ',' || c == '[' || c == ']' || c == '{' || c == '}');
  };
  for (;;) {
    if (at() == '#') break;
    std::size_t length = 0;
    while (!white(length) && !flow_indicator(length) &&
           !(at(length) == ':' && (white(length + 1) || flow_indicator(length + 1))))
      ++length;
    if (length == 0) break;
    allow_simple_key_ = false;
    text += space;
    text += text_.substr(at_, length);
    forward(length);
    space = scan_plain_space();
    if (space.empty() || at() == '#' || (!flow && column_ < indent)) break;
  }
  return text;
}

// What stands between two words of a plain scalar; empty when the scalar ends here.
std::string YamlScanner::scan_plain_space() {
  std::string blanks;
  while (at() == ' ') {
    blanks += ' ';
    forward(1);
  }
  if (break_size() == 0) return blanks;
  std::string first = take_break();
  allow_simple_key_ = true;
  if (document_indicator("---") || document_indicator("...")) return {};
  std::string breaks;
  for (;;) {
    if (at() == ' ') {
      forward(1);
    } else if (break_size() != 0) {
      breaks += take_break();
      if (document_indicator("---") || document_indicator("...")) return {};
    } else {
      break;
    }
  }
  if (first != "\n") return first + breaks;
  return breaks.empty() ? " " : breaks;
}

std::string YamlScanner::scan_quoted(bool is_double) {
  const YamlMark start = mark();
  const char quote = at();
  std::string text;
  forward(1);
  scan_quoted_text(is_double, text);
  while (at() != quote || end()) {
    if (end()) throw YamlProblem{"a quoted text has no closing quote", start};
    scan_quoted_space(text);
    scan_quoted_text(is_double, text);
  }
  forward(1);
  return text;
}

void YamlScanner::scan_quoted_text(bool is_double, std::string& out) {
  for (;;) {
    std::size_t length = 0;
    while (!white(length) && at(length) != '\'' && at(length) != '"' && at(length) != '\\') ++length;
    out += text_.substr(at_, length);
    forward(length);
    const char c = at();
    if (end() || white()) return;
    if (!is_double && c == '\'') {
      if (at(1) != '\'') return;
      out += '\'';
      forward(2);
    } else if (is_double && c == '"') {
      return;
    } else if (is_double && c == '\\') {
      scan_escape(out);
    } else {
      out += c;
      forward(1);
    }
  }
}

void YamlScanner::scan_escape(std::string& out) {
  forward(1);
  if (break_size() != 0) {
    take_break();
    out += scan_quoted_breaks();
    return;
  }
  const char c = at();
  const std::string_view letters = "0abt\tnvfre \"\\/N_LP";
  constexpr char32_t kMeanings[] = {0,    0x07, 0x08, 0x09, 0x09, 0x0A, 0x0B, 0x0C,   0x0D,
                                    0x1B, 0x20, 0x22, 0x5C, 0x2F, 0x85, 0xA0, 0x2028, 0x2029};
  if (const std::size_t which = letters.find(c); !end() && which != std::string_view::npos) {
    append_utf8(out, kMeanings[which]);
    forward(1);
    return;
  }
  const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (digits == 0) fail("this is no escape of a text in double quotes; write \\\\ for a backslash");
  forward(1);
  const auto hex_number = [&]() {
    char32_t number = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char h = at(i);
      const int digit = h >= '0' && h <= '9'   ? h - '0'
                        : h >= 'a' && h <= 'f' ? h - 'a' + 10
                        : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                               : -1;
      if (digit < 0 || number > 0xFFFFFFF) fail("an escape needs " + std::to_string(digits) + " hex digits");
      number = number << 4 | static_cast<char32_t>(digit);
    }
    forward(digits);
    return number;
  };
  char32_t code = hex_number();
  // JSON writes characters beyond U+FFFF as two escapes.
  if (code >= 0xD800 && code <= 0xDBFF && at() == '\\' && at(1) == 'u') {
    forward(2);
    const char32_t low = hex_number();
    if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair is missing");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) fail("the escape stands for no character");
  append_utf8(out, code);
}

void YamlScanner::scan_quoted_space(std::string& out) {
  std::string blanks;
  while (at() == ' ' || at() == '\t') {
    blanks += at();
    forward(1);
  }
  if (end()) return;
  if (break_size() == 0) {
    out += blanks;
    return;
  }
  const std::string first = take_break();
  const std::string breaks = scan_quoted_breaks();
  if (first != "\n")
    out += first;
  else if (breaks.empty())
    out += ' ';
  out += breaks;
}

std::string YamlScanner::scan_quoted_breaks() {
  std::string breaks;
  for (;;) {
    if (document_indicator("---") || document_indicator("...")) fail("a document ends inside a quoted text");
    while (at() == ' ' || at() == '\t') forward(1);
    if (break_size() == 0) return breaks;
    breaks += take_break();
  }
}

std::string YamlScanner::scan_block_scalar(bool folded) {
  forward(1);
  enum class Chomp { clip, strip, keep } chomp = Chomp::clip;
  std::size_t increment = 0;
  for (int i = 0; i < 2; ++i) {
    const char c = at();
    if ((c == '+' || c == '-') && chomp == Chomp::clip) {
      chomp = c == '+' ? Chomp::keep : Chomp::strip;
      forward(1);
    } else if (c >= '1' && c <= '9' && increment == 0) {
      increment = static_cast<std::size_t>(c - '0');
      forward(1);
    }
  }
  if (!white()) fail("behind '|' or '>' only + or - and a digit from 1 to 9 may stand");
  while (at() == ' ') forward(1);
  if (at() == '#')
    while (!end() && break_size() == 0) forward(1);
  if (!end() && break_size() == 0) fail("behind '|' or '>' the line must end");
  take_break();

  const auto least = static_cast<std::size_t>(std::max<std::ptrdiff_t>(indent_ + 1, 1));
  std::size_t indent = 0;
  std::string breaks;
  if (increment == 0) {
    std::size_t widest = 0;
    while (at() == ' ' || break_size() != 0) {
      if (break_size() != 0) {
        breaks += take_break();
      } else {
        forward(1);
        widest = std::max(widest, column_);
      }
    }
    indent = std::max(least, widest);
  } else {
    indent = least + increment - 1;
    breaks = scan_breaks_up_to(indent);
  }
  std::string text;
  std::string line_break;
  while (column_ == indent && !end()) {
    text += breaks;
    const bool starts_with_word = at() != ' ' && at() != '\t';
    std::size_t length = 0;
    while (!end(length) && break_size(length) == 0) ++length;
    text += text_.substr(at_, length);
    forward(length);
    line_break = take_break();
    breaks = scan_breaks_up_to(indent);
    if (column_ != indent || end()) break;
    if (folded && line_break == "\n" && starts_with_word && at() != ' ' && at() != '\t') {
      if (breaks.empty()) text += ' ';
    } else {
      text += line_break;
    }
  }
  if (chomp != Chomp::strip) text += line_break;
  if (chomp == Chomp::keep) text += breaks;
  return text;
}

std::string YamlScanner::scan_breaks_up_to(std::size_t indent) {
  std::string breaks;
  for (;;) {
    while (column_ < indent && at() == ' ') forward(1);
    if (break_size() == 0) return breaks;
    breaks += take_break();
  }
}

}  // namespace confd::base
