// CRC32C (Castagnoli, RFC 3720 appendix B.4): the checksum of superblocks. Thread-safety: pure function.
#pragma once

#include <cstdint>
#include <string_view>

namespace confd::storage {

inline constexpr std::string_view kChecksumAlgorithm = "CRC32C";  // as device descriptions show it

// Of `bytes` after what has the checksum `before` (0: nothing before).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);

}  // namespace confd::storage
