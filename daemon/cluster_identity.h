// The cluster's authority and this node's certificate as files in <root>/etc/cluster (0700, files 0600), made
// by confd --init, and at the next start of a root that is older than they are.
//
// Written in the order ca.key, ca.crt, node.key, node.crt, each durable before the next: without node.crt the
// rest is not in use yet, and is made again. Thread-safety: pure but for the files; start-up only.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "daemon/root.h"
#include "exaconf/config.h"

namespace confd::daemon {

struct ClusterIdentity {
  std::string authority_pem;    // ca.crt: may hold several while an authority is replaced
  std::string certificate_pem;  // node.crt
  std::string key_pem;          // node.key
};

// Reads the identity and, when this is the only node of EXAConf, makes what is missing. Errors:
// Code::not_found in a cluster of several nodes (one joins it instead), Code::invalid_config for files that
// can't be used or belong to another node; the text names the file and the way out.
base::Result<ClusterIdentity> ensure_cluster_identity(base::FileSystem& files, const Root& root,
                                                      const exaconf::Config& config, int node,
                                                      base::WallTime now);
// The same without making anything: Code::not_found when there is none.
base::Result<ClusterIdentity> read_cluster_identity(base::FileSystem& files, const Root& root);

// The names and addresses a node's certificate carries.
std::vector<std::string> certificate_names(const exaconf::Node& node);

}  // namespace confd::daemon
