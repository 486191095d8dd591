#include "cluster/managed_store.h"

#include <algorithm>
#include <utility>

namespace confd::cluster {

using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::milliseconds kLookAtMember{500};
constexpr std::chrono::milliseconds kLookAtRoster{2000};
constexpr std::chrono::milliseconds kAfterChange{250};
constexpr std::chrono::milliseconds kAnswer{2000};
constexpr std::chrono::milliseconds kHealth{1000};
constexpr std::chrono::seconds kAskAgain{10};
constexpr std::chrono::seconds kLookForStore{5};
constexpr std::chrono::seconds kLookForMembers{30};  // so that endpoints() knows those beyond the wanted
constexpr std::size_t kMostEndpoints = 9;
// A member that dies so often right after its start may have been removed meanwhile.
constexpr int kManyDeaths = 2;

std::vector<int> node_ids(const exaconf::Config& config) {
  std::vector<int> ids;
  for (const auto& [id, node] : config.nodes())
    if (!node.private_ip.empty()) ids.push_back(id);
  return ids;
}

template <class Element>
bool contains(const std::vector<Element>& all, const Element& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

ManagedStore::ManagedStore(Options options, EtcdClient& etcd, base::FileSystem& files, base::Log& log,
                           std::function<exaconf::ConfigPtr()> current)
    : options_(std::move(options)), etcd_(etcd), files_(files), log_(log), current_(std::move(current)) {}

ManagedStore::~ManagedStore() {
  end_roster();
  keeper_ = {};
}

void ManagedStore::begin() {
  keeper_ = std::jthread([this](std::stop_token stop) { keep_member(std::move(stop)); });
}

void ManagedStore::begin_roster(std::function<bool()> is_master,
                                std::function<std::vector<int>()> live_nodes) {
  is_master_ = std::move(is_master);
  live_nodes_ = std::move(live_nodes);
  tender_ = std::jthread([this](std::stop_token stop) { tend_roster(std::move(stop)); });
}

void ManagedStore::end_roster() {
  tender_.request_stop();
  wake_.notify_all();
  tender_ = {};
}

void ManagedStore::end() {
  end_roster();
  keeper_.request_stop();
  wake_.notify_all();
  keeper_ = {};
  if (server_) server_->stop();
}

bool ManagedStore::pause(Clock::duration time, const std::stop_token& stop) {
  const auto until = Clock::now() + time;
  MutexLock lock(mutex_);
  while (!stop.stop_requested() && Clock::now() < until) wake_.wait_until(mutex_, until);
  return !stop.stop_requested();
}

std::string ManagedStore::status() const {
  MutexLock lock(mutex_);
  return own_status_.empty() || roster_status_.empty() ? own_status_ + roster_status_
                                                       : own_status_ + "; " + roster_status_;
}

std::vector<int> ManagedStore::voters() const {
  MutexLock lock(mutex_);
  return voters_;
}

// Said once, when it changes.
void ManagedStore::tell(std::string ManagedStore::*what, std::string text) {
  {
    MutexLock lock(mutex_);
    if (this->*what == text) return;
    this->*what = text;
  }
  if (!text.empty()) log_.notice("store: " + text);
}

std::string ManagedStore::peer_url(const exaconf::Node& node) const {
  return etcd_url(node.private_ip, options_.server.peer_port);
}

// --- where the store is ---

std::vector<EtcdClient::Endpoint> ManagedStore::endpoints(const exaconf::Config& config,
                                                          const Options& options,
                                                          const std::vector<int>& seen) {
  const std::vector<int> nodes = node_ids(config);
  const std::vector<int> wanted = wanted_members(nodes, options.members);
  std::vector<int> order;
  if (contains(wanted, options.server.node) || contains(seen, options.server.node))
    order.push_back(options.server.node);
  for (const auto& more : {wanted, seen, nodes})
    for (const int node : more)
      if (!contains(order, node) && contains(nodes, node)) order.push_back(node);
  order.resize(std::min(order.size(), kMostEndpoints));
  std::vector<EtcdClient::Endpoint> result;
  for (const int node : order)
    result.push_back({config.nodes().at(node).private_ip, options.server.client_port});
  return result;
}

void ManagedStore::note_seen(const std::vector<EtcdMember>& members) {
  std::vector<int> seen, voters;
  for (const EtcdMember& member : members)
    if (const auto node = node_of_member_name(member.name)) {
      seen.push_back(*node);
      if (!member.is_learner) voters.push_back(*node);
    }
  MutexLock lock(mutex_);
  seen_ = std::move(seen);
  voters_ = std::move(voters);
}

void ManagedStore::follow_endpoints(const exaconf::Config& config) {
  std::vector<int> seen;
  {
    MutexLock lock(mutex_);
    seen = seen_;
  }
  etcd_.set_endpoints(endpoints(config, options_, seen));
}

// --- the own member ---

void ManagedStore::keep_member(std::stop_token stop) {
  do {
    look_at_member(stop);
    if (server_) server_->bound_log();
  } while (pause(kLookAtMember, stop));
}

void ManagedStore::look_at_member(const std::stop_token& stop) {
  const exaconf::ConfigPtr config = current_();
  follow_endpoints(*config);
  const int own = options_.server.node;
  const auto node = config->nodes().find(own);
  // A node that was taken out of EXAConf keeps its member until the master has removed that too.
  if (node != config->nodes().end() && !node->second.private_ip.empty() &&
      (!server_ || server_->settings().address != node->second.private_ip)) {
    EtcdServerSettings settings = options_.server;
    settings.address = node->second.private_ip;
    server_ = std::make_unique<EtcdServer>(std::move(settings), files_, log_);
    server_->adopt();
  }
  if (!server_) return tell(&ManagedStore::own_status_, "EXAConf has no private address of this node");

  OwnSituation situation;
  situation.node = own;
  situation.has_data = server_->has_data();
  situation.runs = server_->runs();
  const std::vector<int> nodes = node_ids(*config);
  situation.is_wanted = contains(wanted_members(nodes, options_.members), own);
  situation.is_sole = nodes == std::vector<int>{own};
  situation.peer_url = etcd_url(server_->settings().address, options_.server.peer_port);
  const bool asks = situation.has_data ? !situation.runs && server_->early_deaths() >= kManyDeaths
                                       : situation.is_wanted && !situation.runs;
  if (asks || Clock::now() >= look_for_members_) {
    look_for_members_ = Clock::now() + kLookForMembers;
    auto members = etcd_.members({Clock::now() + kAnswer, stop});
    if (members) {
      note_seen(*members);
      if (asks) situation.members = std::move(*members);
    }
  }
  if (situation.runs && !situation.is_sole && Clock::now() >= look_for_store_) {
    look_for_store_ = Clock::now() + kLookForStore;
    situation.is_of_another_store = is_of_another_store(*config, stop);
  }
  play(own_part(situation), situation, stop);
}

// A member whose store was given up does not end by itself: it waits for the others of then, and answers no
// client meanwhile. It is of another store when it has no leader, and a member that has one is of another
// cluster, as etcd calls it.
bool ManagedStore::is_of_another_store(const exaconf::Config& config, const std::stop_token& stop) {
  const auto status_at = [&](const std::string& address) {
    return etcd_.status({address, options_.server.client_port}, {Clock::now() + kHealth, stop});
  };
  const auto status = status_at(server_->settings().address);
  if (status && status->leader != 0) return false;
  const auto own = etcd_.cluster_of({server_->settings().address, options_.server.peer_port},
                                    {Clock::now() + kHealth, stop});
  if (!own) return false;
  for (const int id : wanted_members(node_ids(config), options_.members)) {
    const exaconf::Node& node = config.nodes().at(id);
    if (id == options_.server.node || node.private_ip.empty()) continue;
    const auto other = status_at(node.private_ip);
    if (other && other->leader != 0 && other->cluster != *own) return true;
  }
  return false;
}

void ManagedStore::play(const OwnPart& part, const OwnSituation& situation, const std::stop_token& stop) {
  const auto problem_of = [](const Status& done) { return done ? std::string() : done.error().text; };
  std::string told = part.reason;
  switch (part.kind) {
    case OwnPart::Kind::none:
    case OwnPart::Kind::wait:
      break;
    case OwnPart::Kind::run:
      told = problem_of(server_->keep_running({}));
      if (told.empty() && server_->early_deaths() >= kManyDeaths)
        told = "the store's member on this node does not stay up: see " + options_.server.log;
      break;
    case OwnPart::Kind::found:
    case OwnPart::Kind::join: {
      EtcdBirth birth;
      birth.is_new = part.kind == OwnPart::Kind::found;
      if (situation.members)
        for (const EtcdMember& member : *situation.members)
          for (const std::string& url : member.peer_urls)
            birth.members.push_back({member.name.empty() ? member_name(situation.node) : member.name, url});
      else
        birth.members.push_back({member_name(situation.node), situation.peer_url});
      if (const std::string problem = problem_of(server_->keep_running(birth)); !problem.empty())
        told = problem;
      break;
    }
    case OwnPart::Kind::ask_anew:
      if (Clock::now() >= asked_anew_ + kAskAgain) {
        const EtcdOperation ask{EtcdOperation::Kind::put,
                                options_.prefix + "member/" + std::to_string(situation.node),
                                {},
                                std::to_string(part.member),
                                0};
        if (etcd_.transact({}, {ask}, {}, {Clock::now() + kAnswer, stop})) asked_anew_ = Clock::now();
      }
      break;
    case OwnPart::Kind::set_aside:
      server_->stop();
      if (const std::string problem = problem_of(server_->set_aside()); !problem.empty()) told = problem;
      break;
  }
  tell(&ManagedStore::own_status_, std::move(told));
}

// --- the roster, while this node is master ---

void ManagedStore::tend_roster(std::stop_token stop) {
  bool changed = false;
  while (pause(changed ? kAfterChange : kLookAtRoster, stop)) {
    changed = false;
    if (is_master_())
      changed = change_roster(stop);
    else
      tell(&ManagedStore::roster_status_, {});
  }
}

bool ManagedStore::change_roster(const std::stop_token& stop) {
  const exaconf::ConfigPtr config = current_();
  const auto view = look_at_roster(*config, stop);
  if (!view) {
    tell(&ManagedStore::roster_status_, {});  // that the store does not answer is told elsewhere
    return false;
  }
  const RosterAction action = decide(*view);
  if (action.kind == RosterAction::Kind::none || !is_master_()) {
    tell(&ManagedStore::roster_status_, action.reason);
    return false;
  }
  const std::string what = action.kind == RosterAction::Kind::add       ? "adds a member on"
                           : action.kind == RosterAction::Kind::promote ? "promotes the member of"
                           : action.kind == RosterAction::Kind::move    ? "tells the new address of"
                           : action.kind == RosterAction::Kind::lead    ? "lets etcd be led by the member of"
                                                                        : "removes the member of";
  const std::string node = action.node != 0 ? "node " + std::to_string(action.node) : "a former node";
  if (Status done = act(action, *config, stop); !done) {
    // A learner that lags behind, members that have not been connected for five seconds: etcd's own checks.
    tell(&ManagedStore::roster_status_,
         "the master " + what + " " + node + " as soon as etcd agrees (" + done.error().text + ")");
    return false;
  }
  tell(&ManagedStore::roster_status_, {});
  log_.notice("store: the master " + what + " " + node + ": " + action.reason);
  return true;
}

Result<RosterView> ManagedStore::look_at_roster(const exaconf::Config& config, const std::stop_token& stop) {
  const auto listed = etcd_.members({Clock::now() + kAnswer, stop});
  if (!listed) return listed.error();
  const std::string lost = options_.prefix + "member/";
  std::string end = lost;
  ++end.back();
  const auto lost_members = etcd_.range(lost, end, {Clock::now() + kAnswer, stop});
  if (!lost_members) return lost_members.error();

  RosterView view;
  const std::vector<int> nodes = node_ids(config);
  view.master = options_.server.node;  // who asks
  view.wanted = wanted_members(nodes, options_.members);
  for (const int node : live_nodes_()) view.live.insert(node);
  note_seen(*listed);
  for (const EtcdMember& each : *listed) {
    RosterMember member;
    member.id = each.id;
    member.is_learner = each.is_learner;
    member.is_started = !each.name.empty();
    if (const auto named = node_of_member_name(each.name); named && config.nodes().contains(*named))
      member.node = named;
    for (const auto& [id, node] : config.nodes())
      if (each.name.empty() && contains(each.peer_urls, peer_url(node))) member.node = id;
    if (member.node) {
      const EtcdClient::Endpoint at{config.nodes().at(*member.node).private_ip, options_.server.client_port};
      const auto status = etcd_.status(at, {Clock::now() + kHealth, stop});
      if (status) view.leader = status->leader;
      member.is_healthy = status && status->leader != 0 && status->member == each.id;
      member.has_moved = !contains(each.peer_urls, peer_url(config.nodes().at(*member.node)));
    }
    for (const KeyValue& request : *lost_members)
      if (request.value == std::to_string(each.id)) view.lost.insert(each.id);
    view.members.push_back(member);
  }
  return view;
}

Status ManagedStore::act(const RosterAction& action, const exaconf::Config& config,
                         const std::stop_token& stop) {
  const EtcdClient::Call call{Clock::now() + kAnswer, stop};
  switch (action.kind) {
    case RosterAction::Kind::add: {
      const auto added = etcd_.add_learner(peer_url(config.nodes().at(action.node)), call);
      return added ? Status() : Status(added.error());
    }
    case RosterAction::Kind::promote:
      return etcd_.promote(action.member, call);
    case RosterAction::Kind::remove:
      return etcd_.remove_member(action.member, call);
    case RosterAction::Kind::move:
      return etcd_.move_member(action.member, peer_url(config.nodes().at(action.node)), call);
    case RosterAction::Kind::lead:
      // Only the leader moves it, and that is the own member.
      return etcd_.move_leader(
          {config.nodes().at(options_.server.node).private_ip, options_.server.client_port}, action.member,
          call);
    case RosterAction::Kind::none:
      break;
  }
  return {};
}

}  // namespace confd::cluster
