// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): a keyed hash
// of some tens of nanoseconds for texts as short as an Authorization header. Without the key nobody can make
// two texts meet, so what is remembered under it shows nothing of the text. Thread-safety: pure functions.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace confd::auth {

using SipKey = std::array<std::uint64_t, 2>;

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

Hash128 sip_hash(const SipKey& key, std::string_view text);

}  // namespace confd::auth
