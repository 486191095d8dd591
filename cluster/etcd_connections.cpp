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
    : tls_(std::move(tls)), endpoints_(std::move(endpoints)) {
  base::MutexLock lock(mutex_);
  idle_.resize(endpoints_.size());
}

std::size_t EtcdConnections::preferred() const {
  base::MutexLock lock(mutex_);
  return preferred_;
}

void EtcdConnections::answered(std::size_t number) {
  base::MutexLock lock(mutex_);
  preferred_ = number;
}

void EtcdConnections::failed(std::size_t number) {
  base::MutexLock lock(mutex_);
  if (preferred_ == number) preferred_ = (number + 1) % endpoints_.size();
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
  number = preferred();
  return {tls_, {endpoints_[number].host, endpoints_[number].port, "", ""}};
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
    client.emplace(tls_, rpc::HttpsClient::Target{endpoints_[number].host, endpoints_[number].port, "", ""});
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
  const std::size_t first = preferred();
  Error last{Code::no_quorum, "no endpoint of etcd is configured"};
  for (std::size_t turn = 0; turn < endpoints_.size(); ++turn) {
    const std::size_t number = (first + turn) % endpoints_.size();
    rpc::HttpsClient::Limits limits;
    limits.stop = call.stop;
    limits.deadline = call.deadline;
    limits.resend = kind != Kind::once;
    // One that hangs must leave time for the others.
    const auto now = Clock::now();
    const auto turns_left = static_cast<long>(endpoints_.size() - turn);
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
  if (endpoints_.size() > 1) {
    last.text += "; none of " + std::to_string(endpoints_.size()) + " endpoints of etcd did it";
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

}  // namespace confd::cluster
