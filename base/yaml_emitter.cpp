// The emitter of base/yaml.h. It follows the layout rules of PyYAML's block style, kept in the same few
// variables (column, whether only white space or indentation stands before it), because the folding of long
// texts depends on them.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/python_literal.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_types.h"

namespace confd::base {
namespace {

constexpr int kWidth = 80;
constexpr int kStep = 2;
// "!!str" counts, though it is never written, when PyYAML asks whether a key is short enough for one line.
constexpr std::size_t kTagLength = 5;
constexpr std::size_t kSimpleKeyBelow = 128;

bool is_break(char32_t c) {
  return c == '\n' || c == 0x85 || c == 0x2028 || c == 0x2029;
}
bool is_white(char32_t c) {
  return c == 0 || c == ' ' || c == '\t' || c == '\r' || is_break(c);
}

// Which ways of writing a text would be read back as the same text.
struct Analysis {
  bool multiline = false;
  bool plain = false;
  bool single_quoted = false;
  std::size_t length = 0;  // characters
};

constexpr auto kWordByte = [] {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  table['_'] = table['/'] = table['.'] = table['-'] = table['+'] = table['='] = true;
  return table;
}();

// Words such as most names and paths: nothing in them can be an indicator unless they start like one.
bool is_simple_word(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (!kWordByte[first] || first == '-' || first == '.') return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return kWordByte[static_cast<unsigned char>(c)]; });
}

Analysis analyze(std::string_view text) {
  Analysis result;
  if (text.empty()) {
    result.plain = true;
    result.single_quoted = true;
    return result;
  }
  if (is_simple_word(text)) {
    result.plain = result.single_quoted = true;
    result.length = text.size();
    return result;
  }
  bool indicator = text.starts_with("---") || text.starts_with("...");
  bool special = false, leading = false, trailing = false, break_space = false, space_break = false;
  bool preceded_by_white = true, previous_space = false, previous_break = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = utf8_at(text, at);
    const char32_t c = character.code;
    const bool first = at == 0;
    at += character.size;
    const bool last = at >= text.size();
    const bool followed_by_white = last || is_white(utf8_at(text, at).code);
    ++result.length;
    if (first) {
      if (c < 0x80 &&
          std::string_view("#,[]{}&*!|>'\"%@`").find(static_cast<char>(c)) != std::string_view::npos)
        indicator = true;
      if ((c == '?' || c == ':' || c == '-') && followed_by_white) indicator = true;
    } else if ((c == ':' && followed_by_white) || (c == '#' && preceded_by_white)) {
      indicator = true;
    }
    if (c != '\n' && (c < 0x20 || c > 0x7E)) special = true;
    if (c == ' ') {
      leading |= first;
      trailing |= last;
      break_space |= previous_break;
      previous_space = true;
      previous_break = false;
    } else if (is_break(c)) {
      result.multiline = true;
      leading |= first;
      trailing |= last;
      space_break |= previous_space;
      previous_space = false;
      previous_break = true;
    } else {
      previous_space = previous_break = false;
    }
    preceded_by_white = is_white(c);
  }
  const bool quoted_only = break_space || space_break || special;
  result.plain = !indicator && !leading && !trailing && !result.multiline && !quoted_only;
  result.single_quoted = !quoted_only;
  return result;
}

// The letter of a short escape in double quotes, or 0.
char short_escape(char32_t c) {
  switch (c) {
    case 0:
      return '0';
    case 0x07:
      return 'a';
    case 0x08:
      return 'b';
    case 0x09:
      return 't';
    case 0x0A:
      return 'n';
    case 0x0B:
      return 'v';
    case 0x0C:
      return 'f';
    case 0x0D:
      return 'r';
    case 0x1B:
      return 'e';
    case '"':
      return '"';
    case '\\':
      return '\\';
    case 0x85:
      return 'N';
    case 0xA0:
      return '_';
    case 0x2028:
      return 'L';
    case 0x2029:
      return 'P';
    default:
      return 0;
  }
}

class Emitter {
 public:
  explicit Emitter(bool sort) : sort_(sort) { out_.reserve(1024); }

  std::string document(const Value& value) {
    node(value, Place::root);
    if (open_ended_) {  // a plain scalar alone
      write_indent();
      out_ += "...";
      column_ += 3;
      whitespace_ = indention_ = false;
    }
    if (column_ > 0) out_ += '\n';
    return std::move(out_);
  }

 private:
  enum class Place { root, item, key, value };

  void node(const Value& value, Place place) {
    if (value.is_array() && !value.as_array().empty()) {
      sequence(value.as_array(), place);
    } else if (value.is_struct() && !value.as_struct().empty()) {
      mapping(value.as_struct());
    } else {
      scalar(value, place);
    }
  }

  void sequence(const Array& items, Place place) {
    // Items of a list stand below the key, not further in.
    const bool indentless = place == Place::value && !indention_;
    const int outer = std::exchange(indent_, indent_ < 0 ? 0 : indentless ? indent_ : indent_ + kStep);
    for (const Value& item : items) {
      write_indent();
      write_indicator('-', true, true);
      node(item, Place::item);
    }
    indent_ = outer;
  }

  void mapping(const Struct& members) {
    const int outer = std::exchange(indent_, indent_ < 0 ? 0 : indent_ + kStep);
    if (sort_) {
      std::vector<const Struct::Member*> order;
      order.reserve(members.size());
      for (const Struct::Member& member : members) order.push_back(&member);
      std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->first < b->first; });
      for (const Struct::Member* member : order) pair(*member);
    } else {
      for (const Struct::Member& member : members) pair(member);
    }
    indent_ = outer;
  }

  void pair(const Struct::Member& member) {
    write_indent();
    const Analysis key = analyze(member.first);
    if (!member.first.empty() && !key.multiline && key.length + kTagLength < kSimpleKeyBelow) {
      text(member.first, key, Place::key);
      write_indicator(':', false, false);
    } else {
      write_indicator('?', true, true);
      text(member.first, key, Place::value);
      write_indent();
      write_indicator(':', true, true);
    }
    node(member.second, Place::value);
  }

  void scalar(const Value& value, Place place) {
    switch (value.type()) {
      case Value::Type::null:
        return write_word("null", place);
      case Value::Type::boolean:
        return write_word(value.as_bool() ? "true" : "false", place);
      case Value::Type::integer:
        return write_word(std::to_string(value.as_int()), place);
      case Value::Type::real:
        return write_word(real(value.as_real()), place);
      case Value::Type::array:
        write_flow("[]");
        return;
      case Value::Type::structure:
        write_flow("{}");
        return;
      case Value::Type::string:
        return text(value.as_string(), analyze(value.as_string()), place);
    }
  }

  static std::string real(double number) {
    if (std::isnan(number)) return ".nan";
    if (std::isinf(number)) return number < 0 ? "-.inf" : ".inf";
    std::string text = python_repr(number);
    if (const std::size_t e = text.find('e'); e != std::string::npos && text.find('.') == std::string::npos)
      text.insert(e, ".0");
    return text;
  }

  void text(std::string_view content, const Analysis& analysis, Place place) {
    const bool split = place != Place::key;
    const int outer = std::exchange(indent_, indent_ < 0 ? kStep : indent_ + kStep);
    if (analysis.plain && yaml_type(content) == YamlType::string)
      plain(content, split, place);
    else if (analysis.single_quoted)
      single_quoted(content, split);
    else
      double_quoted(content, split);
    indent_ = outer;
  }

  void write_word(std::string_view word, Place place) {
    open_ended_ = place == Place::root;
    separate();
    write(word);
    indention_ = false;
  }

  void write_flow(std::string_view brackets) {
    separate();
    write(brackets);
    indention_ = false;
  }

  // A blank unless white space stands before.
  void separate() {
    if (!whitespace_) write(" ");
    whitespace_ = false;
  }

  void plain(std::string_view content, bool split, Place place) {
    open_ended_ = place == Place::root;
    separate();
    indention_ = false;
    for (std::size_t at = 0; at < content.size();) {
      const bool spaces = content[at] == ' ';
      std::size_t end = at;
      while (end < content.size() && (content[end] == ' ') == spaces) ++end;
      if (spaces && end == at + 1 && column_ > kWidth && split) {
        write_indent();
        whitespace_ = indention_ = false;
      } else {
        write(content.substr(at, end - at));
      }
      at = end;
    }
  }

  void single_quoted(std::string_view content, bool split) {
    write_indicator('\'', true, false);
    for (std::size_t at = 0; at < content.size();) {
      const char c = content[at];
      std::size_t end = at;
      if (c == ' ') {
        while (end < content.size() && content[end] == ' ') ++end;
        if (end == at + 1 && column_ > kWidth && split && at != 0 && end != content.size())
          write_indent();
        else
          write(content.substr(at, end - at));
      } else if (c == '\n') {
        write_break();
        for (; end < content.size() && content[end] == '\n'; ++end) write_break();
        write_indent();
      } else if (c == '\'') {
        write("''");
        end = at + 1;
      } else {
        while (end < content.size() && content[end] != ' ' && content[end] != '\n' && content[end] != '\'')
          ++end;
        write(content.substr(at, end - at));
      }
      at = end;
    }
    write_indicator('\'', false, false);
  }

  void double_quoted(std::string_view content, bool split) {
    write_indicator('"', true, false);
    std::size_t written = 0;  // everything before it is out
    for (std::size_t at = 0; at < content.size();) {
      const Utf8Character c = utf8_at(content, at);
      const std::size_t next = at + c.size;
      const bool escaped = c.code < 0x20 || c.code > 0x7E || c.code == '"' || c.code == '\\';
      if (escaped) {
        write(content.substr(written, at - written));
        write_escape(c);
        written = next;
      }
      // A blank, an escape or what follows one: here the line may be broken. The last character stays.
      const int pending = written > at ? -1 : static_cast<int>(at - written);
      if (at > 0 && next < content.size() && (c.code == ' ' || pending <= 0) && column_ + pending > kWidth &&
          split) {
        if (written < at) {
          write(content.substr(written, at - written));
          written = at;
        }
        write("\\");
        write_indent();
        whitespace_ = indention_ = false;
        if (content[written] == ' ') write("\\");
      }
      at = next;
    }
    write(content.substr(written));
    write_indicator('"', false, false);
  }

  void write_escape(const Utf8Character& c) {
    if (const char letter = c.valid ? short_escape(c.code) : '\0'; letter != 0) {
      const char escape[] = {'\\', letter};
      return write(std::string_view(escape, 2));
    }
    constexpr char kDigits[] = "0123456789ABCDEF";
    const int digits = c.code <= 0xFF ? 2 : c.code <= 0xFFFF ? 4 : 8;
    std::string escape = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) escape += kDigits[c.code >> shift & 15];
    write(escape);
  }

  void write(std::string_view ascii) {
    out_ += ascii;
    column_ += static_cast<int>(ascii.size());
  }

  void write_indicator(char indicator, bool need_whitespace, bool keep_indention) {
    if (need_whitespace && !whitespace_) write(" ");
    write(std::string_view(&indicator, 1));
    whitespace_ = false;
    indention_ = indention_ && keep_indention;
  }

  void write_break() {
    out_ += '\n';
    column_ = 0;
    whitespace_ = indention_ = true;
  }

  void write_indent() {
    const int indent = std::max(indent_, 0);
    if (!indention_ || column_ > indent || (column_ == indent && !whitespace_)) write_break();
    if (column_ < indent) {
      out_.append(static_cast<std::size_t>(indent - column_), ' ');
      column_ = indent;
      whitespace_ = true;
    }
  }

  const bool sort_;
  std::string out_;
  int column_ = 0;
  int indent_ = -1;         // -1: outside of any collection
  bool whitespace_ = true;  // the last character written is white space
  bool indention_ = true;   // only indentation and indicators stand on this line
  bool open_ended_ = false;
};

}  // namespace

std::string dump_yaml(const Value& value) {
  return Emitter(true).document(value);
}

std::string dump_yaml_in_order(const Value& value) {
  return Emitter(false).document(value);
}

}  // namespace confd::base
