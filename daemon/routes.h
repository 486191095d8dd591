// Routes: what each path answers, and the order of checks: login first, before anything else is looked at
// (spec/rpc.md §2), then path and verb, then the call.
//
// Open to everybody: GET /master, /master?info_type=name, /is_master, /healthz; POST /join to who proves to
// hold a join token. Thread-safety: any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/dialects.h"
#include "daemon/events.h"
#include "daemon/forwarder.h"
#include "daemon/join_routes.h"
#include "daemon/login_gate.h"
#include "daemon/membership.h"
#include "daemon/node_routes.h"
#include "rpc/http_server.h"

namespace confd::daemon {

class Routes : public rpc::HttpHandler {
 public:
  struct Limits {
    std::uint64_t body = 64u << 20;
    DialectLimits dialects;
  };
  // `master`: who is it now; `port`: of the listeners, the same on all nodes.
  Routes(Limits limits, int port, std::function<MasterView()> master, LoginGate& gate, RpcServices services,
         base::Log& log, base::Clock& clock)
      : limits_(limits),
        port_(port),
        master_(std::move(master)),
        gate_(gate),
        services_(services),
        log_(log),
        clock_(clock) {}

  // Calls of other nodes go there, before any login. `nodes` outlives the server; before it starts.
  void set_node_routes(NodeRoutes& nodes) { nodes_ = &nodes; }
  // The same for nodes that want to join.
  void set_join_routes(JoinRoutes& joining) { joining_ = &joining; }

  // Takes calls of the local socket to the master when this node is not it; outlives the server.
  void set_forwarder(Forwarder& forwarder) { forwarder_ = &forwarder; }
  // Answers a call whose caller is known, by the dialect of its path.
  void answer(const rpc::HttpRequest& request, std::shared_ptr<const auth::Identity> caller,
              DialectAnswer done);

  void on_header(const rpc::HttpRequest& head, std::function<void(rpc::HeaderDecision)> decide) override;
  void on_request(rpc::HttpRequest request, std::shared_ptr<void> context, rpc::Responder responder) override;

 private:
  struct Arrival;
  bool open_answer(const rpc::HttpRequest& head, rpc::HttpResponse& answer) const;
  std::optional<rpc::HttpResponse> elsewhere(const rpc::HttpRequest& request) const;
  void log_request(const rpc::HttpRequest& request, const Arrival& arrival, unsigned status,
                   const std::string& note);
  void finish(const rpc::HttpRequest& request, const Arrival& arrival, const rpc::Responder& responder,
              rpc::HttpResponse response, const std::string& note);

  const Limits limits_;
  const int port_;
  const std::function<MasterView()> master_;
  LoginGate& gate_;
  RpcServices services_;
  base::Log& log_;
  base::Clock& clock_;
  NodeRoutes* nodes_ = nullptr;
  Forwarder* forwarder_ = nullptr;
  JoinRoutes* joining_ = nullptr;
};

}  // namespace confd::daemon
