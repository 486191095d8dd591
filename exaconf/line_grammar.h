// The grammar of one line of EXAConf (spec/exaconf.md §2): what a line is and where its parts are, and the
// reverse question: how must a name, key or value be written so that it is read back as it is? Used by the
// parser, the writer and transactions.
//
// The views point into the text given. Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace confd::exaconf {

// White space as Python's str.isspace sees it: ASCII white space, the separators 0x1C-0x1F, and Unicode's.
std::string_view trim_left(std::string_view text);
std::string_view trim_right(std::string_view text);

// "[[ name ]]  # comment"
struct MarkerLine {
  std::size_t opening = 0;  // number of '['
  std::size_t closing = 0;
  std::string_view name;     // quotes dropped
  std::string_view comment;  // from '#', or empty
};
std::optional<MarkerLine> read_marker(std::string_view line);

// "key = value"; the value is not looked into.
struct KeyLine {
  std::string_view key;   // quotes dropped
  std::string_view rest;  // after '=' and white space, up to the end of the line
};
// `content` is the line without the white space before it.
std::optional<KeyLine> read_key(std::string_view line, std::string_view content);

struct ValueText {
  std::string_view value;
  std::string_view comment;
};
// What follows '=' when it does not open a triple quote.
std::optional<ValueText> read_value(std::string_view rest);

bool opens_triple_quote(std::string_view rest);
// After an opening triple quote (of the character `quote`) on the same line, or on the last of several lines:
// up to the closing quotes and an optional comment.
std::optional<ValueText> read_triple_end(std::string_view text, char quote);
bool has_triple_quote(std::string_view text, char quote);

// Forms that are read back as given, bare when that is possible; nothing when no form is.
std::optional<std::string> written_name(std::string_view name);
std::optional<std::string> written_key(std::string_view key);
std::optional<std::string> written_value(std::string_view value);
// The same question without making the text, for the usual case.
bool is_plain_name(std::string_view name);
bool is_plain_key(std::string_view key);
bool is_plain_value(std::string_view value);

}  // namespace confd::exaconf
