#include "base/secret_text.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"

namespace confd::base {

bool sounds_secret(std::string_view name) {
  std::string plain = to_lower(name);  // '-' counts as '_'
  std::replace(plain.begin(), plain.end(), '-', '_');
  static constexpr std::array<std::string_view, 9> kParts = {"passw",       "passphrase", "secret",
                                                             "token",       "credential", "keytab",
                                                             "private_key", "privatekey", "passwd"};
  for (const std::string_view part : kParts)
    if (plain.find(part) != std::string::npos) return true;
  static constexpr std::array<std::string_view, 4> kEndings = {"_key", "hash", "hashes", "synckey"};
  for (const std::string_view ending : kEndings)
    if (plain.ends_with(ending)) return true;
  return plain == "key" || plain == "accesskey" || plain == "pwd";
}

namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

// scheme://user:password@host -> scheme://***@host
void mask_urls(std::string& text) {
  for (std::size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at + 3)) {
    const std::size_t start = at + 3;
    std::size_t end = text.find_first_of(" \t\r\n\"'<>/?#", start);
    if (end == std::string::npos) end = text.size();
    const std::size_t sign = text.rfind('@', end == text.size() ? std::string::npos : end);
    if (sign == std::string::npos || sign < start || sign >= end) continue;
    text.replace(start, sign - start, kSecretMask);
  }
}

// -oidcProviderClientSecret=abcd -> -oidcProviderClientSecret=***
void mask_assignments(std::string& text) {
  for (std::size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    std::size_t name = at;
    while (name > 0 && is_word(text[name - 1])) --name;
    if (!sounds_secret(std::string_view(text).substr(name, at - name))) continue;
    const std::size_t start = at + 1;
    std::size_t end = 0;
    if (start < text.size() && (text[start] == '"' || text[start] == '\'')) {
      end = text.find(text[start], start + 1);
      end = end == std::string::npos ? text.size() : end + 1;
    } else {
      end = text.find_first_of(" \t\r\n\"',;&]}", start);
      if (end == std::string::npos) end = text.size();
    }
    if (end > start) text.replace(start, end - start, kSecretMask);
  }
}

}  // namespace

std::string without_secrets(std::string text) {
  if (text.find("PRIVATE KEY-----") != std::string::npos) return std::string(kSecretMask);
  mask_urls(text);
  mask_assignments(text);
  return text;
}

void mask_secret(std::string& text, std::string_view secret) {
  if (secret.empty()) return;
  for (std::size_t at = text.find(secret); at != std::string::npos;
       at = text.find(secret, at + kSecretMask.size()))
    text.replace(at, secret.size(), kSecretMask);
}

}  // namespace confd::base
