#include "cluster/etcd_server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/text.h"

namespace confd::cluster {

using base::Error;
using base::ProcessHandle;
using base::Status;

namespace {

constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kLongestPause{30'000};
constexpr std::chrono::seconds kLongLife{60};
constexpr std::chrono::milliseconds kStopPatience{10'000};
constexpr std::uint64_t kLogBytes = 4u << 20;
constexpr std::string_view kInitial = "--initial-";

std::string milliseconds(std::chrono::milliseconds time) {
  return std::to_string(time.count());
}

}  // namespace

std::string etcd_url(const std::string& address, std::uint16_t port) {
  const bool is_v6 = address.find(':') != std::string::npos;
  return "https://" + (is_v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

std::vector<std::string> etcd_arguments(const EtcdServerSettings& s, const std::optional<EtcdBirth>& birth) {
  const std::string clients = etcd_url(s.address, s.client_port);
  const std::string peers = etcd_url(s.address, s.peer_port);
  // docs/cluster.md, "Store: sizes and settings of etcd", says why these figures.
  std::vector<std::string> all = {
      "--name=node-" + std::to_string(s.node),
      "--data-dir=" + s.data,
      "--listen-client-urls=" + clients,
      "--advertise-client-urls=" + clients,
      "--listen-peer-urls=" + peers,
      "--cert-file=" + s.certificate,
      "--key-file=" + s.key,
      "--trusted-ca-file=" + s.authority,
      "--client-cert-auth=true",
      "--peer-cert-file=" + s.certificate,
      "--peer-key-file=" + s.key,
      "--peer-trusted-ca-file=" + s.authority,
      "--peer-client-cert-auth=true",
      // Calls of another member may come from an address that its certificate does not have (several
      // networks, 127.0.0.x). The authority's signature is what counts, as at /node.
      "--experimental-peer-skip-client-san-verification=true",
      "--heartbeat-interval=" + milliseconds(s.heartbeat),
      "--election-timeout=" + milliseconds(s.election),
      "--pre-vote=true",  // a member that was cut off does not unseat the leader when it is back
      "--snapshot-count=1000",
      "--max-wals=1",
      "--max-snapshots=1",
      "--quota-backend-bytes=67108864",
      "--experimental-watch-progress-notify-interval=" + milliseconds(s.progress_notify) + "ms",
      "--logger=zap",
      "--log-outputs=stderr",
  };
  if (birth) {
    std::string cluster;
    for (const EtcdBirth::Peer& peer : birth->members)
      cluster += (cluster.empty() ? "" : ",") + peer.name + "=" + peer.url;
    all.push_back("--initial-advertise-peer-urls=" + peers);
    all.push_back("--initial-cluster=" + cluster);
    if (!birth->token.empty()) all.push_back("--initial-cluster-token=" + birth->token);
    all.push_back(std::string("--initial-cluster-state=") + (birth->is_new ? "new" : "existing"));
  }
  return all;
}

EtcdServer::EtcdServer(EtcdServerSettings settings, base::FileSystem& files, base::Log& log)
    : settings_(std::move(settings)), files_(files), log_(log) {}

bool EtcdServer::has_data() const {
  // The folder alone says nothing: etcd makes it before it knows whether it may join.
  const auto names = files_.list(settings_.data + "/member/wal");
  return names && std::any_of(names->begin(), names->end(),
                              [](const std::string& name) { return name.ends_with(".wal"); });
}

// By its record; without one (confd was killed between the start and the record) among all processes.
std::optional<ProcessHandle> EtcdServer::find() const {
  const std::string mark = "--data-dir=" + settings_.data;
  std::vector<std::string> ids;
  if (const auto recorded = files_.read(settings_.record)) ids.emplace_back(base::trim(*recorded));
  if (const auto all = files_.list("/proc")) ids.insert(ids.end(), all->begin(), all->end());
  for (const std::string& each : ids)
    if (const auto id = base::parse_int(each))
      if (auto found = ProcessHandle::find(static_cast<pid_t>(*id), settings_.executable, mark)) return found;
  return std::nullopt;
}

bool EtcdServer::runs() {
  return !ends_within(std::chrono::milliseconds(0));
}

bool EtcdServer::ends_within(std::chrono::milliseconds time) {
  if (!process_) return true;
  if (!process_->wait_until_gone(time, {})) return false;
  note_death();
  return true;
}

std::optional<pid_t> EtcdServer::pid() const {
  return process_ ? std::optional(process_->id()) : std::nullopt;
}

void EtcdServer::note_death() {
  const auto now = Clock::now();
  early_deaths_ = now - started_ < kLongLife ? early_deaths_ + 1 : 1;
  auto pause = kFirstPause;
  for (int i = 1; i < early_deaths_ && pause < kLongestPause; ++i) pause *= 2;
  due_ = now + std::min(pause, kLongestPause);
  log_.err("the store's member on this node (etcd, process " + std::to_string(process_->id()) +
           ") has ended; its last words are in " + settings_.log);
  process_.reset();
}

void EtcdServer::adopt() {
  process_ = find();
  if (!process_) return;
  (void)record().ok();
  started_ = Clock::now();
  log_.notice("the store's member on this node runs already (etcd, process " +
              std::to_string(process_->id()) + ")");
}

// What it was told at its birth says nothing later.
bool EtcdServer::has_other_settings() const {
  std::vector<std::string> runs_with;
  std::ifstream arguments("/proc/" + std::to_string(process_->id()) + "/cmdline", std::ios::binary);
  for (std::string each; std::getline(arguments, each, '\0');)
    if (!each.starts_with(kInitial)) runs_with.push_back(each);
  if (runs_with.empty()) return false;  // it ends just now
  runs_with.erase(runs_with.begin());
  return runs_with != etcd_arguments(settings_, {});
}

Status EtcdServer::keep_running(const std::optional<EtcdBirth>& birth) {
  if (runs()) {
    if (!has_other_settings()) return {};
    log_.notice("the store's member on this node gets other settings: it is started anew");
    stop();
  }
  if (Clock::now() < due_) return {};
  if (Status done = start(etcd_arguments(settings_, birth)); !done) {
    due_ = Clock::now() + kLongestPause / 6;
    if (std::exchange(start_problem_, done.error().text) != done.error().text)
      log_.err("the store's member on this node: " + done.error().text);
    return done;
  }
  start_problem_.clear();
  return {};
}

Status EtcdServer::start_alone() {
  std::vector<std::string> arguments = etcd_arguments(settings_, {});
  arguments.emplace_back("--force-new-cluster=true");
  return start(std::move(arguments));
}

Status EtcdServer::start(std::vector<std::string> arguments) {
  for (const std::string& folder : {settings_.data, base::parent_directory(settings_.log)})
    if (Status made = files_.make_directories(folder, 0700); !made) return made;
  base::Program program;
  program.arguments = std::move(arguments);
  program.arguments.insert(program.arguments.begin(), settings_.executable);
  program.environment = base::plain_environment();
  program.environment.emplace_back("GOGC=20");
  const auto started = base::start_detached(program, settings_.log);
  if (!started) return started.error();
  started_ = Clock::now();
  process_ = ProcessHandle::find(*started, settings_.executable, program.arguments[2]);
  if (!process_)
    return Error{base::Code::io_error,
                 settings_.executable + " ended at once; its last words are in " + settings_.log};
  log_.notice("started the store's member on this node (etcd, process " + std::to_string(*started) + ")");
  return record();
}

Status EtcdServer::record() {
  return base::replace_file(files_, settings_.record, std::to_string(process_->id()) + "\n", 0600);
}

Status EtcdServer::set_aside() {
  const std::string kept = settings_.data + ".removed";
  std::error_code problem;
  std::filesystem::remove_all(kept, problem);
  if (problem) return Error{base::Code::io_error, "cannot remove " + kept + ": " + problem.message()};
  if (Status done = files_.rename(settings_.data, kept); !done) return done;
  early_deaths_ = 0;
  due_ = {};
  return files_.sync_directory(base::parent_directory(kept));
}

void EtcdServer::stop() {
  if (!process_) return;
  (void)process_->signal(SIGTERM).ok();
  if (!process_->wait_until_gone(kStopPatience, {})) {
    (void)process_->signal(SIGKILL).ok();
    (void)process_->wait_until_gone(kStopPatience, {});
  }
  log_.notice("stopped the store's member on this node (etcd, process " + std::to_string(process_->id()) +
              ")");
  process_.reset();
  (void)files_.remove(settings_.record).ok();
}

void EtcdServer::bound_log() {
  const auto status = files_.status(settings_.log);
  if (!status || status->size < kLogBytes) return;
  // etcd keeps the file open and only appends: its content is copied and cut off, not renamed. What it
  // writes between the two is lost.
  const auto text = files_.read(settings_.log);
  if (!text || !base::replace_file(files_, settings_.log + ".1", *text, 0600)) return;
  if (::truncate(settings_.log.c_str(), 0) != 0)
    log_.warn("cannot shorten " + settings_.log + ", which grows on");
}

}  // namespace confd::cluster
