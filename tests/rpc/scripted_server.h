// ScriptedServer: a TLS server that does what a test says with each connection, for answers that our own
// server would never give. Connections are served one after the other by one thread. Every read ends after
// kPatience.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "http_fixture.h"

namespace confd::rpc::test {

class ScriptedServer {
 public:
  class Peer {
   public:
    explicit Peer(SSL* ssl) : ssl_(ssl) {}
    // The head of a request, empty when the client has gone.
    std::string read_head();
    void write(const std::string& bytes);

   private:
    SSL* ssl_;
  };
  // `serve` is called for each connection, with its number from 1 on; the connection ends with it.
  ScriptedServer(const Identity& identity, std::function<void(Peer&, int)> serve);
  ~ScriptedServer();
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void run();
  const std::function<void(Peer&, int)> serve_;
  std::shared_ptr<TlsContext> tls_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// A TCP socket that listens; its connections are never answered but when a test says so.
class SilentPort {
 public:
  SilentPort();
  ~SilentPort();
  std::uint16_t port() const { return port_; }
  // Takes one connection, says this and ends it.
  void accept_and_send(const std::string& bytes);

 private:
  std::uint16_t port_ = 0;
  int descriptor_ = -1;
};

}  // namespace confd::rpc::test
