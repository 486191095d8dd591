// StreamServer: HTTP/1.1, in clear or over TLS, for bodies of any size: they are read and written piece by
// piece by the thread that works on the request, so that a slow client holds back its sender and nothing is
// held in memory. For files (daemon/archive_access); calls of jobs go through HttpServer.
//
// Threads: one that accepts, one for each connection, which may block: a transfer keeps a thread of its own
// busy anyway, with disk, checksum and other nodes. Limits: connections in all and for each address;
// deadlines for handshake, header, silence. Refusals before the handler are 400, 408, 417, 431, 501, as
// HttpServer's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rpc/http_message.h"
#include "rpc/http_server.h"
#include "rpc/tls_context.h"

namespace confd::rpc {

// One request and its answer. Thread-safety: the thread that on_request() runs on, and it only.
class StreamExchange {
 public:
  virtual ~StreamExchange() = default;
  // Without its body.
  virtual const HttpRequest& request() const = 0;
  // Of the body; nothing: it is chunked.
  virtual std::optional<std::uint64_t> content_length() const = 0;
  // At most `most` bytes of the body; empty: its end. A client that waits for "100 Continue" gets it with the
  // first call. Errors: Code::io_error (cut off before the end, or malformed), Code::timeout, Code::stopped.
  virtual base::Result<std::string> read(std::size_t most) = 0;

  // The whole answer. REQUIRES: nothing was answered yet. Content-Length may be set for HEAD: the body is not
  // sent then.
  virtual base::Status send(HttpResponse response) = 0;
  // Or its head, followed by write()s of `size` bytes in all. Fewer: the connection is cut, so that the
  // client sees that the answer is not whole.
  virtual base::Status begin(const HttpResponse& head, std::uint64_t size) = 0;
  virtual base::Status write(std::string_view bytes) = 0;

  // The server stops.
  virtual std::stop_token stop() const = 0;
};

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // May block. Called by many threads at once.
  virtual void on_request(StreamExchange& exchange) = 0;
};

struct StreamServerOptions {
  std::vector<HttpServerOptions::Endpoint> endpoints;
  std::shared_ptr<TlsContext> tls;  // null: in clear
  std::size_t header_limit = 8 * 1024;
  std::size_t connection_limit = 256;  // beyond it a new connection is closed at once
  std::size_t connections_per_address = 64;
  std::chrono::milliseconds handshake_deadline{std::chrono::seconds(10)};
  std::chrono::milliseconds header_deadline{std::chrono::seconds(15)};   // first byte to last header
  std::chrono::milliseconds silence_deadline{std::chrono::seconds(60)};  // in a body or an answer
  std::chrono::milliseconds idle_deadline{std::chrono::seconds(60)};     // between requests
  std::chrono::milliseconds linger_deadline{std::chrono::seconds(2)};
  // What an operator may want in the log, in one line; may be empty. Any thread.
  std::function<void(const std::string& text)> on_event;
};

class StreamServer {
 public:
  // `handler` outlives the server.
  StreamServer(StreamServerOptions options, StreamHandler& handler);
  ~StreamServer();  // as stop()
  StreamServer(const StreamServer&) = delete;
  StreamServer& operator=(const StreamServer&) = delete;

  // Binds everything, then accepts. Error: the address, the reason and what to do. Nothing listens after an
  // error.
  base::Status start();
  // Closes the listening sockets; idle connections end, the others after their answer.
  void stop_accepting();
  // Ends all connections and joins their threads.
  void stop();

  std::vector<std::uint16_t> ports() const;  // as the endpoints
  std::size_t connections() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace confd::rpc
