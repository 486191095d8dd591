#include "daemon/store_recovery.h"

#include <chrono>
#include <ostream>

#include "auth/cluster_authority.h"
#include "base/log.h"
#include "cluster/etcd_agreed_store.h"
#include "daemon/instance_lock.h"
#include "daemon/managed_settings.h"
#include "daemon/root.h"
#include "daemon/settings.h"
#include "exaconf/config.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kAnswer{2000};
constexpr std::chrono::milliseconds kPause{200};

// What both commands need, with the root to themselves.
struct Site {
  explicit Site(const std::string& directory) : root(directory) {}
  Root root;
  InstanceLock lock;
  Settings settings;
  std::unique_ptr<base::Log> log;
  int node = 0;

  Status open(base::FileSystem& files) {
    if (Status done = files.make_directories(root.run(), 0755); !done) return done;
    if (Status done = lock.take(root.lock()); !done) return done;
    auto loaded = load_settings(files, root.settings());
    if (!loaded) return loaded.error();
    settings = std::move(*loaded);
    if (!settings.is_managed())
      return Error{Code::unsupported, "the setting `cluster: store` in " + root.settings() + " is " +
                                          settings.store +
                                          ": only a managed store is confd's own to recover or forget"};
    const auto certificate = files.read(root.node_certificate());
    if (!certificate) return certificate.error();
    const auto named = auth::node_of_certificate(*certificate);
    if (!named) return Error{Code::invalid_config, root.node_certificate() + " names no node of the cluster"};
    node = *named;
    base::Log::Options options = settings.log;
    options.path = root.log();
    auto opened = base::Log::open(options);
    if (!opened) return opened.error();
    log = std::move(*opened);
    return {};
  }
};

// Until the one member leads itself. Error: it ended, or does not serve.
Status wait_until_it_leads(cluster::EtcdClient& etcd, const cluster::EtcdClient::Endpoint& at,
                           cluster::EtcdServer& server) {
  const auto until = Clock::now() + kPatience;
  for (;;) {
    const auto members = etcd.members({Clock::now() + kAnswer, {}});
    const auto status = etcd.status(at, {Clock::now() + kAnswer, {}});
    if (members && status && status->leader != 0) {
      if (members->size() == 1) return {};
      return Error{Code::wrong_state, "the store has " + std::to_string(members->size()) +
                                          " members still: it was not cut down to this node's"};
    }
    if (server.ends_within(kPause))
      return Error{Code::io_error, "etcd ended; " + server.settings().log + " says why"};
    if (Clock::now() < until) continue;
    return Error{Code::timeout, "etcd does not serve: " + (!status    ? status.error().text
                                                           : !members ? members.error().text
                                                                      : "it has no leader")};
  }
}

}  // namespace

Status recover_store(const Options& options, base::FileSystem& files, std::ostream& out) {
  Site site(options.root);
  if (Status done = site.open(files); !done) return done;
  const auto text = files.read(site.root.exaconf());
  if (!text) return text.error();
  const auto config = exaconf::Config::load(*text);
  if (!config) return config.error();
  const auto own = (*config)->nodes().find(site.node);
  if (own == (*config)->nodes().end() || own->second.private_ip.empty())
    return Error{Code::invalid_config,
                 "EXAConf has no node " + std::to_string(site.node) + " with a private address"};

  const auto tls = store_tls(site.settings, site.root, files);
  if (!tls) return tls.error();
  auto managed = managed_store_options(site.settings, site.root, site.node);
  managed.server.address = own->second.private_ip;
  const cluster::EtcdClient::Endpoint at{managed.server.address, managed.server.client_port};
  cluster::EtcdClient etcd(*tls, {at});

  cluster::EtcdServer server(managed.server, files, *site.log);
  server.adopt();
  server.stop();
  const bool had_data = server.has_data();
  cluster::EtcdBirth birth;
  birth.members = {
      {cluster::member_name(site.node), cluster::etcd_url(managed.server.address, managed.server.peer_port)}};
  if (Status done = had_data ? server.start_alone() : server.keep_running(birth); !done) return done;
  Status done = wait_until_it_leads(etcd, at, server);
  cluster::EtcdAgreedStore agreed(etcd, managed.prefix, kAnswer);
  bool from_file = false;
  std::int64_t revision = 0;
  if (done) {
    const auto view = agreed.read({Clock::now() + kPatience, {}});
    if (!view) {
      done = view.error();
    } else if (!view->head || view->head->revision < (*config)->revision()) {
      from_file = true;
      revision = (*config)->revision();
      done = agreed.restore({revision, (*config)->checksum(), (*config)->text(), 0},
                            {Clock::now() + kPatience, {}});
    } else {
      revision = view->head->revision;
    }
  }
  server.stop();
  if (!done) return Error{done.error().code, "the store was not recovered: " + done.error().text};
  out << "Node " << site.node << " alone is the store now, "
      << (had_data ? "from its own data" : "a new one: it had no data") << ".\n"
      << "  EXAConf      revision " << revision << ", "
      << (from_file ? "as in " + site.root.exaconf() : "as the store had it") << "\n"
      << "Go on:         on every other node, before confd starts there: confd --root DIR --forget-store\n"
      << "               then start confd here, and on the others\n";
  return {};
}

Status forget_store(const Options& options, base::FileSystem& files, std::ostream& out) {
  Site site(options.root);
  if (Status done = site.open(files); !done) return done;
  const auto managed = managed_store_options(site.settings, site.root, site.node);
  cluster::EtcdServer server(managed.server, files, *site.log);
  server.adopt();
  server.stop();
  if (!files.status(managed.server.data)) {
    out << "Node " << site.node << " has no data of the store\n";
    return {};
  }
  if (Status done = server.set_aside(); !done) return done;
  out << "The data of node " << site.node << "'s member of the store is in " << managed.server.data
      << ".removed now; when confd starts, the master adds the member anew\n";
  return {};
}

}  // namespace confd::daemon
