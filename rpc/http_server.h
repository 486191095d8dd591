// HttpServer: HTTP/1.1 over TLS (TCP) and in clear over a local socket; keep-alive, pipelining, chunked
// requests, gzip answers, Server-Sent Events. It knows nothing of jobs.
//
// Order of one request: header read -> HttpHandler::on_header decides (limit of the body, or an answer right
// away) -> body read
// -> HttpHandler::on_request -> one answer. Answers may come from any thread, later; a connection that waits
// for its answer has no deadline (job_exec lasts minutes). Answers to pipelined requests keep their order.
//
// Threads: `threads` event loops of its own; each connection lives on one of them and its handler calls
// happen there, so a handler must not block. Limits and deadlines are Options. Every refusal is a status the
// client can read: 400, 408, 413, 431, 503.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rpc/http_message.h"
#include "rpc/tls_context.h"

namespace confd::rpc {

// The right to answer one request; copies share it. The first answer counts, later ones are dropped; so is
// one whose client has gone. Dropping the last copy without an answer sends 500. Thread-safety: any thread.
class Responder {
 public:
  class Exchange;
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  void send(HttpResponse response) const;

  // Starts a Server-Sent-Events answer (200, text/event-stream); chunks follow through the returned stream.
  // `on_closed` runs once, on the connection's loop, when the client goes or the server stops.
  std::shared_ptr<class EventStream> begin_events(std::function<void()> on_closed) const;

  // Runs once, on the connection's loop, if the client goes away before it has been answered.
  void on_disconnect(std::function<void()> callback) const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

// Thread-safety: any thread.
class EventStream {
 public:
  virtual ~EventStream() = default;
  // Sends one chunk. False when the client is gone or has more than 1 MiB unread (it is then cut off).
  virtual bool write(std::string chunk) = 0;
  virtual void close() = 0;
};

// What to do with a request whose header is known.
struct HeaderDecision {
  // Read a body of at most this many bytes, then call on_request. A longer one is refused with 413.
  std::uint64_t body_limit = 0;
  // Or answer now; a body of up to `drain_limit` bytes is read and dropped so that the connection can be
  // kept, else it is closed after the answer (with a lingering close, so that the client can still read it).
  std::optional<HttpResponse> answer;
  // Handed to on_request unchanged: who the caller is, found out once.
  std::shared_ptr<void> context;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Calls `decide` once, now or later, from any thread.
  virtual void on_header(const HttpRequest& head, std::function<void(HeaderDecision)> decide) = 0;
  virtual void on_request(HttpRequest request, std::shared_ptr<void> context, Responder responder) = 0;
};

struct HttpServerOptions {
  struct Endpoint {
    std::string address;     // "127.0.0.11", "::1"
    std::uint16_t port = 0;  // 0 = any free one, see HttpServer::ports()
  };
  std::vector<Endpoint> tls_endpoints;
  std::string local_socket;  // path, made with mode 0666 (the kernel says who calls); empty = none
  unsigned threads = 2;
  std::size_t header_limit = 8 * 1024;    // bytes, request line included; beyond it 431
  std::uint64_t drain_limit = 64 * 1024;  // bytes of body read and dropped after an early answer
  std::uint64_t buffered_limit = 256u
                                 << 20;  // bytes of bodies held at once over all connections; beyond it 503
  std::size_t connection_limit = 4096;   // beyond it a new connection is closed at once
  std::size_t connections_per_address = 3000;
  std::chrono::milliseconds handshake_deadline{std::chrono::seconds(10)};
  std::chrono::milliseconds header_deadline{
      std::chrono::seconds(15)};  // first byte of a request to last header
  std::chrono::milliseconds body_deadline{std::chrono::seconds(60)};    // without progress (1 KiB or the end)
  std::chrono::milliseconds write_deadline{std::chrono::seconds(60)};   // without progress
  std::chrono::milliseconds idle_deadline{std::chrono::seconds(1800)};  // between requests
  std::chrono::milliseconds linger_deadline{std::chrono::seconds(2)};  // for the client to read a last answer
  std::chrono::milliseconds heartbeat{std::chrono::seconds(15)};       // comment line in silent event streams
  std::size_t event_backlog = 1 << 20;  // bytes of events a client may leave unread; beyond it it is cut off
  std::size_t gzip_minimum = 1400;      // bytes; smaller answers are not worth it
  // Told in one line what an operator may want in the log: failed handshakes, descriptors running out,
  // connections over a limit. Called on a loop thread, so it must not block; may be empty.
  std::function<void(const std::string& text)> on_event;
};

struct HttpServerCounters {
  std::uint64_t connections = 0;  // open now
  std::uint64_t accepted = 0;     // since start
  std::uint64_t requests = 0;
  std::uint64_t direct_answers = 0;  // written by the thread that had them
  std::uint64_t buffered_bytes = 0;  // bodies held now
  std::uint64_t handshake_failures = 0;
  std::uint64_t refused_connections = 0;  // over a connection limit, or no descriptor left
};

class HttpServer {
 public:
  // `handler` outlives the server. `tls` may be null when there are no TLS endpoints.
  HttpServer(HttpServerOptions options, std::shared_ptr<TlsContext> tls, HttpHandler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Binds everything, then starts the loops. Error: the address, the reason and what to do. Nothing listens
  // after an error. The process ignores SIGPIPE from here on.
  base::Status start();
  // Stops accepting; connections that wait for an answer get it, idle ones are closed.
  void stop_accepting();
  // Ends all connections and joins the loops.
  void stop();

  // The ports bound, in the order of tls_endpoints.
  std::vector<std::uint16_t> ports() const;
  HttpServerCounters counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace confd::rpc
