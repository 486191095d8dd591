#include "cluster/etcd_connections.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/json.h"
#include "cluster/etcd_json.h"

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Value;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kKeptConnections = 8;  // an endpoint; more calls at once make their own

}  // namespace

rpc::HttpRequest etcd_request(const std::string& path, const std::string& body, bool needs_leader) {
  rpc::HttpRequest request;
  request.method = "POST";
  request.target = path;
  request.headers = {{"Content-Type", "application/json"}};
  // gRPC metadata "hasleader": else a member that is cut off lets its callers wait for seconds.
  if (needs_leader) request.headers.emplace_back("Grpc-Metadata-Hasleader", "true");
  request.body = body;
  return request;
}

// What came of one endpoint.
struct EtcdConnections::Attempt {
  Result<Value> answer;
  bool may_have_happened = false;  // after an error
  bool try_others = false;         // the error is one of this endpoint
};

EtcdConnections::EtcdConnections(std::shared_ptr<const rpc::ClientTls> tls, std::vector<Endpoint> endpoints)
    : tls_(std::move(tls)) {
  use(std::move(endpoints));
}

void EtcdConnections::use(std::vector<Endpoint> endpoints) {
  std::vector<rpc::HttpsClient> closed;  // after the lock
  base::MutexLock lock(mutex_);
  std::vector<std::size_t> used;
  for (Endpoint& each : endpoints) {
    const auto known = std::find(endpoints_.begin(), endpoints_.end(), each);
    used.push_back(static_cast<std::size_t>(known - endpoints_.begin()));
    if (known == endpoints_.end()) {
      endpoints_.push_back(std::move(each));
      idle_.emplace_back();
    }
  }
  if (used == used_) return;
  const std::size_t preferred = used_.empty() ? endpoints_.size() : used_[preferred_];
  const auto still = std::find(used.begin(), used.end(), preferred);
  preferred_ = still == used.end() ? 0 : static_cast<std::size_t>(still - used.begin());
  used_ = std::move(used);
  for (std::size_t number = 0; number < idle_.size(); ++number)
    if (std::find(used_.begin(), used_.end(), number) == used_.end())
      for (rpc::HttpsClient& client : std::exchange(idle_[number], {})) closed.push_back(std::move(client));
}

std::size_t EtcdConnections::size() const {
  base::MutexLock lock(mutex_);
  return used_.size();
}

std::vector<std::size_t> EtcdConnections::in_turn() const {
  base::MutexLock lock(mutex_);
  std::vector<std::size_t> numbers(used_);
  std::rotate(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(preferred_), numbers.end());
  return numbers;
}

EtcdConnections::Endpoint EtcdConnections::endpoint(std::size_t number) const {
  base::MutexLock lock(mutex_);
  return endpoints_[number];
}

void EtcdConnections::answered(std::size_t number) {
  base::MutexLock lock(mutex_);
  const auto place = std::find(used_.begin(), used_.end(), number);
  if (place != used_.end()) preferred_ = static_cast<std::size_t>(place - used_.begin());
}

void EtcdConnections::failed(std::size_t number) {
  base::MutexLock lock(mutex_);
  if (!used_.empty() && used_[preferred_] == number) preferred_ = (preferred_ + 1) % used_.size();
}

std::optional<rpc::HttpsClient> EtcdConnections::take_idle(std::size_t number) {
  base::MutexLock lock(mutex_);
  auto& kept = idle_[number];
  if (kept.empty()) return std::nullopt;
  rpc::HttpsClient client = std::move(kept.back());
  kept.pop_back();
  return client;
}

void EtcdConnections::keep(std::size_t number, rpc::HttpsClient client) {
  base::MutexLock lock(mutex_);
  if (idle_[number].size() < kKeptConnections) idle_[number].push_back(std::move(client));
}

rpc::HttpsClient EtcdConnections::stream_client(std::size_t& number) {
  const std::vector<std::size_t> numbers = in_turn();
  number = numbers.empty() ? 0 : numbers.front();  // REQUIRES: size() > 0
  const Endpoint at = endpoint(number);
  return {tls_, {at.host, at.port, "", ""}};
}

namespace {

Result<Value> understood(const rpc::HttpResponse& response) {
  // A streamed answer (keepalive) is one message a line; the first says it all.
  const std::string_view line = std::string_view(response.body).substr(0, response.body.find('\n'));
  auto answer = base::parse_json(line);
  if (!answer || !answer->is_struct()) {
    return Error{Code::io_error, "etcd's answer can't be understood: " + std::string(line.substr(0, 200))};
  }
  return answer;
}

}  // namespace

EtcdConnections::Attempt EtcdConnections::attempt(std::size_t number, const rpc::HttpRequest& request,
                                                  Kind kind, const rpc::HttpsClient::Limits& limits) {
  auto client = take_idle(number);
  if (!client) {
    const Endpoint at = endpoint(number);
    client.emplace(tls_, rpc::HttpsClient::Target{at.host, at.port, "", ""});
  }
  const auto response = client->call(request, limits);
  if (!response) {
    const bool sent = client->request_sent();
    failed(number);
    return {response.error(), sent, response.error().code != Code::stopped};
  }
  keep(number, std::move(*client));
  if (response->status == 200) {
    answered(number);
    // It was done, whatever the answer looks like.
    auto answer = understood(*response);
    const bool unclear = !answer.ok();
    return {std::move(answer), unclear, false};
  }
  etcd_json::Refusal refusal = etcd_json::refusal(response->status, response->body);
  const bool is_endpoints = refusal.error.code == Code::no_quorum || refusal.error.code == Code::timeout;
  if (is_endpoints) {
    failed(number);
  } else {
    answered(number);
  }
  if (kind != Kind::once) refusal.may_have_happened = false;
  // A refusal with a reason of its own is an answer: nothing was done.
  return {std::move(refusal.error), is_endpoints && refusal.may_have_happened, is_endpoints};
}

Result<Value> EtcdConnections::post(const std::string& path, const std::string& body, Kind kind,
                                    const Call& call) {
  const rpc::HttpRequest request = etcd_request(path, body, kind != Kind::local);
  const std::vector<std::size_t> numbers = in_turn();
  Error last{Code::no_quorum, "no endpoint of etcd is configured"};
  for (std::size_t turn = 0; turn < numbers.size(); ++turn) {
    const std::size_t number = numbers[turn];
    rpc::HttpsClient::Limits limits;
    limits.stop = call.stop;
    limits.deadline = call.deadline;
    limits.resend = kind != Kind::once;
    // One that hangs must leave time for the others.
    const auto now = Clock::now();
    const auto turns_left = static_cast<long>(numbers.size() - turn);
    if (turns_left > 1 && call.deadline > now) {
      const auto share = now + (call.deadline - now) / turns_left;
      limits.connect_by = share;
      if (kind != Kind::once) limits.deadline = share;
    }
    Attempt tried = attempt(number, request, kind, limits);
    if (tried.answer) return std::move(tried.answer);
    last = tried.answer.error();
    if (kind == Kind::once && tried.may_have_happened) {
      return Error{Code::unknown_outcome, last.text + "; " + path + " may or may not have taken effect"};
    }
    if (!tried.try_others) return last;
    if (Clock::now() >= call.deadline) break;
  }
  if (Clock::now() >= call.deadline) last.code = Code::timeout;
  if (last.code == Code::node_unreachable) last.code = Code::no_quorum;
  if (numbers.size() > 1) {
    last.text += "; none of " + std::to_string(numbers.size()) + " endpoints of etcd did it";
  }
  return last;
}

Result<Value> EtcdConnections::post_to(const Endpoint& endpoint, const std::string& path,
                                       const std::string& body, const Call& call) {
  rpc::HttpsClient client(tls_, {endpoint.host, endpoint.port, "", ""});
  rpc::HttpsClient::Limits limits;
  limits.deadline = call.deadline;
  limits.stop = call.stop;
  const auto response = client.call(etcd_request(path, body, false), limits);
  if (!response) return response.error();
  if (response->status != 200) return etcd_json::refusal(response->status, response->body).error;
  return understood(*response);
}

Result<rpc::HttpResponse> EtcdConnections::get_from_peer(const Endpoint& peer, const std::string& path,
                                                         const Call& call) {
  rpc::HttpsClient client(tls_, {peer.host, peer.port, "", ""});
  rpc::HttpsClient::Limits limits;
  limits.deadline = call.deadline;
  limits.stop = call.stop;
  rpc::HttpRequest request;
  request.method = "GET";
  request.target = path;
  return client.call(request, limits);
}

}  // namespace confd::cluster
