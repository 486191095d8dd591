#include "daemon/membership.h"

#include <algorithm>

#include "base/text.h"
#include "daemon/managed_settings.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;

namespace {

constexpr std::chrono::seconds kStoreAtStart{10};
// A watch without a sign of life for so many leases is taken for dead.
constexpr int kSilence = 1;
constexpr std::chrono::seconds kHandOver{2};

Error not_begun() {
  return {Code::no_quorum, "this node does not know yet who is master; try again in a moment"};
}

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
  const cluster::ManagedStore::Options managed = managed_store_options(settings, root, node);
  const auto endpoints = settings.is_managed()
                             ? Result(cluster::ManagedStore::endpoints(*store.current(), managed))
                             : parse_endpoints(settings.etcd_endpoints);
  if (!endpoints) return endpoints.error();
  auto tls = store_tls(settings, root, files);
  if (!tls) return tls.error();
  std::unique_ptr<Membership> opened(new Membership(settings, node, store, log, std::move(*tls), *endpoints));
  if (settings.is_managed()) {
    opened->managed_ = std::make_unique<cluster::ManagedStore>(managed, opened->etcd_, files, log,
                                                               [&store] { return store.current(); });
    opened->managed_->begin();
  }
  return opened;
}

Membership::~Membership() {
  if (managed_) managed_->end_roster();
  coordinator_.reset();  // speaks to the store for the last time
  if (managed_) managed_->end();
}

Membership::Membership(const Settings& settings, int node, exaconf::Store& store, base::Log& log,
                       std::shared_ptr<const rpc::ClientTls> tls,
                       std::vector<cluster::EtcdClient::Endpoint> endpoints)
    : store_(store),
      log_(log),
      etcd_(std::move(tls), std::move(endpoints)),
      agreed_(etcd_, settings.etcd_prefix, settings.lease * kSilence),
      board_(etcd_, settings.etcd_prefix),
      sync_record_(etcd_, settings.etcd_prefix) {
  options_.node = node;
  options_.lease = settings.lease;
}

void Membership::register_operations(cluster::NodeControl& nodes) {
  cluster::OperationTraits traits;
  traits.repeatable = true;
  traits.timeout = options_.lease / 6;
  traits.params = {
      {"node", Value::Type::integer}, {"revision", Value::Type::integer}, {"checksum", Value::Type::string}};
  nodes.register_operation(
      "cluster.held",
      [this](const Struct& params, std::stop_token) -> Result<Value> {
        auto* running = coordinator();
        if (!running) return not_begun();
        running->told(static_cast<int>(params.find("node")->as_int()),
                      {params.find("revision")->as_int(), params.find("checksum")->as_string()});
        return Value();
      },
      traits);
}

Status Membership::begin(std::function<void(exaconf::ConfigPtr, std::function<void(Status)>)> adopt,
                         cluster::NodeControl& nodes) {
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
  hooks.tell = [own = options_.node, &nodes](int master, const cluster::HeldRevision& held,
                                             const cluster::AgreedStore::Limits& limits) -> Status {
    const auto done = nodes.run(
        master, "cluster.held",
        Struct{{"node", own}, {"revision", held.revision}, {"checksum", held.checksum}}, limits.stop);
    return done ? Status() : Status(done.error());
  };
  auto started = cluster::Coordinator::start(options_, agreed_, log_, std::move(hooks));
  if (!started) return started.error();
  coordinator_ = std::move(*started);
  running_.store(coordinator_.get(), std::memory_order_release);
  if (managed_)
    managed_->begin_roster([this] { return coordinator_->is_master(); },
                           [this] { return coordinator_->live_nodes(); });
  return {};
}

std::vector<int> Membership::store_members() const {
  return managed_ ? managed_->voters() : std::vector<int>();
}

std::string Membership::status() const {
  std::string text;
  if (managed_) text = managed_->status();
  if (!text.empty() || master_view().node) return text;
  return "no master is known: the cluster's store does not answer, or has no master yet";
}

void Membership::end() {
  if (auto* running = coordinator()) running->end();
}

MasterView Membership::master_view() const {
  const auto* running = coordinator();
  if (!running) return {false, std::nullopt};
  return {running->is_master(), running->master()};
}

std::vector<int> Membership::live_nodes() const {
  const auto* running = coordinator();
  return running ? running->live_nodes() : std::vector<int>{};
}

Status Membership::as_master(
    const std::function<Status(cluster::AgreedStore::Term, const cluster::AgreedStore::Limits&)>& work) {
  auto* running = coordinator();
  if (!running) return not_begun();
  return running->as_master(work);
}

Status Membership::agree(const exaconf::Config& base, const exaconf::Config& next,
                         const std::vector<cluster::JobNote>& ends) {
  auto* running = coordinator();
  if (!running) return not_begun();
  return running->agree(base, next, ends);
}

void Membership::when_held(std::int64_t revision, std::function<void(std::vector<int> behind)> done) {
  coordinator()->when_held(revision, std::move(done));  // after agree(), which wants one
}

void Membership::held() {
  if (auto* running = coordinator()) running->held();
}

Status Membership::hand_over(int to) {
  auto* running = coordinator();
  if (!running || !running->is_master()) return Error{Code::wrong_state, "this node is not master"};
  const std::vector<int> live = live_nodes();
  if (std::find(live.begin(), live.end(), to) == live.end())
    return Error{Code::wrong_state, "node " + std::to_string(to) +
                                        " can't be reached at the moment, so it can't become master; "
                                        "node_state shows which nodes can"};
  handing_over_until_ = (std::chrono::steady_clock::now() + kHandOver).time_since_epoch().count();
  running->hand_over(to);
  return {};
}

void Membership::step_aside() {
  // When no node has room, mastership must not go round faster than anybody can look.
  constexpr auto kAgain = std::chrono::seconds(10);
  const auto now = std::chrono::steady_clock::now();
  if (!master_view().here || (stepped_aside_ && now < *stepped_aside_ + kAgain)) return;
  stepped_aside_ = now;
  const exaconf::ConfigPtr config = store_.current();
  std::optional<std::pair<int, int>> first;  // affinity, node
  for (const int id : live_nodes()) {
    const auto node = config->nodes().find(id);
    if (id == options_.node || node == config->nodes().end() || node->second.state == "suspended") continue;
    const std::pair turn(node->second.affinity, id);
    if (!first || turn < *first) first = turn;
  }
  if (!first) return log_.err("this node can't record jobs, and no other one is there to become master");
  log_.err("this node can't record jobs, so node " + std::to_string(first->second) + " shall be master");
  if (Status done = hand_over(first->second); !done)
    log_.err("mastership could not be handed over: " + done.error().text);
}

bool Membership::is_handing_over() const {
  return std::chrono::steady_clock::now().time_since_epoch().count() < handing_over_until_ &&
         !master_view().node;
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
