// The local socket: who calls is what the kernel says; HttpClient speaks to it.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "http_fixture.h"
#include "rpc/http_client.h"

using namespace confd;
using namespace confd::rpc;
using namespace confd::rpc::test;

TEST_CASE("the caller on the local socket is the one the kernel reports") {
  Server server;
  std::optional<PeerCredentials> peer;
  std::string address;
  server.handler.respond = [&](const HttpRequest& request, const std::shared_ptr<void>&,
                               const Responder& responder) {
    peer = request.peer;
    address = request.remote_address;
    responder.send({});
  };
  REQUIRE(Client::local(server.local_socket).get("/")->status == 200);
  REQUIRE(peer);
  CHECK(peer->uid == ::getuid());
  CHECK(peer->gid == ::getgid());
  CHECK(peer->pid == ::getpid());
  CHECK(address == "local");
  REQUIRE(server.client().get("/")->status == 200);
  CHECK_FALSE(peer);
  CHECK(address == "127.0.0.1");
}

TEST_CASE("everybody may connect to the local socket, and it goes with the server") {
  Server server;
  struct stat found {};
  REQUIRE(::stat(server.local_socket.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0666);
  server.http->stop();
  CHECK(::stat(server.local_socket.c_str(), &found) != 0);
}

TEST_CASE("a stale socket is replaced, one in use and a plain file are not") {
  Server server;
  Handler handler;
  HttpServerOptions options;
  options.local_socket = server.local_socket;
  {
    HttpServer second(options, nullptr, handler);
    const auto status = second.start();
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().text.find(server.local_socket) != std::string::npos);
    CHECK(status.error().text.find("another program uses it") != std::string::npos);
  }
  CHECK(Client::local(server.local_socket).get("/")->status == 200);

  const std::string kept = server.folder() + "/kept.sock";
  REQUIRE(::link(server.local_socket.c_str(), kept.c_str()) == 0);
  server.http->stop();
  options.local_socket = kept;  // a socket file whose listener has gone
  {
    HttpServer second(options, nullptr, handler);
    REQUIRE(second.start().ok());
    CHECK(Client::local(kept).get("/")->status == 200);
  }

  options.local_socket = server.folder() + "/plain";
  std::ofstream(options.local_socket) << "precious";
  HttpServer third(options, nullptr, handler);
  const auto status = third.start();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().text.find("a file that is no socket is there") != std::string::npos);
  std::string content;
  std::ifstream(options.local_socket) >> content;
  CHECK(content == "precious");
}

TEST_CASE("HttpClient calls over the local socket and keeps its connection") {
  Server server;
  auto client = HttpClient::connect_local(server.local_socket);
  REQUIRE(client.ok());
  HttpRequest request;
  request.method = "POST";
  request.target = "/RPC2";
  for (const std::size_t size : {0u, 5u, 700000u}) {
    request.body.assign(size, 'b');
    const auto answer = client->call(request, kPatience);
    REQUIRE(answer.ok());
    CHECK(answer->status == 200);
    CHECK(answer->body == "POST /RPC2 " + request.body);
  }
  CHECK(server.http->counters().accepted == 1);
  request.method = "HEAD";
  request.body.clear();
  const auto head = client->call(request, kPatience);
  REQUIRE(head.ok());
  CHECK(head->body.empty());
}

TEST_CASE("HttpClient reads early refusals and connects again after them") {
  Server server;
  server.handler.decide = [](const HttpRequest& request) {
    HeaderDecision decision;
    decision.body_limit = 1000;
    if (request.target == "/forbidden") {
      decision.answer.emplace();
      decision.answer->status = 403;
    }
    return decision;
  };
  auto client = HttpClient::connect_local(server.local_socket);
  REQUIRE(client.ok());
  HttpRequest request;
  request.method = "POST";
  request.target = "/";
  request.body.assign(3 << 20, 'b');
  auto answer = client->call(request, kPatience);
  REQUIRE(answer.ok());
  CHECK(answer->status == 413);
  request.target = "/forbidden";
  request.body = "x";
  answer = client->call(request, kPatience);
  REQUIRE(answer.ok());
  CHECK(answer->status == 403);
}

TEST_CASE("HttpClient tells apart: nobody there, no answer in time, connection lost") {
  const auto nobody = HttpClient::connect_local("/nonexistent/confd.sock");
  REQUIRE_FALSE(nobody.ok());
  CHECK(nobody.error().code == base::Code::node_unreachable);
  CHECK(nobody.error().text.find("/nonexistent/confd.sock") != std::string::npos);
  CHECK(nobody.error().text.find("is confd running on this node?") != std::string::npos);

  Server server;
  base::Mutex mutex;
  std::optional<Responder> kept;
  server.handler.respond = [&](const HttpRequest& request, const std::shared_ptr<void>&,
                               const Responder& responder) {
    if (request.target == "/silence") {
      base::MutexLock lock(mutex);
      kept = responder;
    } else {
      HttpResponse response;
      response.close = true;
      responder.send(response);
    }
  };
  auto client = HttpClient::connect_local(server.local_socket);
  REQUIRE(client.ok());
  HttpRequest request;
  request.method = "GET";
  request.target = "/silence";
  const auto late = client->call(request, std::chrono::milliseconds(20));
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == base::Code::timeout);

  request.target = "/";
  CHECK(client->call(request, kPatience).ok());  // connects again
  server.http->stop();
  const auto gone = client->call(request, kPatience);
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().code == base::Code::node_unreachable);
  base::MutexLock lock(mutex);
  kept.reset();
}
