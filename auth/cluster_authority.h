// ClusterAuthority: the certificate authority of one cluster. It signs one certificate a node; nodes that
// hold one trust each other at /node and speak to the store with it.
//
// Files, all in <root>/etc/cluster, 0600: ca.crt and ca.key (every node that may become master has them),
// node.crt and node.key (this node's), tokens (below). A node's certificate carries the common name "confd
// node 12", the URI "confd://node/12", the name "node-12.confd.internal" (which other nodes ask for) and the
// node's addresses; the id is taken from the URI only. ECDSA P-256; the authority lives 20 years, a node's
// certificate 10 years.
//
// Join tokens: 32 random bytes, shown once as "12.<base64url>"; on disk only a SHA-256, the node id and the
// end. One use, one node id, 24 hours by default; 1000 at most. Thread-safety: functions are pure but for the
// token functions, which hold a mutex; any thread, one JoinTokens a file (the process that holds the root).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/random.h"
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

class JoinTokens {
 public:
  // `path`: <root>/etc/cluster/tokens.
  JoinTokens(base::FileSystem& files, std::string path, base::Random& random, base::Clock& clock);
  // Durable before it is returned.
  base::Result<std::string> issue(int node, std::chrono::seconds life = std::chrono::hours(24))
      EXCLUDES(mutex_);
  // Takes the token out (durably) when it is right; the node it is for. Error: Code::forbidden, the same text
  // whatever was wrong; constant-time compare.
  base::Result<int> redeem(std::string_view token) EXCLUDES(mutex_);

 private:
  base::FileSystem& files_;
  const std::string path_;
  base::Random& random_;
  base::Clock& clock_;
  base::Mutex mutex_;  // from reading the file to its replacement
};

}  // namespace confd::auth
