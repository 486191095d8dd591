// mask_secrets of jobs/descriptor.h: what must not be read in job files, logs and command records.
#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"
#include "jobs/descriptor.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kMask = "***";

// Names that hold a secret wherever they stand. Lower case, '-' and blanks as '_'.
bool sounds_secret(std::string_view name) {
  std::string plain = base::to_lower(name);
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
    text.replace(start, sign - start, kMask);
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
    if (end > start) text.replace(start, end - start, kMask);
  }
}

bool holds_private_key(std::string_view text) {
  return text.find("PRIVATE KEY-----") != std::string_view::npos;
}

base::Value masked(const base::Value& value, bool secret);

base::Struct masked(const base::Struct& members, const JobDescriptor* job, bool secret) {
  base::Struct result;
  result.reserve(members.size());
  for (const auto& [name, value] : members) {
    bool hidden = secret || sounds_secret(name);
    if (job != nullptr)
      for (const auto& params : {job->mandatory, job->optional})
        for (const Param& param : params)
          if (param.name == name) hidden = hidden || param.secret;
    result.append(name, masked(value, hidden));
  }
  return result;
}

// Booleans and nulls tell nothing (encode_passwd: true).
base::Value masked(const base::Value& value, bool secret) {
  switch (value.type()) {
    case base::Value::Type::null:
    case base::Value::Type::boolean:
      return value;
    case base::Value::Type::integer:
    case base::Value::Type::real:
      return secret ? base::Value(kMask) : value;
    case base::Value::Type::string: {
      if (secret || holds_private_key(value.as_string())) return kMask;
      std::string text = value.as_string();
      mask_urls(text);
      mask_assignments(text);
      return text;
    }
    case base::Value::Type::array: {
      base::Array items;
      items.reserve(value.as_array().size());
      for (const base::Value& item : value.as_array()) items.push_back(masked(item, secret));
      return items;
    }
    case base::Value::Type::structure:
      return masked(value.as_struct(), nullptr, secret);
  }
  return value;
}

}  // namespace

base::Struct mask_secrets(const JobDescriptor* job, const base::Struct& params) {
  if (params.empty()) return {};
  return masked(params, job, false);
}

}  // namespace confd::jobs
