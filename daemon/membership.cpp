#include "daemon/membership.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/cluster_identity.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kStoreAtStart{10};

}  // namespace

Result<std::vector<cluster::EtcdClient::Endpoint>> parse_endpoints(const std::string& text) {
  std::vector<cluster::EtcdClient::Endpoint> endpoints;
  for (const std::string& part : base::split(text, ',')) {
    std::string one(base::trim(part));
    if (one.empty()) continue;
    if (one.starts_with("https://")) one.erase(0, 8);
    cluster::EtcdClient::Endpoint endpoint;
    const std::size_t colon = one.rfind(':');
    endpoint.host = one.substr(0, colon);
    if (colon != std::string::npos) {
      const auto port = base::parse_int(one.substr(colon + 1));
      if (!port || *port < 1 || *port > 65535)
        return Error{Code::invalid_config, "`cluster: endpoints`: '" + one + "' has no port from 1 to 65535"};
      endpoint.port = static_cast<std::uint16_t>(*port);
    }
    if (endpoint.host.empty())
      return Error{Code::invalid_config, "`cluster: endpoints`: '" + one + "' has no host"};
    endpoints.push_back(std::move(endpoint));
  }
  if (endpoints.empty())
    return Error{Code::invalid_config,
                 "`cluster: store: etcd` wants `cluster: endpoints`, such as 10.0.0.11:2379, 10.0.0.12:2379"};
  return endpoints;
}

Result<std::unique_ptr<Membership>> Membership::open(const Settings& settings, const Root& root,
                                                     base::FileSystem& files, int node, exaconf::Store& store,
                                                     base::Log& log) {
  if (const auto endpoints = parse_endpoints(settings.etcd_endpoints); !endpoints) return endpoints.error();
  rpc::ClientTlsSettings tls_settings;
  const auto read = [&](const std::string& configured, const std::string& otherwise,
                        std::string& text) -> Status {
    auto content = files.read(configured.empty() ? otherwise : root.resolve(configured));
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
  return std::unique_ptr<Membership>(new Membership(settings, node, store, log, std::move(*tls)));
}

Membership::Membership(const Settings& settings, int node, exaconf::Store& store, base::Log& log,
                       std::shared_ptr<const rpc::ClientTls> tls)
    : store_(store),
      log_(log),
      etcd_(std::move(tls), *parse_endpoints(settings.etcd_endpoints)),
      agreed_(etcd_, settings.etcd_prefix, settings.lease * 2) {
  options_.node = node;
  options_.lease = settings.lease;
}

Status Membership::begin(std::function<void(exaconf::ConfigPtr, std::function<void(Status)>)> adopt) {
  cluster::Coordinator::Hooks hooks;
  hooks.current = [this] { return store_.current(); };
  hooks.adopt = [this, adopt = std::move(adopt)](exaconf::ConfigPtr config) {
    const std::int64_t revision = config->revision();
    adopt(std::move(config), [this, revision](const Status& done) {
      if (done)
        held();
      else
        log_.err("revision " + std::to_string(revision) +
                 " of the cluster could not be taken up: " + done.error().text);
    });
  };
  auto started = cluster::Coordinator::start(options_, agreed_, log_, std::move(hooks));
  if (!started) return started.error();
  coordinator_ = std::move(*started);
  return {};
}

void Membership::end() {
  if (coordinator_) coordinator_->end();
}

MasterView Membership::master_view() const {
  if (!coordinator_) return {false, std::nullopt};
  return {coordinator_->is_master(), coordinator_->master()};
}

std::vector<int> Membership::live_nodes() const {
  return coordinator_ ? coordinator_->live_nodes() : std::vector<int>{};
}

Status Membership::agree(const exaconf::Config& base, const exaconf::Config& next) {
  if (!coordinator_)
    return Error{Code::no_quorum, "this node does not know yet who is master; try again in a moment"};
  return coordinator_->agree(base, next);
}

void Membership::when_held(std::int64_t revision, std::function<void(std::vector<int> behind)> done) {
  coordinator_->when_held(revision, std::move(done));
}

void Membership::held() {
  if (coordinator_) coordinator_->held();
}

Status Membership::hand_over(int to) {
  if (!coordinator_ || !coordinator_->is_master()) return Error{Code::wrong_state, "this node is not master"};
  const std::vector<int> live = live_nodes();
  if (std::find(live.begin(), live.end(), to) == live.end())
    return Error{Code::wrong_state, "node " + std::to_string(to) +
                                        " can't be reached at the moment, so it can't become master; "
                                        "node_state shows which nodes can"};
  coordinator_->hand_over(to);
  return {};
}

Status OneNode::hand_over(int) {
  return Error{Code::unsupported, "this cluster has one node, which is always master"};
}

Result<bool> Membership::was_published(std::int64_t revision, const std::string& checksum) {
  const cluster::AgreedStore::Limits limits{std::chrono::steady_clock::now() + kStoreAtStart, {}};
  // What this node sent before it was killed may still arrive while its old term lasts.
  if (Status ended = agreed_.end_former_term(options_.node, limits); !ended) return ended.error();
  const auto found = agreed_.was_published({revision, checksum}, limits);
  if (!found) return found.error();
  return found->has_value();
}

}  // namespace confd::daemon
