#include "rpc/xml_scan.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "base/utf8.h"

namespace confd::rpc {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_white(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_xml_character(char32_t code) {
  return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code <= 0xD7FF) ||
         (code >= 0xE000 && code <= 0xFFFD) || (code >= 0x10000 && code <= 0x10FFFF);
}

// ASCII bytes that need no look in a text, and inside a tag.
constexpr std::array<bool, 256> plain_bytes(std::string_view except) {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0x20; byte < 0x80; ++byte) table[byte] = true;
  table['\t'] = table['\n'] = table['\r'] = true;
  for (const char c : except) table[static_cast<unsigned char>(c)] = false;
  return table;
}
constexpr std::array<bool, 256> kPlainText = plain_bytes("<&");
constexpr std::array<bool, 256> kPlainTag = plain_bytes("<>&'\"");

class Scan {
 public:
  Scan(std::string_view xml, const XmlScanLimits& limits) : xml_(xml), limits_(limits) {}

  std::optional<XmlProblem> run() {
    if (xml_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
    while (at_ < xml_.size() && !problem_) {
      const char c = xml_[at_];
      if (c == '<')
        markup();
      else if (c == '&' && depth_ > 0)
        reference();
      else
        text();
    }
    if (!problem_ && elements_ == 0) refuse(0, "there is no XML document");
    if (!problem_ && depth_ != 0) refuse(xml_.size(), "the text ends inside an element");
    return std::move(problem_);
  }

 private:
  void refuse(std::size_t offset, std::string text) {
    if (!problem_) problem_ = XmlProblem{offset, std::move(text)};
  }

  // Text up to the next markup. Refuses what XML cannot hold, and text outside the document element.
  void text() {
    if (depth_ == 0) {
      if (!is_white(xml_[at_])) return refuse(at_, "text outside the document element");
      ++at_;
      return;
    }
    at_ = skip(kPlainText);
    if (at_ < xml_.size() && static_cast<unsigned char>(xml_[at_]) - 0x20u >= 0x60u) checked_character();
  }

  std::size_t skip(const std::array<bool, 256>& table) const {
    std::size_t at = at_;
    while (at < xml_.size() && table[static_cast<unsigned char>(xml_[at])]) ++at;
    return at;
  }

  void checked_character() {
    const base::Utf8Character character = base::utf8_at(xml_, at_);
    if (!character.valid) return refuse(at_, "the text is not UTF-8");
    if (!is_xml_character(character.code)) return refuse(at_, "a character that XML cannot hold");
    at_ += character.size;
  }

  // Moves behind `end`, checking every character on the way.
  void skip_to(std::string_view end, std::string_view what) {
    const std::size_t start = at_;
    const std::size_t found = xml_.find(end, at_);
    if (found == std::string_view::npos) return refuse(start, std::string(what) + " without end");
    while (at_ < found && !problem_) {
      at_ = std::min(skip(kPlainText), found);
      if (at_ < found) checked_character();
    }
    at_ = found + end.size();
  }

  void markup() {
    const char second = at_ + 1 < xml_.size() ? xml_[at_ + 1] : '\0';
    if (second == '?') return declaration();
    if (second != '!') return tag();
    const std::string_view rest = xml_.substr(at_);
    if (rest.starts_with("<!--")) {
      at_ += 4;
      return skip_to("-->", "a comment");
    }
    if (rest.starts_with("<![CDATA[")) {
      if (depth_ == 0) return refuse(at_, "text outside the document element");
      at_ += 9;
      return skip_to("]]>", "a CDATA section");
    }
    refuse(at_, "document type declarations (DTD, entities) are not accepted");
  }

  void declaration() {
    const std::size_t start = at_;
    at_ += 2;
    skip_to("?>", "a processing instruction");
    if (problem_) return;
    std::string_view text = xml_.substr(start + 2, at_ - start - 4);
    const std::size_t name_size = std::min(text.find_first_of(" \t\r\n"), text.size());
    const std::string_view name = text.substr(0, name_size);
    if (!is_name(name)) return refuse(start, "a processing instruction without a name");
    if (!base::equals_ignoring_case(name, "xml")) return;
    text.remove_prefix(name_size);
    if (name != "xml" || (start != 0 && xml_.substr(0, start) != kByteOrderMark))
      return refuse(start, "an XML declaration must stand at the start");
    if (!declaration_parts(text)) return refuse(start, "the XML declaration is malformed");
  }

  // version='1.0' encoding='utf-8' standalone='yes', the last two optional.
  bool declaration_parts(std::string_view text) {
    bool version = false;
    for (const std::string_view name : {"version", "encoding", "standalone"}) {
      const std::string_view part = base::trim(text);
      if (!part.starts_with(name)) continue;
      if (!is_white(text[0])) return false;
      text = base::trim(part.substr(name.size()));
      if (!text.starts_with('=')) return false;
      text = base::trim(text.substr(1));
      if (text.empty() || (text[0] != '\'' && text[0] != '"')) return false;
      const std::size_t close = text.find(text[0], 1);
      if (close == std::string_view::npos) return false;
      const std::string_view value = text.substr(1, close - 1);
      text.remove_prefix(close + 1);
      if (name == "version") {
        version = true;
        if (value.size() < 3 || !value.starts_with("1.") ||
            value.find_first_not_of("0123456789", 2) != std::string_view::npos)
          return false;
      } else if (name == "encoding" && !is_utf8(value)) {
        refuse(0, "only UTF-8 is accepted; send the call with encoding='utf-8'");
      }
    }
    return version && base::trim(text).empty();
  }

  static bool is_name(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    const auto more = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
    return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), more);
  }

  static bool is_utf8(std::string_view encoding) {
    for (const std::string_view known : {"utf-8", "utf8", "us-ascii", "ascii"})
      if (base::equals_ignoring_case(encoding, known)) return true;
    return false;
  }

  void tag() {
    const std::size_t start = at_;
    const bool closing = at_ + 1 < xml_.size() && xml_[at_ + 1] == '/';
    char quote = 0;
    ++at_;
    while (!problem_) {
      at_ = skip(kPlainTag);
      if (at_ >= xml_.size()) break;
      const char c = xml_[at_];
      if (quote == 0 && c == '>') break;
      if (c == '<') return refuse(at_, "'<' inside a tag");
      if (c == '&') {
        reference();
        continue;
      }
      if (quote != 0 && c == quote)
        quote = 0;
      else if (quote == 0 && (c == '"' || c == '\''))
        quote = c;
      checked_character();
    }
    if (problem_) return;
    if (at_ >= xml_.size()) return refuse(start, "a tag without end");
    const bool empty = !closing && xml_[at_ - 1] == '/';
    ++at_;
    if (closing) {
      if (depth_ == 0) return refuse(start, "an element is closed that was not opened");
      --depth_;
      return;
    }
    if (++elements_ > limits_.elements) return refuse(start, "too many elements");
    if (depth_ == 0 && elements_ > 1) return refuse(start, "a second element at the top");
    if (!empty && ++depth_ > limits_.depth)
      refuse(start, "elements are nested deeper than " + std::to_string(limits_.depth) + " levels");
  }

  void reference() {
    const std::size_t end = xml_.find(';', at_);
    const std::string_view name = end == std::string_view::npos || end - at_ > 12
                                      ? std::string_view()
                                      : xml_.substr(at_ + 1, end - at_ - 1);
    if (name.starts_with('#')) {
      const bool hex = name.starts_with("#x");
      const std::string_view digits = name.substr(hex ? 2 : 1);
      std::uint32_t code = 0;
      const auto [stop, failure] =
          std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
      if (failure != std::errc() || stop != digits.data() + digits.size() || !is_xml_character(code))
        return refuse(at_, "a reference to a character that XML cannot hold");
    } else if (name != "lt" && name != "gt" && name != "amp" && name != "quot" && name != "apos") {
      return refuse(at_, "'&' starts none of the five entities (lt gt amp quot apos)");
    }
    at_ = end + 1;
  }

  std::string_view xml_;
  const XmlScanLimits& limits_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t elements_ = 0;
  std::optional<XmlProblem> problem_;
};

}  // namespace

std::optional<XmlProblem> scan_xml(std::string_view xml, const XmlScanLimits& limits) {
  return Scan(xml, limits).run();
}

}  // namespace confd::rpc
