// Requests and answers as clients see them: keep-alive, pipelining, chunked bodies, gzip, answers from other
// threads, early answers, disconnects.
#include <zlib.h>

#include <catch2/catch.hpp>
#include <thread>

#include "http_fixture.h"
#include "rpc/gzip.h"

using namespace confd;
using namespace confd::rpc;
using namespace confd::rpc::test;

namespace {

std::string post(const std::string& target, const std::string& body, const std::string& fields = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: test\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string gunzip(const std::string& packed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string text(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

}  // namespace

TEST_CASE("a request is answered and the connection is kept") {
  Server server;
  Client client = server.client();
  REQUIRE(client.connected());
  for (int i = 0; i < 3; ++i) {
    REQUIRE(client.send(post("/RPC2", "hello")));
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == "POST /RPC2 hello");
    CHECK(answer->field("Server") == "confd");
    CHECK(answer->field("Date").find("GMT") != std::string::npos);
    CHECK(answer->field("Connection").empty());
  }
  CHECK(server.http->counters().accepted == 1);
  CHECK(server.http->counters().requests == 3);
}

TEST_CASE("a client that wants the connection closed gets it closed") {
  Server server;
  Client client = server.client();
  REQUIRE(client.send(post("/", "x", "Connection: close\r\n")));
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->field("Connection") == "close");
  CHECK(client.ended());
}

TEST_CASE("HTTP/1.0 clients are answered, and kept only when they ask for it") {
  Server server;
  Client client = server.client();
  REQUIRE(client.send("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"));
  auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->field("Connection") == "keep-alive");
  REQUIRE(client.send("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nb"));
  answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->body == "POST / b");
  CHECK(client.ended());
}

TEST_CASE("a request that arrives byte by byte is one request") {
  Server server;
  Client client = Client::local(server.local_socket);
  for (const char byte : post("/slow", "body")) REQUIRE(client.send(std::string(1, byte)));
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->body == "POST /slow body");
}

TEST_CASE("an empty line between requests is skipped, absolute targets lose their host") {
  Server server;
  Client client = server.client();
  REQUIRE(client.send(post("https://127.0.0.1:443/RPC2?a=1", "x") + "\r\n" + post("/b", "y")));
  CHECK(client.receive()->body == "POST /RPC2?a=1 x");
  CHECK(client.receive()->body == "POST /b y");
}

TEST_CASE("every method reaches the handler; HEAD gets no body") {
  Server server;
  Client client = server.client();
  for (const std::string method : {"GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"}) {
    REQUIRE(client.send(method + " /m HTTP/1.1\r\nHost: t\r\n\r\n"));
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->body == method + " /m ");
  }
  REQUIRE(client.send("HEAD /m HTTP/1.1\r\nHost: t\r\n\r\n"));
  const auto head = client.receive(true);
  REQUIRE(head);
  CHECK(head->field("Content-Length") == "8");
  CHECK(client.get("/after")->body == "GET /after ");
}

TEST_CASE("pipelined requests are answered in order, however late the answers come") {
  Server server;
  base::Mutex mutex;
  std::vector<std::pair<std::string, Responder>> waiting;
  server.handler.respond = [&](HttpRequest request, const std::shared_ptr<void>&, Responder responder) {
    base::MutexLock lock(mutex);
    waiting.emplace_back(request.target, std::move(responder));
  };
  Client client = server.client();
  REQUIRE(client.send(post("/1", "a") + post("/2", "b") + post("/3", "c")));
  for (const std::string target : {"/1", "/2", "/3"}) {
    std::optional<Responder> next;
    REQUIRE(eventually([&] {
      base::MutexLock lock(mutex);
      if (waiting.empty()) return false;
      REQUIRE(waiting.size() == 1);  // one at a time
      REQUIRE(waiting.front().first == target);
      next = waiting.front().second;
      waiting.clear();
      return true;
    }));
    HttpResponse response;
    response.body = "answer to " + target;
    next->send(response);
    CHECK(client.receive()->body == "answer to " + target);
  }
}

TEST_CASE("a deep pipeline is served whole") {
  Server server;
  Client client = server.client();
  constexpr int kRequests = 2000;
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) client.send(post("/" + std::to_string(i), "x"));
  });
  sender.join();
  for (int i = 0; i < kRequests; ++i) {
    const auto answer = client.receive();
    REQUIRE(answer);
    REQUIRE(answer->body == "POST /" + std::to_string(i) + " x");
  }
}

TEST_CASE("chunked bodies are put together; extensions and trailers change nothing") {
  Server server;
  std::size_t fields = 0;
  server.handler.respond = [&](const HttpRequest& request, const std::shared_ptr<void>&,
                               const Responder& responder) {
    fields = request.headers.size();
    HttpResponse response;
    response.body = request.body;
    responder.send(response);
  };
  Client client = server.client();
  REQUIRE(
      client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5;name=value\r\nhello\r\n"));
  REQUIRE(client.send("7\r\n, world\r\n0\r\nAuthorization: Basic x\r\n\r\n" + post("/", "next")));
  CHECK(client.receive()->body == "hello, world");
  CHECK(client.receive()->body == "next");
  CHECK(fields == 2);
}

TEST_CASE("large bodies and large answers pass unharmed") {
  Server server;
  server.handler.decide = [](const HttpRequest&) {
    HeaderDecision decision;
    decision.body_limit = 8 << 20;
    return decision;
  };
  Client client = server.client();
  std::string body(5 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23 + i / 4096 % 3);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(client.send(post("/big", body)));
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->body.size() == body.size() + 10);
    CHECK(answer->body.compare(10, std::string::npos, body) == 0);
  }
  CHECK(eventually([&] { return server.http->counters().buffered_bytes == 0; }));
}

TEST_CASE("gzip is used for answers that are large enough, when the client takes it") {
  Server server;
  const std::string text(5000, 'z');
  server.handler.respond = [&](const HttpRequest& request, const std::shared_ptr<void>&,
                               const Responder& responder) {
    HttpResponse response;
    response.body = request.target == "/small" ? std::string(100, 'z') : text;
    if (request.target == "/packed") response.headers.emplace_back("Content-Encoding", "br");
    responder.send(response);
  };
  Client client = server.client();
  for (int i = 0; i < 2; ++i) {  // the second one reuses the encoder
    REQUIRE(client.send("GET /large HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n"));
    const auto answer = client.receive();
    REQUIRE(answer);
    CHECK(answer->field("Content-Encoding") == "gzip");
    CHECK(answer->field("Vary") == "Accept-Encoding");
    CHECK(answer->body.size() < 200);
    CHECK(gunzip(answer->body) == text);
  }
  REQUIRE(client.send("GET /small HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n"));
  CHECK(client.receive()->field("Content-Encoding").empty());
  REQUIRE(client.send("GET /packed HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n"));
  CHECK(client.receive()->field("Content-Encoding") == "br");
  CHECK(client.get("/large")->body == text);
}

TEST_CASE("Accept-Encoding is read with its weights") {
  CHECK(accepts_gzip("gzip"));
  CHECK(accepts_gzip("deflate, GZIP;q=0.5"));
  CHECK(accepts_gzip("*"));
  CHECK_FALSE(accepts_gzip(""));
  CHECK_FALSE(accepts_gzip("identity"));
  CHECK_FALSE(accepts_gzip("gzip;q=0"));
  CHECK_FALSE(accepts_gzip("gzip;q=0.000, *"));
  CHECK_FALSE(accepts_gzip("*;q=0"));
}

TEST_CASE("an answer may come from another thread, later, once") {
  Server server;
  std::vector<std::thread> threads;
  server.handler.respond = [&](const HttpRequest& request, const std::shared_ptr<void>&,
                               Responder responder) {
    threads.emplace_back([responder = std::move(responder), target = request.target] {
      HttpResponse response;
      response.body = target;
      responder.send(response);
      response.body = "a second answer";
      responder.send(response);
    });
  };
  Client client = server.client();
  for (int i = 0; i < 20; ++i) CHECK(client.get("/" + std::to_string(i))->body == "/" + std::to_string(i));
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("the decision on a header may come from another thread, with a context for the request") {
  Server server;
  std::thread login;
  server.handler.decide_later = [&](std::function<void(HeaderDecision)> decide) {
    if (login.joinable()) login.join();
    login = std::thread([decide = std::move(decide)] {
      HeaderDecision decision;
      decision.body_limit = 100;
      decision.context = std::make_shared<std::string>("user 7");
      decide(decision);
    });
  };
  server.handler.respond = [](const HttpRequest& request, const std::shared_ptr<void>& context,
                              const Responder& responder) {
    HttpResponse response;
    response.body = request.body + " of " + *std::static_pointer_cast<std::string>(context);
    responder.send(response);
  };
  Client client = server.client();
  REQUIRE(client.send(post("/", "one") + post("/", "two")));
  CHECK(client.receive()->body == "one of user 7");
  CHECK(client.receive()->body == "two of user 7");
  login.join();
}

TEST_CASE("a request that nobody answers gets 500 instead of silence") {
  Server server;
  SECTION("the header is not decided on") {
    server.handler.decide_later = [](const std::function<void(HeaderDecision)>&) {};
  }
  SECTION("the request is lost") {
    server.handler.respond = [](const HttpRequest&, const std::shared_ptr<void>&, const Responder&) {};
  }
  Client client = server.client();
  CHECK(client.get("/lost")->status == 500);
  CHECK(client.get("/lost")->status == 500);
}

TEST_CASE("an exception of a handler is a 500 for its client alone") {
  Log log;
  HttpServerOptions options;
  options.on_event = [&](const std::string& text) { log.add(text); };
  Server server(options);
  server.handler.respond = [](const HttpRequest&, const std::shared_ptr<void>&, const Responder&) {
    throw std::runtime_error("broken route");
  };
  Client client = server.client();
  CHECK(client.get("/")->status == 500);
  CHECK(log.wait_for("broken route"));
}

TEST_CASE("after an early answer a short body is dropped and the connection kept") {
  Server server;
  server.handler.decide = [](const HttpRequest& request) {
    HeaderDecision decision;
    decision.body_limit = 1000;
    if (!request.header("Authorization")) {
      decision.answer.emplace();
      decision.answer->status = 401;
      decision.answer->headers.emplace_back("WWW-Authenticate", "Basic realm=\"ConfD\"");
    }
    return decision;
  };
  Client client = server.client();
  REQUIRE(client.send(post("/", std::string(3000, 'x'))));
  const auto refused = client.receive();
  REQUIRE(refused);
  CHECK(refused->status == 401);
  CHECK(refused->field("WWW-Authenticate") == "Basic realm=\"ConfD\"");
  CHECK(refused->field("Content-Length") == "0");
  REQUIRE(client.send(post("/", "second", "Authorization: Basic x\r\n")));
  CHECK(client.receive()->body == "POST / second");
}

TEST_CASE("an early answer is readable although the body is far too long to drop") {
  Server server;
  server.handler.decide = [](const HttpRequest&) {
    HeaderDecision decision;
    decision.answer.emplace();
    decision.answer->status = 401;
    return decision;
  };
  Client client = server.client();
  REQUIRE(client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000000\r\n\r\n"));
  REQUIRE(client.send(std::string(300 * 1024, 'x')));  // as a client that has not looked yet
  const auto answer = client.receive();
  REQUIRE(answer);
  CHECK(answer->status == 401);
  CHECK(answer->field("Connection") == "close");
  CHECK(client.ended());
}

TEST_CASE("Expect: 100-continue is answered when the body is wanted, and only then") {
  Server server;
  Client client = server.client();
  const std::string head = "POST /e HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: ";
  REQUIRE(client.send(head + "4\r\n\r\n"));
  CHECK(client.receive()->status == 100);
  REQUIRE(client.send("body"));
  CHECK(client.receive()->body == "POST /e body");
  REQUIRE(client.send(head + "10000000\r\n\r\n"));
  const auto refused = client.receive();
  REQUIRE(refused);
  CHECK(refused->status == 413);
  CHECK(refused->field("Connection") == "close");
  CHECK(client.ended());

  Client other = server.client();
  REQUIRE(other.send("POST /e HTTP/1.1\r\nHost: t\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n"));
  CHECK(other.receive()->status == 417);
}

TEST_CASE("the handler is told when the client goes before it was answered") {
  Server server;
  Log log;
  std::optional<Responder> kept;
  base::Mutex mutex;
  server.handler.respond = [&](const HttpRequest&, const std::shared_ptr<void>&, const Responder& responder) {
    responder.on_disconnect([&] { log.add("gone"); });
    base::MutexLock lock(mutex);
    kept = responder;
    log.add("asked");
  };
  Client client = server.client();
  REQUIRE(client.send(post("/", "x")));
  REQUIRE(log.wait_for("asked"));
  client.close();
  CHECK(log.wait_for("gone"));
  base::MutexLock lock(mutex);
  kept->send({});  // dropped quietly
  kept->on_disconnect([&] { log.add("told again"); });
  lock.unlock();
  CHECK(server.client().connected());
}

TEST_CASE("values of answer fields can't start a field of their own") {
  Server server;
  server.handler.respond = [](const HttpRequest&, const std::shared_ptr<void>&, const Responder& responder) {
    HttpResponse response;
    response.status = 302;
    response.headers.emplace_back("Location", "https://x/\r\nSet-Cookie: a=b");
    response.headers.emplace_back("Content-Length", "999");
    responder.send(response);
  };
  Client client = server.client();
  const auto answer = client.get("/");
  REQUIRE(answer);
  CHECK(answer->field("Set-Cookie").empty());
  CHECK(answer->field("Content-Length") == "0");
  CHECK(answer->field("Location") == "https://x/  Set-Cookie: a=b");
}

TEST_CASE("stop_accepting lets waiting requests finish, ends idle connections, refuses new ones") {
  Server server;
  Log log;
  base::Mutex mutex;
  std::optional<Responder> kept;
  server.handler.respond = [&](const HttpRequest&, const std::shared_ptr<void>&, const Responder& responder) {
    base::MutexLock lock(mutex);
    kept = responder;
    log.add("asked");
  };
  Client idle = server.client();
  REQUIRE(idle.connected());
  Client busy = server.client();
  REQUIRE(busy.send(post("/", "x")));
  REQUIRE(log.wait_for("asked"));
  server.http->stop_accepting();
  CHECK(idle.ended());
  CHECK_FALSE(Client::tcp(server.port).connected());
  CHECK_FALSE(Client::local(server.local_socket).connected());
  {
    base::MutexLock lock(mutex);
    kept->send({});
  }
  const auto answer = busy.receive();
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->field("Connection") == "close");
  CHECK(busy.ended());
}

TEST_CASE("stop ends everything and tells the handlers; late answers are harmless") {
  Server server;
  Log log;
  base::Mutex mutex;
  std::optional<Responder> kept;
  server.handler.respond = [&](const HttpRequest&, const std::shared_ptr<void>&, const Responder& responder) {
    responder.on_disconnect([&] { log.add("gone"); });
    base::MutexLock lock(mutex);
    kept = responder;
    log.add("asked");
  };
  Client client = server.client();
  REQUIRE(client.send(post("/", "x")));
  REQUIRE(log.wait_for("asked"));
  server.http->stop();
  CHECK(log.wait_for("gone"));
  CHECK(client.ended());
  base::MutexLock lock(mutex);
  kept->send({});
  kept.reset();
}
