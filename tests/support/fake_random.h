// Bytes that are the same in every run.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/random.h"

namespace confd::test {

class FakeRandom : public base::Random {
 public:
  void fill(void* bytes, std::size_t size) override {
    auto* at = static_cast<unsigned char*>(bytes);
    for (std::size_t i = 0; i < size; ++i) {
      std::uint64_t x = (state_ += 0x9E3779B97F4A7C15ull);  // splitmix64
      x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
      x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
      at[i] = static_cast<unsigned char>(x >> 56);
    }
  }

 private:
  std::atomic<std::uint64_t> state_{42};
};

}  // namespace confd::test
