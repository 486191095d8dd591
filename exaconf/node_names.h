// How a node is called in certificates, for those who make them (auth) and those who ask for them (cluster,
// daemon). Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace confd::exaconf {

// 12 -> "confd://node/12": the URI name that says which node somebody is.
std::string node_uri(int node);
// Back again; nothing for any other text.
std::optional<int> node_of_uri(std::string_view uri);
// "node-12.confd.internal": what a caller asks the listener for (SNI), and finds in the certificate it gets.
std::string node_server_name(int node);

}  // namespace confd::exaconf
