// StreamServer over real sockets: bodies in both directions, limits, clients that break off.
#include "rpc/stream_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <thread>

#include "tests/support/eventually.h"

namespace confd::rpc {
namespace {

using base::Code;
using base::Result;

// Gives back what it gets; "/big": many bytes; "/short": fewer than it said; "/none": no answer at all.
class Echo : public StreamHandler {
 public:
  std::atomic<std::uint64_t> received{0};
  std::atomic<int> broken{0};
  std::promise<base::Code> last_error;

  void on_request(StreamExchange& exchange) override {
    const std::string path(exchange.request().path());
    if (path == "/big" || path == "/short") {
      HttpResponse head;
      (void)exchange.begin(head, 1 << 20).ok();
      const std::string piece(1 << 16, 'b');
      for (int i = 0; i < (path == "/big" ? 16 : 3); ++i)
        if (!exchange.write(piece)) ++broken;
      return;
    }
    if (path == "/none") return;
    if (path == "/refuse") return (void)exchange.send({507, {}, "full\n"}).ok();
    std::string body;
    for (;;) {
      auto piece = exchange.read(1000);
      if (!piece) {
        last_error.set_value(piece.error().code);
        return;
      }
      CHECK(piece->size() <= 1000);
      if (piece->empty()) break;
      received += piece->size();
      body += *piece;
    }
    HttpResponse response;
    response.body = body;
    (void)exchange.send(std::move(response)).ok();
  }
};

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    timeval patience{60, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Client() { ::close(socket_); }
  bool connected() const { return connected_; }
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void half_close() { ::shutdown(socket_, SHUT_WR); }
  // All until the server closes.
  std::string rest() {
    std::string all;
    char buffer[65536];
    for (;;) {
      const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
      if (got <= 0) return all;
      all.append(buffer, static_cast<std::size_t>(got));
    }
  }
  std::string ask(std::string_view request) {
    send(request);
    return rest();
  }

 private:
  const int socket_;
  bool connected_ = false;
};

struct Fixture {
  Echo echo;
  std::unique_ptr<StreamServer> server;
  explicit Fixture(StreamServerOptions options = {}) {
    options.endpoints = {{"127.0.0.1", 0}};
    server = std::make_unique<StreamServer>(std::move(options), echo);
    REQUIRE(server->start().ok());
  }
  std::uint16_t port() const { return server->ports().front(); }
};

std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? std::string() : answer.substr(end + 4);
}

TEST_CASE("streams: bodies with a length and in chunks") {
  Fixture fixture;
  CHECK(
      body_of(Client(fixture.port())
                  .ask("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")) ==
      "hello");
  CHECK(
      body_of(Client(fixture.port())
                  .ask("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")) == "hello");
  const std::string large(3'000'000, 'l');
  CHECK(body_of(Client(fixture.port())
                    .ask("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n" +
                         large)) == large);
}

TEST_CASE("streams: a connection serves one request after the other") {
  Fixture fixture;
  const std::string answers =
      Client(fixture.port())
          .ask(
              "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntwo"
              "\r\nPUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxxx"
              "HEAD /big HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HTTP/1.0\r\n\r\n");
  std::size_t found = 0;
  for (std::size_t at = answers.find("HTTP/1.1 "); at != std::string::npos;
       at = answers.find("HTTP/1.1 ", at + 1))
    ++found;
  CHECK(found == 5);
  CHECK(answers.find("\r\n\r\ntwoHTTP/1.1 507") != std::string::npos);
  CHECK(answers.find("Content-Length: 1048576\r\n\r\nHTTP/1.1 200") != std::string::npos);
}

TEST_CASE("streams: a client that waits for 100 gets it when its body is wanted, and only then") {
  Fixture fixture;
  Client patient(fixture.port());
  patient.send(
      "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  patient.send("ok");
  CHECK(patient.rest().find("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200") == 0);
  Client refused(fixture.port());
  const std::string answer = refused.ask(
      "PUT /refuse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000000000\r\n\r\n");
  CHECK(answer.find("HTTP/1.1 507") == 0);
  CHECK(answer.find("Connection: close") != std::string::npos);
}

TEST_CASE("streams: an upload that breaks off is an error for the handler") {
  for (const char* kind :
       {"Content-Length: 100\r\n\r\nonly this", "Transfer-Encoding: chunked\r\n\r\n64\r\nonly this",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    Fixture fixture;
    auto error = fixture.echo.last_error.get_future();
    Client client(fixture.port());
    client.send(std::string("PUT / HTTP/1.1\r\nHost: x\r\n") + kind);
    client.half_close();
    REQUIRE(error.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
    CHECK(error.get() == Code::io_error);
  }
}

TEST_CASE("streams: an answer that is not whole ends the connection, none is 500") {
  Fixture fixture;
  const std::string answer = Client(fixture.port()).ask("GET /short HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(answer.find("Content-Length: 1048576") != std::string::npos);
  CHECK(body_of(answer).size() == 3u << 16);
  CHECK(Client(fixture.port()).ask("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").find("HTTP/1.1 500") == 0);
}

TEST_CASE("streams: what is no request is refused") {
  Fixture fixture;
  CHECK(Client(fixture.port()).ask("nonsense\r\n\r\n").find("HTTP/1.1 400") == 0);
  CHECK(Client(fixture.port()).ask("GET / HTTP/1.1\r\nX: " + std::string(9000, 'x')).find("HTTP/1.1 431") ==
        0);
  CHECK(Client(fixture.port())
            .ask("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
            .find("HTTP/1.1 400") == 0);
  CHECK(Client(fixture.port())
            .ask("GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n")
            .find("HTTP/1.1 417") == 0);
}

TEST_CASE("streams: silence has its deadlines") {
  StreamServerOptions options;
  options.header_deadline = options.silence_deadline = options.idle_deadline = std::chrono::milliseconds(200);
  Fixture fixture(options);
  CHECK(Client(fixture.port()).ask("GET / HT").find("HTTP/1.1 408") == 0);
  CHECK(Client(fixture.port()).ask("").empty());
  auto error = fixture.echo.last_error.get_future();
  Client slow(fixture.port());
  slow.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  REQUIRE(error.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
  CHECK(error.get() == Code::timeout);
}

TEST_CASE("streams: connections over the limit are closed at once") {
  StreamServerOptions options;
  options.connections_per_address = 1;
  Fixture fixture(options);
  auto first = std::make_unique<Client>(fixture.port());
  first->send("GET ");
  REQUIRE(test::eventually([&] { return fixture.server->connections() == 1; }));
  CHECK(Client(fixture.port()).rest().empty());
  first.reset();
  REQUIRE(test::eventually([&] { return fixture.server->connections() == 0; }));
  CHECK(Client(fixture.port())
            .ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .find("HTTP/1.1 200") == 0);
}

TEST_CASE("streams: a server that stops ends who waits and who reads") {
  Fixture fixture;
  auto error = fixture.echo.last_error.get_future();
  Client idle(fixture.port()), sends(fixture.port());
  sends.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  REQUIRE(test::eventually([&] { return fixture.server->connections() == 2; }));
  fixture.server->stop_accepting();
  CHECK(idle.rest().empty());
  CHECK(!Client(fixture.port()).connected());
  CHECK(fixture.server->connections() >= 1);
  fixture.server->stop();
  REQUIRE(error.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
  CHECK(error.get() == Code::stopped);
  CHECK(fixture.server->connections() == 0);
}

}  // namespace
}  // namespace confd::rpc
