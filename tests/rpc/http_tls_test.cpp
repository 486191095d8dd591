// TLS: versions, certificates of clients, replacing the certificate while connections stand, bad bytes.
#include <catch2/catch.hpp>

#include "http_fixture.h"

using namespace confd;
using namespace confd::rpc;
using namespace confd::rpc::test;

namespace {

TlsSettings settings_for(const Identity& identity) {
  TlsSettings settings;
  settings.certificate_chain_pem = identity.certificate;
  settings.private_key_pem = identity.key;
  return settings;
}

void answer_with_subject(Server& server) {
  server.handler.respond = [](const HttpRequest& request, const std::shared_ptr<void>&,
                              const Responder& responder) {
    HttpResponse response;
    response.body = "subject=" + request.client_subject;
    responder.send(response);
  };
}

}  // namespace

TEST_CASE("TLS 1.2 and 1.3 are spoken, older versions are not") {
  Server server;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Client client = Client::tls(server.port, {version, nullptr});
    REQUIRE(client.connected());
    CHECK(client.get("/")->status == 200);
    CHECK(std::string(client.tls_version()) == (version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"));
  }
  CHECK_FALSE(Client::tls(server.port, {TLS1_VERSION, nullptr}).connected());
  CHECK_FALSE(Client::tls(server.port, {TLS1_1_VERSION, nullptr}).connected());
  CHECK(eventually([&] { return server.http->counters().handshake_failures == 2; }));
}

TEST_CASE("the certificate is replaced for new connections while old ones go on") {
  Server server;
  Client old_client = server.client();
  CHECK(old_client.peer_common_name() == "confd test");
  REQUIRE(server.tls->replace(settings_for(make_identity("renewed"))).ok());
  Client new_client = server.client();
  CHECK(new_client.peer_common_name() == "renewed");
  CHECK(new_client.get("/")->status == 200);
  CHECK(old_client.get("/")->status == 200);
}

TEST_CASE("settings that can't work are refused by name and the old ones stay") {
  Server server;
  const Identity one = make_identity("one");
  const Identity two = make_identity("two");
  const auto refusal = [&](const TlsSettings& settings) {
    const auto status = server.tls->replace(settings);
    REQUIRE_FALSE(status.ok());
    return status.error().text;
  };
  TlsSettings settings = settings_for(one);
  settings.private_key_pem = two.key;
  CHECK(refusal(settings) == "private key: it does not belong to the certificate");
  settings = settings_for(one);
  settings.certificate_chain_pem = "nothing";
  CHECK(refusal(settings).find("certificate: no certificate in it") == 0);
  settings = settings_for(one);
  settings.private_key_pem = "nothing";
  CHECK(refusal(settings).find("private key: unreadable") == 0);
  settings = settings_for(one);
  settings.certificate_chain_pem.replace(settings.certificate_chain_pem.size() / 2, 1, "!");
  CHECK(refusal(settings).find("certificate: unreadable") == 0);
  settings = settings_for(one);
  settings.verify = TlsSettings::Verify::required;
  CHECK(refusal(settings).find("CertAuth:") == 0);
  CHECK_FALSE(TlsContext::create(settings).ok());
  CHECK(server.client().peer_common_name() == "confd test");
}

TEST_CASE("certificates of clients are checked as CertVerify says") {
  const Identity authority = make_identity("authority");
  const Identity known = make_identity("node 12", &authority);
  const Identity stranger = make_identity("stranger");
  TlsSettings settings = Server::default_settings();
  settings.authorities_pem = authority.certificate;

  SECTION("none: nobody is asked") {
    Server server({}, settings);
    answer_with_subject(server);
    CHECK(Client::tls(server.port, {0, &known}).get("/")->body == "subject=");
    CHECK(server.client().get("/")->body == "subject=");
  }
  SECTION("optional: without is fine, a wrong one is not") {
    settings.verify = TlsSettings::Verify::optional;
    Server server({}, settings);
    answer_with_subject(server);
    CHECK(Client::tls(server.port, {0, &known}).get("/")->body == "subject=CN=node 12");
    CHECK(server.client().get("/")->body == "subject=");
    CHECK_FALSE(Client::tls(server.port, {0, &stranger}).get("/"));
  }
  SECTION("required: nobody gets in without") {
    settings.verify = TlsSettings::Verify::required;
    Server server({}, settings);
    answer_with_subject(server);
    CHECK(Client::tls(server.port, {0, &known}).get("/")->body == "subject=CN=node 12");
    CHECK_FALSE(server.client().get("/"));
    CHECK_FALSE(Client::tls(server.port, {0, &stranger}).get("/"));
  }
}

TEST_CASE("bytes that are no TLS end their connection and nothing else") {
  Log log;
  HttpServerOptions options;
  options.on_event = [&](const std::string& text) { log.add(text); };
  Server server(options);
  Client good = server.client();
  Client bad = Client::tcp(server.port);
  REQUIRE(bad.send("\x16\x03\x01\xff\xff garbage that is no handshake, long enough to be looked at"));
  CHECK(log.wait_for("TLS handshake with 127.0.0.1 failed"));
  CHECK(good.get("/")->status == 200);
  CHECK(server.http->counters().handshake_failures == 1);
}

TEST_CASE("a client that forgets https is told so") {
  Server server;
  Client client = Client::tcp(server.port);
  REQUIRE(client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->status == 400);
  CHECK(answer->body == "This port speaks HTTPS only: use https://...\r\n");
}

TEST_CASE("a listener that can't be had is named with the way out") {
  Server server;
  Handler handler;
  HttpServerOptions options;
  options.tls_endpoints = {{"127.0.0.1", server.port}};
  HttpServer second(options, server.tls, handler);
  auto status = second.start();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().text.find("cannot listen on 127.0.0.1 port " + std::to_string(server.port)) == 0);
  CHECK(status.error().text.find("another program uses it") != std::string::npos);

  options.tls_endpoints = {{"localhost", 0}};
  HttpServer third(options, server.tls, handler);
  status = third.start();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().text == "cannot listen on \"localhost\": not an IP address");

  // The first endpoint is given back when the second fails.
  options.tls_endpoints = {{"127.0.0.1", 0}, {"192.0.2.1", 0}};
  HttpServer fourth(options, server.tls, handler);
  status = fourth.start();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().text.find("this machine does not have that address") != std::string::npos);
  CHECK(fourth.ports().empty());
}
