#include "cluster/deflated_text.h"

#include <zlib.h>

#include "base/text.h"

namespace confd::cluster {

using base::Code;
using base::Error;

namespace {

constexpr std::string_view kMark = "confd-deflated ";
constexpr std::size_t kMostBytes = 64u << 20;

Error damaged(const std::string& why) {
  return {Code::invalid_config, "a deflated text in the store is damaged: " + why};
}

}  // namespace

std::string deflated(std::string_view text) {
  uLongf size = ::compressBound(static_cast<uLong>(text.size()));
  std::string stream(size, '\0');
  // Fails only for want of memory.
  if (::compress2(reinterpret_cast<Bytef*>(stream.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                  static_cast<uLong>(text.size()), Z_DEFAULT_COMPRESSION) != Z_OK)
    return std::string(text);
  stream.resize(size);
  return std::string(kMark) + std::to_string(text.size()) + "\n" + stream;
}

base::Result<std::string> inflated(std::string_view value) {
  if (!value.starts_with(kMark)) return std::string(value);
  const std::size_t end = value.find('\n');
  if (end == std::string_view::npos) return damaged("its first line has no end");
  const auto bytes = base::parse_int(value.substr(kMark.size(), end - kMark.size()));
  if (!bytes || *bytes < 0 || static_cast<std::uint64_t>(*bytes) > kMostBytes)
    return damaged("its first line has no size up to 64 MiB");
  const std::string_view stream = value.substr(end + 1);
  std::string text(static_cast<std::size_t>(*bytes), '\0');
  uLongf size = static_cast<uLongf>(text.size());
  Bytef nothing = 0;
  const int result =
      ::uncompress(text.empty() ? &nothing : reinterpret_cast<Bytef*>(text.data()), &size,
                   reinterpret_cast<const Bytef*>(stream.data()), static_cast<uLong>(stream.size()));
  if (result != Z_OK || size != text.size()) return damaged("it does not inflate to the size it tells");
  return text;
}

}  // namespace confd::cluster
