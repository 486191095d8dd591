// Document::parse_collecting: lines to a tree (spec/exaconf.md §2).
#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_set>

#include "base/text.h"
#include "exaconf/document.h"
#include "exaconf/line_grammar.h"

namespace confd::exaconf {
namespace {

using Kind = Problem::Kind;

// Names of one section: a list while there are few, a hash set when there are many.
class Names {
 public:
  // False when the name is there already.
  bool insert(std::string_view name) {
    if (!set_.empty()) return set_.insert(name).second;
    for (std::size_t i = 0; i < count_; ++i)
      if (few_[i] == name) return false;
    if (count_ < few_.size()) {
      few_[count_++] = name;
    } else {
      set_.insert(few_.begin(), few_.end());
      set_.insert(name);
    }
    return true;
  }

 private:
  std::array<std::string_view, 16> few_;
  std::size_t count_ = 0;
  std::unordered_set<std::string_view> set_;
};

// Most files are ASCII: eight bytes at a time find that out.
bool is_ascii(std::string_view text) {
  std::uint64_t seen = 0;
  std::size_t i = 0;
  for (; i + sizeof seen <= text.size(); i += sizeof seen) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + i, sizeof word);
    seen |= word;
  }
  for (; i < text.size(); ++i) seen |= static_cast<unsigned char>(text[i]);
  return (seen & 0x8080808080808080u) == 0;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) { open_.push_back({&parsed_.document.root, {}}); }

  Document::Parsed run() {
    Document& document = parsed_.document;
    if (text_.starts_with("\xEF\xBB\xBF")) {
      document.byte_order_mark = true;
      text_.remove_prefix(3);
    }
    const std::size_t first_end = text_.find('\n');
    if (first_end != std::string_view::npos && first_end > 0 && text_[first_end - 1] == '\r')
      document.newline = "\r\n";
    if (!is_ascii(text_) && !base::is_valid_utf8(text_)) {
      report_encoding();
      return std::move(parsed_);
    }
    std::string_view line;
    while (next_line(line)) read_line(line);
    if (!taken_) document.final_comments = std::move(comments_);
    // The reference loses one empty line per write and then fails its own integrity check; we drop them all.
    auto& last = document.final_comments;
    while (!last.empty() && last.back().empty()) last.pop_back();
    return std::move(parsed_);
  }

 private:
  struct Open {
    Section* section;
    Names names;
  };

  bool next_line(std::string_view& line) {
    if (at_ >= text_.size()) return false;
    const char* begin = text_.data() + at_;
    const void* end = std::memchr(begin, '\n', text_.size() - at_);
    const std::size_t length =
        end ? static_cast<std::size_t>(static_cast<const char*>(end) - begin) : text_.size() - at_;
    line = text_.substr(at_, length);
    at_ += length + 1;
    ++line_;
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return true;
  }

  void problem(std::size_t line, Kind kind, std::string text) {
    parsed_.problems.push_back({line, std::move(text), kind});
  }

  void report_encoding() {
    std::string_view line;
    while (next_line(line))
      if (!base::is_valid_utf8(line)) break;
    problem(line_, Kind::parse, "not UTF-8 text");
  }

  void read_line(std::string_view line) {
    const std::string_view content = trim_left(line);
    if (content.empty() || content.front() == '#') {
      if (taken_) comments_.clear();
      taken_ = false;
      comments_.emplace_back(line);
      return;
    }
    if (!started_) {
      parsed_.document.initial_comments = std::move(comments_);
      comments_.clear();
      started_ = true;
    }
    if (taken_) comments_.clear();
    taken_ = true;
    if (content.front() == '[') {
      if (const auto marker = read_marker(line)) return read_section(*marker);
    }
    if (const auto key = read_key(line, content)) return read_entry(*key);
    // The line itself is not shown: it may be the rest of a secret.
    problem(line_, Kind::parse, "neither a [section] nor a key = value");
  }

  void read_section(const MarkerLine& marker) {
    if (marker.opening != marker.closing)
      return problem(line_, Kind::nesting, "as many ']' as '[' are needed around a section's name");
    if (marker.opening > open_.size())
      return problem(line_, Kind::nesting,
                     "section '" + std::string(marker.name) + "' is nested too deep: at most " +
                         std::to_string(open_.size()) + " '[' can stand here");
    Open& parent = open_[marker.opening - 1];
    if (!parent.names.insert(marker.name))
      return problem(
          line_, Kind::duplicate,
          "section '" + std::string(marker.name) + "' is there already" + place(marker.opening - 1));
    open_.resize(marker.opening);
    Section& section = open_.back().section->sections.emplace_back();
    section.name = marker.name;
    if (!is_plain_name(marker.name)) {
      // The name was read, so one way to write it exists: at least the one it came in.
      const auto written = written_name(marker.name);
      if (!written)
        problem(line_, Kind::parse, "section '" + section.name + "' has a name that can't be written back");
      else if (*written != section.name)
        section.raw_name = *written;
    }
    section.inline_comment = marker.comment;
    section.line = line_;
    section.comments = std::move(comments_);
    comments_.clear();
    open_.push_back({&section, {}});
  }

  void read_entry(const KeyLine& line) {
    const std::size_t start = line_;
    std::vector<Entry>& entries = open_.back().section->entries;
    if (entries.empty()) entries.reserve(4);
    Entry& entry = entries.emplace_back();
    if (!fill_entry(line, start, entry)) {
      entries.pop_back();
      return;
    }
    entry.line = start;
    entry.comments = std::move(comments_);
    comments_.clear();
  }

  bool fill_entry(const KeyLine& line, std::size_t start, Entry& entry) {
    if (opens_triple_quote(line.rest)) {
      if (!read_triple(line.rest, entry)) return false;
    } else {
      const auto read = read_value(line.rest);
      if (!read) {
        problem(
            start, Kind::parse,
            "the value of '" + std::string(line.key) + "' begins with a quote that is not closed at its end");
        return false;
      }
      entry.value = std::string(read->value);
      if (!read->comment.empty()) entry.inline_comment = read->comment;
    }
    if (!open_.back().names.insert(line.key)) {
      problem(start, Kind::duplicate,
              "key '" + std::string(line.key) + "' is there already" + place(open_.size() - 1));
      return false;
    }
    entry.key = std::string(line.key);
    if (is_plain_key(line.key)) return true;
    const auto written = written_key(line.key);
    if (!written) {
      problem(start, Kind::parse, "key '" + entry.key + "' can't be written back");
      return false;
    }
    if (*written != entry.key) entry.raw_key = *written;
    return true;
  }

  // After an unclosed or ill-closed quote reading goes on with the line after the first.
  bool read_triple(std::string_view rest, Entry& entry) {
    const char quote = rest.front();
    const std::size_t start = line_;
    const std::size_t resume = at_;
    const std::string_view first = rest.substr(3);
    if (const auto end = read_triple_end(first, quote)) {
      entry.value = end->value;
      entry.inline_comment = end->comment;
      return check_writable(entry, start);
    }
    bool open = !has_triple_quote(first, quote);
    entry.value = first;
    std::string_view line;
    while (open && next_line(line)) {
      entry.value += '\n';
      if (!has_triple_quote(line, quote)) {
        entry.value += line;
        continue;
      }
      if (const auto end = read_triple_end(line, quote)) {
        entry.value += end->value;
        entry.inline_comment = end->comment;
        return check_writable(entry, start);
      }
      open = false;
    }
    at_ = resume;
    line_ = start;
    problem(start, Kind::parse,
            open ? "triple quotes are opened but not closed" : "text after closing triple quotes");
    return false;
  }

  bool check_writable(const Entry& entry, std::size_t start) {
    if (is_plain_value(entry.value) || written_value(entry.value)) return true;
    problem(start, Kind::parse, "the value holds both kinds of triple quotes and can't be written back");
    return false;
  }

  std::string place(std::size_t depth) const {
    return depth == 0 ? std::string() : " in section '" + open_[depth].section->name + "'";
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 0;
  bool started_ = false;  // a section or key was seen
  bool taken_ = true;     // comments_ belong to a line that was read
  std::vector<std::string> comments_;
  std::vector<Open> open_;  // the root and the sections that are open, by depth
  Document::Parsed parsed_;
};

}  // namespace

Document::Parsed Document::parse_collecting(std::string_view text) {
  return Parser(text).run();
}

}  // namespace confd::exaconf
