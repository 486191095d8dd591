#include "auth/password.h"

#include <crypt.h>
#include <string.h>

#include <memory>

#include "base/text.h"

namespace confd::auth {
namespace {

constexpr std::size_t kLongestPassword = 512;

// crypt_r into memory of its own (32 KiB: not for the stack of a small thread); wiped before it is freed.
class CryptRun {
 public:
  CryptRun() : data_(std::make_unique<crypt_data>()) {}
  ~CryptRun() { explicit_bzero(data_.get(), sizeof(crypt_data)); }
  CryptRun(const CryptRun&) = delete;
  CryptRun& operator=(const CryptRun&) = delete;

  // nullptr when crypt(3) refuses the setting or the phrase.
  const char* operator()(const std::string& clear, const std::string& setting) {
    const char* text = ::crypt_r(clear.c_str(), setting.c_str(), data_.get());
    return text == nullptr || text[0] == '*' ? nullptr : text;
  }

 private:
  std::unique_ptr<crypt_data> data_;
};

bool fits_crypt(std::string_view clear) {
  return clear.size() <= kLongestPassword && clear.find('\0') == std::string_view::npos;
}

}  // namespace

base::Result<std::string> encode_password(std::string_view clear, base::Random& random) {
  if (clear.empty() || clear == "*") return std::string(clear);
  if (clear.find('\0') != std::string_view::npos)
    return base::Error{base::Code::bad_parameter,
                       "the password holds a NUL character, which crypt(3) can't take"};
  if (clear.size() > kLongestPassword)
    return base::Error{base::Code::bad_parameter, "the password has " + std::to_string(clear.size()) +
                                                      " bytes, at most " + std::to_string(kLongestPassword) +
                                                      " are allowed"};
  CryptRun run;
  const char* text = run(std::string(clear), "$6$" + base::random_alphanumeric(random, 16));
  if (text == nullptr)
    return base::Error{base::Code::bad_parameter,
                       "crypt(3) of this machine refused the password: choose another one"};
  return std::string(text);
}

bool is_encoded(std::string_view text) {
  if (text.empty() || text == "*" || text.front() == '!') return true;
  static constexpr std::string_view kPrefixes[] = {"$1$", "$2a$", "$2b$", "$2y$", "$5$",
                                                   "$6$", "$y$",  "$gy$", "$7$"};
  for (const std::string_view prefix : kPrefixes)
    if (text.starts_with(prefix)) return ::crypt_checksalt(std::string(text).c_str()) != CRYPT_SALT_INVALID;
  return false;
}

bool verify_password(std::string_view clear, const std::string& encoded) {
  if (encoded.empty() || encoded.front() == '*' || encoded.front() == '!' || !fits_crypt(clear)) return false;
  CryptRun run;
  const char* text = run(std::string(clear), encoded);
  return text != nullptr && base::constant_time_equal(text, encoded);
}

}  // namespace confd::auth
