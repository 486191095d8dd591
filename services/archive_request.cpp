#include "services/archive_request.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "storage/archive_store.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// In a path '+' is itself.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size() || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0) return std::nullopt;
    out.push_back(static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
    i += 2;
  }
  return out;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<ArchiveTarget> parse_archive_target(std::string_view target) {
  const auto path = decoded(target.substr(0, target.find_first_of("?#")));
  if (!path) return Error{Code::bad_parameter, "the path has a '%' that is no escape such as %20"};
  if (path->empty() || path->front() != '/')
    return Error{Code::bad_parameter, "the path must begin with '/'"};
  ArchiveTarget found{path->substr(1), path->back() == '/'};
  if (found.path.empty()) return found;
  if (found.is_folder) found.path.pop_back();
  if (base::Status good = storage::check_archive_path(found.path); !good) return good.error();
  return found;
}

Result<ArchiveTarget> parse_destination(std::string_view destination, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (destination.substr(0, scheme.size()) != scheme) continue;
    destination.remove_prefix(scheme.size());
    const std::size_t slash = std::min(destination.find('/'), destination.size());
    std::string_view named = destination.substr(0, slash);
    if (const std::size_t at = named.rfind('@'); at != std::string_view::npos) named.remove_prefix(at + 1);
    if (!base::equals_ignoring_case(named, host))
      return Error{Code::bad_parameter, "the Destination is on another server than the file"};
    destination.remove_prefix(slash);
    break;
  }
  return parse_archive_target(destination);
}

std::string archive_href(std::string_view path, bool is_folder) {
  constexpr std::string_view kPlain = "-._~/!$'()*,;:@=";
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string href = "/";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        kPlain.find(c) != std::string_view::npos) {
      href.push_back(c);
    } else {
      href.push_back('%');
      href.push_back(kHex[byte >> 4]);
      href.push_back(kHex[byte & 15]);
    }
  }
  if (is_folder && href.back() != '/') href.push_back('/');
  return href;
}

RangeAsked parse_range(std::string_view header, std::uint64_t file_size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!base::equals_ignoring_case(header.substr(0, kUnit.size()), kUnit)) return {};
  const std::string_view range = base::trim(header.substr(kUnit.size()));
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.find(',') != std::string_view::npos) return {};
  const std::string_view before = base::trim(range.substr(0, dash)),
                         after = base::trim(range.substr(dash + 1));
  const auto first = number(before), last = number(after);
  if (before.empty()) {  // the last so many bytes
    if (!last) return {};
    if (*last == 0 || file_size == 0) return {RangeKind::unsatisfiable, {}};
    const std::uint64_t size = std::min(*last, file_size);
    return {RangeKind::part, {file_size - size, size}};
  }
  if (!first || (!after.empty() && !last) || (last && *last < *first)) return {};
  if (*first >= file_size) return {RangeKind::unsatisfiable, {}};
  const std::uint64_t end = last ? std::min(*last, file_size - 1) : file_size - 1;
  return {RangeKind::part, {*first, end - *first + 1}};
}

bool names_tag(std::string_view header, std::string_view tag) {
  for (const std::string& item : base::split_list(header)) {
    std::string_view one = item;
    if (one == "*") return true;
    if (one.substr(0, 2) == "W/") one.remove_prefix(2);
    if (one == tag) return true;
  }
  return false;
}

std::optional<int> parse_depth(const std::string* header, int otherwise) {
  if (header == nullptr) return otherwise;
  if (*header == "0") return 0;
  if (*header == "1") return 1;
  return std::nullopt;
}

}  // namespace confd::services
