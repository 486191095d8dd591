// parse_yaml: tokens -> Value, with the types of PyYAML's safe_load.
#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/struct_builder.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_scanner.h"
#include "base/yaml_types.h"

namespace confd::base {
namespace {

using Kind = YamlToken::Kind;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

// A value with what its surroundings need to know about it.
struct Node {
  Value value;
  std::string text;  // of a scalar, as written: mapping keys are taken from it
  bool is_scalar = false;
  bool is_merge = false;  // a plain `<<`
  std::size_t depth = 0;  // nested arrays and structs in it
  std::size_t count = 1;  // nodes in it
};

class Parser {
 public:
  Parser(std::string_view text, const YamlLimits& limits) : scanner_(text), limits_(limits) {}

  Value document() {
    if (next() == Kind::stream_end) return {};
    bool directives = false;
    for (; next() == Kind::directive; directives = true) {
      const YamlToken directive = scanner_.take();
      if (directive.text.starts_with("%TAG")) throw YamlProblem{"%TAG is not supported", directive.mark};
    }
    const bool explicit_start = next() == Kind::document_start;
    if (explicit_start) scanner_.take();
    if (directives && !explicit_start) fail("behind a directive '---' must follow");
    Value value;
    if (const Kind kind = next();
        !explicit_start || (kind != Kind::document_start && kind != Kind::document_end &&
                            kind != Kind::directive && kind != Kind::stream_end))
      value = node(true, false, 0).value;
    while (next() == Kind::document_end) scanner_.take();
    if (next() == Kind::document_start) fail("a second document; only one is read");
    if (next() != Kind::stream_end) fail("the text goes on behind its value; is a bracket or quote wrong?");
    return value;
  }

 private:
  Kind next() { return scanner_.peek().kind; }
  [[noreturn]] void fail(std::string text) { throw YamlProblem{std::move(text), scanner_.peek().mark}; }

  void count(std::size_t more) {
    count_ += more;
    if (count_ > limits_.nodes) fail("more than " + std::to_string(limits_.nodes) + " values");
  }

  void check_depth(std::size_t depth) {
    if (depth > limits_.depth)
      fail("values are nested deeper than " + std::to_string(limits_.depth) + " levels");
  }

  // `depth`: collections around this node.
  Node node(bool block, bool indentless, std::size_t depth) {
    if (next() == Kind::alias) return alias(depth);
    std::optional<std::string> anchor;
    std::optional<YamlToken> tag;
    for (;;) {
      if (next() == Kind::anchor && !anchor)
        anchor = scanner_.take().text;
      else if (next() == Kind::tag && !tag)
        tag = scanner_.take();
      else
        break;
    }
    Node result = content(block, indentless, depth, tag, anchor.has_value());
    if (anchor) anchors_[*anchor] = result;
    return result;
  }

  Node alias(std::size_t depth) {
    const YamlToken token = scanner_.take();
    const auto found = anchors_.find(token.text);
    if (found == anchors_.end())
      throw YamlProblem{"there is no anchor '&" + token.text + "' for this alias", token.mark};
    check_depth(depth + found->second.depth);
    count(found->second.count);
    return found->second;
  }

  Node content(bool block, bool indentless, std::size_t depth, const std::optional<YamlToken>& tag,
               bool anchored) {
    const std::size_t before = count_;
    count(1);
    Node result;
    const Kind kind = next();
    const auto collection = [&](auto reader, bool is_map) {
      check_depth(depth + 1);
      if (tag) check_collection_tag(*tag, is_map);
      (this->*reader)(result, depth + 1);
    };
    if (indentless && kind == Kind::block_entry)
      collection(&Parser::indentless_sequence, false);
    else if (kind == Kind::scalar)
      scalar(result, scanner_.take(), tag);
    else if (kind == Kind::flow_sequence_start)
      collection(&Parser::flow_sequence, false);
    else if (kind == Kind::flow_mapping_start)
      collection(&Parser::flow_mapping, true);
    else if (block && kind == Kind::block_sequence_start)
      collection(&Parser::block_sequence, false);
    else if (block && kind == Kind::block_mapping_start)
      collection(&Parser::block_mapping, true);
    else if (tag || anchored)
      scalar(result, YamlToken{.kind = Kind::scalar, .mark = {}, .text = {}, .plain = true}, tag);
    else
      fail("a value is missing here");
    result.count = count_ - before;
    return result;
  }

  static std::string tag_name(const YamlToken& tag) {
    std::string_view text = tag.text;
    if (text.starts_with("!<") && text.ends_with('>')) {
      text = text.substr(2, text.size() - 3);
      if (text.starts_with(kTagPrefix)) return std::string(text.substr(kTagPrefix.size()));
    } else if (text.starts_with("!!")) {
      return std::string(text.substr(2));
    } else if (text == "!") {
      return "";
    }
    throw YamlProblem{"the tag '" + tag.text + "' is not known", tag.mark};
  }

  static void check_collection_tag(const YamlToken& tag, bool is_map) {
    const std::string name = tag_name(tag);
    if (!name.empty() && name != (is_map ? "map" : "seq"))
      throw YamlProblem{"the tag '" + tag.text + "' does not fit this value", tag.mark};
  }

  static void scalar(Node& result, YamlToken token, const std::optional<YamlToken>& tag) {
    result.is_scalar = true;
    if (tag) {
      const std::string name = tag_name(*tag);
      const Value typed = yaml_plain_value(token.text);
      if (name.empty())
        result.value = typed;
      else if (name == "str")
        result.value = token.text;
      else if ((name == "int" && typed.is_int()) || (name == "bool" && typed.is_bool()) ||
               (name == "null" && typed.is_null()) || (name == "float" && typed.is_real()))
        result.value = typed;
      else if (name == "float" && typed.is_int())
        result.value = static_cast<double>(typed.as_int());
      else
        throw YamlProblem{"the tag '" + tag->text + "' does not fit this value", tag->mark};
    } else if (token.plain) {
      result.is_merge = token.text == "<<";
      result.value = yaml_plain_value(token.text);
    } else {
      result.value = token.text;
    }
    result.text = std::move(token.text);
  }

  static bool one_of(Kind kind, std::initializer_list<Kind> kinds) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  }

  // The node, or null when one of `ends` comes first.
  Node node_unless(std::initializer_list<Kind> ends, bool block, bool indentless, std::size_t depth) {
    if (!one_of(next(), ends)) return node(block, indentless, depth);
    count(1);
    Node empty;
    empty.is_scalar = true;
    return empty;
  }

  void append(Node& parent, Array& items, Node item) {
    parent.depth = std::max(parent.depth, item.depth + 1);
    items.push_back(std::move(item.value));
  }

  void block_sequence(Node& result, std::size_t depth) {
    result.depth = 1;
    Array items;
    scanner_.take();
    while (next() == Kind::block_entry) {
      scanner_.take();
      append(result, items, node_unless({Kind::block_entry, Kind::block_end}, true, false, depth));
    }
    if (next() != Kind::block_end) fail("a list item '- ' is expected here");
    scanner_.take();
    result.value = std::move(items);
  }

  void indentless_sequence(Node& result, std::size_t depth) {
    result.depth = 1;
    Array items;
    while (next() == Kind::block_entry) {
      scanner_.take();
      append(result, items,
             node_unless({Kind::block_entry, Kind::key, Kind::value, Kind::block_end}, true, false, depth));
    }
    result.value = std::move(items);
  }

  void flow_sequence(Node& result, std::size_t depth) {
    result.depth = 1;
    Array items;
    scanner_.take();
    for (bool first = true; next() != Kind::flow_sequence_end; first = false) {
      if (!first) {
        if (next() != Kind::flow_entry) fail("',' or ']' is expected here");
        scanner_.take();
        if (next() == Kind::flow_sequence_end) break;
      }
      if (next() != Kind::key) {
        append(result, items, node(false, false, depth));
        continue;
      }
      scanner_.take();  // [a: b] is a list of one mapping
      check_depth(depth + 1);
      count(1);
      Mapping pair;
      Node single;
      single.depth = 1;
      Node key =
          node_unless({Kind::value, Kind::flow_entry, Kind::flow_sequence_end}, false, false, depth + 1);
      Node value = value_after(key, {Kind::flow_entry, Kind::flow_sequence_end}, false, depth + 1);
      member(single, pair, std::move(key), std::move(value));
      single.value = finish(pair);
      append(result, items, std::move(single));
    }
    scanner_.take();
    result.value = std::move(items);
  }

  // Members as they come; merged ones stand first and lose against own ones.
  struct Mapping {
    StructBuilder own;
    std::vector<Struct> merged;
  };

  void block_mapping(Node& result, std::size_t depth) {
    result.depth = 1;
    Mapping members;
    scanner_.take();
    while (next() == Kind::key) {
      scanner_.take();
      Node key = node_unless({Kind::key, Kind::value, Kind::block_end}, true, true, depth);
      Node value = value_after(key, {Kind::key, Kind::value, Kind::block_end}, true, depth);
      member(result, members, std::move(key), std::move(value));
    }
    if (next() != Kind::block_end) fail("a key or the end of the mapping is expected here");
    scanner_.take();
    result.value = finish(members);
  }

  void flow_mapping(Node& result, std::size_t depth) {
    result.depth = 1;
    Mapping members;
    scanner_.take();
    for (bool first = true; next() != Kind::flow_mapping_end; first = false) {
      if (!first) {
        if (next() != Kind::flow_entry) fail("',' or '}' is expected here");
        scanner_.take();
        if (next() == Kind::flow_mapping_end) break;
      }
      Node key;
      Node value;
      if (next() == Kind::key) {
        scanner_.take();
        key = node_unless({Kind::value, Kind::flow_entry, Kind::flow_mapping_end}, false, false, depth);
        value = value_after(key, {Kind::flow_entry, Kind::flow_mapping_end}, false, depth);
      } else {  // {a} is {a: null}
        key = node(false, false, depth);
        if (!key.is_scalar) fail("a list or mapping cannot be a key");
        count(1);
      }
      member(result, members, std::move(key), std::move(value));
    }
    scanner_.take();
    result.value = finish(members);
  }

  Node value_after(const Node& key, std::initializer_list<Kind> ends, bool block, std::size_t depth) {
    if (!key.is_scalar) fail("a list or mapping cannot be a key");
    if (next() != Kind::value) {
      count(1);
      return {};
    }
    scanner_.take();
    return node_unless(ends, block, block, depth);
  }

  void member(Node& parent, Mapping& members, Node key, Node value) {
    parent.depth = std::max(parent.depth, value.depth + 1);
    if (!key.is_merge) return members.own.set(std::move(key.text), std::move(value.value));
    if (value.value.is_struct()) {
      members.merged.push_back(std::move(value.value.as_struct()));
      return;
    }
    if (!value.value.is_array()) fail("'<<' takes a mapping or a list of mappings");
    Array& list = value.value.as_array();
    for (auto item = list.rbegin(); item != list.rend(); ++item) {  // an earlier one wins
      if (!item->is_struct()) fail("'<<' takes a mapping or a list of mappings");
      members.merged.push_back(std::move(item->as_struct()));
    }
  }

  static Struct finish(Mapping& members) {
    if (members.merged.empty()) return members.own.take();
    StructBuilder all;
    for (Struct& merged : members.merged)
      for (auto& [name, value] : merged) all.set(name, std::move(value));
    Struct own = members.own.take();
    for (auto& [name, value] : own) all.set(name, std::move(value));
    return all.take();
  }

  YamlScanner scanner_;
  const YamlLimits& limits_;
  std::size_t count_ = 0;
  std::unordered_map<std::string, Node> anchors_;
};

// The characters a YAML stream may hold; anything else is refused before scanning.
void check_characters(std::string_view text) {
  YamlMark mark;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x20 && byte < 0x7F) {
      ++at;
      ++mark.column;
      continue;
    }
    const Utf8Character c = utf8_at(text, at);
    if (!c.valid) throw YamlProblem{"the text is not UTF-8", mark};
    const bool allowed = c.code == '\t' || c.code == '\n' || c.code == '\r' || c.code == 0x85 ||
                         (c.code >= 0xA0 && c.code != 0xFFFE && c.code != 0xFFFF);
    if (!allowed) throw YamlProblem{"a control character; write it as an escape in double quotes", mark};
    at += c.size;
    ++mark.column;
    if (c.code == '\n') mark = {mark.line + 1, 0};
  }
}

}  // namespace

Result<Value> parse_yaml(std::string_view text, const YamlLimits& limits) {
  try {
    check_characters(text);
    return Parser(text, limits).document();
  } catch (const YamlProblem& problem) {
    return Error{Code::bad_parameter, "not valid YAML at line " + std::to_string(problem.mark.line + 1) +
                                          ", column " + std::to_string(problem.mark.column + 1) + ": " +
                                          problem.text};
  }
}

}  // namespace confd::base
