#include "daemon/store_recovery.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <ostream>
#include <string_view>
#include <utility>
#include <vector>

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
constexpr std::string_view kBeside = ".new";  // the store that is made, until it is whole
constexpr std::size_t kPutsAtOnce = 64;       // etcd takes 128 in a transaction

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

// All that the store holds and that outlives the nodes' leases. `server`: not running, before and after.
Result<std::vector<cluster::KeyValue>> contents(cluster::EtcdClient& etcd,
                                                const cluster::EtcdClient::Endpoint& at,
                                                cluster::EtcdServer& server, const std::string& prefix) {
  if (Status done = server.start_alone(); !done) return done.error();
  Status done = wait_until_it_leads(etcd, at, server);
  Result<cluster::EtcdClient::Snapshot> all = Error{Code::internal, "not asked"};
  const std::string first(1, '\0');  // as both ends: every key
  if (done) {
    all = etcd.snapshot(first, first, {Clock::now() + kPatience, {}});
    if (!all) done = all.error();
  }
  server.stop();
  if (!done) return done.error();
  std::vector<cluster::KeyValue> kept;
  for (cluster::KeyValue& each : all->values)
    // What the members of before asked for says nothing to those that come.
    if (each.lease == 0 && !each.key.starts_with(prefix + "member/")) kept.push_back(std::move(each));
  return kept;
}

Status put_back(cluster::EtcdClient& etcd, const std::vector<cluster::KeyValue>& kept) {
  for (std::size_t from = 0; from < kept.size(); from += kPutsAtOnce) {
    std::vector<cluster::EtcdOperation> puts;
    for (std::size_t i = from; i < std::min(kept.size(), from + kPutsAtOnce); ++i)
      puts.push_back({cluster::EtcdOperation::Kind::put, kept[i].key, {}, kept[i].value, 0});
    const auto done = etcd.transact({}, puts, {}, {Clock::now() + kPatience, {}});
    if (!done) return done.error();
  }
  return {};
}

Error not_recovered(const Error& why) {
  return {why.code, "the store was not recovered: " + why.text};
}

}  // namespace

// The one that is left is not gone on with as `etcd --force-new-cluster` leaves it: that cuts the end off its
// log of what it had carried out already and writes other entries there. A member that is added later and
// gets the log would hold something else than this one (docs/faults-findings.md, F10). So its contents go
// into a store of their own, made beside it, which takes its place when it is whole.
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
  Status done;
  std::vector<cluster::KeyValue> kept;
  if (had_data) {
    auto found = contents(etcd, at, server, managed.prefix);
    if (!found) return not_recovered(found.error());
    kept = std::move(*found);
  }

  auto fresh = managed.server;
  fresh.data += kBeside;
  std::error_code problem;
  std::filesystem::remove_all(fresh.data, problem);  // of a try before
  if (problem) return Error{Code::io_error, "cannot remove " + fresh.data + ": " + problem.message()};
  cluster::EtcdServer made(fresh, files, *site.log);
  cluster::EtcdBirth birth;
  // Members of the store of before that come back find out by it that they are none of this one.
  birth.token = "recovered-" + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(
                                                  std::chrono::system_clock::now().time_since_epoch())
                                                  .count());
  birth.members = {
      {cluster::member_name(site.node), cluster::etcd_url(managed.server.address, managed.server.peer_port)}};
  done = made.keep_running(birth);
  if (done) done = wait_until_it_leads(etcd, at, made);
  if (done) done = put_back(etcd, kept);
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
  made.stop();
  if (done && files.status(managed.server.data)) done = server.set_aside();
  if (done) done = files.rename(fresh.data, managed.server.data);
  if (done) done = files.sync_directory(base::parent_directory(managed.server.data));
  if (!done) return not_recovered(done.error());
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
