#include "base/content_checksum.h"

#include <catch2/catch.hpp>

namespace confd::base {
namespace {

std::string sum(std::string_view bytes) {
  ContentChecksum checksum;
  checksum.update(bytes);
  return checksum.finish();
}

TEST_CASE("The checksum of a content is what xxhsum prints") {
  CHECK(sum("") == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("The checksum does not depend on the pieces in which the content came") {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += static_cast<char>(i * 37 + i / 7);
  const std::string whole = sum(bytes);
  CHECK(whole.size() == ContentChecksum::kDigits);
  for (const std::size_t size : {1u, 7u, 64u, 255u, 256u, 1024u, 4999u}) {
    ContentChecksum checksum;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      checksum.update(std::string_view(bytes).substr(at, size));
      (void)checksum.finish();  // looking at it changes nothing
    }
    CHECK(checksum.finish() == whole);
  }
  bytes[4321] ^= 1;
  CHECK(sum(bytes) != whole);
}

}  // namespace
}  // namespace confd::base
