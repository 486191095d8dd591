// Server-Sent Events: chunks, heartbeat, the end from either side, clients that do not keep up.
#include <catch2/catch.hpp>
#include <thread>

#include "http_fixture.h"

using namespace confd;
using namespace confd::rpc;
using namespace confd::rpc::test;
using std::chrono::milliseconds;

namespace {

// Opens a stream for every request of /events and keeps the last one.
struct Streams {
  explicit Streams(Server& of) : server(of) {
    server.handler.respond = [this](const HttpRequest& request, const std::shared_ptr<void>&,
                                    const Responder& responder) {
      if (request.target != "/events") return responder.send({});
      auto opened = responder.begin_events([this] { log.add("closed"); });
      base::MutexLock lock(mutex);
      stream = std::move(opened);
    };
  }
  ~Streams() { server.http->stop(); }  // its loops still use this
  std::shared_ptr<EventStream> wait() {
    std::shared_ptr<EventStream> found;
    REQUIRE(eventually([&] {
      base::MutexLock lock(mutex);
      found = stream;
      return found != nullptr;
    }));
    return found;
  }
  Server& server;
  Log log;
  base::Mutex mutex;
  std::shared_ptr<EventStream> stream GUARDED_BY(mutex);
};

}  // namespace

TEST_CASE("events reach the client as they are written, then the connection is free again") {
  Server server;
  Streams streams(server);
  Client client = server.client();
  REQUIRE(client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n"));
  const auto head = client.receive();
  REQUIRE(head);
  CHECK(head->status == 200);
  CHECK(head->field("Content-Type") == "text/event-stream");
  CHECK(head->field("Transfer-Encoding") == "chunked");
  const auto stream = streams.wait();
  CHECK(stream->write("data: one\n\n"));
  CHECK(client.read_until("\n\n\r\n") == "b\r\ndata: one\n\n\r\n");
  std::thread other([&] { CHECK(stream->write("data: two\n\n")); });
  other.join();
  CHECK(client.read_until("\n\n\r\n") == "b\r\ndata: two\n\n\r\n");
  stream->close();
  CHECK(client.read_until("\r\n\r\n") == "0\r\n\r\n");
  CHECK_FALSE(stream->write("data: late\n\n"));
  CHECK(client.get("/next")->status == 200);
}

TEST_CASE("a silent stream carries a heartbeat") {
  HttpServerOptions options;
  options.heartbeat = milliseconds(20);
  options.write_deadline = options.idle_deadline = milliseconds(40);  // neither concerns an open stream
  Server server(options);
  Streams streams(server);
  Client client = server.client();
  REQUIRE(client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n"));
  REQUIRE(client.receive());
  for (int i = 0; i < 5; ++i) CHECK(client.read_until("\n\n\r\n") == "e\r\n: keep-alive\n\n\r\n");
}

TEST_CASE("HTTP/1.0 clients get events without chunks until the end of the connection") {
  Server server;
  Streams streams(server);
  Client client = Client::local(server.local_socket);
  REQUIRE(client.send("GET /events HTTP/1.0\r\n\r\n"));
  const auto head = client.receive();
  REQUIRE(head);
  CHECK(head->field("Transfer-Encoding").empty());
  CHECK(head->field("Connection") == "close");
  streams.wait()->write("data: one\n\n");
  CHECK(client.read_until("\n\n") == "data: one\n\n");
  streams.wait()->close();
  CHECK(client.ended());
}

TEST_CASE("the writer learns that the client has gone") {
  Server server;
  Streams streams(server);
  Client client = server.client();
  REQUIRE(client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n"));
  REQUIRE(client.receive());
  client.close();
  CHECK(streams.log.wait_for("closed"));
  CHECK_FALSE(streams.wait()->write("data: late\n\n"));
}

TEST_CASE("a client that leaves too much unread is cut off") {
  Log log;
  HttpServerOptions options;
  options.on_event = [&](const std::string& text) { log.add(text); };
  Server server(options);
  Streams streams(server);
  Client client = server.client();
  REQUIRE(client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n"));
  REQUIRE(client.receive());
  const auto stream = streams.wait();
  const std::string event = "data: " + std::string(60000, 'x') + "\n\n";
  bool open = true;
  for (int i = 0; i < 10000 && open; ++i) open = stream->write(event);
  CHECK_FALSE(open);
  CHECK(streams.log.wait_for("closed"));
  CHECK(log.wait_for("cut off"));
}

TEST_CASE("a client that keeps up is not cut off, however much it gets") {
  HttpServerOptions options;
  options.event_backlog = 200 * 1000;  // a few of the events below
  Server server(options);
  Streams streams(server);
  Client client = server.client();
  REQUIRE(client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n"));
  REQUIRE(client.receive());
  const auto stream = streams.wait();
  const std::string event = "data: " + std::string(50000, 'x') + "\n\n";
  for (int i = 0; i < 100; ++i) {
    REQUIRE(stream->write(event));
    REQUIRE(client.read_until("\n\n\r\n").size() > event.size());
  }
}

TEST_CASE("stopping the server closes streams and tells their writers") {
  Server server;
  Streams streams(server);
  Client client = server.client();
  REQUIRE(client.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n"));
  REQUIRE(client.receive());
  const auto stream = streams.wait();
  server.http->stop();
  CHECK(streams.log.wait_for("closed"));
  CHECK_FALSE(stream->write("data: late\n\n"));
}

TEST_CASE("a second stream for one request is closed from the start") {
  Server server;
  Log log;
  server.handler.respond = [&](const HttpRequest&, const std::shared_ptr<void>&, const Responder& responder) {
    responder.send({});
    const auto second = responder.begin_events([&] { log.add("closed"); });
    log.add(second->write("data: x\n\n") ? "written" : "refused");
  };
  Client client = server.client();
  CHECK(client.get("/")->status == 200);
  CHECK(log.wait_for("closed"));
  CHECK(log.wait_for("refused"));
}
