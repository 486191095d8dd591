// HttpsClient against our own server, and against scripted ones for what our own never does.
#include <catch2/catch.hpp>

#include <atomic>
#include <future>
#include <thread>

#include "http_fixture.h"
#include "rpc/https_client.h"
#include "scripted_server.h"
#include "tests/support/test_certificates.h"

using namespace confd;
using namespace confd::rpc;
using namespace confd::rpc::test;
using base::Code;
using namespace std::chrono_literals;

namespace {

const Identity& authority() {
  static const Identity kAuthority = make_identity("authority");
  return kAuthority;
}
const Identity& server_identity() {
  static const Identity kServer = make_identity("server", &authority());
  return kServer;
}

TlsSettings server_settings() {
  TlsSettings settings;
  settings.certificate_chain_pem = server_identity().certificate;
  settings.private_key_pem = server_identity().key;
  settings.authorities_pem = authority().certificate;
  return settings;
}

ClientTlsSettings trusting(const std::string& authorities) {
  ClientTlsSettings settings;
  settings.authorities_pem = authorities;
  return settings;
}

HttpsClient client_for(std::uint16_t port, const ClientTlsSettings& settings) {
  auto tls = ClientTls::create(settings);
  REQUIRE(tls.ok());
  return HttpsClient(*tls, {"127.0.0.1", port, "", ""});
}
HttpsClient client_for(std::uint16_t port) {
  return client_for(port, trusting(authority().certificate));
}

HttpsClient::Limits patience(std::chrono::milliseconds time = kPatience) {
  HttpsClient::Limits limits;
  limits.deadline = std::chrono::steady_clock::now() + time;
  return limits;
}

HttpRequest request(const std::string& method, const std::string& target, const std::string& body = {}) {
  HttpRequest made;
  made.method = method;
  made.target = target;
  made.body = body;
  return made;
}

std::string field(const HttpResponse& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

// Answers nobody, keeps the responders.
struct Keeper {
  explicit Keeper(Server& server) {
    server.handler.respond = [this](const HttpRequest&, const std::shared_ptr<void>&, Responder responder) {
      base::MutexLock lock(mutex);
      kept.push_back(std::move(responder));
      ++count;
    };
  }
  base::Mutex mutex;
  std::vector<Responder> kept;
  std::atomic<int> count{0};
};

}  // namespace

TEST_CASE("an answer comes with status, headers and body, and the connection is kept") {
  Server server({}, server_settings());
  HttpsClient client = client_for(server.port);
  CHECK(client.server_fingerprint().empty());
  const auto first = client.call(request("POST", "/a?b=c", "hello"), patience());
  REQUIRE(first.ok());
  CHECK(first->status == 200);
  CHECK(first->body == "POST /a?b=c hello");
  CHECK(field(*first, "Content-Length") == "17");
  CHECK(client.call(request("GET", "/again"), patience())->body == "GET /again ");
  CHECK(server.http->counters().accepted == 1);
  CHECK(client.server_fingerprint().size() == 32 * 3 - 1);
  CHECK(client.server_fingerprint().find_first_not_of("0123456789ABCDEF:") == std::string::npos);
  CHECK(client.request_sent());
}

TEST_CASE("a body of megabytes goes and comes whole") {
  Server server({}, server_settings());
  server.handler.decide = [](const HttpRequest&) {
    HeaderDecision decision;
    decision.body_limit = 16u << 20;
    return decision;
  };
  HttpsClient client = client_for(server.port);
  std::string body(6u << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 1021) body[i] = static_cast<char>('a' + i % 26);
  const auto answer = client.call(request("POST", "/", body), patience());
  REQUIRE(answer.ok());
  CHECK(answer->body == "POST / " + body);
}

TEST_CASE("statuses that have no body, and HEAD, leave the connection in order") {
  Server server({}, server_settings());
  server.handler.respond = [](const HttpRequest& got, const std::shared_ptr<void>&, const Responder& to) {
    HttpResponse response;
    if (got.path() == "/204") response.status = 204;
    if (got.path() == "/304") response.status = 304;
    if (got.path() == "/500") response.status = 500;
    if (response.status != 204 && response.status != 304) response.body = "some text";
    to.send(response);
  };
  HttpsClient client = client_for(server.port);
  CHECK(client.call(request("GET", "/204"), patience())->status == 204);
  CHECK(client.call(request("GET", "/304"), patience())->status == 304);
  const auto head = client.call(request("HEAD", "/"), patience());
  REQUIRE(head.ok());
  CHECK(head->body.empty());
  CHECK(field(*head, "Content-Length") == "9");
  const auto failed = client.call(request("GET", "/500"), patience());
  REQUIRE(failed.ok());  // an answer, not an error
  CHECK(failed->status == 500);
  CHECK(failed->body == "some text");
  CHECK(server.http->counters().accepted == 1);
}

TEST_CASE("a server is believed only with the right authority and name") {
  using confd::test::make_certificate;
  const auto now = std::chrono::system_clock::now();
  const auto root = make_certificate({"root", true}, now);
  const auto cert = make_certificate({"n11", false, "DNS:n11.cluster,IP:127.0.0.1"}, now, &root);
  TlsSettings settings;
  settings.certificate_chain_pem = cert.text;
  settings.private_key_pem = confd::test::key_pem(cert.key);
  Server server({}, settings);
  const auto outcome = [&](const std::string& authorities, const std::string& name) {
    ClientTlsSettings mine = trusting(authorities);
    mine.server_name = name;
    HttpsClient client = client_for(server.port, mine);
    const auto answer = client.call(request("GET", "/"), patience());
    if (answer) return std::string("answered");
    CHECK(answer.error().code == Code::node_unreachable);
    CHECK_FALSE(client.request_sent());
    return answer.error().text;
  };
  const std::string where = "cannot reach 127.0.0.1:" + std::to_string(server.port) + ": ";
  CHECK(outcome(root.text, "") == "answered");
  CHECK(outcome(root.text, "n11.cluster") == "answered");
  CHECK(outcome(root.text, "127.0.0.1") == "answered");
  CHECK(outcome(make_identity("other").certificate + root.text, "") == "answered");
  CHECK(outcome(root.text, "n12.cluster") ==
        where + "the server's certificate does not carry the name n12.cluster");
  CHECK(outcome(root.text, "127.0.0.2") ==
        where + "the server's certificate does not carry the name 127.0.0.2");
  // The subject is no place for a name.
  CHECK(outcome(root.text, "n11") == where + "the server's certificate does not carry the name n11");
  CHECK(outcome(authority().certificate, "").find(where + "the server's certificate is refused: ") == 0);
  CHECK(server.http->counters().requests == 4);
}

TEST_CASE("the client shows its certificate when the server wants one") {
  TlsSettings settings = server_settings();
  settings.verify = TlsSettings::Verify::required;
  Server server({}, settings);
  server.handler.respond = [](const HttpRequest& got, const std::shared_ptr<void>&, const Responder& to) {
    HttpResponse response;
    response.body = got.client_subject;
    to.send(response);
  };
  ClientTlsSettings mine = trusting(authority().certificate);
  SECTION("a known one is taken") {
    const Identity own = make_identity("node 12", &authority());
    mine.certificate_chain_pem = own.certificate;
    mine.private_key_pem = own.key;
    CHECK(client_for(server.port, mine).call(request("GET", "/"), patience())->body == "CN=node 12");
  }
  SECTION("a stranger's is refused") {
    const Identity own = make_identity("stranger");
    mine.certificate_chain_pem = own.certificate;
    mine.private_key_pem = own.key;
    HttpsClient client = client_for(server.port, mine);
    const auto answer = client.call(request("GET", "/"), patience());
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == Code::node_unreachable);
    CHECK(server.http->counters().requests == 0);
  }
  SECTION("none is refused") {
    const auto answer = client_for(server.port, mine).call(request("GET", "/"), patience());
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == Code::node_unreachable);
    CHECK(server.http->counters().requests == 0);
  }
}

TEST_CASE("settings of TLS that can't work are refused by name") {
  const Identity one = make_identity("one");
  const Identity two = make_identity("two");
  const auto refusal = [](const ClientTlsSettings& settings) {
    const auto tls = ClientTls::create(settings);
    REQUIRE_FALSE(tls.ok());
    CHECK(tls.error().code == Code::bad_parameter);
    return tls.error().text;
  };
  CHECK(refusal({}).find("authorities: none given") == 0);
  CHECK(refusal(trusting("rubbish")).find("authorities: no certificate in it") == 0);
  CHECK(refusal({one.certificate, two.key, one.certificate, ""}) ==
        "private key: it does not belong to the certificate");
  CHECK(refusal({one.certificate, "", one.certificate, ""}).find("private key: unreadable") == 0);
  CHECK(refusal({"", one.key, one.certificate, ""}).find("certificate: no certificate") == 0);
}

TEST_CASE("a kept connection that the server closed is made anew") {
  HttpServerOptions options;
  options.idle_deadline = 1ms;
  Server server(options, server_settings());
  HttpsClient client = client_for(server.port);
  CHECK(client.call(request("GET", "/1"), patience())->status == 200);
  REQUIRE(eventually([&] { return server.http->counters().connections == 0; }));
  CHECK(client.call(request("GET", "/2"), patience())->body == "GET /2 ");
  CHECK(server.http->counters().accepted == 2);
}

TEST_CASE("a request is sent once more when a kept connection ends instead of an answer") {
  std::atomic<int> requests{0};
  // The first connection answers one request and swallows the next.
  ScriptedServer server(server_identity(), [&](ScriptedServer::Peer& peer, int connection) {
    if (peer.read_head().empty()) return;
    ++requests;
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (peer.read_head().empty()) return;
    ++requests;
    if (connection > 1) peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  SECTION("unless told otherwise") {
    HttpsClient client = client_for(server.port());
    REQUIRE(client.call(request("POST", "/", "1"), patience()).ok());
    CHECK(client.call(request("POST", "/", "2"), patience())->body == "ok");
    CHECK(requests == 3);
    CHECK(server.connections() == 2);
  }
  SECTION("and is not when it must not take effect twice") {
    HttpsClient client = client_for(server.port());
    HttpsClient::Limits limits = patience();
    limits.resend = false;
    REQUIRE(client.call(request("POST", "/", "1"), limits).ok());
    const auto lost = client.call(request("POST", "/", "2"), limits);
    REQUIRE_FALSE(lost.ok());
    CHECK(lost.error().code == Code::node_unreachable);
    CHECK(lost.error().text == "127.0.0.1:" + std::to_string(server.port()) +
                                   ": connection lost while waiting for the answer: closed by the server");
    CHECK(client.request_sent());
    CHECK(requests == 2);
  }
}

TEST_CASE("a new connection that ends without an answer is not tried again") {
  ScriptedServer server(server_identity(), [](ScriptedServer::Peer& peer, int) { peer.read_head(); });
  const auto lost = client_for(server.port()).call(request("GET", "/"), patience());
  REQUIRE_FALSE(lost.ok());
  CHECK(lost.error().code == Code::node_unreachable);
  CHECK(server.connections() == 1);
}

TEST_CASE("forms of answers that our own server does not give") {
  std::string bytes;
  ScriptedServer server(server_identity(), [&](ScriptedServer::Peer& peer, int) {
    if (!peer.read_head().empty()) peer.write(bytes);
  });
  const auto call = [&](std::string answer) {
    bytes = std::move(answer);
    return client_for(server.port()).call(request("GET", "/"), patience());
  };
  CHECK(call("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nT: "
             "v\r\n\r\n")
            ->body == "Wikipedia");
  CHECK(call("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")->body == "x");
  CHECK(call("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")->body == "until the end");
  CHECK(call("HTTP/1.0 200 OK\r\n\r\nold")->body == "old");
  CHECK(call("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").error().code == Code::node_unreachable);
  CHECK(call("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWi").error().code ==
        Code::node_unreachable);
  for (const std::string& wrong :
       {std::string("220 smtp.example ESMTP\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(20000, 'e'),
        "HTTP/1.1 200 OK\r\nA: " + std::string(100000, 'a')}) {
    INFO(wrong.substr(0, 80));
    const auto answer = call(wrong);
    REQUIRE_FALSE(answer.ok());
    INFO(answer.error().text);
    CHECK(answer.error().code == Code::io_error);
    CHECK(answer.error().text.find(": the answer is not HTTP (") != std::string::npos);
  }
}

TEST_CASE("bytes behind an answer end the connection, not the next call") {
  ScriptedServer server(server_identity(), [](ScriptedServer::Peer& peer, int) {
    while (!peer.read_head().empty())
      peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 500 Oh\r\n");
  });
  HttpsClient client = client_for(server.port());
  CHECK(client.call(request("GET", "/"), patience())->status == 200);
  CHECK(client.call(request("GET", "/"), patience())->status == 200);
  CHECK(server.connections() == 2);
}

TEST_CASE("an answer longer than the limit is refused") {
  Server server({}, server_settings());
  HttpsClient client = client_for(server.port);
  HttpsClient::Limits limits = patience();
  limits.answer_bytes = 100;
  const auto long_answer = client.call(request("POST", "/", std::string(94, 'x')), limits);
  REQUIRE_FALSE(long_answer.ok());
  CHECK(long_answer.error().code == Code::io_error);
  CHECK(long_answer.error().text.find("the answer to POST / is longer than 100 bytes") != std::string::npos);
  CHECK(client.call(request("POST", "/", std::string(93, 'x')), limits)->body.size() == 100);
}

TEST_CASE("the deadline ends every stage of a call") {
  const auto ended = [](HttpsClient client) {
    const auto answer = client.call(request("GET", "/"), patience(50ms));
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == Code::timeout);
    return answer.error().text;
  };
  SECTION("the TLS handshake") {
    SilentPort port;
    CHECK(ended(client_for(port.port())).find("(TLS handshake)") != std::string::npos);
  }
  SECTION("the wait for an answer") {
    Server server({}, server_settings());
    Keeper keeper(server);
    CHECK(ended(client_for(server.port)).find("(waiting for the answer)") != std::string::npos);
  }
  SECTION("sending") {
    Server server({}, server_settings());
    std::vector<std::function<void(HeaderDecision)>> undecided;
    server.handler.decide_later = [&](std::function<void(HeaderDecision)> decide) {
      undecided.push_back(std::move(decide));
    };
    HttpsClient client = client_for(server.port);
    const auto answer = client.call(request("POST", "/", std::string(64u << 20, 'x')), patience(300ms));
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == Code::timeout);
    CHECK(answer.error().text.find("(sending the request)") != std::string::npos);
  }
  SECTION("a call whose deadline has passed does not begin") {
    HttpsClient client = client_for(1);
    HttpsClient::Limits limits = patience(-1s);
    CHECK(client.call(request("GET", "/"), limits).error().code == Code::timeout);
  }
}

TEST_CASE("a stop token ends a waiting call") {
  std::stop_source stop;
  HttpsClient::Limits limits = patience();
  limits.stop = stop.get_token();
  SECTION("while it waits for the answer") {
    Server server({}, server_settings());
    Keeper keeper(server);
    HttpsClient client = client_for(server.port);
    auto answer = std::async(std::launch::async, [&] { return client.call(request("GET", "/"), limits); });
    REQUIRE(eventually([&] { return keeper.count == 1; }));
    stop.request_stop();
    REQUIRE(answer.wait_for(kPatience / 2) == std::future_status::ready);
    CHECK(answer.get().error().code == Code::stopped);
  }
  SECTION("before it began") {
    stop.request_stop();
    HttpsClient client = client_for(1);
    CHECK(client.call(request("GET", "/"), limits).error().code == Code::stopped);
  }
}

TEST_CASE("an upload goes out in pieces") {
  Server server({}, server_settings());
  HttpsClient client = client_for(server.port);
  std::vector<std::string> pieces{"", "third", std::string(20000, '2'), "first "};
  const auto more = [&]() -> base::Result<std::string> {
    std::string piece = pieces.back();
    pieces.pop_back();
    return piece;
  };
  const auto answer = client.upload(request("PUT", "/file"), more, patience());
  REQUIRE(answer.ok());
  CHECK(answer->body == "PUT /file first " + std::string(20000, '2') + "third");
  CHECK(client.call(request("GET", "/"), patience())->status == 200);
  CHECK(server.http->counters().accepted == 1);
}

TEST_CASE("an upload ends when its source fails, or when the server has answered already") {
  Server server({}, server_settings());
  SECTION("the source fails") {
    HttpsClient client = client_for(server.port);
    int piece = 0;
    const auto answer = client.upload(
        request("PUT", "/"),
        [&]() -> base::Result<std::string> {
          if (++piece == 1) return std::string("begun");
          return base::Error{Code::io_error, "disk gone"};
        },
        patience());
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().text == "disk gone");
    CHECK(client.call(request("GET", "/"), patience())->status == 200);
    CHECK(server.http->counters().requests == 2);
  }
  SECTION("the server refuses") {
    server.handler.decide = [](const HttpRequest&) {
      HeaderDecision decision;
      decision.answer = HttpResponse{};
      decision.answer->status = 403;
      decision.answer->body = "no";
      return decision;
    };
    HttpsClient client = client_for(server.port);
    std::size_t pieces = 0;
    const auto answer = client.upload(
        request("PUT", "/"),
        [&]() -> base::Result<std::string> {
          ++pieces;
          return std::string(64 * 1024, 'x');
        },
        patience());
    REQUIRE(answer.ok());
    CHECK(answer->status == 403);
    CHECK(answer->body == "no");
  }
}

TEST_CASE("a streamed answer goes to the callback as it comes") {
  std::promise<void> first_came;
  auto first = first_came.get_future();
  ScriptedServer server(server_identity(), [&](ScriptedServer::Peer& peer, int connection) {
    if (peer.read_head().empty()) return;
    if (connection > 1) return peer.write("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy");
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    first.wait_for(kPatience);
    peer.write("6\r\nsecond\r\n");
    peer.read_head();  // until the client ends it
  });
  HttpsClient client = client_for(server.port());
  std::string got;
  const auto each = [&](std::string_view bytes) {
    if (got.empty()) first_came.set_value();
    got += bytes;
    return got != "firstsecond";
  };
  const auto ended = client.stream(request("POST", "/watch"), each, patience());
  REQUIRE(ended.ok());
  CHECK(ended->status == 200);
  CHECK(ended->body.empty());
  CHECK(got == "firstsecond");

  const auto busy = client.stream(request("POST", "/watch"), each, patience());
  REQUIRE(busy.ok());
  CHECK(busy->status == 503);
  CHECK(busy->body == "busy");
  CHECK(got == "firstsecond");
}

TEST_CASE("a stream ends after silence, with the connection, or with the stop token") {
  std::promise<void> go;
  auto gone = go.get_future();
  const bool hang_up = GENERATE(true, false);
  ScriptedServer server(server_identity(), [&](ScriptedServer::Peer& peer, int) {
    if (peer.read_head().empty()) return;
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    if (!hang_up) peer.read_head();
  });
  HttpsClient client = client_for(server.port());
  if (hang_up) {
    const auto lost = client.stream(
        request("GET", "/"), [](std::string_view) { return true; }, patience());
    REQUIRE_FALSE(lost.ok());
    CHECK(lost.error().code == Code::node_unreachable);
    CHECK(lost.error().text.find("lost while reading the answer") != std::string::npos);
    return;
  }
  SECTION("silence") {
    HttpsClient::Limits limits = patience();
    limits.deadline = std::chrono::steady_clock::time_point::max();
    const auto silent = client.stream(
        request("GET", "/"), [](std::string_view) { return true; }, limits, 50ms);
    REQUIRE_FALSE(silent.ok());
    CHECK(silent.error().code == Code::timeout);
    CHECK(silent.error().text.find("not a byte came for 50 ms") != std::string::npos);
  }
  SECTION("stop") {
    std::stop_source stop;
    HttpsClient::Limits limits = patience();
    limits.stop = stop.get_token();
    const auto stopped = client.stream(
        request("GET", "/"),
        [&](std::string_view) {
          stop.request_stop();
          return true;
        },
        limits);
    REQUIRE_FALSE(stopped.ok());
    CHECK(stopped.error().code == Code::stopped);
  }
}

TEST_CASE("who can't be reached is named, with the reason") {
  std::uint16_t closed_port = 0;
  { closed_port = SilentPort().port(); }
  const std::string where = "127.0.0.1:" + std::to_string(closed_port);
  HttpsClient client = client_for(closed_port);
  const auto refused = client.call(request("GET", "/"), patience());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::node_unreachable);
  CHECK(refused.error().text == "cannot reach " + where + ": connect: Connection refused");
  CHECK_FALSE(client.request_sent());

  auto tls = ClientTls::create(trusting(authority().certificate));
  HttpsClient nowhere(*tls, {"no-such-host.invalid", 443, "", ""});
  const auto unknown = nowhere.call(request("GET", "/"), patience());
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().text.find("no-such-host.invalid:443") != std::string::npos);
}

TEST_CASE("a server without TLS is told apart") {
  std::uint16_t port = 0;
  SilentPort silent;
  port = silent.port();
  auto answer = std::async(std::launch::async, [&] {
    HttpsClient client = client_for(port);
    return client.call(request("GET", "/"), patience());
  });
  silent.accept_and_send("HTTP/1.1 400 Bad Request\r\n\r\n");
  const auto refused = answer.get();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::node_unreachable);
  CHECK(refused.error().text.find("the server does not speak TLS") != std::string::npos);
}

TEST_CASE("a call comes from the source address it is told") {
  Server server({}, server_settings());
  server.handler.respond = [](const HttpRequest& got, const std::shared_ptr<void>&, const Responder& to) {
    HttpResponse response;
    response.body = got.remote_address;
    to.send(response);
  };
  auto tls = ClientTls::create(trusting(authority().certificate));
  HttpsClient from_12(*tls, {"127.0.0.1", server.port, "127.0.0.12", ""});
  CHECK(from_12.call(request("GET", "/"), patience())->body == "127.0.0.12");
  HttpsClient from_elsewhere(*tls, {"127.0.0.1", server.port, "192.0.2.1", ""});
  const auto refused = from_elsewhere.call(request("GET", "/"), patience());
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().text.find("bind to source address 192.0.2.1: ") != std::string::npos);
}

TEST_CASE("both ends of a connection, and of no other, know its binding") {
  Server server({}, server_settings());
  server.handler.respond = [](const HttpRequest& got, const std::shared_ptr<void>&, const Responder& to) {
    HttpResponse response;
    response.body = got.channel_binding;
    to.send(response);
  };
  ClientTlsSettings anybody;
  anybody.any_server = true;
  HttpsClient client = client_for(server.port, anybody);
  CHECK(client.channel_binding().empty());
  REQUIRE(client.connect(patience()).ok());
  const std::string binding = client.channel_binding();
  CHECK(binding.size() == 32);
  CHECK(client.call(request("GET", "/"), patience())->body == binding);
  CHECK(client.channel_binding() == binding);

  HttpsClient other = client_for(server.port, anybody);
  const auto answer = other.call(request("GET", "/"), patience());
  REQUIRE(answer.ok());
  CHECK(answer->body.size() == 32);
  CHECK(answer->body != binding);

  // With TLS 1.2 there is none, so nothing can be proven by it.
  Client::Options old;
  old.tls_version = TLS1_2_VERSION;
  Client old_client = Client::tls(server.port, old);
  CHECK(old_client.get("/")->body.empty());
}

TEST_CASE("a name is looked up") {
  Server server({}, server_settings());
  auto tls = ClientTls::create(trusting(authority().certificate));
  HttpsClient client(*tls, {"localhost", server.port, "", ""});
  CHECK(client.call(request("GET", "/"), patience())->status == 200);
}

TEST_CASE("line breaks can't be smuggled into a request") {
  HttpsClient client = client_for(1);
  CHECK(client.call(request("GET", "/ HTTP/1.1\r\nX: y"), patience()).error().code == Code::bad_parameter);
  HttpRequest with_header = request("GET", "/");
  with_header.headers = {{"A", "b\r\nC: d"}};
  CHECK_FALSE(client.call(with_header, patience()).ok());
}
