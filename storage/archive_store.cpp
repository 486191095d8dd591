#include "storage/archive_store.h"

#include <algorithm>

#include "base/text.h"

namespace confd::storage {

using base::Code;
using base::Error;

base::Status check_archive_path(std::string_view path) {
  const auto refuse = [&](const std::string& why) -> base::Status {
    return Error{Code::bad_parameter, "the path of a file in an archive " + why};
  };
  if (path.empty()) return refuse("must not be empty");
  if (path.size() > 1024) return refuse("must not be longer than 1024 bytes");
  if (!base::is_valid_utf8(path)) return refuse("must be UTF-8");
  if (std::any_of(path.begin(), path.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return refuse("must not hold control characters");
  for (const std::string& part : base::split(path, '/')) {
    if (part.empty()) return refuse("must not begin or end with '/' nor hold '//': " + std::string(path));
    if (part == "." || part == "..") return refuse("must not hold '.' or '..': " + std::string(path));
    if (part.size() > 255) return refuse("must not have a part of more than 255 bytes");
  }
  return {};
}

}  // namespace confd::storage
