#include "daemon/managed_settings.h"

#include <filesystem>

namespace confd::daemon {

using base::Error;
using base::Result;
using base::Status;

cluster::ManagedStore::Options managed_store_options(const Settings& settings, const Root& root, int node) {
  const auto absolute = [](const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
  };
  cluster::ManagedStore::Options options;
  cluster::EtcdServerSettings& server = options.server;
  std::error_code problem;
  const auto program = std::filesystem::canonical(settings.etcd_program, problem);
  server.executable = problem ? settings.etcd_program : program.string();
  server.data = absolute(root.store_data());
  server.log = absolute(root.store_log());
  server.record = absolute(root.store_pid());
  server.authority = absolute(root.cluster_authority());
  server.certificate = absolute(root.node_certificate());
  server.key = absolute(root.node_key());
  server.node = node;
  server.client_port = settings.etcd_client_port;
  server.peer_port = settings.etcd_peer_port;
  server.heartbeat = settings.etcd_heartbeat;
  server.election = settings.etcd_election;
  server.progress_notify = settings.lease / 2;
  options.members = settings.etcd_members;
  options.prefix = settings.etcd_prefix;
  return options;
}

Result<std::shared_ptr<const rpc::ClientTls>> store_tls(const Settings& settings, const Root& root,
                                                        base::FileSystem& files) {
  rpc::ClientTlsSettings tls_settings;
  const auto read = [&](const std::string& configured, const std::string& otherwise,
                        std::string& text) -> Status {
    const bool own = configured.empty() || settings.is_managed();
    auto content = files.read(own ? otherwise : root.resolve(configured));
    if (!content) return content.error();
    text = std::move(*content);
    return {};
  };
  Status done = read(settings.etcd_authority, root.cluster_authority(), tls_settings.authorities_pem);
  if (done)
    done = read(settings.etcd_certificate, root.node_certificate(), tls_settings.certificate_chain_pem);
  if (done) done = read(settings.etcd_key, root.node_key(), tls_settings.private_key_pem);
  if (!done)
    return Error{done.error().code, "the certificates for the cluster's store: " + done.error().text};
  auto tls = rpc::ClientTls::create(tls_settings);
  if (!tls) return Error{tls.error().code, "the certificates for the cluster's store: " + tls.error().text};
  return tls;
}

}  // namespace confd::daemon
