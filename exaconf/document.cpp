#include "exaconf/document.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "exaconf/line_grammar.h"

namespace confd::exaconf {
namespace {

constexpr std::string_view kIndent = "    ";
constexpr std::string_view kPlaceholder = "PLACEHOLDER";

class Writer {
 public:
  Writer(const Document& document, bool placeholders, std::string& out)
      : document_(document), placeholders_(placeholders), out_(out) {}

  void write() {
    if (document_.byte_order_mark) out_ += "\xEF\xBB\xBF";
    for (const std::string& line : document_.initial_comments) end_line(line);
    write_content(document_.root, 0, false);
    for (const std::string& line : document_.final_comments) end_line(line);
    if (out_.empty() || (document_.byte_order_mark && out_.size() == 3)) out_ += document_.newline;
  }

 private:
  void end_line(std::string_view rest) {
    out_ += rest;
    out_ += document_.newline;
  }
  void indent(std::size_t depth) {
    for (std::size_t i = 0; i < depth; ++i) out_ += kIndent;
  }
  void write_comments(const std::vector<std::string>& comments, std::size_t depth) {
    for (const std::string& comment : comments) {
      const std::string_view text = trim_left(comment);
      indent(depth);
      if (!text.empty() && text.front() != '#') out_ += "# ";
      end_line(text);
    }
  }
  void write_inline_comment(std::string_view comment) {
    if (comment.empty()) return end_line({});
    out_ += kIndent;
    if (comment.front() != '#') out_ += "# ";
    end_line(comment);
  }
  void write_value(const Entry& entry, bool global) {
    if (global && placeholders_ && (entry.key == "Revision" || entry.key == "Checksum")) {
      out_ += kPlaceholder;
    } else if (is_plain_value(entry.value)) {
      out_ += entry.value;
    } else {
      // A value that can't be written is refused where it enters: by the parser and by Transaction.
      const auto written = written_value(entry.value);
      if (!written) std::abort();
      const std::size_t start = out_.size();
      out_ += *written;
      // Line breaks inside a value are bare, but the first of the file says which kind the file has.
      if (document_.newline != "\n" && out_.find('\n') >= start && out_.find('\n') != std::string::npos)
        out_.replace(out_.find('\n'), 1, document_.newline);
    }
  }
  void write_content(const Section& section, std::size_t depth, bool global) {
    for (const Entry& entry : section.entries) {
      write_comments(entry.comments, depth);
      indent(depth);
      out_ += entry.raw_key.empty() ? entry.key : entry.raw_key;
      out_ += " = ";
      write_value(entry, global);
      write_inline_comment(entry.inline_comment);
    }
    for (const Section& inner : section.sections) {
      write_comments(inner.comments, depth);
      indent(depth);
      out_.append(depth + 1, '[');
      out_ += inner.raw_name.empty() ? inner.name : inner.raw_name;
      out_.append(depth + 1, ']');
      write_inline_comment(inner.inline_comment);
      write_content(inner, depth + 1, depth == 0 && inner.name == "Global");
    }
  }

  const Document& document_;
  const bool placeholders_;
  std::string& out_;
};

std::size_t text_size(const Section& section, std::size_t depth) {
  std::size_t size = 0;
  for (const Entry& entry : section.entries) {
    size += entry.key.size() + entry.value.size() + entry.inline_comment.size() + 16 + 4 * depth;
    for (const std::string& comment : entry.comments) size += comment.size() + 4 * depth + 2;
  }
  for (const Section& inner : section.sections) {
    size += inner.name.size() + inner.inline_comment.size() + 16 + 6 * depth;
    for (const std::string& comment : inner.comments) size += comment.size() + 4 * depth + 2;
    size += text_size(inner, depth + 1);
  }
  return size;
}

std::string render(const Document& document, bool placeholders) {
  std::string out;
  out.reserve(text_size(document.root, 0) + 64);
  Writer(document, placeholders, out).write();
  return out;
}

template <class Sections>
auto* find_named(Sections& sections, std::string_view name) {
  const auto at =
      std::find_if(sections.begin(), sections.end(), [&](const Section& s) { return s.name == name; });
  return at == sections.end() ? nullptr : &*at;
}

template <class Entries>
auto* find_key(Entries& entries, std::string_view key) {
  const auto at = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return at == entries.end() ? nullptr : &*at;
}

template <class Sections>
auto* find_heading(Sections& sections, std::string_view name) {
  if (auto* exact = find_named(sections, name)) return exact;
  if (name.find(':') == std::string_view::npos) return find_named(sections, name);
  const auto at = std::find_if(sections.begin(), sections.end(),
                               [&](const Section& s) { return same_heading(s.name, name); });
  return at == sections.end() ? nullptr : &*at;
}

}  // namespace

std::string render_problems(const std::vector<Problem>& problems) {
  constexpr std::size_t kShown = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), kShown); ++i) {
    if (i > 0) text += "; ";
    if (problems[i].line > 0) text += "line " + std::to_string(problems[i].line) + ": ";
    text += problems[i].text;
  }
  if (problems.size() > kShown) text += "; and " + std::to_string(problems.size() - kShown) + " more";
  return text;
}

Heading parse_heading(std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos) return {std::string(name), {}};
  std::string_view id = name.substr(colon + 1);
  id = id.substr(0, id.find(':'));
  return {std::string(base::trim(name.substr(0, colon))), std::string(base::trim(id))};
}

std::string heading_name(std::string_view kind, std::string_view id) {
  std::string name(kind);
  if (id.empty()) return name;
  return name.append(kind == "Plugin" ? ": " : " : ").append(id);
}

bool same_heading(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const std::size_t colon_a = a.find(':');
  const std::size_t colon_b = b.find(':');
  if (colon_a == std::string_view::npos || colon_b == std::string_view::npos) return false;
  if (base::trim(a.substr(0, colon_a)) != base::trim(b.substr(0, colon_b))) return false;
  return parse_heading(a).id == parse_heading(b).id;
}

const std::string* Section::find(std::string_view key) const {
  const Entry* found = entry(key);
  return found ? &found->value : nullptr;
}

std::string Section::value_or(std::string_view key, std::string_view otherwise) const {
  const std::string* found = find(key);
  return found ? *found : std::string(otherwise);
}

Entry* Section::entry(std::string_view key) {
  return find_key(entries, key);
}
const Entry* Section::entry(std::string_view key) const {
  return find_key(entries, key);
}
Section* Section::section(std::string_view section_name) {
  return find_named(sections, section_name);
}
const Section* Section::section(std::string_view section_name) const {
  return find_named(sections, section_name);
}
Section* Document::find(std::string_view name) {
  return find_heading(root.sections, name);
}
const Section* Document::find(std::string_view name) const {
  return find_heading(root.sections, name);
}

base::Result<Document> Document::parse(std::string_view text) {
  Parsed parsed = parse_collecting(text);
  if (parsed.problems.empty()) return std::move(parsed.document);
  return base::Error{base::Code::invalid_config, "EXAConf: " + render_problems(parsed.problems)};
}

std::string Document::text() const {
  return render(*this, false);
}

std::string Document::checksum() const {
  const std::string hashed = render(*this, true);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  // MD5 is what the format prescribes; it guards against accidents, not against attackers.
  if (EVP_Digest(hashed.data(), hashed.size(), digest, &size, EVP_md5(), nullptr) != 1) std::abort();
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

}  // namespace confd::exaconf
