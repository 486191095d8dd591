// HttpListener: one listening socket. Accepts on one loop and deals the connections out to all of them.
//
// Running out of descriptors must not turn into a busy loop: a spare one is given up to accept and close the
// caller, then accepting pauses until the next tick. Thread-safety: bind_*() and refuse_new() from any
// thread, the rest on the accepting loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rpc/http_event_loop.h"
#include "rpc/http_loop.h"
#include "rpc/http_server_state.h"

namespace confd::rpc {

struct BoundSocket {
  int descriptor = -1;
  std::uint16_t port = 0;
};

base::Result<BoundSocket> bind_tcp(const HttpServerOptions::Endpoint& endpoint);
// Mode 0666. A file left by a process that has gone is replaced; one somebody listens on is an error.
base::Result<BoundSocket> bind_local(const std::string& path);

class HttpListener final : public EventLoop::SocketEvents, public std::enable_shared_from_this<HttpListener> {
 public:
  HttpListener(std::shared_ptr<HttpServerState> server, std::vector<std::shared_ptr<HttpLoop>> loops,
               int descriptor, bool local);
  ~HttpListener() override;

  void start();
  void tick();  // goes on after a pause
  void close();
  void refuse_new();

  void on_readable() override;
  void on_writable() override {}

 private:
  bool accept_one();
  void deal_out(int descriptor, std::string address, std::optional<PeerCredentials> credentials);
  void out_of_descriptors();

  const std::shared_ptr<HttpServerState> server_;
  const std::vector<std::shared_ptr<HttpLoop>> loops_;  // the first one accepts
  const bool local_;
  const int listening_;
  EventLoop::Socket socket_;
  int spare_;
  std::size_t next_loop_ = 0;
  bool paused_ = false;
  bool closed_ = false;
};

}  // namespace confd::rpc
