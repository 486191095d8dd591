// Limits and deadlines: every refusal is a status that the client can read, and others are served meanwhile.
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "http_fixture.h"

using namespace confd;
using namespace confd::rpc;
using namespace confd::rpc::test;
using std::chrono::milliseconds;

namespace {

// The answer to bytes that should be refused; the connection must end afterwards.
unsigned refusal_of(Client client, const std::string& bytes) {
  REQUIRE(client.send(bytes));
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK_FALSE(answer->body.empty());
  CHECK(answer->field("Connection") == "close");
  CHECK(client.ended());
  return answer->status;
}

}  // namespace

TEST_CASE("a header over the limit is refused with 431, whole or unfinished") {
  Server server;
  const std::string long_field = "X-Long: " + std::string(9000, 'x') + "\r\n";
  CHECK(refusal_of(server.client(), "GET / HTTP/1.1\r\nHost: t\r\n" + long_field + "\r\n") == 431);
  CHECK(refusal_of(server.client(), "GET / HTTP/1.1\r\nHost: t\r\n" + long_field) == 431);
  CHECK(refusal_of(server.client(), "GET /" + std::string(20000, 'x')) == 431);
  Client client = server.client();
  REQUIRE(client.send("GET / HTTP/1.1\r\nX-Long: " + std::string(8000, 'x') + "\r\n\r\n"));
  CHECK(client.receive()->status == 200);
}

// Found by tests/fuzz/http_fuzz.cpp: lines that came one by one escaped both checks.
TEST_CASE("a header that comes line by line is checked as a whole") {
  Server server;
  Client client = server.client();
  REQUIRE(client.send("GET / HTTP/1.1\r\n"));
  for (int i = 0; i < 1000; ++i) REQUIRE(client.send("X-Line: another\r\n"));
  CHECK(client.receive()->status == 431);
  Client folding = server.client();
  for (const std::string line : {"GET / HTTP/1.1\r\n", "X: a\r\n b\r\n", "Y: c\r\n", "\r\n"}) {
    REQUIRE(folding.send(line));
  }
  CHECK(folding.receive()->status == 400);
}

TEST_CASE("a body over the limit is refused with 413 and not held") {
  Server server;
  server.handler.decide = [](const HttpRequest&) {
    HeaderDecision decision;
    decision.body_limit = 1000;
    return decision;
  };
  SECTION("known from Content-Length") {
    Client client = server.client();
    REQUIRE(
        client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x')));
    CHECK(client.receive()->status == 413);
    CHECK(client.get("/still there")->status == 400);  // short enough to be dropped: the connection stands
  }
  SECTION("found out while the chunks come") {
    Client client = server.client();
    REQUIRE(client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"));
    const std::string chunk = "400\r\n" + std::string(1024, 'x') + "\r\n";
    for (int i = 0; i < 100; ++i) REQUIRE(client.send(chunk));
    CHECK(client.receive()->status == 413);
    CHECK(client.ended());
  }
  CHECK(server.http->counters().buffered_bytes == 0);
}

TEST_CASE("a gigabyte is refused from its header, and the answer is readable") {
  Server server;
  CHECK(refusal_of(server.client(), "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1073741824\r\n\r\n") ==
        413);
}

TEST_CASE("bodies of all connections together stay under the limit: 503 beyond") {
  HttpServerOptions options;
  options.buffered_limit = 100 * 1024;
  Server server(options);
  const std::string head = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 80000\r\n\r\n";
  Client first = server.client();
  REQUIRE(first.send(head + std::string(70000, 'x')));
  REQUIRE(eventually([&] { return server.http->counters().buffered_bytes == 70000; }));
  Client second = server.client();
  REQUIRE(second.send(head + std::string(80000, 'x')));
  CHECK(second.receive()->status == 503);
  REQUIRE(first.send(std::string(10000, 'x')));
  CHECK(first.receive()->status == 200);
  CHECK(eventually([&] { return server.http->counters().buffered_bytes == 0; }));
}

TEST_CASE("bytes that are no request are refused with 400") {
  Server server;
  for (const std::string bytes : {
           "nonsense\r\n\r\n",
           "GET  / HTTP/1.1\r\n\r\n",
           "GET / HTTP/2.0\r\n\r\n",
           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
           "GET / HTTP/1.1\nHost: t\n\n"
           "\r\n\r\n",
           "GET / HTTP/1.1\r\nHost t\r\n\r\n",
           "GET /\x01 HTTP/1.1\r\nHost: t\r\n\r\n",
           "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       }) {
    INFO(bytes);
    CHECK(refusal_of(server.client(), bytes) == 400);
  }
}

TEST_CASE("requests that two programs could read differently are refused") {
  Server server;
  const std::string start = "POST / HTTP/1.1\r\nHost: t\r\n";
  for (const std::string fields : {
           "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
           "Content-Length: 4\r\nContent-Length: 5\r\n",
           "Content-Length: 4\r\nContent-Length: 4\r\n",
           "Content-Length: 4, 5\r\n",
           "Content-Length: +4\r\n",
           "Content-Length: -4\r\n",
           "Content-Length: 0x4\r\n",
           "Content-Length: 4 4\r\n",
           "Content-Length: 99999999999999999999999\r\n",
           "Content-Length : 4\r\n",
           " Content-Length: 4\r\n",
           "X: a\r\n folded: b\r\n",
           "X: a\r\n\tfolded: b\r\n",
           "Host: second\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
       }) {
    INFO(fields);
    CHECK(refusal_of(server.client(), start + fields + "\r\n0\r\n\r\n") == 400);
  }
  CHECK(refusal_of(server.client(), start + std::string("X: a\0b\r\n\r\n", 11)) == 400);
  CHECK(refusal_of(server.client(), "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
  for (const std::string coding : {"gzip", "gzip, chunked", "chunked, identity", "xchunked", "chunked;q=1"}) {
    INFO(coding);
    CHECK(refusal_of(server.client(), start + "Transfer-Encoding: " + coding + "\r\n\r\n0\r\n\r\n") == 501);
  }
}

TEST_CASE("chunk headers and trailers that never end are refused") {
  Server server;
  const std::string start = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(refusal_of(server.client(), start + "5;" + std::string(40000, 'e')) == 400);
  CHECK(refusal_of(server.client(), start + "0\r\nX: " + std::string(40000, 'e')) == 400);
}

TEST_CASE("each deadline ends what is late, readable where a request has begun") {
  HttpServerOptions options;
  SECTION("handshake") {
    options.handshake_deadline = milliseconds(50);
    Server server(options);
    Client silent = Client::tcp(server.port);
    CHECK(silent.ended());
    CHECK(server.http->counters().handshake_failures == 1);
  }
  SECTION("header") {
    options.header_deadline = milliseconds(50);
    Server server(options);
    CHECK(refusal_of(server.client(), "GET / HTTP/1.1\r\nHost:") == 408);
  }
  SECTION("body") {
    options.body_deadline = milliseconds(50);
    Server server(options);
    CHECK(refusal_of(server.client(), "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345") == 408);
    CHECK(server.http->counters().buffered_bytes == 0);
  }
  SECTION("between requests") {
    options.idle_deadline = milliseconds(50);
    Server server(options);
    Client client = server.client();
    CHECK(client.get("/")->status == 200);
    CHECK(client.ended());
  }
  SECTION("the client does not read its answer") {
    options.write_deadline = milliseconds(50);
    Server server(options);
    server.handler.respond = [](const HttpRequest&, const std::shared_ptr<void>&,
                                const Responder& responder) {
      HttpResponse response;
      response.body.assign(64 << 20, 'x');
      responder.send(std::move(response));
    };
    Client client = server.client();
    REQUIRE(client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    CHECK(eventually([&] { return server.http->counters().accepted == 1; }));
    CHECK(eventually([&] { return server.http->counters().connections == 0; }));
  }
  SECTION("the client does not close after a last answer") {
    options.linger_deadline = milliseconds(50);
    Server server(options);
    Client client = server.client();
    REQUIRE(client.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
    CHECK(client.receive()->status == 200);
    CHECK(eventually([&] { return server.http->counters().connections == 0; }));
  }
}

TEST_CASE("a connection that waits for its answer has no deadline") {
  HttpServerOptions options;
  options.header_deadline = options.body_deadline = options.idle_deadline = options.write_deadline =
      milliseconds(40);
  Server server(options);
  base::Mutex mutex;
  std::optional<Responder> kept;
  server.handler.respond = [&](const HttpRequest& request, const std::shared_ptr<void>&,
                               const Responder& responder) {
    if (request.target == "/wait") {
      base::MutexLock lock(mutex);
      kept = responder;
    } else {
      responder.send({});
    }
  };
  Client waiting = server.client();
  REQUIRE(waiting.send("GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
  // Another connection sees its idle deadline pass three times meanwhile.
  for (int i = 0; i < 3; ++i) {
    Client idle = server.client();
    CHECK(idle.get("/")->status == 200);
    CHECK(idle.ended());
  }
  base::MutexLock lock(mutex);
  REQUIRE(kept);
  kept->send({});
  lock.unlock();
  CHECK(waiting.receive()->status == 200);
}

TEST_CASE("connections beyond a limit are closed at once, and those that stand are served") {
  HttpServerOptions options;
  SECTION("all together") {
    options.connection_limit = 2;
  }
  SECTION("of one address") {
    options.connections_per_address = 2;
  }
  Server server(options);
  Client first = server.client();
  Client second = server.client();
  REQUIRE(first.get("/")->status == 200);
  REQUIRE(second.get("/")->status == 200);
  CHECK_FALSE(server.client().connected());
  CHECK(server.http->counters().refused_connections == 1);
  CHECK(first.get("/")->status == 200);
  second.close();
  CHECK(eventually([&] { return server.http->counters().connections == 1; }));
  CHECK(server.client().get("/")->status == 200);
}

TEST_CASE("running out of descriptors refuses callers and heals by itself") {
  Log log;
  HttpServerOptions options;
  options.on_event = [&](const std::string& text) { log.add(text); };
  Server server(options);
  Client standing = server.client();
  REQUIRE(standing.get("/")->status == 200);
  Client caller = Client::unconnected();  // its own descriptor is taken before the limit falls
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int next_free = ::dup(0);
  ::close(next_free);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(next_free);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  const bool reached = caller.connect(server.port);
  const bool told = log.wait_for("cannot accept connections: Too many open files");
  const bool refused = caller.ended();
  const auto meanwhile = standing.get("/");
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(reached);
  CHECK(told);
  CHECK(refused);
  CHECK(meanwhile->status == 200);
  CHECK(server.client().get("/")->status == 200);
}
