#include "base/yaml_scanner.h"

#include <algorithm>

namespace confd::base {
namespace {

constexpr std::size_t kLongestSimpleKey = 1024;

bool in(char c, std::string_view set) {
  return c != '\0' && set.find(c) != std::string_view::npos;
}

}  // namespace

YamlScanner::YamlScanner(std::string_view text) : text_(text) {
  if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
}

const YamlToken& YamlScanner::peek() {
  while (need_more_tokens()) fetch_more_tokens();
  return tokens_.front();
}

YamlToken YamlScanner::take() {
  peek();
  if (tokens_.front().kind == Kind::stream_end) return tokens_.front();
  YamlToken token = std::move(tokens_.front());
  tokens_.pop_front();
  ++tokens_taken_;
  return token;
}

// A possible key at the front may still get its KEY token put before it.
bool YamlScanner::need_more_tokens() {
  if (done_) return false;
  if (tokens_.empty()) return true;
  drop_stale_simple_keys();
  return next_simple_key() == tokens_taken_;
}

void YamlScanner::fetch_more_tokens() {
  skip_to_next_token();
  drop_stale_simple_keys();
  unwind_indent(static_cast<std::ptrdiff_t>(column_));
  if (end()) return fetch_stream_end();
  const bool flow = simple_keys_.size() > 1;
  const char c = at();
  if (c == '%' && column_ == 0) return fetch_directive();
  if (document_indicator("---")) return fetch_document_indicator(Kind::document_start);
  if (document_indicator("...")) return fetch_document_indicator(Kind::document_end);
  switch (c) {
    case '[':
      return fetch_flow_start(Kind::flow_sequence_start);
    case '{':
      return fetch_flow_start(Kind::flow_mapping_start);
    case ']':
      return fetch_flow_end(Kind::flow_sequence_end);
    case '}':
      return fetch_flow_end(Kind::flow_mapping_end);
    case ',':
      return fetch_flow_entry();
    case '-':
      if (white(1)) return fetch_block_entry();
      break;
    case '?':
      if (flow || white(1)) return fetch_key();
      break;
    case ':':
      if (flow || white(1)) return fetch_value();
      break;
    case '*':
      return fetch_anchor(Kind::alias);
    case '&':
      return fetch_anchor(Kind::anchor);
    case '!':
      return fetch_tag();
    case '|':
    case '>':
      if (!flow) return fetch_block_scalar(c == '>');
      break;
    case '\'':
    case '"':
      return fetch_quoted(c == '"');
    default:
      break;
  }
  if (in(c, "\t,[]{}#&*!|>'\"%@`")) {
    if (c == '\t') fail("a tab cannot start a value; indent with blanks");
    fail(std::string("'") + c + "' cannot start a value here; put the value into quotes");
  }
  fetch_plain();
}

void YamlScanner::skip_to_next_token() {
  for (;;) {
    while (at() == ' ') forward(1);
    if (at() == '#')
      while (!end() && break_size() == 0) forward(1);
    if (break_size() == 0) return;
    take_break();
    if (simple_keys_.size() == 1) allow_simple_key_ = true;
  }
}

void YamlScanner::add(Kind kind) {
  tokens_.push_back({.kind = kind, .mark = mark()});
}

void YamlScanner::fetch_stream_end() {
  unwind_indent(-1);
  remove_simple_key();
  add(Kind::stream_end);
  done_ = true;
}

void YamlScanner::fetch_directive() {
  unwind_indent(-1);
  remove_simple_key();
  allow_simple_key_ = false;
  add(Kind::directive);
  while (!end() && break_size() == 0) {
    tokens_.back().text += at();
    forward(1);
  }
}

void YamlScanner::fetch_document_indicator(Kind kind) {
  unwind_indent(-1);
  remove_simple_key();
  allow_simple_key_ = false;
  add(kind);
  forward(3);
}

void YamlScanner::fetch_flow_start(Kind kind) {
  save_simple_key();
  simple_keys_.emplace_back();
  allow_simple_key_ = true;
  add(kind);
  forward(1);
}

void YamlScanner::fetch_flow_end(Kind kind) {
  remove_simple_key();
  if (simple_keys_.size() > 1) simple_keys_.pop_back();
  allow_simple_key_ = false;
  add(kind);
  forward(1);
}

void YamlScanner::fetch_flow_entry() {
  allow_simple_key_ = true;
  remove_simple_key();
  add(Kind::flow_entry);
  forward(1);
}

void YamlScanner::fetch_block_entry() {
  if (simple_keys_.size() == 1) {
    if (!allow_simple_key_) fail("a list item is not allowed here");
    if (add_indent(static_cast<std::ptrdiff_t>(column_))) add(Kind::block_sequence_start);
  }
  allow_simple_key_ = true;
  remove_simple_key();
  add(Kind::block_entry);
  forward(1);
}

void YamlScanner::fetch_key() {
  const bool block = simple_keys_.size() == 1;
  if (block) {
    if (!allow_simple_key_) fail("a mapping key is not allowed here");
    if (add_indent(static_cast<std::ptrdiff_t>(column_))) add(Kind::block_mapping_start);
  }
  allow_simple_key_ = block;
  remove_simple_key();
  add(Kind::key);
  forward(1);
}

void YamlScanner::fetch_value() {
  const bool block = simple_keys_.size() == 1;
  if (std::optional<SimpleKey>& possible = simple_keys_.back()) {
    const SimpleKey key = *possible;
    possible.reset();
    const auto place = tokens_.begin() + static_cast<std::ptrdiff_t>(key.token - tokens_taken_);
    const auto inserted = tokens_.insert(place, {.kind = Kind::key, .mark = key.mark});
    if (block && add_indent(static_cast<std::ptrdiff_t>(key.mark.column)))
      tokens_.insert(inserted, {.kind = Kind::block_mapping_start, .mark = key.mark});
    allow_simple_key_ = false;
  } else {
    if (block) {
      if (!allow_simple_key_) fail("a mapping value is not allowed here; a text with ': ' needs quotes");
      if (add_indent(static_cast<std::ptrdiff_t>(column_))) add(Kind::block_mapping_start);
    }
    allow_simple_key_ = block;
    remove_simple_key();
  }
  add(Kind::value);
  forward(1);
}

void YamlScanner::fetch_anchor(Kind kind) {
  save_simple_key();
  allow_simple_key_ = false;
  add(kind);
  forward(1);
  std::string& name = tokens_.back().text;
  const auto named = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  while (named(at())) {
    name += at();
    forward(1);
  }
  if (name.empty() || !(white() || in(at(), "?:,]}%@`")))
    fail(kind == Kind::alias ? "'*' starts an alias; put a value that begins with it into quotes"
                             : "'&' starts an anchor; put a value that begins with it into quotes");
}

void YamlScanner::fetch_tag() {
  save_simple_key();
  allow_simple_key_ = false;
  add(Kind::tag);
  const bool flow = simple_keys_.size() > 1;
  std::string& text = tokens_.back().text;
  const bool verbatim = at(1) == '<';
  while (!white() && (verbatim || !flow || !in(at(), ",[]{}"))) {
    text += at();
    forward(1);
  }
}

void YamlScanner::fetch_block_scalar(bool folded) {
  allow_simple_key_ = true;
  remove_simple_key();
  YamlToken token{.kind = Kind::scalar, .mark = mark()};
  token.text = scan_block_scalar(folded);
  tokens_.push_back(std::move(token));
}

void YamlScanner::fetch_quoted(bool is_double) {
  save_simple_key();
  allow_simple_key_ = false;
  YamlToken token{.kind = Kind::scalar, .mark = mark()};
  token.text = scan_quoted(is_double);
  tokens_.push_back(std::move(token));
}

void YamlScanner::fetch_plain() {
  save_simple_key();
  allow_simple_key_ = false;
  YamlToken token{.kind = Kind::scalar, .mark = mark(), .text = {}, .plain = true};
  token.text = scan_plain();
  tokens_.push_back(std::move(token));
}

std::optional<std::size_t> YamlScanner::next_simple_key() const {
  std::optional<std::size_t> first;
  for (const std::optional<SimpleKey>& key : simple_keys_)
    if (key && (!first || key->token < *first)) first = key->token;
  return first;
}

// A key stands on one line and is not longer than 1024 bytes.
void YamlScanner::drop_stale_simple_keys() {
  for (std::optional<SimpleKey>& key : simple_keys_) {
    if (!key || (key->mark.line == line_ && at_ - key->index <= kLongestSimpleKey)) continue;
    if (key->required) throw YamlProblem{"a ':' is missing behind this key", key->mark};
    key.reset();
  }
}

void YamlScanner::save_simple_key() {
  if (!allow_simple_key_) return;
  remove_simple_key();
  const bool required = simple_keys_.size() == 1 && indent_ == static_cast<std::ptrdiff_t>(column_);
  simple_keys_.back() = SimpleKey{tokens_taken_ + tokens_.size(), required, at_, mark()};
}

void YamlScanner::remove_simple_key() {
  std::optional<SimpleKey>& key = simple_keys_.back();
  if (key && key->required) throw YamlProblem{"a ':' is missing behind this key", key->mark};
  key.reset();
}

void YamlScanner::unwind_indent(std::ptrdiff_t column) {
  if (simple_keys_.size() > 1) return;  // indentation means nothing inside brackets
  while (indent_ > column) {
    indent_ = indents_.back();
    indents_.pop_back();
    add(Kind::block_end);
  }
}

bool YamlScanner::add_indent(std::ptrdiff_t column) {
  if (indent_ >= column) return false;
  indents_.push_back(indent_);
  indent_ = column;
  return true;
}

std::size_t YamlScanner::break_size(std::size_t ahead) const {
  const char c = at(ahead);
  if (c == '\n') return 1;
  if (c == '\r') return at(ahead + 1) == '\n' ? 2 : 1;
  if (c == '\xC2' && at(ahead + 1) == '\x85') return 2;
  if (c == '\xE2' && at(ahead + 1) == '\x80' && (at(ahead + 2) == '\xA8' || at(ahead + 2) == '\xA9'))
    return 3;
  return 0;
}

bool YamlScanner::white(std::size_t ahead) const {
  return end(ahead) || at(ahead) == ' ' || at(ahead) == '\t' || break_size(ahead) != 0;
}

void YamlScanner::forward(std::size_t bytes) {
  for (std::size_t i = 0; i < bytes && at_ < text_.size(); ++i, ++at_)
    if ((static_cast<unsigned char>(text_[at_]) & 0xC0) != 0x80) ++column_;
}

std::string YamlScanner::take_break() {
  const std::size_t size = break_size();
  if (size == 0) return {};
  std::string taken = size == 3 ? std::string(text_.substr(at_, 3)) : "\n";
  at_ += size;
  ++line_;
  column_ = 0;
  return taken;
}

bool YamlScanner::document_indicator(std::string_view dashes) const {
  return column_ == 0 && text_.substr(at_).starts_with(dashes) && white(3);
}

}  // namespace confd::base
