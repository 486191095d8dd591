// Document: the text of EXAConf as a tree that keeps comments, order and quoting, so that it is written back
// as ConfigObj would (spec/exaconf.md §2, §3). The only place that knows the grammar.
//
// A value type: copies are deep and independent. Thread-safety: a plain value.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace confd::exaconf {

struct Problem {
  enum class Kind { parse, duplicate, nesting, integrity, validation };
  std::size_t line = 0;  // 1-based; 0 = the file as a whole
  std::string text;
  Kind kind = Kind::validation;
};
// "line 7: text; line 9: text", at most ten and the number of the others.
std::string render_problems(const std::vector<Problem>& problems);

// "Node : 11" -> {"Node", "11"}; "Global" -> {"Global", ""} (spec §2 "Headings with an id").
struct Heading {
  std::string kind;
  std::string id;
};
Heading parse_heading(std::string_view name);
// The written form: "Kind : id", "Plugin: id", or the kind alone.
std::string heading_name(std::string_view kind, std::string_view id);
// Both name the same thing: equal, or equal kind and id of headings with an id.
bool same_heading(std::string_view a, std::string_view b);

struct Entry {
  std::string key;
  std::string value;    // as ConfigObj gives it: trimmed, single/double quotes kept, triple quotes dropped
  std::string raw_key;  // how the key is written when it can't be written bare; empty = as it is
  std::vector<std::string> comments;  // own lines before it
  std::string inline_comment;         // from '#', or empty
  std::size_t line = 0;               // where it was read; 0 = made by an edit
};

struct Section {
  std::string name;      // unquoted; the root has none
  std::string raw_name;  // like raw_key
  std::vector<std::string> comments;
  std::string inline_comment;
  std::size_t line = 0;
  std::vector<Entry> entries;     // in order
  std::vector<Section> sections;  // in order

  const std::string* find(std::string_view key) const;  // value, or nullptr
  std::string value_or(std::string_view key, std::string_view otherwise) const;
  Entry* entry(std::string_view key);
  const Entry* entry(std::string_view key) const;
  Section* section(std::string_view section_name);
  const Section* section(std::string_view section_name) const;
  Heading heading() const { return parse_heading(name); }
};

class Document {
 public:
  // Collects all problems of a text; parse() below makes one Error of the first.
  struct Parsed;
  static Parsed parse_collecting(std::string_view text);
  // Error: Code::invalid_config, "line N: ..." of the first problem and the number of others.
  static base::Result<Document> parse(std::string_view text);

  // Canonical text (§3).
  std::string text() const;
  // MD5 of the canonical text with Revision and Checksum replaced by PLACEHOLDER (§4), 32 lower-case hex
  // digits.
  std::string checksum() const;

  // Top-level section by name, in any spelling of the blanks around its colon, or nullptr.
  Section* find(std::string_view name);
  const Section* find(std::string_view name) const;

  Section root;
  std::vector<std::string> initial_comments;
  std::vector<std::string> final_comments;
  std::string newline = "\n";
  bool byte_order_mark = false;
};

struct Document::Parsed {
  Document document;
  std::vector<Problem> problems;  // empty = fine
};

}  // namespace confd::exaconf
