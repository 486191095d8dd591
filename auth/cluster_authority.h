// ClusterAuthority: the certificate authority of one cluster. It signs one certificate a node; nodes that
// hold one trust each other at /node and speak to the store with it.
//
// Files, all in <root>/etc/cluster, 0600: ca.crt; ca.key (where the authority was made, and on nodes that
// were given it: they can let others join); node.crt and node.key (this node's); tokens (join_tokens.h). A
// node's certificate carries the common name "confd node 12", the URI "confd://node/12", the name
// "node-12.confd.internal" (which other nodes ask for) and the node's addresses; the id is taken from the URI
// only. ECDSA P-256; the authority lives 20 years, a node's certificate 10 years. Thread-safety: pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace confd::auth {

struct SignedPair {
  std::string certificate_pem;
  std::string key_pem;
};

base::Result<SignedPair> make_cluster_authority(const std::string& cluster_name, base::WallTime now);
base::Result<SignedPair> issue_node_certificate(const SignedPair& authority, int node,
                                                const std::vector<std::string>& names, base::WallTime now);
// For a node that made its own key: signs the request (PEM), with our id and names whatever it asks for.
struct CertificateRequest {
  std::string request_pem;
  std::string key_pem;
};
base::Result<CertificateRequest> make_certificate_request(int node);
base::Result<std::string> sign_certificate_request(const SignedPair& authority, std::string_view request_pem,
                                                   int node, const std::vector<std::string>& names,
                                                   base::WallTime now);
// "confd://node/12" among the URI names of a certificate (PEM) -> 12.
std::optional<int> node_of_certificate(std::string_view certificate_pem);

}  // namespace confd::auth
