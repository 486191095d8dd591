#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace confd::base {
namespace {

class SystemRandom : public Random {
 public:
  void fill(void* bytes, std::size_t size) override {
    auto* at = static_cast<unsigned char*>(bytes);
    while (size > 0) {
      const ssize_t n = ::getrandom(at, size, 0);
      if (n < 0) {
        if (errno == EINTR) continue;
        std::abort();
      }
      at += n;
      size -= static_cast<std::size_t>(n);
    }
  }
};

}  // namespace

Random& system_random() {
  static SystemRandom random;
  return random;
}

std::string random_alphanumeric(Random& random, std::size_t size) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string text;
  while (text.size() < size) {
    unsigned char byte = 0;
    random.fill(&byte, 1);
    if (byte < 248) text += kAlphabet[byte % 62];  // 248 = 4 * 62: no letter is likelier than another
  }
  return text;
}

std::string random_hex(Random& random, std::size_t bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    unsigned char byte = 0;
    random.fill(&byte, 1);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace confd::base
