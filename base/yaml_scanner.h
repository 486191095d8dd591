// YamlScanner: YAML 1.1 text -> tokens, by the rules of PyYAML's scanner: what is an indicator where, which
// scalar is a key, where a block begins and ends. Used by yaml_parser.cpp only. Thread-safety: one thread at
// a time.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace confd::base {

struct YamlMark {
  std::size_t line = 0;    // from 0
  std::size_t column = 0;  // characters, from 0
};

// Thrown by scanner and parser, caught in parse_yaml.
struct YamlProblem {
  std::string text;
  YamlMark mark;
};

struct YamlToken {
  enum class Kind {
    stream_end,
    document_start,
    document_end,
    directive,
    block_sequence_start,
    block_mapping_start,
    block_end,
    flow_sequence_start,
    flow_sequence_end,
    flow_mapping_start,
    flow_mapping_end,
    block_entry,
    flow_entry,
    key,
    value,
    alias,
    anchor,
    tag,
    scalar,
  };
  Kind kind = Kind::stream_end;
  YamlMark mark;
  std::string text = {};  // of alias, anchor, tag, scalar, directive
  bool plain = false;     // a scalar without quotes
};

class YamlScanner {
 public:
  // REQUIRES: `text` outlives the scanner; valid UTF-8 without characters YAML does not allow.
  explicit YamlScanner(std::string_view text);

  // The next token, left in place. After the last one: stream_end, again and again.
  const YamlToken& peek();
  YamlToken take();

 private:
  // A token that turns out to be a key when ':' follows on the same line.
  struct SimpleKey {
    std::size_t token;  // number since the start
    bool required;
    std::size_t index;
    YamlMark mark;
  };
  using Kind = YamlToken::Kind;

  bool need_more_tokens();
  void fetch_more_tokens();
  void skip_to_next_token();

  void fetch_stream_end();
  void fetch_directive();
  void fetch_document_indicator(Kind kind);
  void fetch_flow_start(Kind kind);
  void fetch_flow_end(Kind kind);
  void fetch_flow_entry();
  void fetch_block_entry();
  void fetch_key();
  void fetch_value();
  void fetch_anchor(Kind kind);
  void fetch_tag();
  void fetch_block_scalar(bool folded);
  void fetch_quoted(bool is_double);
  void fetch_plain();

  std::string scan_block_scalar(bool folded);
  std::string scan_breaks_up_to(std::size_t indent);
  std::string scan_quoted(bool is_double);
  void scan_quoted_text(bool is_double, std::string& out);
  void scan_quoted_space(std::string& out);
  std::string scan_quoted_breaks();
  void scan_escape(std::string& out);
  std::string scan_plain();
  std::string scan_plain_space();

  std::optional<std::size_t> next_simple_key() const;
  void drop_stale_simple_keys();
  void save_simple_key();
  void remove_simple_key();
  void unwind_indent(std::ptrdiff_t column);
  bool add_indent(std::ptrdiff_t column);
  void add(Kind kind);

  // Bytes ahead; 0 behind the end.
  char at(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool end(std::size_t ahead = 0) const { return at_ + ahead >= text_.size(); }
  // Size in bytes of the line break ahead, 0 when there is none.
  std::size_t break_size(std::size_t ahead = 0) const;
  bool white(std::size_t ahead = 0) const;  // blank, tab, break or end
  void forward(std::size_t bytes);          // not over a break
  std::string take_break();                 // "" when there is none
  bool document_indicator(std::string_view dashes) const;
  YamlMark mark() const { return {line_, column_}; }
  [[noreturn]] void fail(std::string text) const { throw YamlProblem{std::move(text), mark()}; }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 0;
  std::size_t column_ = 0;
  bool done_ = false;
  std::deque<YamlToken> tokens_;
  std::size_t tokens_taken_ = 0;
  std::ptrdiff_t indent_ = -1;
  std::vector<std::ptrdiff_t> indents_;
  bool allow_simple_key_ = true;
  // One place for each flow level, [0] for block context.
  std::vector<std::optional<SimpleKey>> simple_keys_{std::nullopt};
};

}  // namespace confd::base
