// Nodes of one cluster in one process: each with its listener, its operations and its link to the others.
#pragma once

#include <catch2/catch.hpp>

#include <memory>
#include <string>

#include "auth/certificate.h"
#include "auth/cluster_authority.h"
#include "base/random.h"
#include "cluster/node_control.h"
#include "cluster/peer_link.h"
#include "daemon/node_routes.h"
#include "exaconf/node_names.h"
#include "rpc/http_server.h"
#include "tests/support/eventually.h"

namespace confd::test {

template <class T>
T sure(base::Result<T> result) {
  if (!result) FAIL(result.error().text);
  return std::move(*result);
}

inline auth::SignedPair make_authority() {
  return sure(auth::make_cluster_authority("test", base::system_clock().now()));
}

inline const auth::SignedPair& cluster_authority() {
  static const auth::SignedPair authority = make_authority();
  return authority;
}

inline exaconf::ConfigPtr config_of_nodes(int first, int last) {
  std::string text = "[Global]\n    Revision = 3\n    Checksum = NONE\n    Networks = private\n";
  for (int id = first; id <= last; ++id)
    text += "\n[Node : " + std::to_string(id) + "]\n    PrivateNet = 127.0.0." + std::to_string(id) +
            "/8\n    Name = n" + std::to_string(id) + "\n";
  return sure(exaconf::Config::load(text));
}

inline std::shared_ptr<const rpc::ClientTls> tls_of(int node, const auth::SignedPair& authority,
                                                    const auth::SignedPair& trusted) {
  const auto pair =
      sure(auth::issue_node_certificate(authority, node, {"127.0.0.1"}, base::system_clock().now()));
  rpc::ClientTlsSettings settings;
  settings.certificate_chain_pem = pair.certificate_pem;
  settings.private_key_pem = pair.key_pem;
  settings.authorities_pem = trusted.certificate_pem;
  return sure(rpc::ClientTls::create(settings));
}

// A handler of /node, and of everything else: who the caller is.
class PeerHandler final : public rpc::HttpHandler {
 public:
  explicit PeerHandler(daemon::NodeRoutes& routes) : routes_(routes) {}
  void on_header(const rpc::HttpRequest& head, std::function<void(rpc::HeaderDecision)> decide) override {
    if (daemon::NodeRoutes::owns(head.path())) return decide(routes_.on_header(head));
    rpc::HeaderDecision decision;
    decision.answer =
        rpc::HttpResponse{200, {}, "subject '" + head.client_subject + "' peer '" + head.peer_uri + "'"};
    decide(std::move(decision));
  }
  void on_request(rpc::HttpRequest request, std::shared_ptr<void> context,
                  rpc::Responder responder) override {
    routes_.on_request(std::move(request), std::move(context), std::move(responder));
  }

 private:
  daemon::NodeRoutes& routes_;
};

class TestNode {
 public:
  struct Options {
    daemon::NodeRoutes::Limits limits;
    exaconf::ConfigPtr config = config_of_nodes(11, 12);
    rpc::TlsSettings::Verify verify = rpc::TlsSettings::Verify::none;
  };
  explicit TestNode(int id) : TestNode(id, Options()) {}
  TestNode(int id, const Options& options)
      : control(id),
        routes(
            options.limits, control, [config = options.config] { return config; }, base::system_random(),
            [this](const std::string& text) { log.add(text); }),
        handler(routes),
        user_certificate(sure(auth::make_self_signed("confd", {"localhost"}, base::system_clock().now()))) {
    const auto pair = sure(
        auth::issue_node_certificate(cluster_authority(), id, {"127.0.0.1"}, base::system_clock().now()));
    settings.certificate_chain_pem = user_certificate.certificate_pem;
    settings.private_key_pem = user_certificate.key_pem;
    settings.authorities_pem = user_certificate.certificate_pem;
    settings.verify = options.verify;
    settings.peer_server_name = exaconf::node_server_name(id);
    settings.peer_certificate_pem = pair.certificate_pem;
    settings.peer_private_key_pem = pair.key_pem;
    settings.peer_authorities_pem = cluster_authority().certificate_pem;
    start();
  }
  ~TestNode() { stop(); }

  void start() {
    rpc::HttpServerOptions http;
    http.tls_endpoints = {{"127.0.0.1", 0}};
    server = std::make_unique<rpc::HttpServer>(http, sure(rpc::TlsContext::create(settings)), handler);
    const base::Status started = server->start();
    if (!started) FAIL(started.error().text);
    port = server->ports().front();
  }
  void stop() {
    if (server) server->stop();
    server.reset();
  }

  struct Lines {
    void add(const std::string& line) {
      base::MutexLock lock(mutex);
      text += line + "\n";
    }
    bool has(const std::string& part) {
      base::MutexLock lock(mutex);
      return text.find(part) != std::string::npos;
    }
    base::Mutex mutex;
    std::string text;
  };
  Lines log;
  cluster::NodeControl control;
  daemon::NodeRoutes routes;
  PeerHandler handler;
  auth::SelfSigned user_certificate;
  rpc::TlsSettings settings;
  std::unique_ptr<rpc::HttpServer> server;
  std::uint16_t port = 0;
};

}  // namespace confd::test
