#include "daemon/node_routes.h"

#include <algorithm>
#include <exception>
#include <stop_token>

#include "base/text.h"
#include "cluster/node_wire.h"
#include "exaconf/node_names.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using rpc::HeaderDecision;
using rpc::HttpRequest;
using rpc::HttpResponse;
using Clock = std::chrono::steady_clock;

namespace wire = cluster::wire;

namespace {

constexpr std::int64_t kLongestTimeout = 24 * 3600 * 1000;  // ms
constexpr auto kHousekeeping = std::chrono::seconds(5);

HeaderDecision refuse(unsigned status, const std::string& text) {
  HeaderDecision decision;
  decision.answer = HttpResponse{status, {{"Content-Type", "text/plain; charset=utf-8"}}, text + "\n"};
  return decision;
}

std::string_view operation_in(const HttpRequest& request) {
  return request.path().substr(wire::kOperationPath.size());
}

bool is_piece(const HttpRequest& request) {
  return request.path().starts_with(wire::kTransferPath);
}

}  // namespace

// A call, from its header to its answer; holds its place among those that may run.
struct NodeRoutes::Arrival {
  Arrival(NodeRoutes& all, int from, Time until) : owner(all), node(from), deadline(until) {}
  ~Arrival() {
    base::MutexLock lock(owner.mutex_);
    if (!counted) return;
    owner.arrivals_.erase(place);
    if (--owner.per_node_[node] == 0) owner.per_node_.erase(node);
    owner.changed_.notify_all();
  }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

  NodeRoutes& owner;
  const int node;
  const Time deadline;
  std::stop_source stop;
  bool counted = false;  // these two under owner.mutex_
  std::multimap<Time, Arrival*>::iterator place;
};

NodeRoutes::NodeRoutes(Limits limits, cluster::NodeControl& nodes, std::function<exaconf::ConfigPtr()> config,
                       base::Random& random, std::function<void(const std::string&)> warn)
    : limits_(limits),
      nodes_(nodes),
      config_(std::move(config)),
      warn_(std::move(warn)),
      transfers_(limits.transfers, nodes, random),
      workers_(limits.calls),
      watch_([this] { watch_deadlines(); }) {}

NodeRoutes::~NodeRoutes() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  watch_.join();  // it has stopped all that runs
  base::MutexLock lock(mutex_);
  while (!arrivals_.empty()) changed_.wait(mutex_);  // each ends with its operation, which is told to stop
}

bool NodeRoutes::owns(std::string_view path) {
  return path.starts_with(wire::kOperationPath) || path.starts_with(wire::kTransferPath);
}

bool NodeRoutes::is_known(const HttpRequest& head) const {
  if (is_piece(head)) return true;
  const std::string* transfer = head.header(wire::kTransferHeader);
  const std::string_view name = operation_in(head);
  if (transfer == nullptr) return nodes_.has_operation(name);
  return *transfer == "fetch" ? nodes_.has_fetch(name) : *transfer == "send" && nodes_.has_send(name);
}

HeaderDecision NodeRoutes::on_header(const HttpRequest& head) {
  const std::optional<int> node = exaconf::node_of_uri(head.peer_uri);
  if (!node || !config_()->nodes().contains(*node)) {
    const std::string who = node ? "node " + std::to_string(*node) + ", which EXAConf does not have"
                                 : std::string("somebody without a certificate of this cluster");
    warn_("a call between nodes was refused: " + head.remote_address + " is " + who);
    HeaderDecision decision = refuse(403, "This path is for the nodes of this cluster");
    decision.answer->close = true;
    return decision;
  }
  if (head.method != "POST") return refuse(405, "Nodes call each other with POST");
  if (!is_known(head))
    return refuse(404, "there is no operation '" + std::string(operation_in(head).substr(0, 100)) +
                           "' in this version of confd");
  const std::string* header = head.header(wire::kTimeoutHeader);
  const std::int64_t timeout = header ? base::parse_int(*header).value_or(0) : 0;
  if (timeout <= 0) return refuse(400, std::string(wire::kTimeoutHeader) + " must say for how long you wait");
  auto arrival = std::make_shared<Arrival>(
      *this, *node, Clock::now() + std::chrono::milliseconds(std::min(timeout, kLongestTimeout)));
  {
    base::MutexLock lock(mutex_);
    std::size_t& of_node = per_node_[*node];
    if (stopping_ || arrivals_.size() >= limits_.calls || of_node >= limits_.calls_per_node) {
      if (of_node == 0) per_node_.erase(*node);
      lock.unlock();
      HeaderDecision decision = refuse(503, "too many calls of other nodes run here; try again");
      decision.answer->headers.emplace_back("Retry-After", "1");
      return decision;
    }
    ++of_node;
    arrival->place = arrivals_.emplace(arrival->deadline, arrival.get());
    arrival->counted = true;
    if (arrival->place == arrivals_.begin()) changed_.notify_all();
  }
  HeaderDecision decision;
  decision.body_limit = limits_.body;
  decision.context = std::move(arrival);
  return decision;
}

void NodeRoutes::on_request(HttpRequest request, std::shared_ptr<void> context, rpc::Responder responder) {
  auto arrival = std::static_pointer_cast<Arrival>(context);
  context.reset();
  responder.on_disconnect([weak = std::weak_ptr<Arrival>(arrival)] {
    if (const auto gone = weak.lock()) gone->stop.request_stop();
  });
  const auto kept = std::make_shared<HttpRequest>(std::move(request));
  workers_.post([this, kept, arrival = std::move(arrival), responder]() mutable {
    HttpResponse response = answer(*kept, *arrival);
    // Its place is free before the caller knows: the next call finds it so.
    arrival.reset();
    responder.send(std::move(response));
  });
}

HttpResponse NodeRoutes::answer(const HttpRequest& request, const Arrival& arrival) {
  Result<base::Value> result = Error{Code::internal, ""};
  try {
    if (is_piece(request))
      return transfers_.piece(arrival.node, request, arrival.deadline, arrival.stop.get_token());
    result = run(request, arrival);
  } catch (const std::exception& error) {
    result = Error{Code::internal,
                   "operation '" + std::string(operation_in(request)) + "' failed: " + error.what()};
    warn_(result.error().text);
  }
  if (!result && result.error().code == Code::stopped && Clock::now() >= arrival.deadline)
    result = Error{Code::timeout, "operation '" + std::string(operation_in(request)) +
                                      "' did not end within the caller's time: " + result.error().text};
  return {200, {{"Content-Type", "application/json"}}, wire::render_answer(result)};
}

Result<base::Value> NodeRoutes::run(const HttpRequest& request, const Arrival& arrival) {
  const auto params = wire::parse_params(request.body);
  if (!params) return params.error();
  const std::string operation(operation_in(request));
  if (Clock::now() >= arrival.deadline || arrival.stop.stop_requested())
    return Error{Code::stopped, "the caller does not wait any more"};
  const std::string* transfer = request.header(wire::kTransferHeader);
  if (transfer != nullptr)
    return transfers_.open(arrival.node,
                           *transfer == "fetch" ? NodeTransfers::Kind::fetch : NodeTransfers::Kind::send,
                           operation, *params, arrival.deadline);
  return nodes_.run_here(operation, *params, arrival.stop.get_token());
}

std::size_t NodeRoutes::running() const {
  base::MutexLock lock(mutex_);
  return arrivals_.size();
}

// Tells operations whose caller's time is over, and forgets files that nobody asks for.
void NodeRoutes::watch_deadlines() {
  Time housekeeping = Clock::now() + kHousekeeping;
  base::MutexLock lock(mutex_);
  while (!stopping_) {
    const Time now = Clock::now();
    std::vector<std::stop_source> due;
    Time next = housekeeping;
    for (const auto& [deadline, arrival] : arrivals_) {
      if (deadline > now) {
        next = std::min(next, deadline);
        break;
      }
      if (!arrival->stop.stop_requested()) due.push_back(arrival->stop);
    }
    if (due.empty() && now < housekeeping) {
      changed_.wait_until(mutex_, next);
      continue;
    }
    lock.unlock();
    for (std::stop_source& one : due) one.request_stop();
    if (now >= housekeeping) {
      transfers_.forget_idle(now);
      housekeeping = now + kHousekeeping;
    }
    lock.lock();
  }
  std::vector<std::stop_source> all;
  for (const auto& [deadline, arrival] : arrivals_) all.push_back(arrival->stop);
  lock.unlock();
  for (std::stop_source& one : all) one.request_stop();
}

}  // namespace confd::daemon
