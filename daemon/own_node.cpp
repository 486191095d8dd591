#include "daemon/own_node.h"

#include "auth/cluster_authority.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;

Result<int> own_node(const Options& options, const Settings& settings, const exaconf::Config& config,
                     const std::optional<int>& joined_as) {
  if (config.nodes().empty())
    return Error{Code::invalid_config, "EXAConf has no [Node : <id>] section; confd --init makes one"};
  if (config.nodes().size() > 1 && settings.store == "local")
    return Error{
        Code::unsupported,
        "EXAConf has " + std::to_string(config.nodes().size()) +
            " nodes and the setting `cluster: store` in etc/confd.yaml is local, which keeps EXAConf on one "
            "node only; set it to managed, or to etcd with the endpoints, on all nodes"};
  if (config.nodes().size() > 1) {
    const std::optional<int> node = options.node ? options.node : joined_as;
    if (!node)
      return Error{Code::bad_parameter, "EXAConf has " + std::to_string(config.nodes().size()) +
                                            " nodes: say which of them this is, with --node"};
    if (!config.nodes().contains(*node))
      return Error{Code::bad_parameter,
                   (options.node ? "--node " : "etc/cluster/node.crt is of node ") + std::to_string(*node) +
                       ": EXAConf has no section [Node : " + std::to_string(*node) + "]"};
    return *node;
  }
  const int only = config.nodes().begin()->first;
  if (options.node && *options.node != only)
    return Error{Code::bad_parameter, "--node " + std::to_string(*options.node) + ": EXAConf has node " +
                                          std::to_string(only) + " only"};
  return only;
}

std::optional<int> joined_as(base::FileSystem& files, const Root& root) {
  const auto certificate = files.read(root.node_certificate());
  return certificate ? auth::node_of_certificate(*certificate) : std::nullopt;
}

std::vector<rpc::HttpServerOptions::Endpoint> endpoints(const Options& options, const exaconf::Config& config,
                                                        int node) {
  std::vector<std::string> addresses = options.listen;
  if (addresses.empty()) {
    const exaconf::Node& own = config.nodes().at(node);
    if (!own.private_ip.empty()) addresses.push_back(own.private_ip);
    if (!own.public_ip.empty() && own.public_ip != own.private_ip) addresses.push_back(own.public_ip);
  }
  const int port = options.port.value_or(config.xmlrpc_port());
  std::vector<rpc::HttpServerOptions::Endpoint> result;
  for (const std::string& address : addresses) result.push_back({address, static_cast<std::uint16_t>(port)});
  return result;
}

}  // namespace confd::daemon
