#include "exaconf/secrets.h"

#include <algorithm>

#include "base/text.h"

namespace confd::exaconf {
namespace {

// A version 4 UUID as 16 bytes (RFC 4122).
std::string new_uuid4(base::Random& random) {
  std::string bytes(16, '\0');
  random.fill(bytes.data(), bytes.size());
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  return bytes;
}

bool is_url_safe(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

}  // namespace

std::string new_authentication_token(base::Random& random) {
  const std::string name = base::random_alphanumeric(random, 16);
  return base::base64_encode(name + ":" + base::random_alphanumeric(random, 64));
}

std::string new_base64_password(base::Random& random) {
  return base::base64_encode(base::random_alphanumeric(random, 32));
}

std::string encode_base64_password(std::string_view password) {
  const auto decoded = base::base64_decode(password);
  if (decoded && !decoded->empty() && base::is_valid_utf8(*decoded)) return std::string(password);
  return base::base64_encode(password);
}

std::string new_node_uuid(base::Random& random) {
  std::string digits = base::to_hex(new_uuid4(random) + new_uuid4(random)).substr(0, 40);
  for (char& c : digits)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  return digits;
}

std::string new_database_id(base::Random& random) {
  std::string id = base::base64_encode(new_uuid4(random)).substr(0, 22);
  for (char& c : id) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  return id;
}

bool is_database_id(std::string_view text) {
  return text.size() == 22 && std::all_of(text.begin(), text.end(), is_url_safe);
}

}  // namespace confd::exaconf
