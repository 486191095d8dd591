#include "daemon/app.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "auth/join_tokens.h"
#include "auth/login.h"
#include "auth/token_store.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "cluster/node_control.h"
#include "cluster/node_report.h"
#include "daemon/archive_access.h"
#include "daemon/cluster_identity.h"
#include "daemon/events.h"
#include "daemon/instance_lock.h"
#include "daemon/join_routes.h"
#include "daemon/listener_certificate.h"
#include "daemon/login_gate.h"
#include "daemon/membership.h"
#include "daemon/own_node.h"
#include "daemon/platforms.h"
#include "daemon/remote_volumes.h"
#include "daemon/root.h"
#include "daemon/routes.h"
#include "daemon/settings.h"
#include "daemon/sharing.h"
#include "daemon/storage_keeper.h"
#include "daemon/storage_parts.h"
#include "exaconf/store.h"
#include "rpc/http_server.h"
#include "scheduler/scheduler.h"
#include "services/update_record.h"
#include "storage/remote_volume_files.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

// In order of construction; destroyed in reverse.
struct App::Parts {
  explicit Parts(const Options& o) : options(o), root(o.root) {}
  ~Parts() { end_recovery(); }

  Options options;
  Root root;
  Settings settings;
  base::FileSystem& files = base::system_file_system();
  base::Clock& clock = base::system_clock();
  base::Random& random = base::system_random();
  InstanceLock lock;
  std::unique_ptr<base::Log> log;
  std::unique_ptr<exaconf::Store> store;
  std::unique_ptr<auth::TokenStore> tokens;
  std::unique_ptr<auth::Login> login;
  std::unique_ptr<cluster::PeerLink> peer_link;
  std::unique_ptr<cluster::NodeControl> nodes;
  StorageParts storage;
  std::unique_ptr<ListenerCertificate> certificate;
  std::unique_ptr<storage::RemoteVolumeFiles> remote_volume_files;
  std::unique_ptr<Membership> membership;  // with several nodes
  std::unique_ptr<OneNode> one_node;       // without
  Platforms platforms;
  std::unique_ptr<jobs::JobServices> services;
  std::unique_ptr<Events> events;
  std::unique_ptr<LoginGate> gate;
  std::unique_ptr<ArchiveAccess> archive_access;
  std::atomic<ArchiveAccess*> archive_access_seen{nullptr};  // told of revisions from its begin() on
  std::unique_ptr<scheduler::Scheduler> scheduler;
  std::unique_ptr<StorageKeeper> storage_keeper;
  std::unique_ptr<scheduler::WorkerPool> writers;
  std::unique_ptr<NodeRoutes> node_routes;
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<auth::JoinTokens> join_tokens;
  std::unique_ptr<JoinRoutes> join_routes;
  std::unique_ptr<Routes> routes;
  std::unique_ptr<rpc::HttpServer> server;
  std::vector<std::string> addresses;
  bool stopped = false;

  Status build();
  // It asks the cluster's store, so it ends before that.
  void end_recovery() {
    if (storage.archives) storage.archives->recovery().end();
  }
  Status add_platforms(int node);
  // Where another node is, by the EXAConf in force.
  std::optional<cluster::PeerAddress> peer_address(int id) const;
  void log_stage(const scheduler::JobRecord& record);
};

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

App::~App() {
  stop();
}

void App::Parts::log_stage(const scheduler::JobRecord& r) {
  const bool failed = r.ended && r.code != Code::ok;
  // A read job is one line, at its end, that tells when it reached each stage: lines of their own cost more
  // than its login. They come at debug.
  const bool is_read = r.kind == jobs::JobKind::read;
  const base::LogLevel level = !failed ? (is_read && !r.ended ? base::LogLevel::debug : base::LogLevel::info)
                               : r.code == Code::internal || r.code == Code::io_error ? base::LogLevel::err
                                                                                      : base::LogLevel::warn;
  if (log->enabled(level)) {
    thread_local std::string line;
    line.assign("job ")
        .append(r.id.text())
        .append(" ")
        .append(r.job)
        .append(" ")
        .append(scheduler::stage_name(r.stage));
    if (r.stage == scheduler::Stage::submitted || (is_read && r.ended)) line.append(" by ").append(r.user);
    if (is_read && r.ended)
      for (const auto stage :
           {scheduler::Stage::scheduled, scheduler::Stage::executed, scheduler::Stage::finished}) {
        if (r.time(stage) == base::WallTime()) continue;
        const auto after = r.time(stage) - r.time(scheduler::Stage::submitted);
        line.append(", ")
            .append(scheduler::stage_name(stage))
            .append(" after ")
            .append(std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(after).count()))
            .append(" us");
      }
    if (failed)
      line.append(": ").append(base::code_name(r.code)).append(": ").append(r.text);
    else if (r.published && r.ended)
      line.append(" as revision ").append(std::to_string(r.published->revision));
    log->write(level, line);
  }
  if (events->wanted()) {
    base::Struct data{{"job_id", r.id.text()},
                      {"job", r.job},
                      {"user", r.user},
                      {"stage", scheduler::stage_name(r.stage)},
                      {"time", base::format_utc(r.time(r.stage))}};
    if (r.ended) data.append("result", scheduler::envelope_for_others(r));
    events->publish("stage", r.user, r.id.text(), data);
  }
}

std::optional<cluster::PeerAddress> App::Parts::peer_address(int id) const {
  const exaconf::ConfigPtr config = store->current();
  const auto found = config->nodes().find(id);
  if (found == config->nodes().end() || found->second.private_ip.empty()) return std::nullopt;
  return cluster::PeerAddress{found->second.private_ip, static_cast<std::uint16_t>(config->xmlrpc_port())};
}

Status App::Parts::build() {
  // With a history there was a node: the store says how to go back to it.
  if (!files.status(root.exaconf()) && !files.status(root.exaconf() + ".0"))
    return Error{Code::not_found, "There is no " + root.exaconf() + "; make a node with `confd --root " +
                                      root.directory() + " --init`"};
  auto loaded = load_settings(files, root.settings());
  if (!loaded) return loaded.error();
  settings = std::move(*loaded);

  for (const std::string& folder : {root.jobs(), root.log_directory()})
    if (Status done = files.make_directories(folder, 0700); !done) return done;
  if (Status done = files.make_directories(root.run(), 0755); !done) return done;
  if (Status done = lock.take(root.lock()); !done) return done;
  for (const std::string& folder :
       {root.jobs(), base::parent_directory(root.jobs()), root.run(), base::parent_directory(root.exaconf()),
        root.tls_directory(), root.log_directory()})
    base::remove_torn_replacements(files, folder);

  settings.log.path = root.log();
  settings.log.journal = std::getenv("JOURNAL_STREAM") != nullptr;
  settings.log.standard_error = !settings.log.journal && ::isatty(STDERR_FILENO) == 1;
  auto opened_log = base::Log::open(settings.log);
  if (!opened_log) return opened_log.error();
  log = std::move(*opened_log);

  auto opened = exaconf::Store::open(files, root.exaconf());
  if (!opened) return opened.error();
  store = std::move(*opened);
  const auto node = own_node(options, settings, *store->current(), joined_as(files, root));
  if (!node) return node.error();
  const auto identity = ensure_cluster_identity(files, root, *store->current(), *node, clock.now());
  if (!identity) return identity.error();

  auto opened_tokens = auth::TokenStore::open(files, root.tokens(), clock, random, settings.token_lifetime);
  if (!opened_tokens) return opened_tokens.error();
  tokens = std::move(*opened_tokens);
  login = std::make_unique<auth::Login>(settings.login, clock, random, *tokens);

  nodes = std::make_unique<cluster::NodeControl>(*node);
  const auto peer_tls = rpc::ClientTls::create(
      {identity->certificate_pem, identity->key_pem, identity->authority_pem, std::string()});
  if (!peer_tls) return peer_tls.error();
  peer_link =
      std::make_unique<cluster::PeerLink>(*node, *peer_tls, [this](int id) { return peer_address(id); });
  nodes->set_peer_link(*peer_link);
  if (settings.is_cluster()) {
    auto joined = Membership::open(settings, root, files, *node, *store, *log);
    if (!joined) return joined.error();
    membership = std::move(*joined);
    membership->register_operations(*nodes);
    nodes->set_sync_record(membership->sync_record());
  } else {
    one_node = std::make_unique<OneNode>(*node);
  }
  cluster::Members& members = membership ? static_cast<cluster::Members&>(*membership) : *one_node;
  services = std::make_unique<jobs::JobServices>(
      jobs::JobServices{*nodes, members, clock, files, random, root.directory()});
  join_tokens = std::make_unique<auth::JoinTokens>(files, root.join_tokens(), random, clock);
  if (Status done = add_platforms(*node); !done) return done;
  certificate = std::make_unique<ListenerCertificate>(files, root, [this] { return store->current(); });
  cluster::register_node_operations(*nodes, {files, root.directory()});
  services::register_update_record_operations(*nodes, files, root.directory());
  auto made = make_storage({root, files, clock, random, *log, *nodes, *store});
  if (!made) return made.error();
  storage = std::move(*made);
  nodes->register_operation("certificate.install", [this](const base::Struct& params, std::stop_token) {
    return certificate->install(params);
  });
  if (Status done = certificate->reload(); !done) return done;
  remote_volume_files = use_remote_volumes({files, random, root, *nodes, *store, *log});
  events = std::make_unique<Events>(clock, random, settings.subscriptions_per_user);
  return {};
}

Status App::Parts::add_platforms(int node) {
  auto made = make_platforms(settings, root, options, node, *store->current());
  if (!made) return made.error();
  platforms = std::move(*made);
  services->platform = platforms.platform.get();
  services->updater = platforms.updater;
  services->update_timeout = settings.update_timeout;
  services->return_timeout = settings.return_timeout;
  if (!membership) return {};
  services->join_check = [this]() -> Status {
    if (files.status(root.cluster_authority_key())) return {};
    return Error{Code::unsupported, "this node can't let others join: it has no " +
                                        root.cluster_authority_key() +
                                        "; make the node master that has it (master_change)"};
  };
  services->join_token = [this](int joining) -> Result<std::string> {
    // All roots of the provider local lie beside this one: each of them may be master next.
    return join_tokens->issue({joining, settings.platform == "local"});
  };
  return {};
}

Result<std::unique_ptr<App>> App::start(const Options& options) {
  auto parts = std::make_unique<Parts>(options);
  Parts& p = *parts;
  if (Status done = p.build(); !done) {
    if (p.log) p.log->err("confd did not start: " + done.error().text);
    return done.error();
  }
  const auto fail = [&](const Error& error) {
    p.log->err("confd did not start: " + error.text);
    return error;
  };
  scheduler::Scheduler::Hooks hooks;
  hooks.on_stage = [&p](const scheduler::JobRecord& record) { p.log_stage(record); };
  hooks.on_revision = [&p](const exaconf::ConfigPtr& config) {
    p.log->notice("EXAConf revision " + std::to_string(config->revision()) + " is in force");
    p.storage.storage->follow(config);
    if (ArchiveAccess* access = p.archive_access_seen.load()) access->follow();
    p.events->refresh(*config);
    p.remote_volume_files->refresh(config);
    p.events->publish("revision", "", "",
                      base::Struct{{"revision", config->revision()}, {"checksum", config->checksum()}});
  };
  if (p.membership) {
    Membership& members = *p.membership;
    hooks.agree = [&members](const exaconf::Config& base, const exaconf::Config& next,
                             const std::vector<cluster::JobNote>& ends) {
      return members.agree(base, next, ends);
    };
    share_jobs(hooks, members, *p.nodes, p.clock);
    share_edits(hooks, members, *p.nodes);
    share_work(hooks, members, *p.nodes);
    hooks.when_held = [&members](std::int64_t revision, std::function<void(std::vector<int>)> done) {
      members.held();
      members.when_held(revision, std::move(done));
    };
    hooks.was_published = [&members](std::int64_t revision, const std::string& checksum) {
      return members.was_published(revision, checksum);
    };
    hooks.cannot_record = [&members] { members.step_aside(); };
    hooks.may_change = [&members]() -> Status {
      // What comes while this node hands over waits, and runs at the next master.
      if (members.master_view().here || members.is_handing_over()) return {};
      return Error{
          Code::no_quorum,
          "this node is not master, and no master can be reached: without most of the cluster nothing is "
          "changed; try again when GET /master names a node"};
    };
  }
  auto opened = scheduler::Scheduler::open(p.settings.scheduler, p.root.jobs(), *p.store, p.root.exaconf(),
                                           *p.services, *p.log, std::move(hooks));
  if (!opened) return fail(opened.error());
  p.scheduler = std::move(*opened);
  register_job_operations(*p.nodes, *p.scheduler);
  p.storage.storage->begin_watch();
  p.storage.archives->recovery().begin();
  if (p.membership) {
    const Status begun = p.membership->begin(
        [&p](exaconf::ConfigPtr config, std::function<void(Status)> done) {
          p.scheduler->adopt(std::move(config), std::move(done));
        },
        *p.nodes);
    if (!begun) return fail(begun.error());
  }
  p.gate = std::make_unique<LoginGate>(
      LoginGate::Limits{p.settings.login_threads, p.settings.login_queue, p.settings.login_queue_per_address},
      *p.login, [&p] { return p.store->current(); }, *p.log);
  ArchiveDoor::House house{
      p.files, p.random, *p.log, p.root, p.certificate->context(), [&p] { return p.certificate->load(); },
      {}};
  for (const auto& endpoint : endpoints(options, *p.store->current(), p.nodes->own_node()))
    house.addresses.push_back(endpoint.address);
  p.archive_access = std::make_unique<ArchiveAccess>(ArchiveAccess::Parts{
      p.storage.archives->link(), *p.gate, [&p] { return p.store->current(); }, std::move(house)});
  p.archive_access_seen = p.archive_access.get();
  p.writers = std::make_unique<scheduler::WorkerPool>(1);
  Routes::Limits limits;
  limits.body = p.settings.body_limit;
  limits.dialects.xml = {p.settings.rpc_depth, p.settings.rpc_values};
  limits.dialects.json = {p.settings.rpc_depth, p.settings.rpc_values};
  p.routes = std::make_unique<Routes>(
      limits, options.port.value_or(p.store->current()->xmlrpc_port()),
      [&p] {
        return p.membership ? p.membership->master_view() : MasterView{true, p.nodes->own_node()};
      },
      *p.gate, RpcServices{*p.scheduler, *p.tokens, *p.events, *p.writers}, *p.log, p.clock);
  p.node_routes = std::make_unique<NodeRoutes>(
      NodeRoutes::Limits(), *p.nodes, [&p] { return p.store->current(); }, p.random,
      [&p](const std::string& text) { p.log->warn(text); });
  p.routes->set_node_routes(*p.node_routes);
  if (p.membership) {
    p.forwarder = std::make_unique<Forwarder>(*p.nodes);
    p.routes->set_forwarder(*p.forwarder);
    register_forwarding(
        *p.nodes, [&p] { return p.store->current(); },
        [&p](const rpc::HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
             DialectAnswer done) { p.routes->answer(request, std::move(caller), std::move(done)); });
  }
  JoinRoutes::Cluster cluster;
  cluster.config = [&p] { return p.store->current(); };
  cluster.master = [&p] {
    return p.membership ? p.membership->master_view() : MasterView{true, p.nodes->own_node()};
  };
  if (p.membership) cluster.settings = changed_settings(p.settings, "cluster");
  cluster.port = options.port.value_or(p.store->current()->xmlrpc_port());
  p.join_routes = std::make_unique<JoinRoutes>(JoinRoutes::Limits(), std::move(cluster), p.root, p.files,
                                               *p.join_tokens, p.clock, *p.log);
  p.routes->set_join_routes(*p.join_routes);

  p.settings.http.tls_endpoints = endpoints(options, *p.store->current(), p.nodes->own_node());
  p.settings.http.local_socket = p.root.socket();
  p.settings.http.on_event = [&p](const std::string& text) { p.log->warn(text); };
  p.storage_keeper = std::make_unique<StorageKeeper>(*p.scheduler, p.services->members, *p.nodes, *p.log);
  if (!p.membership) p.storage_keeper->look_first(std::chrono::seconds(20));
  p.storage_keeper->begin();
  p.server = std::make_unique<rpc::HttpServer>(p.settings.http, p.certificate->context(), *p.routes);
  if (Status done = p.server->start(); !done) return fail(done.error());
  if (Status done = base::replace_file(p.files, p.root.pid(), std::to_string(::getpid()) + "\n", 0644); !done)
    return fail(done.error());

  p.archive_access->begin();
  const auto ports = p.server->ports();
  for (std::size_t i = 0; i < ports.size(); ++i)
    p.addresses.push_back(p.settings.http.tls_endpoints[i].address + ":" + std::to_string(ports[i]));
  p.log->notice("confd " CONFD_VERSION " serves node " + std::to_string(p.nodes->own_node()) + " at " +
                base::join(p.addresses, ", ") + " and " + p.root.socket() + ", EXAConf revision " +
                std::to_string(p.store->current()->revision()));
  return std::unique_ptr<App>(new App(std::move(parts)));
}

Status App::check(const Options& options) {
  // Reads only: no lock, no log, nothing committed, so that it can be asked beside a running confd.
  base::FileSystem& files = base::system_file_system();
  const Root root(options.root);
  const auto settings = load_settings(files, root.settings());
  if (!settings) return settings.error();
  const auto text = files.read(root.exaconf());
  if (!text) return text.error();
  const auto config = exaconf::Config::load(*text);
  if (!config) return config.error();
  if (const auto node = own_node(options, *settings, **config, joined_as(files, root)); !node)
    return node.error();
  if (settings->is_managed() && ::access(settings->etcd_program.c_str(), X_OK) != 0)
    return Error{Code::not_found, "`cluster: store: managed` wants " + settings->etcd_program +
                                      ": apt-get install etcd-server, or name it in `cluster: etcd`"};
  if (settings->store == "etcd")
    if (const auto endpoints = parse_endpoints(settings->etcd_endpoints); !endpoints)
      return endpoints.error();
  ListenerCertificate certificate(files, root, [&] { return *config; });
  return certificate.reload();
}

void App::reload() {
  Parts& p = *parts_;
  if (auto settings = load_settings(p.files, p.root.settings()))
    p.log->set_level(settings->log.level);
  else
    p.log->err("SIGHUP: the log level stays: " + settings.error().text);
  if (Status done = p.certificate->reload(); done)
    p.log->notice("SIGHUP: certificate and log level were read again");
  else
    p.log->err("SIGHUP: the certificate stays: " + done.error().text);
  const auto identity = read_cluster_identity(p.files, p.root);
  const auto peer_tls = identity ? rpc::ClientTls::create({identity->certificate_pem, identity->key_pem,
                                                           identity->authority_pem, std::string()})
                                 : Result<std::shared_ptr<const rpc::ClientTls>>(identity.error());
  if (peer_tls)
    p.peer_link->replace_tls(*peer_tls);
  else
    p.log->err("SIGHUP: calls of other nodes go on with the old certificate: " + peer_tls.error().text);
}

void App::stop() {
  if (!parts_ || parts_->stopped) return;
  Parts& p = *parts_;
  p.stopped = true;
  p.log->notice("confd stops: no new connections, " + std::to_string(p.scheduler->counters().running) +
                " job(s) may end");
  p.server->stop_accepting();
  p.storage_keeper.reset();
  if (p.archive_access) p.archive_access->stop();
  p.scheduler->drain(p.settings.stop_deadline);
  p.events->close();
  p.server->stop();
  p.forwarder.reset();
  p.node_routes.reset();
  p.join_routes.reset();
  p.writers.reset();
  p.archive_access_seen = nullptr;
  if (p.membership) p.membership->end();  // nothing is taken up any more; what was begun is still agreed on
  p.scheduler.reset();
  p.archive_access.reset();
  p.gate.reset();
  p.end_recovery();
  p.membership.reset();
  (void)p.files.remove(p.root.pid()).ok();
  p.log->notice("confd has stopped");
  p.log->flush();
}

bool App::alive() const {
  (void)parts_->scheduler->counters();  // takes the scheduler's lock: a scheduler that hangs does not return
  return true;
}

std::string App::status() const {
  const auto counters = parts_->scheduler->counters();
  const std::string waits = parts_->membership ? parts_->membership->status() : std::string();
  return "serving " + base::join(parts_->addresses, ", ") + ", revision " +
         std::to_string(parts_->store->current()->revision()) + ", " + std::to_string(counters.running) +
         " job(s) running, " + std::to_string(counters.queued) + " queued" +
         (waits.empty() ? "" : "; " + waits);
}

const std::vector<std::string>& App::addresses() const {
  return parts_->addresses;
}

}  // namespace confd::daemon
