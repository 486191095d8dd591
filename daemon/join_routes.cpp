#include "daemon/join_routes.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "auth/cluster_authority.h"
#include "base/json.h"
#include "base/text.h"
#include "daemon/cluster_identity.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using rpc::HeaderDecision;
using rpc::HttpRequest;
using rpc::HttpResponse;

namespace {

HttpResponse plain(unsigned status, std::string text) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

HttpResponse try_again(unsigned status, const std::string& text, const std::string& seconds) {
  HttpResponse response = plain(status, text);
  response.headers.emplace_back("Retry-After", seconds);
  return response;
}

HeaderDecision at_once(HttpResponse response) {
  HeaderDecision decision;
  decision.answer = std::move(response);
  return decision;
}

HttpResponse refusal(const Error& error) {
  const unsigned status =
      error.code == Code::forbidden       ? 403
      : error.code == Code::bad_parameter ? 400
      : error.code == Code::not_found     ? 404
      : error.code == Code::busy          ? 503
      : error.code == Code::internal || error.code == Code::io_error || error.code == Code::invalid_config
          ? 500
          : 409;
  return plain(status, error.text + "\n");
}

std::int64_t to_seconds(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string utc(std::int64_t seconds) {
  return base::format_utc(base::WallTime(std::chrono::seconds(seconds)));
}

}  // namespace

// Holds one of the places for requests at the same time.
struct JoinRoutes::Arrival {
  explicit Arrival(JoinRoutes& all) : owner(all) {}
  ~Arrival() {
    base::MutexLock lock(owner.mutex_);
    --owner.running_;
  }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  JoinRoutes& owner;
};

JoinRoutes::JoinRoutes(Limits limits, Cluster cluster, const Root& root, base::FileSystem& files,
                       auth::JoinTokens& tokens, base::Clock& clock, base::Log& log)
    : limits_(limits),
      cluster_(std::move(cluster)),
      root_(root),
      files_(files),
      tokens_(tokens),
      clock_(clock),
      log_(log) {}

bool JoinRoutes::owns(std::string_view path) {
  return path == kJoinPath || path == kJoinTokenPath;
}

HeaderDecision JoinRoutes::on_header(const HttpRequest& head) {
  if (head.path() == kJoinTokenPath) {
    // Who is let in here could as well read etc/cluster/ca.key.
    if (!head.peer) return at_once(plain(403, "This path answers at the local socket only\n"));
    if (head.peer->uid != 0 && head.peer->uid != ::geteuid())
      return at_once(plain(403, "Join tokens are made by root and by the user that confd runs as only\n"));
  }
  if (head.method != "POST") {
    HttpResponse response = plain(405, "This path answers POST only\n");
    response.headers.emplace_back("Allow", "POST");
    return at_once(std::move(response));
  }
  {
    base::MutexLock lock(mutex_);
    const auto before = refusals_.find(head.remote_address);
    if (before != refusals_.end() && before->second.count >= limits_.refusals &&
        clock_.steady_now() - before->second.since < limits_.window)
      return at_once(try_again(429, "Too many requests to join came from this address; wait a minute\n",
                               std::to_string(limits_.window.count())));
    if (running_ >= limits_.at_once)
      return at_once(try_again(503, "Too many nodes want to join at this moment; try again\n", "1"));
    ++running_;
  }
  HeaderDecision decision;
  decision.body_limit = limits_.body;
  decision.context = std::make_shared<Arrival>(*this);
  return decision;
}

void JoinRoutes::on_request(HttpRequest request, std::shared_ptr<void> context, rpc::Responder responder) {
  worker_.post([this, request = std::move(request), context = std::move(context), responder] {
    responder.send(request.path() == kJoinTokenPath ? answer_token(request) : answer_join(request));
  });
}

std::optional<HttpResponse> JoinRoutes::elsewhere(std::string_view path) const {
  const MasterView view = cluster_.master();
  if (view.here) return std::nullopt;
  const exaconf::ConfigPtr config = cluster_.config();
  const auto node = view.node ? config->nodes().find(*view.node) : config->nodes().end();
  if (node == config->nodes().end())
    return try_again(
        503, "There is no master at the moment, and only the master lets nodes join; try again\n", "1");
  const std::string where = "https://" + node->second.private_ip + ":" + std::to_string(cluster_.port);
  HttpResponse response =
      plain(302, "Only the master lets nodes join: node " + std::to_string(*view.node) + " at " +
                     node->second.private_ip + ":" + std::to_string(cluster_.port) + "\n");
  response.headers.emplace_back("Location", where + std::string(path));
  return response;
}

// What has to be there before a node can join, whoever it is.
Status JoinRoutes::can_admit(int node) const {
  if (cluster_.settings.empty())
    return Error{
        Code::unsupported,
        "this cluster keeps EXAConf on one node (`cluster: store: local`), so no other can join; set "
        "`store: managed` in etc/confd.yaml and start confd again"};
  if (!cluster_.config()->nodes().contains(node))
    return Error{Code::not_found, "EXAConf has no node " + std::to_string(node) +
                                      "; add it first: confd_client node_add nid: " + std::to_string(node) +
                                      " priv_net: ADDRESS/PREFIX"};
  if (!files_.status(root_.cluster_authority_key()))
    return Error{Code::unsupported,
                 root_.cluster_authority_key() +
                     " is not there, so this node can't sign certificates; make the node master that has it "
                     "(job master_change), or copy the file from there (mode 0600)"};
  return {};
}

HttpResponse JoinRoutes::answer_token(const HttpRequest& request) {
  if (auto other = elsewhere(kJoinTokenPath)) return std::move(*other);
  const auto wish = base::parse_json(request.body);
  const base::Value* node = wish && wish->is_struct() ? wish->find("node") : nullptr;
  const base::Value* seconds = wish && wish->is_struct() ? wish->find("seconds") : nullptr;
  const base::Value* authority = wish && wish->is_struct() ? wish->find("authority") : nullptr;
  if (node == nullptr || !node->is_int() || node->as_int() < 0 || node->as_int() > 1'000'000 ||
      seconds == nullptr || !seconds->is_int() || authority == nullptr || !authority->is_bool())
    return plain(400, "This path wants {\"node\": ID, \"seconds\": N, \"authority\": true or false}\n");
  const auth::JoinTokens::Grant grant{static_cast<int>(node->as_int()), authority->as_bool()};
  if (Status fit = can_admit(grant.node); !fit) return refusal(fit.error());
  const auto token = tokens_.issue(grant, std::chrono::seconds(seconds->as_int()));
  if (!token) return refusal(token.error());
  log_.notice("a join token for node " + std::to_string(grant.node) + " was made, valid for " +
              std::to_string(seconds->as_int()) + " s" +
              (grant.with_authority ? ", with the authority's key" : ""));
  return {200,
          {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
          base::render_json(base::Struct{{"token", *token}})};
}

HttpResponse JoinRoutes::answer_join(const HttpRequest& request) {
  if (auto other = elsewhere(kJoinPath)) return std::move(*other);
  const auto asked = auth::parse_join_request(request.body);
  Result<auth::Proven<auth::JoinAnswer>> answer =
      asked ? admit(*asked, request) : Result<auth::Proven<auth::JoinAnswer>>(asked.error());
  if (!answer) {
    const std::string who = asked ? " as node " + std::to_string(asked->message.node) : std::string();
    log_.warn("a request of " + request.remote_address + " to join" + who +
              " was refused: " + answer.error().text);
    note_refusal(request.remote_address);
    return refusal(answer.error());
  }
  log_.notice("node " + std::to_string(asked->message.node) + " joins from " + request.remote_address +
              (answer->message.authority_key.empty() ? "" : ", with the authority's key"));
  return {200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}}, auth::render(*answer)};
}

// Before find() succeeds nothing is told, afterwards the other side is the one the token was given to. The
// token is used up last: what can fail fails before.
Result<auth::Proven<auth::JoinAnswer>> JoinRoutes::admit(const auth::Proven<auth::JoinRequest>& request,
                                                         const HttpRequest& carrier) {
  const auto held = tokens_.find(request.message.node, [&](const std::string& secret) {
    const auto proof = auth::prove(secret, carrier.channel_binding, request.message);
    return proof && base::constant_time_equal(*proof, request.proof);
  });
  if (!held) return held.error();
  const std::int64_t now = to_seconds(clock_.now());
  if (std::abs(now - request.message.time) > kLargestSkew.count())
    return Error{Code::wrong_state, "the clocks differ: here it is " + utc(now) +
                                        ", on the new node it was " + utc(request.message.time) +
                                        "; set the clock (NTP) and join with the same token again"};
  if (Status fit = can_admit(request.message.node); !fit) return fit.error();
  auto answer = answer_for(request.message, held->grant);
  if (!answer) return answer.error();
  auto proof = auth::prove(held->secret, request.proof, *answer);
  if (!proof) return proof.error();
  if (Status used = tokens_.use(*held, carrier.remote_address); !used) return used.error();
  return auth::Proven<auth::JoinAnswer>{std::move(*answer), std::move(*proof)};
}

Result<auth::JoinAnswer> JoinRoutes::answer_for(const auth::JoinRequest& request,
                                                const auth::JoinTokens::Grant& grant) const {
  const exaconf::ConfigPtr config = cluster_.config();
  const auto authority = files_.read(root_.cluster_authority());
  if (!authority) return authority.error();
  const auto key = files_.read(root_.cluster_authority_key());
  if (!key) return key.error();
  const auto node = config->nodes().find(request.node);
  if (node == config->nodes().end())
    return Error{Code::not_found, "EXAConf has no node " + std::to_string(request.node) + " any more"};
  auto certificate =
      auth::sign_certificate_request({*authority, *key}, request.certificate_request, request.node,
                                     certificate_names(node->second), clock_.now());
  if (!certificate) return certificate.error();
  return auth::JoinAnswer{std::move(*certificate), *authority, grant.with_authority ? *key : std::string(),
                          config->text(), cluster_.settings};
}

void JoinRoutes::note_refusal(const std::string& address) {
  base::MutexLock lock(mutex_);
  const base::SteadyTime now = clock_.steady_now();
  if (refusals_.size() >= limits_.addresses && !refusals_.contains(address))
    refusals_.erase(std::min_element(refusals_.begin(), refusals_.end(), [](const auto& a, const auto& b) {
      return a.second.since < b.second.since;
    }));
  Refusals& row = refusals_[address];
  if (row.count == 0 || now - row.since >= limits_.window) row = {now, 0};
  ++row.count;
}

}  // namespace confd::daemon
