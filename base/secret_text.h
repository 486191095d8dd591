// Secrets in texts: what must not be read in job files, logs, records of commands and differences of EXAConf.
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace confd::base {

inline constexpr std::string_view kSecretMask = "***";

// True for names that hold a secret wherever they stand: passwords, keys, tokens, hashes, credentials.
bool sounds_secret(std::string_view name);

// The text with *** for credentials in URLs (scheme://user:password@host), for values of secret names
// (-oidcProviderClientSecret=abcd) and, as a whole, for a text that holds a private key.
std::string without_secrets(std::string text);

// The text with *** wherever it holds `secret`; an empty secret is nowhere.
void mask_secret(std::string& text, std::string_view secret);

}  // namespace confd::base
