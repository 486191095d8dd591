#include "scripted_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <utility>

namespace confd::rpc::test {

namespace {

int listen_somewhere(std::uint16_t& port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(descriptor, 16) == 0);
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return descriptor;
}

}  // namespace

std::string ScriptedServer::Peer::read_head() {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos) {
    char buffer[4096];
    const int got = SSL_read(ssl_, buffer, sizeof buffer);
    if (got <= 0) return {};
    head.append(buffer, static_cast<std::size_t>(got));
  }
  return head;
}

void ScriptedServer::Peer::write(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {  // one record at a time
    const int now = SSL_write(ssl_, bytes.data() + sent, static_cast<int>(bytes.size() - sent));
    if (now <= 0) return;
    sent += static_cast<std::size_t>(now);
  }
}

ScriptedServer::ScriptedServer(const Identity& identity, std::function<void(Peer&, int)> serve)
    : serve_(std::move(serve)) {
  TlsSettings settings;
  settings.certificate_chain_pem = identity.certificate;
  settings.private_key_pem = identity.key;
  auto context = TlsContext::create(settings);
  REQUIRE(context.ok());
  tls_ = *context;
  listener_ = listen_somewhere(port_);
  thread_ = std::thread([this] { run(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

void ScriptedServer::run() {
  while (!stopping_) {
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) continue;
    timeval patience{kPatience.count(), 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    SSL* ssl = SSL_new(tls_->current().get());
    SSL_set_fd(ssl, descriptor);
    if (SSL_accept(ssl) == 1) {
      Peer peer(ssl);
      serve_(peer, ++connections_);
      SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    ::close(descriptor);
  }
}

SilentPort::SilentPort() : descriptor_(listen_somewhere(port_)) {}

SilentPort::~SilentPort() {
  ::close(descriptor_);
}

void SilentPort::accept_and_send(const std::string& bytes) {
  const int descriptor = ::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC);
  ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  ::shutdown(descriptor, SHUT_WR);
  char scratch[4096];
  while (::recv(descriptor, scratch, sizeof scratch, 0) > 0) continue;
  ::close(descriptor);
}

}  // namespace confd::rpc::test
