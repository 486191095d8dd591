// Passwords as EXAConf keeps them: crypt(3) texts (spec/exaconf.md §9). Thread-safety: any thread (crypt_r).
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace confd::auth {

// $6$ with a 16-character salt. Empty and "*" are returned as they are (no password login).
// Error: Code::bad_parameter for a password crypt(3) cannot take (NUL byte, over 512 bytes).
base::Result<std::string> encode_password(std::string_view clear, base::Random& random);

// True for texts that are stored as given: "", "*", "!...", or a crypt(3) text this machine can verify ($1$
// $2a$ $2b$ $2y$ $5$ $6$ $y$ $gy$ $7$).
bool is_encoded(std::string_view text);

// Some milliseconds by design; never on an I/O thread. False for an empty or "*" record. Constant time in the
// comparison.
bool verify_password(std::string_view clear, const std::string& encoded);

}  // namespace confd::auth
