// Secrets that EXAConf keeps: tokens, keys, base64 passwords and ids (spec/exaconf.md §7, §9).
// Thread-safety: pure functions of their arguments.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"

namespace confd::exaconf {

// base64 of "<16 letters and digits>:<64 letters and digits>".
std::string new_authentication_token(base::Random& random);
// base64 of 32 letters and digits: bucket passwords, sync keys.
std::string new_base64_password(base::Random& random);
// A password as given when it is base64 of UTF-8 text already, else encoded.
std::string encode_base64_password(std::string_view password);
// 40 upper-case hex digits.
std::string new_node_uuid(base::Random& random);
// 22 characters of base64url.
std::string new_database_id(base::Random& random);
bool is_database_id(std::string_view text);

}  // namespace confd::exaconf
