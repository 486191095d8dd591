// POST /join over a real TLS connection, with the files and the clock of the master in the test's hand.
#include "daemon/join_routes.h"

#include <catch2/catch.hpp>

#include "auth/certificate.h"
#include "auth/cluster_authority.h"
#include "base/random.h"
#include "rpc/https_client.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_random.h"

namespace confd::daemon {
namespace {

const Root kRoot("/root");

template <class T>
T sure(base::Result<T> result) {
  if (!result) FAIL(result.error().text);
  return std::move(*result);
}

exaconf::ConfigPtr config_of(const std::vector<int>& nodes) {
  std::string text = "[Global]\n    Revision = 3\n    Checksum = NONE\n    Networks = private\n";
  for (const int id : nodes)
    text += "\n[Node : " + std::to_string(id) + "]\n    PrivateNet = 127.0.0." + std::to_string(id) +
            "/8\n    Name = n" + std::to_string(id) + "\n";
  return sure(exaconf::Config::load(text));
}

class Master final : public rpc::HttpHandler {
 public:
  explicit Master(JoinRoutes::Limits limits = {})
      : log_(sure(base::Log::open({}))),
        tokens(files, kRoot.join_tokens(), random, clock),
        routes(limits,
               {[this] { return config; }, [this] { return view; }, "cluster:\n  store: managed\n", 20003},
               kRoot, files, tokens, clock, *log_) {
    REQUIRE(files.make_directories(kRoot.cluster_directory(), 0700).ok());
    const auto authority = sure(auth::make_cluster_authority("test", clock.now()));
    files.put(kRoot.cluster_authority(), authority.certificate_pem);
    files.put(kRoot.cluster_authority_key(), authority.key_pem);
    const auto shown = sure(auth::make_self_signed("confd", {"localhost"}, base::system_clock().now()));
    rpc::TlsSettings settings;
    settings.certificate_chain_pem = shown.certificate_pem;
    settings.private_key_pem = shown.key_pem;
    rpc::HttpServerOptions http;
    http.tls_endpoints = {{"127.0.0.1", 0}};
    server_ = std::make_unique<rpc::HttpServer>(http, sure(rpc::TlsContext::create(settings)), *this);
    const base::Status started = server_->start();
    if (!started) FAIL(started.error().text);
  }
  ~Master() override { server_->stop(); }

  void on_header(const rpc::HttpRequest& head, std::function<void(rpc::HeaderDecision)> decide) override {
    decide(routes.on_header(head));
  }
  void on_request(rpc::HttpRequest request, std::shared_ptr<void> context,
                  rpc::Responder responder) override {
    routes.on_request(std::move(request), std::move(context), std::move(responder));
  }
  rpc::HttpsClient client() const {
    rpc::ClientTlsSettings settings;
    settings.any_server = true;
    return {sure(rpc::ClientTls::create(settings)), {"127.0.0.1", server_->ports().front(), "", ""}};
  }
  std::string token(const auth::JoinTokens::Grant& grant = {12, false}) { return sure(tokens.issue(grant)); }

  exaconf::ConfigPtr config = config_of({11, 12});
  MasterView view{true, 11};
  test::FakeFileSystem files;
  test::FakeRandom random;
  test::FakeClock clock;

 private:
  std::unique_ptr<base::Log> log_;

 public:
  auth::JoinTokens tokens;
  JoinRoutes routes;

 private:
  std::unique_ptr<rpc::HttpServer> server_;
};

// Asks as a new node does; `change` spoils the request after its proof was made.
struct NewNode {
  explicit NewNode(const Master& master) : client(master.client()), clock_now(master.clock.now()) {}

  rpc::HttpResponse ask(const std::string& token,
                        const std::function<void(auth::JoinRequest&)>& change = nullptr) {
    rpc::HttpsClient::Limits limits;
    limits.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    REQUIRE(client.connect(limits).ok());
    request.message = {std::stoi(token), std::string(64, 'a'), 0, certificate.request_pem};
    request.message.time =
        std::chrono::duration_cast<std::chrono::seconds>(clock_now.time_since_epoch()).count();
    secret = sure(auth::join_secret(token));
    request.proof = sure(auth::prove(secret, client.channel_binding(), request.message));
    if (change) change(request.message);
    rpc::HttpRequest http;
    http.method = "POST";
    http.target = "/join";
    http.body = auth::render(request);
    return sure(client.call(http, limits));
  }

  rpc::HttpsClient client;
  base::WallTime clock_now;
  auth::CertificateRequest certificate = sure(auth::make_certificate_request(12));
  auth::Proven<auth::JoinRequest> request;
  std::string secret;
};

}  // namespace

TEST_CASE("Who holds a token gets a certificate for its node, and an answer that proves itself") {
  Master master;
  NewNode node(master);
  const auto response = node.ask(master.token());
  REQUIRE(response.status == 200);
  const auto answer = sure(auth::parse_join_answer(response.body));
  CHECK(answer.proof == sure(auth::prove(node.secret, node.request.proof, answer.message)));
  CHECK(auth::node_of_certificate(answer.message.certificate) == 12);
  CHECK(answer.message.exaconf == master.config->text());
  CHECK(answer.message.settings == "cluster:\n  store: managed\n");
  CHECK(answer.message.authority_key.empty());
  rpc::ClientTlsSettings usable{answer.message.certificate, node.certificate.key_pem,
                                answer.message.authority, ""};
  CHECK(rpc::ClientTls::create(usable).ok());

  CHECK(NewNode(master).ask(master.token({12, true})).body.find("PRIVATE KEY") != std::string::npos);
}

TEST_CASE("A request that was changed on its way, or came over another connection, is refused") {
  Master master;
  const std::string token = master.token();
  for (const std::function<void(auth::JoinRequest&)>& change :
       {std::function<void(auth::JoinRequest&)>([](auth::JoinRequest& r) { r.nonce[0] = 'b'; }),
        std::function<void(auth::JoinRequest&)>([](auth::JoinRequest& r) { ++r.time; }),
        std::function<void(auth::JoinRequest&)>([](auth::JoinRequest& r) {
          r.certificate_request = sure(auth::make_certificate_request(12)).request_pem;
        })}) {
    const auto response = NewNode(master).ask(token, change);
    CHECK(response.status == 403);
    CHECK(response.body.find("not valid here") != std::string::npos);
  }
  NewNode first(master);
  CHECK(first.ask(token, [](auth::JoinRequest& r) { r.nonce[0] = 'b'; }).status == 403);
  rpc::HttpRequest again;
  again.method = "POST";
  again.target = "/join";
  again.body = auth::render(first.request);
  rpc::HttpsClient::Limits limits;
  limits.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  CHECK(master.client().call(again, limits)->status == 403);
  CHECK(NewNode(master).ask(token).status == 200);  // all of this used nothing up
}

TEST_CASE("Clocks that differ are named, and the token stays good") {
  Master master;
  const std::string token = master.token();
  for (const auto skew : {std::chrono::seconds(301), std::chrono::seconds(-301)}) {
    NewNode node(master);
    node.clock_now += skew;
    const auto response = node.ask(token);
    CHECK(response.status == 409);
    CHECK(response.body.find("the clocks differ: here it is 20") == 0);
  }
  NewNode node(master);
  node.clock_now += std::chrono::seconds(299);
  CHECK(node.ask(token).status == 200);
}

TEST_CASE("What stands in the way is named to who holds a token, and the token stays good") {
  Master master;
  const std::string token = master.token();
  master.config = config_of({11});
  auto response = NewNode(master).ask(token);
  CHECK(response.status == 404);
  CHECK(response.body.find("EXAConf has no node 12; add it first") == 0);
  CHECK(NewNode(master).ask("12." + std::string(43, 'A')).status == 403);
  master.config = config_of({11, 12});

  const std::string key = *master.files.read(kRoot.cluster_authority_key());
  REQUIRE(master.files.remove(kRoot.cluster_authority_key()).ok());
  response = NewNode(master).ask(token);
  CHECK(response.status == 409);
  CHECK(response.body.find("/root/etc/cluster/ca.key is not there") == 0);
  master.files.put(kRoot.cluster_authority_key(), "broken");
  CHECK(NewNode(master).ask(token).status == 400);
  master.files.put(kRoot.cluster_authority_key(), key);

  CHECK(NewNode(master).ask(token).status == 200);
  response = NewNode(master).ask(token);
  CHECK(response.status == 403);
  CHECK(response.body.find("was used already, at 20") != std::string::npos);
  CHECK(response.body.find("by 127.0.0.1") != std::string::npos);
}

TEST_CASE("Whatever step fails, nobody is let in by a token that is not marked as used on disk") {
  int step = 1;
  for (bool let_in = false; !let_in; ++step) {
    Master master;
    const std::string token = master.token();
    master.files.fail_from(master.files.calls() + step);
    const auto response = NewNode(master).ask(token);
    let_in = response.status == 200;
    CHECK(let_in == (response.body.find("BEGIN CERTIFICATE") != std::string::npos));
    master.files.power_cut();
    if (let_in) CHECK(master.files.read(kRoot.join_tokens())->find("\"used\"") != std::string::npos);
  }
  CHECK(step > 6);
}

TEST_CASE("Only the master lets nodes join") {
  Master master;
  const std::string token = master.token();
  master.view = {false, 12};
  auto response = NewNode(master).ask(token);
  CHECK(response.status == 302);
  CHECK(response.body == "Only the master lets nodes join: node 12 at 127.0.0.12:20003\n");
  std::string location;
  for (const auto& [name, value] : response.headers)
    if (name == "Location") location = value;
  CHECK(location == "https://127.0.0.12:20003/join");
  master.view = {false, std::nullopt};
  CHECK(NewNode(master).ask(token).status == 503);
}

TEST_CASE("An address that is refused too often waits for a minute") {
  Master master;
  const std::string wrong = "12." + std::string(43, 'A');
  const std::size_t most = JoinRoutes::Limits().refusals;
  for (std::size_t i = 0; i < most; ++i) CHECK(NewNode(master).ask(wrong).status == 403);
  const std::string token = master.token();
  CHECK(NewNode(master).ask(token).status == 429);
  master.clock.advance(JoinRoutes::Limits().window);
  CHECK(NewNode(master).ask(token).status == 200);
}

}  // namespace confd::daemon
