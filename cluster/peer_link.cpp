#include "cluster/peer_link.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/content_checksum.h"
#include "base/mutex.h"
#include "base/text.h"
#include "cluster/file_stream.h"
#include "cluster/node_wire.h"
#include "cluster/piece_window.h"
#include "exaconf/node_names.h"

namespace confd::cluster {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeptPerNode = 16;             // four files at once, with all their pieces
constexpr auto kKeptFor = std::chrono::seconds(60);  // the other end closes idle connections, too
constexpr int kTries = 2;
constexpr std::size_t kWindow = wire::kPiecesAhead;
constexpr std::chrono::milliseconds kFarewell{1000};  // to tell the other end that a transfer is given up

rpc::HttpRequest post(std::string target, std::string body, std::string_view type) {
  rpc::HttpRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers = {{"Content-Type", std::string(type)}};
  request.body = std::move(body);
  return request;
}

constexpr std::string_view kJson = "application/json";

bool is_operation_name(std::string_view name) {
  return !name.empty() && name.size() <= 100 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string_view::npos;
}

}  // namespace

struct PeerLink::State {
  struct Connection {
    rpc::HttpsClient client;
    PeerAddress address;
    std::uint64_t generation = 0;
    Clock::time_point used;
  };

  const int own_node;
  const std::function<std::optional<PeerAddress>(int)> address_of;
  base::Mutex mutex;
  std::shared_ptr<const rpc::ClientTls> tls GUARDED_BY(mutex);
  std::uint64_t generation GUARDED_BY(mutex) = 0;  // of tls
  std::map<int, std::vector<std::unique_ptr<Connection>>> kept GUARDED_BY(mutex);

  State(int node, std::shared_ptr<const rpc::ClientTls> context,
        std::function<std::optional<PeerAddress>(int)> where)
      : own_node(node), address_of(std::move(where)), tls(std::move(context)) {}

  std::unique_ptr<Connection> take(int node, const PeerAddress& address, bool fresh) EXCLUDES(mutex);
  void give_back(int node, std::unique_ptr<Connection> connection) EXCLUDES(mutex);
  Error unreachable(int node, const std::string& why) const {
    return {Code::node_unreachable, "node " + std::to_string(node) + " can't be reached from node " +
                                        std::to_string(own_node) + ": " + why};
  }

  struct Rules {
    Clock::time_point deadline;
    bool repeatable = false;
    std::stop_token stop;
  };
  // An answer of 200.
  Result<rpc::HttpResponse> ask(int node, rpc::HttpRequest request, const Rules& rules);
  Result<base::Value> value_of(int node, const Result<rpc::HttpResponse>& response) const;
  Result<base::Value> ask_value(int node, rpc::HttpRequest request, const Rules& rules) {
    return value_of(node, ask(node, std::move(request), rules));
  }
  Error refusal(int node, const rpc::HttpRequest& request, const rpc::HttpResponse& response) const;

  struct Opened {
    std::string path;  // of the pieces
    Rules rules;
  };
  Result<Opened> open(int node, std::string_view operation, const base::Struct& params, std::string_view kind,
                      const Transfer& transfer);
  // A limit of the rate wants one piece after the other.
  PieceWindow window(int node, const Opened& opened, const Transfer& transfer) {
    return {transfer.bytes_per_second == 0 ? kWindow : 1,
            [this, node, rules = opened.rules](rpc::HttpRequest request) {
              return ask(node, std::move(request), rules);
            }};
  }
  // Nothing more is wanted of it.
  void end(int node, const Opened& opened);
  Error give_up(int node, const Opened& opened, Error why) {
    end(node, opened);
    return why;
  }
};

std::unique_ptr<PeerLink::State::Connection> PeerLink::State::take(int node, const PeerAddress& address,
                                                                   bool fresh) {
  std::vector<std::unique_ptr<Connection>> dropped;  // closed after the lock
  base::MutexLock lock(mutex);
  auto& connections = kept[node];
  const Clock::time_point oldest = Clock::now() - kKeptFor;
  const auto usable = [&](const std::unique_ptr<Connection>& one) REQUIRES_LOCK(mutex) {
    return one->generation == generation && one->used > oldest && one->address.host == address.host &&
           one->address.port == address.port;
  };
  while (!connections.empty()) {
    auto one = std::move(connections.back());
    connections.pop_back();
    if (!fresh && usable(one)) return one;
    dropped.push_back(std::move(one));
  }
  // The name, not the address, is what the other end has to prove: addresses change hands.
  rpc::HttpsClient client(tls, {address.host, address.port, "", exaconf::node_server_name(node)});
  return std::make_unique<Connection>(Connection{std::move(client), address, generation, Clock::now()});
}

void PeerLink::State::give_back(int node, std::unique_ptr<Connection> connection) {
  connection->used = Clock::now();
  base::MutexLock lock(mutex);
  auto& connections = kept[node];
  if (connection->generation != generation || connections.size() >= kKeptPerNode) {
    lock.unlock();
    return;  // closed here, without the lock
  }
  connections.push_back(std::move(connection));
}

Error PeerLink::State::refusal(int node, const rpc::HttpRequest& request,
                               const rpc::HttpResponse& response) const {
  const std::string said(base::trim(response.body.substr(0, 500)));
  switch (response.status) {
    case 503:
      return {Code::busy, "node " + std::to_string(node) + " is busy: " + said};
    case 404:
      return {Code::unsupported, "node " + std::to_string(node) + ": " + said};
    case 413:
      return {Code::bad_parameter, "node " + std::to_string(node) + ": " + said};
    default:
      return unreachable(node, "it answers " + request.target.substr(0, 100) + " with status " +
                                   std::to_string(response.status) + ": " + said);
  }
}

Result<rpc::HttpResponse> PeerLink::State::ask(int node, rpc::HttpRequest request, const Rules& rules) {
  request.headers.emplace_back(std::string(wire::kTimeoutHeader), "");
  for (int attempt = 1;; ++attempt) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(rules.deadline - Clock::now()).count();
    if (left <= 0) return Error{Code::timeout, "node " + std::to_string(node) + " did not answer in time"};
    request.headers.back().second = std::to_string(left);
    const auto address = address_of(node);  // each time: it may have moved
    if (!address) return unreachable(node, "the cluster has no such node");
    auto connection = take(node, *address, attempt > 1);
    rpc::HttpsClient::Limits limits;
    limits.deadline = rules.deadline;
    limits.stop = rules.stop;
    limits.resend = rules.repeatable;
    auto response = connection->client.call(request, limits);
    if (response) {
      give_back(node, std::move(connection));
      if (response->status != 200) return refusal(node, request, *response);
      return response;
    }
    const Error& error = response.error();
    const bool sent = connection->client.request_sent();
    if (error.code == Code::node_unreachable && (rules.repeatable || !sent) && attempt < kTries) continue;
    if (error.code == Code::timeout)
      return Error{error.code, "node " + std::to_string(node) + " did not answer in time: " + error.text};
    if (error.code == Code::stopped)
      return Error{error.code, "the call of node " + std::to_string(node) + " was stopped"};
    if (sent && !rules.repeatable)
      return Error{Code::unknown_outcome,
                   "node " + std::to_string(node) + " was asked, but its answer got lost: " + error.text};
    if (error.code == Code::node_unreachable) return unreachable(node, error.text);
    return error;
  }
}

Result<base::Value> PeerLink::State::value_of(int node, const Result<rpc::HttpResponse>& response) const {
  if (!response) return response.error();
  auto answer = wire::parse_answer(response->body);
  if (!answer && answer.error().code == Code::io_error && !response->body.starts_with("{\"error\""))
    return Error{Code::io_error, "the answer of node " + std::to_string(node) +
                                     " can't be understood: " + answer.error().text};
  return answer;
}

PeerLink::PeerLink(int own_node, std::shared_ptr<const rpc::ClientTls> tls,
                   std::function<std::optional<PeerAddress>(int node)> address_of)
    : state_(std::make_unique<State>(own_node, std::move(tls), std::move(address_of))) {}

PeerLink::~PeerLink() = default;

void PeerLink::replace_tls(std::shared_ptr<const rpc::ClientTls> tls) {
  decltype(State::kept) dropped;  // closed after the lock
  base::MutexLock lock(state_->mutex);
  state_->tls = std::move(tls);
  ++state_->generation;
  dropped.swap(state_->kept);
  lock.unlock();
}

Result<base::Value> PeerLink::call(int node, std::string_view operation, const base::Struct& params,
                                   const Call& call) {
  if (!is_operation_name(operation))
    return Error{Code::internal, "'" + std::string(operation) + "' is no name of a node operation"};
  return state_->ask_value(
      node, post(std::string(wire::kOperationPath).append(operation), wire::render_params(params), kJson),
      {Clock::now() + call.timeout, call.repeatable, call.stop});
}

Result<PeerLink::State::Opened> PeerLink::State::open(int node, std::string_view operation,
                                                      const base::Struct& params, std::string_view kind,
                                                      const Transfer& transfer) {
  if (!is_operation_name(operation))
    return Error{Code::internal, "'" + std::string(operation) + "' is no name of a node operation"};
  Opened opened{"", {Clock::now() + transfer.timeout, false, transfer.stop}};
  auto request =
      post(std::string(wire::kOperationPath).append(operation), wire::render_params(params), kJson);
  request.headers.emplace_back(std::string(wire::kTransferHeader), std::string(kind));
  const auto id = ask_value(node, std::move(request), opened.rules);
  if (!id) return id.error();
  if (!id->is_string() || !is_operation_name(id->as_string()))
    return Error{Code::io_error, "node " + std::to_string(node) + " gives no name to the transfer"};
  opened.path = std::string(wire::kTransferPath) + id->as_string();
  // Each piece has a number: the other end knows which it has seen.
  opened.rules.repeatable = true;
  return opened;
}

void PeerLink::State::end(int node, const Opened& opened) {
  (void)ask(node, post(opened.path + "?end=1", "", wire::kPieceType), {Clock::now() + kFarewell, false, {}})
      .ok();  // it forgets the transfer by itself, later
}

Result<base::Struct> PeerLink::fetch(int node, std::string_view operation, const base::Struct& params,
                                     const std::function<Status(std::string_view)>& sink,
                                     const Transfer& transfer) {
  const auto opened = state_->open(node, operation, params, "fetch", transfer);
  if (!opened) return opened.error();
  base::ContentChecksum sum;
  Pace pace(transfer.bytes_per_second);
  PieceWindow window = state_->window(node, *opened, transfer);
  std::uint64_t asked = 0;
  // A file of one piece needs no window.
  for (bool more = false;; more = true) {
    do {
      window.post(
          post(opened->path + "?piece=" + std::to_string(asked++) + "&size=" + std::to_string(pace.piece()),
               "", wire::kPieceType));
    } while (more && !window.full());
    const auto response = window.take();
    if (!response) return state_->give_up(node, *opened, response.error());
    const auto type = std::find_if(
        response->headers.begin(), response->headers.end(),
        [](const auto& header) { return base::equals_ignoring_case(header.first, "Content-Type"); });
    if (type != response->headers.end() && type->second == wire::kPieceType) {
      sum.update(response->body);
      if (Status done = pace.pass(response->body.size(), opened->rules.deadline, transfer.stop); !done)
        return state_->give_up(node, *opened, done.error());
      if (Status done = sink(response->body); !done) return state_->give_up(node, *opened, done.error());
      continue;
    }
    const auto end = wire::parse_answer(response->body);
    if (!end) return end.error();
    // The other end keeps pieces whose answers may have got lost.
    if (asked > 2) state_->end(node, *opened);
    const base::Value* expected = end->is_struct() ? end->find("checksum") : nullptr;
    const base::Value* about = end->is_struct() ? end->find("about") : nullptr;
    if (expected == nullptr || !expected->is_string() || about == nullptr || !about->is_struct())
      return Error{Code::io_error, "node " + std::to_string(node) + " ended the file without a checksum"};
    if (sum.finish() != expected->as_string())
      return Error{Code::io_error, "the file that came from node " + std::to_string(node) + " ('" +
                                       std::string(operation) +
                                       "') has another checksum than it had there; fetch it again"};
    return about->as_struct();
  }
}

Result<base::Value> PeerLink::send(int node, std::string_view operation, const base::Struct& params,
                                   const std::function<Result<std::string>()>& more,
                                   const Transfer& transfer) {
  const auto opened = state_->open(node, operation, params, "send", transfer);
  if (!opened) return opened.error();
  base::ContentChecksum sum;
  Pace pace(transfer.bytes_per_second);
  PieceWindow window = state_->window(node, *opened, transfer);
  const auto oldest_taken = [&]() -> Status {
    const auto answer = state_->value_of(node, window.take());
    return answer ? Status() : Status(answer.error());
  };
  std::uint64_t number = 0;
  for (;;) {
    auto content = more();
    if (!content) return state_->give_up(node, *opened, content.error());
    if (content->empty()) break;
    sum.update(*content);
    for (std::size_t at = 0; at < content->size();) {
      const bool whole = at == 0 && content->size() <= pace.piece();
      std::string piece = whole ? std::move(*content) : content->substr(at, pace.piece());
      const std::size_t bytes = piece.size();
      if (Status done = pace.pass(bytes, opened->rules.deadline, transfer.stop); !done)
        return state_->give_up(node, *opened, done.error());
      if (window.full())
        if (Status taken = oldest_taken(); !taken) return state_->give_up(node, *opened, taken.error());
      window.post(
          post(opened->path + "?piece=" + std::to_string(number++), std::move(piece), wire::kPieceType));
      if (whole) break;
      at += bytes;
    }
  }
  while (!window.empty())
    if (Status taken = oldest_taken(); !taken) return state_->give_up(node, *opened, taken.error());
  auto end = post(opened->path + "?piece=" + std::to_string(number), "", wire::kPieceType);
  end.headers.emplace_back(std::string(wire::kChecksumHeader), sum.finish());
  return state_->ask_value(node, std::move(end), opened->rules);
}

}  // namespace confd::cluster
