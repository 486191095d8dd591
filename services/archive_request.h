// What a request for an archive volume says: the path of its target, a range, conditions, depth. Used by
// ArchiveWeb. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "rpc/http_message.h"

namespace confd::services {

struct ArchiveTarget {
  std::string path;        // "" = the root of the volume
  bool is_folder = false;  // ended with '/'
};
// "/a%20b/c/" -> {"a b/c", true}. A query is left out. Error: Code::bad_parameter, with what a path must not
// be.
base::Result<ArchiveTarget> parse_archive_target(std::string_view target);
// The same from a Destination header: a path, or a whole URL, whose host must be `host` (as in Host).
base::Result<ArchiveTarget> parse_destination(std::string_view destination, std::string_view host);
// The path with what must be escaped in an URL, with a leading '/'.
std::string archive_href(std::string_view path, bool is_folder);

struct ByteRange {
  std::uint64_t first = 0, size = 0;
};
enum class RangeKind { whole, part, unsatisfiable };
struct RangeAsked {
  RangeKind kind = RangeKind::whole;
  ByteRange range = {};
};
// Of one Range header. What is no single byte range is as if there was none (RFC 9110 §14.2).
RangeAsked parse_range(std::string_view header, std::uint64_t file_size);

// Is the entity tag in this If-Match or If-None-Match header? "*" holds all. `tag` with its quotes.
bool names_tag(std::string_view header, std::string_view tag);

// Depth of a PROPFIND: 0, 1; nothing for infinity and for what is none.
std::optional<int> parse_depth(const std::string* header, int otherwise);

}  // namespace confd::services
