#include "daemon/routes.h"

#include "base/json.h"
#include "base/text.h"

namespace confd::daemon {

using base::Struct;
using rpc::HeaderDecision;
using rpc::HttpRequest;
using rpc::HttpResponse;

namespace {

HttpResponse plain(unsigned status, std::string text) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

HttpResponse unauthorized(const std::string& why) {
  HttpResponse response = plain(401, "Unauthorized: " + why + "\n");
  response.headers.emplace_back("WWW-Authenticate", "Basic realm=\"ConfD\"");
  return response;
}

enum class Place { xml, json, events, nowhere };

// Any case, a slash at the end does not matter (spec/rpc.md §1, §6).
Place place_of(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const std::string lower = base::to_lower(path);
  if (lower == "/" || lower.empty() || lower == "/rpc2") return Place::xml;
  if (lower == "/rest" || lower == "/jrpc") return Place::json;
  if (lower == "/events") return Place::events;
  return Place::nowhere;
}

HttpResponse wrong_verb(std::string_view allowed) {
  HttpResponse response = plain(405, "This path answers " + std::string(allowed) + " only\n");
  response.headers.emplace_back("Allow", std::string(allowed));
  return response;
}

}  // namespace

struct Routes::Arrival {
  std::shared_ptr<const auth::Identity> caller;
  base::SteadyTime at;
};

bool Routes::open_answer(const HttpRequest& head, HttpResponse& answer) const {
  if (head.method != "GET" && head.method != "HEAD") return false;
  const std::string path = base::to_lower(head.path());
  if (path == "/is_master") {
    answer = plain(200, master_().here ? "true" : "false");
    return true;
  }
  if (path == "/healthz") {
    const auto counters = services_.scheduler.counters();
    answer = {200,
              {{"Content-Type", "application/json"}},
              base::render_json(Struct{{"status", "ok"},
                                       {"revision", services_.scheduler.config()->revision()},
                                       {"jobs_queued", static_cast<std::int64_t>(counters.queued)},
                                       {"jobs_running", static_cast<std::int64_t>(counters.running)}})};
    return true;
  }
  if (path != "/master") return false;
  const exaconf::ConfigPtr config = services_.scheduler.config();
  const auto master = master_().node;
  const auto node = master ? config->nodes().find(*master) : config->nodes().end();
  if (node == config->nodes().end()) {
    answer = plain(503, "There is no master at the moment; try again\n");
    answer.headers.emplace_back("Retry-After", "1");
    return true;
  }
  // No newline: clients paste the body into a URL (spec/rpc.md §1).
  answer = plain(200, head.query("info_type") == "name" ? node->second.name : node->second.private_ip);
  return true;
}

// Where the master is, when this node is not it.
std::optional<HttpResponse> Routes::elsewhere(const HttpRequest& request) const {
  const MasterView view = master_();
  if (view.here) return std::nullopt;
  const exaconf::ConfigPtr config = services_.scheduler.config();
  const auto node = view.node ? config->nodes().find(*view.node) : config->nodes().end();
  // Without a master what can be read is read here; the scheduler refuses to change anything.
  if (node == config->nodes().end()) return std::nullopt;
  const std::string where =
      "https://" + node->second.private_ip + ":" + std::to_string(port_) + std::string(request.path());
  HttpResponse response =
      plain(302, "The master is node " + std::to_string(*view.node) + ": " + where + "\n");
  response.headers.emplace_back("Location", where);
  return response;
}

void Routes::on_header(const HttpRequest& head, std::function<void(HeaderDecision)> decide) {
  if (nodes_ && NodeRoutes::owns(head.path())) return decide(nodes_->on_header(head));
  if (joining_ && JoinRoutes::owns(head.path())) return decide(joining_->on_header(head));
  HttpResponse open;
  if (open_answer(head, open)) {
    HeaderDecision decision;
    decision.answer = std::move(open);
    return decide(std::move(decision));
  }
  auto arrival = std::make_shared<Arrival>();
  arrival->at = clock_.steady_now();
  const bool no_credentials = !head.peer && !head.header("Authorization");
  const std::string what = no_credentials || head.peer ? head.remote_address + " " + head.method + " " +
                                                             std::string(head.path().substr(0, 100))
                                                       : std::string();
  const bool is_local = head.peer.has_value();
  gate_.identify(head, [this, arrival, what, is_local, decide = std::move(decide)](LoginResult login) {
    HeaderDecision decision;
    if (login.identity) {
      arrival->caller = std::move(login.identity);
      decision.body_limit = limits_.body;
      decision.context = arrival;
    } else if (login.overloaded) {
      decision.answer = plain(503, "Too many logins wait to be checked; try again\n");
      decision.answer->headers.emplace_back("Retry-After", "1");
    } else {
      if (!what.empty()) log_.warn("request " + what + " refused: " + login.reason);
      // Over the network a refusal does not tell what was wrong; at the local socket there is nothing to
      // guess.
      decision.answer = unauthorized(
          is_local ? login.reason : "confd wants a user and a password (Basic) or a token (Bearer)");
    }
    decide(std::move(decision));
  });
}

void Routes::log_request(const HttpRequest& request, const Arrival& arrival, unsigned status,
                         const std::string& note) {
  if (!log_.enabled(base::LogLevel::info)) return;
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady_now() - arrival.at).count();
  thread_local std::string line;
  line.assign("request ")
      .append(request.remote_address)
      .append(" ")
      .append(arrival.caller->user)
      .append(" ")
      .append(request.method);
  line.append(" ")
      .append(request.path().substr(0, 100))
      .append(" ")
      .append(note)
      .append(" -> ")
      .append(std::to_string(status));
  line.append(" in ").append(std::to_string(micros)).append(" us");
  log_.info(line);
}

void Routes::finish(const HttpRequest& request, const Arrival& arrival, const rpc::Responder& responder,
                    HttpResponse response, const std::string& note) {
  const unsigned status = response.status;
  responder.send(std::move(response));
  log_request(request, arrival, status, note);
}

void Routes::answer(const HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
                    DialectAnswer done) {
  const Place place = place_of(request.path());
  if (place == Place::xml)
    answer_xml(request, std::move(caller), services_, limits_.dialects, std::move(done));
  else if (place == Place::json)
    answer_json(request, std::move(caller), services_, limits_.dialects, std::move(done));
  else
    done(plain(404, "There is nothing at this path\n"), "nothing there");
}

void Routes::on_request(HttpRequest request, std::shared_ptr<void> context, rpc::Responder responder) {
  if (nodes_ && NodeRoutes::owns(request.path()))
    return nodes_->on_request(std::move(request), std::move(context), std::move(responder));
  if (joining_ && JoinRoutes::owns(request.path()))
    return joining_->on_request(std::move(request), std::move(context), std::move(responder));
  const auto arrival = std::static_pointer_cast<Arrival>(context);
  const Place place = place_of(request.path());
  const bool is_post = request.method == "POST";
  if (place == Place::nowhere)
    return finish(request, *arrival, responder,
                  plain(404, "There is nothing at this path; XML-RPC is at /RPC2, JSON at /rest and /jrpc\n"),
                  "nothing there");
  if (place == Place::events) {
    if (request.method != "GET") return finish(request, *arrival, responder, wrong_verb("GET"), "wrong verb");
    const auto id = request.query("subscription");
    const base::Status done = services_.events.listen(*arrival->caller, id.value_or(""), responder);
    if (done)
      log_request(request, *arrival, 200, "listens");
    else
      finish(request, *arrival, responder,
             plain(done.error().code == base::Code::busy ? 409 : 404, done.error().text + "\n"),
             "no such subscription");
    return;
  }
  auto other = elsewhere(request);
  const bool forwards = other && request.peer && is_post && forwarder_;
  if (other && !forwards) return finish(request, *arrival, responder, std::move(*other), "not master");
  if (!is_post) return finish(request, *arrival, responder, wrong_verb("POST"), "wrong verb");
  const auto kept = std::make_shared<HttpRequest>(std::move(request));
  auto done = [this, kept, arrival, responder](HttpResponse response, const std::string& note) {
    finish(*kept, *arrival, responder, std::move(response), note);
  };
  const std::optional<int> master = forwards ? master_().node : std::nullopt;
  if (master)
    forwarder_->forward(*master, *kept, *arrival->caller, std::move(done));
  else
    answer(*kept, arrival->caller, std::move(done));
  // A job may run for hours: of its request only what the log needs is kept. The answer, which may come on
  // another thread at this moment, does not look at these two.
  kept->body = std::string();
  kept->headers = rpc::Headers();
}

}  // namespace confd::daemon
