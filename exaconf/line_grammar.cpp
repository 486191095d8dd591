#include "exaconf/line_grammar.h"

#include <cstdint>

namespace confd::exaconf {
namespace {

// Length in bytes of the white space character at the front of `text`, 0 when there is none.
std::size_t space_at_front(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return first == ' ' || (first >= 9 && first <= 13) || (first >= 28 && first <= 31);
  if (first == 0xC2) return byte(1) == 0x85 || byte(1) == 0xA0 ? 2 : 0;
  const unsigned code = first << 16 | byte(1) << 8 | byte(2);
  const bool space = code == 0xE19A80 || (code >= 0xE28080 && code <= 0xE2808A) || code == 0xE280A8 ||
                     code == 0xE280A9 || code == 0xE280AF || code == 0xE2819F || code == 0xE38080;
  return space ? 3 : 0;
}

std::size_t space_at_back(std::string_view text) {
  if (text.empty()) return 0;
  if (static_cast<unsigned char>(text.back()) < 0x80) return space_at_front(text.substr(text.size() - 1));
  for (const std::size_t length : {std::size_t{2}, std::size_t{3}})
    if (text.size() >= length && space_at_front(text.substr(text.size() - length)) == length) return length;
  return 0;
}

// A set of ASCII characters as a table: every byte of a file passes one of these tests.
class CharacterSet {
 public:
  constexpr explicit CharacterSet(std::string_view characters) {
    for (const char c : characters) member_[static_cast<unsigned char>(c)] = true;
  }
  bool in(std::string_view text) const {
    for (const char c : text)
      if (member_[static_cast<unsigned char>(c)]) return true;
    return false;
  }

 private:
  bool member_[256] = {};
};
constexpr CharacterSet kNotInPlainName{"[]\n\r"};
constexpr CharacterSet kNotInPlainKey{"=\n\r"};
constexpr CharacterSet kNotInPlainValue{"#\n"};

// No white space at either end; the usual ends are visible ASCII characters. REQUIRES: not empty.
bool is_trimmed(std::string_view text) {
  return (text.front() > ' ' || space_at_front(text) == 0) && (text.back() > ' ' || space_at_back(text) == 0);
}

bool is_quote(char c) {
  return c == '"' || c == '\'';
}

// "]] # comment" to the end of the line: how many ']' and the comment.
struct MarkerTail {
  std::size_t closing = 0;
  std::string_view comment;
};

// `tail` begins with ']'. When it is not a tail, `stop` says how far the run of brackets went: no position
// inside the run can begin a tail either.
std::optional<MarkerTail> read_marker_tail(std::string_view tail, std::size_t& stop) {
  MarkerTail found;
  std::string_view rest = tail;
  while (!rest.empty() && rest.front() == ']') {
    ++found.closing;
    rest = trim_left(rest.substr(1));
  }
  stop = tail.size() - rest.size();
  if (!rest.empty() && rest.front() != '#') return std::nullopt;
  found.comment = rest;
  return found;
}

std::optional<MarkerLine> read_marker_name(std::string_view text, std::size_t opening) {
  if (text.empty()) return std::nullopt;
  MarkerLine marker;
  marker.opening = opening;
  const auto take = [&](std::string_view name, const MarkerTail& tail) {
    marker.name = name;
    marker.closing = tail.closing;
    marker.comment = tail.comment;
    return marker;
  };
  if (is_quote(text.front())) {
    // The content has at least one character that is not white space, which may itself be a quote.
    const std::string_view content = text.substr(1);
    const std::size_t first = content.size() - trim_left(content).size();
    for (std::size_t close = content.find(text.front(), first + 1); close != std::string_view::npos;
         close = content.find(text.front(), close + 1)) {
      const std::string_view tail = trim_left(content.substr(close + 1));
      std::size_t stop = 0;
      if (tail.empty() || tail.front() != ']') continue;
      if (const auto end = read_marker_tail(tail, stop)) return take(content.substr(0, close), *end);
    }
    return std::nullopt;
  }
  for (std::size_t at = text.find(']', 1); at != std::string_view::npos; at = text.find(']', at)) {
    std::size_t stop = 0;
    if (const auto end = read_marker_tail(text.substr(at), stop)) {
      std::string_view name = trim_right(text.substr(0, at));
      return take(name, *end);
    }
    at += stop;
  }
  return std::nullopt;
}

// A key that begins at the front of `text` and is not quoted.
std::optional<KeyLine> read_bare_key(std::string_view text, std::size_t first_length) {
  const std::size_t equals = text.find('=', first_length);
  if (equals == std::string_view::npos) return std::nullopt;
  std::string_view key = trim_right(text.substr(0, equals));
  if (key.size() < first_length) key = text.substr(0, first_length);
  return KeyLine{key, trim_left(text.substr(equals + 1))};
}

std::optional<KeyLine> read_quoted_key(std::string_view text) {
  for (std::size_t close = text.find(text.front(), 1); close != std::string_view::npos;
       close = text.find(text.front(), close + 1)) {
    const std::string_view after = trim_left(text.substr(close + 1));
    if (!after.empty() && after.front() == '=')
      return KeyLine{text.substr(1, close - 1), trim_left(after.substr(1))};
  }
  return std::nullopt;
}

bool reads_back_as_name(std::string_view written, std::string_view name) {
  const std::string line = "[" + std::string(written) + "]";
  const auto marker = read_marker(line);
  return marker && marker->opening == 1 && marker->closing == 1 && marker->name == name &&
         marker->comment.empty();
}

bool reads_back_as_key(std::string_view written, std::string_view key) {
  // Indented and not: a key must not change its meaning with the depth of its section.
  for (const std::string_view indent : {"", "    "}) {
    const std::string line = std::string(indent) + std::string(written) + " = ";
    const std::string_view content = trim_left(line);
    if (content.front() == '#' || read_marker(line)) return false;
    const auto read = read_key(line, content);
    if (!read || read->key != key || !read->rest.empty()) return false;
  }
  return true;
}

bool reads_back_in_triple_quotes(std::string_view value, char quote) {
  const std::string text = std::string(value) + std::string(3, quote);
  std::size_t end = text.find('\n');
  if (end == std::string::npos) {
    const auto read = read_triple_end(text, quote);
    return read && read->value == value;
  }
  for (std::size_t start = 0;; start = end + 1, end = text.find('\n', start)) {
    const std::string_view line = std::string_view(text).substr(start, end - start);
    if (end == std::string::npos) {
      const auto read = read_triple_end(line, quote);
      return read && read->value.size() == value.size() - start;
    }
    if (has_triple_quote(line, quote) || (!line.empty() && line.back() == '\r')) return false;
  }
}

}  // namespace

std::string_view trim_left(std::string_view text) {
  // Most texts begin with blanks or with a visible ASCII character.
  std::size_t blanks = 0;
  while (blanks < text.size() && text[blanks] == ' ') ++blanks;
  text.remove_prefix(blanks);
  if (!text.empty() && text.front() > ' ') return text;
  while (const std::size_t length = space_at_front(text)) text.remove_prefix(length);
  return text;
}

std::string_view trim_right(std::string_view text) {
  if (!text.empty() && text.back() > ' ') return text;
  while (const std::size_t length = space_at_back(text)) text.remove_suffix(length);
  return text;
}

std::optional<MarkerLine> read_marker(std::string_view line) {
  std::string_view text = trim_left(line);
  std::size_t opening = 0;
  std::string_view last;  // from the last '[' on
  while (!text.empty() && text.front() == '[') {
    ++opening;
    last = text;
    text = trim_left(text.substr(1));
  }
  if (opening == 0) return std::nullopt;
  if (auto marker = read_marker_name(text, opening)) return marker;
  // "[[]" is a section named "[".
  return opening > 1 ? read_marker_name(last, opening - 1) : std::nullopt;
}

std::optional<KeyLine> read_key(std::string_view line, std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (is_quote(text.front())) {
    if (auto key = read_quoted_key(text)) return key;
  } else if (text.front() != '=') {
    return read_bare_key(text, 1);
  }
  // The reference takes the last white space before an opening quote or '=' as the first character of the
  // key ("a key of one blank", spec §2, samples edge-25).
  const std::string_view before = line.substr(0, line.size() - text.size());
  const std::size_t length = space_at_back(before);
  if (length == 0) return std::nullopt;
  return read_bare_key(line.substr(before.size() - length), length);
}

std::optional<ValueText> read_value(std::string_view rest) {
  if (!rest.empty() && is_quote(rest.front())) {
    for (std::size_t close = rest.find(rest.front(), 1); close != std::string_view::npos;
         close = rest.find(rest.front(), close + 1)) {
      const std::string_view after = trim_left(rest.substr(close + 1));
      if (after.empty() || after.front() == '#') return ValueText{rest.substr(0, close + 1), after};
    }
    return std::nullopt;
  }
  const std::size_t hash = rest.find('#');
  if (hash == std::string_view::npos) return ValueText{trim_right(rest), {}};
  return ValueText{trim_right(rest.substr(0, hash)), rest.substr(hash)};
}

bool opens_triple_quote(std::string_view rest) {
  return rest.starts_with("'''") || rest.starts_with("\"\"\"");
}

bool has_triple_quote(std::string_view text, char quote) {
  return text.find(std::string(3, quote)) != std::string_view::npos;
}

std::optional<ValueText> read_triple_end(std::string_view text, char quote) {
  const std::string closing(3, quote);
  for (std::size_t at = text.find(closing); at != std::string_view::npos; at = text.find(closing, at + 1)) {
    const std::string_view after = trim_left(text.substr(at + 3));
    if (after.empty() || after.front() == '#') return ValueText{text.substr(0, at), after};
  }
  return std::nullopt;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && !kNotInPlainName.in(name) && !is_quote(name.front()) && is_trimmed(name);
}

bool is_plain_key(std::string_view key) {
  return !key.empty() && !kNotInPlainKey.in(key) && !is_quote(key.front()) && key.front() != '[' &&
         key.front() != '#' && is_trimmed(key);
}

bool is_plain_value(std::string_view value) {
  return value.empty() || (!kNotInPlainValue.in(value) && !is_quote(value.front()) && is_trimmed(value));
}

std::optional<std::string> written_name(std::string_view name) {
  if (is_plain_name(name)) return std::string(name);
  if (name.find('\n') != std::string_view::npos) return std::nullopt;
  for (const std::string_view quote : {"", "\"", "'"}) {
    std::string written = std::string(quote).append(name).append(quote);
    if (reads_back_as_name(written, name)) return written;
  }
  return std::nullopt;
}

std::optional<std::string> written_key(std::string_view key) {
  if (is_plain_key(key)) return std::string(key);
  if (key.find('\n') != std::string_view::npos) return std::nullopt;
  for (const std::string_view quote : {"", "\"", "'"}) {
    std::string written = std::string(quote).append(key).append(quote);
    if (reads_back_as_key(written, key)) return written;
  }
  return std::nullopt;
}

std::optional<std::string> written_value(std::string_view value) {
  if (is_plain_value(value)) return std::string(value);
  const auto has = [&](char c) { return value.find(c) != std::string_view::npos; };
  const bool bare = !has('\n') && is_trimmed(value) && !opens_triple_quote(value) && [&] {
    const auto read = read_value(value);
    return read && read->value == value;
  }();
  // The reference puts '#' beside both kinds of quotes into triple quotes, whether that is needed or not.
  if (bare && !(has('#') && has('"') && has('\''))) return std::string(value);
  // The kind of quotes that the reference takes first; it refuses a value that holds both.
  const bool holds_double = has_triple_quote(value, '"');
  if (!(holds_double && has_triple_quote(value, '\''))) {
    for (const char quote : {holds_double ? '"' : '\'', holds_double ? '\'' : '"'})
      if (reads_back_in_triple_quotes(value, quote))
        return std::string(3, quote).append(value).append(3, quote);
  }
  if (bare) return std::string(value);
  return std::nullopt;
}

}  // namespace confd::exaconf
