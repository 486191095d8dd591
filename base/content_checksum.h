// ContentChecksum: XXH3-128 of a file's content, as manifests of archive volumes keep it and files on their
// way between nodes carry it. It finds damage, lost writes and mistakes of ours; it is no proof against
// somebody who chooses the content (docs/storage-archive.md says why that is enough there).
// Thread-safety: one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace confd::base {

class ContentChecksum {
 public:
  static constexpr std::size_t kDigits = 32;

  ContentChecksum();
  void update(std::string_view bytes);
  // kDigits lower-case hex digits, as `xxhsum -H2` prints them, of all that came so far.
  std::string finish() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace confd::base
