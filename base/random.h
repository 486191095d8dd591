// Random: bytes nobody can guess, injected so that tests get known ones. Thread-safety: any thread.
#pragma once

#include <cstddef>
#include <string>

namespace confd::base {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(void* bytes, std::size_t size) = 0;
};

// getrandom(2); aborts when the kernel has none.
Random& system_random();

// `size` letters and digits, each equally likely.
std::string random_alphanumeric(Random& random, std::size_t size);
// 2 * bytes lower-case hex digits.
std::string random_hex(Random& random, std::size_t bytes);

}  // namespace confd::base
