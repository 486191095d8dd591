#include "base/content_checksum.h"

#include <xxhash.h>

#include <cstdlib>

#include "base/text.h"

namespace confd::base {

void ContentChecksum::Free::operator()(XXH3_state_s* state) const {
  XXH3_freeState(state);
}

// Without memory for half a kilobyte there is nothing to go on with.
ContentChecksum::ContentChecksum() : state_(XXH3_createState()) {
  if (!state_ || XXH3_128bits_reset(state_.get()) != XXH_OK) std::abort();
}

void ContentChecksum::update(std::string_view bytes) {
  if (XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()) != XXH_OK) std::abort();
}

std::string ContentChecksum::finish() const {
  XXH128_canonical_t digits;
  XXH128_canonicalFromHash(&digits, XXH3_128bits_digest(state_.get()));
  return to_hex({reinterpret_cast<const char*>(digits.digest), sizeof digits.digest});
}

}  // namespace confd::base
