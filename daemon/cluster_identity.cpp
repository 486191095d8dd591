#include "daemon/cluster_identity.h"

#include "auth/cluster_authority.h"
#include "rpc/tls_context.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Error unusable(const std::string& path, const std::string& why) {
  return {Code::invalid_config, path + " can't be used: " + why +
                                    "; put the right file there, or move the folder away: a cluster of one "
                                    "node makes a new one when it starts, a node of several joins again"};
}

// The authority that an interrupted start left behind, or a new one.
Result<auth::SignedPair> ensure_authority(base::FileSystem& files, const Root& root,
                                          const exaconf::Config& config, base::WallTime now) {
  const auto certificate = files.read(root.cluster_authority());
  const auto key = files.read(root.cluster_authority_key());
  for (const auto* text : {&certificate, &key})
    if (!*text && text->error().code != Code::not_found) return text->error();
  if (certificate && key) return auth::SignedPair{*certificate, *key};
  if (certificate)
    return unusable(root.cluster_authority_key(),
                    "it is missing, but " + root.cluster_authority() + " is there");
  const std::string* name = config.get("Global", "ClusterName");
  auto made = auth::make_cluster_authority(name ? *name : std::string(), now);
  if (!made) return made.error();
  for (const auto& [path, text] : {std::pair(root.cluster_authority_key(), &made->key_pem),
                                   std::pair(root.cluster_authority(), &made->certificate_pem)})
    if (Status done = base::replace_file(files, path, *text, 0600); !done) return done.error();
  return made;
}

Status make_identity(base::FileSystem& files, const Root& root, const exaconf::Config& config,
                     const exaconf::Node& node, base::WallTime now) {
  if (Status done = files.make_directories(root.cluster_directory(), 0700); !done) return done;
  base::remove_torn_replacements(files, root.cluster_directory());
  const auto authority = ensure_authority(files, root, config, now);
  if (!authority) return authority.error();
  const auto made = auth::issue_node_certificate(*authority, node.id, certificate_names(node), now);
  if (!made) return unusable(root.cluster_authority(), made.error().text);
  for (const auto& [path, text] : {std::pair(root.node_key(), &made->key_pem),
                                   std::pair(root.node_certificate(), &made->certificate_pem)})
    if (Status done = base::replace_file(files, path, *text, 0600); !done) return done;
  return {};
}

}  // namespace

std::vector<std::string> certificate_names(const exaconf::Node& node) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  for (const std::string& name : {node.name, node.private_ip, node.public_ip})
    if (!name.empty()) names.push_back(name);
  return names;
}

Result<ClusterIdentity> read_cluster_identity(base::FileSystem& files, const Root& root) {
  ClusterIdentity identity;
  const auto certificate = files.read(root.node_certificate());
  if (!certificate) return certificate.error();
  const auto key = files.read(root.node_key());
  if (!key) return unusable(root.node_key(), key.error().text);
  const auto authority = files.read(root.cluster_authority());
  if (!authority) return unusable(root.cluster_authority(), authority.error().text);
  identity.certificate_pem = *certificate;
  identity.key_pem = *key;
  identity.authority_pem = *authority;
  // What the listener will do with them.
  rpc::TlsSettings settings;
  settings.certificate_chain_pem = identity.certificate_pem;
  settings.private_key_pem = identity.key_pem;
  settings.authorities_pem = identity.authority_pem;
  settings.verify = rpc::TlsSettings::Verify::optional;
  if (const auto usable = rpc::TlsContext::create(settings); !usable)
    return unusable(root.cluster_directory(), usable.error().text);
  return identity;
}

Result<ClusterIdentity> ensure_cluster_identity(base::FileSystem& files, const Root& root,
                                                const exaconf::Config& config, int node, base::WallTime now) {
  const auto own = config.nodes().find(node);
  if (own == config.nodes().end())
    return Error{Code::invalid_config, "EXAConf has no node " + std::to_string(node)};
  auto identity = read_cluster_identity(files, root);
  if (!identity && identity.error().code == Code::not_found) {
    if (config.nodes().size() > 1)
      return Error{Code::not_found, "There is no " + root.node_certificate() +
                                        ", without which the other nodes do not trust this one; let it join "
                                        "the cluster with `confd --join ADDRESS --token TOKEN`"};
    if (Status done = make_identity(files, root, config, own->second, now); !done) return done.error();
    identity = read_cluster_identity(files, root);
  }
  if (!identity) return identity.error();
  if (auth::node_of_certificate(identity->certificate_pem) != node)
    return unusable(root.node_certificate(), "it is not the certificate of node " + std::to_string(node));
  return identity;
}

}  // namespace confd::daemon
