// mask_secrets of jobs/descriptor.h: what must not be read in job files, logs and command records.
#include "base/secret_text.h"
#include "jobs/descriptor.h"

namespace confd::jobs {
namespace {

using base::kSecretMask;

base::Value masked(const base::Value& value, bool secret);

base::Struct masked(const base::Struct& members, const JobDescriptor* job, bool secret) {
  base::Struct result;
  result.reserve(members.size());
  for (const auto& [name, value] : members) {
    bool hidden = secret || base::sounds_secret(name);
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
      return secret ? base::Value(kSecretMask) : value;
    case base::Value::Type::string:
      return secret ? base::Value(kSecretMask) : base::Value(base::without_secrets(value.as_string()));
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
