#include "exaconf/node_names.h"

#include <limits>

#include "base/text.h"

namespace confd::exaconf {

namespace {
constexpr std::string_view kUri = "confd://node/";
}

std::string node_uri(int node) {
  return std::string(kUri) + std::to_string(node);
}

std::optional<int> node_of_uri(std::string_view uri) {
  if (!uri.starts_with(kUri)) return std::nullopt;
  const std::string_view digits = uri.substr(kUri.size());
  const auto id = base::parse_int(digits);
  // One spelling only: "+12", "012" and "12 " are not ours.
  if (!id || *id < 0 || *id > std::numeric_limits<int>::max() || std::to_string(*id) != digits)
    return std::nullopt;
  return static_cast<int>(*id);
}

std::string node_server_name(int node) {
  return "node-" + std::to_string(node) + ".confd.internal";
}

}  // namespace confd::exaconf
