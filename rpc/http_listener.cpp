#include "rpc/http_listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "rpc/http_connection.h"

namespace confd::rpc {

namespace {

using base::Code;
using base::Error;

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 64;

// Half-open connections are found within two minutes.
constexpr int kKeepaliveIdle = 60;
constexpr int kKeepaliveInterval = 15;
constexpr int kKeepaliveProbes = 4;

// Brings an accepted descriptor to the loop that shall serve it.
class Adoption final : public EventLoop::Task {
 public:
  Adoption(std::shared_ptr<HttpServerState> server, std::shared_ptr<HttpLoop> loop, int descriptor,
           bool local, HttpConnection::Client client)
      : server_(std::move(server)),
        loop_(std::move(loop)),
        descriptor_(descriptor),
        local_(local),
        client_(std::move(client)) {}
  ~Adoption() override {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    --server_->connections;
    if (!local_) server_->release_address(client_.address);
  }
  void run_task() override {
    if (loop_->closing || descriptor_ < 0) return;
    const std::shared_ptr<SSL_CTX> tls = local_ ? nullptr : server_->tls->current();
    HttpTransport transport(EventLoop::Socket(loop_->events, descriptor_), tls.get());
    descriptor_ = -1;
    std::make_shared<HttpConnection>(server_, loop_, std::move(transport), std::move(client_))->open();
  }

 private:
  const std::shared_ptr<HttpServerState> server_;
  const std::shared_ptr<HttpLoop> loop_;
  int descriptor_;
  const bool local_;
  HttpConnection::Client client_;
};

void set_option(int descriptor, int level, int option, int value) {
  (void)::setsockopt(descriptor, level, option, &value, sizeof value);
}

Error cannot_listen(const std::string& where, int reason) {
  std::string text = "cannot listen on " + where + ": " + std::strerror(reason);
  if (reason == EADDRINUSE) text += "; another program uses it: stop that one or choose another port";
  if (reason == EADDRNOTAVAIL) text += "; this machine does not have that address";
  if (reason == EACCES) text += "; ports below 1024 and protected folders need more rights";
  return {reason == EADDRINUSE ? Code::busy : Code::io_error, std::move(text)};
}

}  // namespace

base::Result<BoundSocket> bind_tcp(const HttpServerOptions::Endpoint& endpoint) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  auto& four = reinterpret_cast<sockaddr_in&>(storage);
  auto& six = reinterpret_cast<sockaddr_in6&>(storage);
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(endpoint.port);
    size = sizeof four;
  } else if (::inet_pton(AF_INET6, endpoint.address.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(endpoint.port);
    size = sizeof six;
  } else {
    return Error{Code::bad_parameter, "cannot listen on \"" + endpoint.address + "\": not an IP address"};
  }
  const std::string where = endpoint.address + " port " + std::to_string(endpoint.port);
  const int descriptor = ::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return cannot_listen(where, errno);
  set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  if (storage.ss_family == AF_INET6) set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  // Accepted sockets inherit these.
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdle);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveInterval);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      ::listen(descriptor, kBacklog) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    const int reason = errno;
    ::close(descriptor);
    return cannot_listen(where, reason);
  }
  return BoundSocket{descriptor, ntohs(storage.ss_family == AF_INET ? four.sin_port : six.sin6_port)};
}

base::Result<BoundSocket> bind_local(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{Code::bad_parameter, "cannot listen on " + path + ": the path is longer than " +
                                          std::to_string(sizeof address.sun_path - 1) +
                                          " characters; choose a shorter root folder"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  struct stat found {};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return Error{Code::exists,
                   "cannot listen on " + path + ": a file that is no socket is there; move it away"};
    }
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return cannot_listen(path, errno);
    const bool refused = ::connect(probe, generic, sizeof address) != 0 && errno == ECONNREFUSED;
    ::close(probe);
    if (!refused) return cannot_listen(path, EADDRINUSE);
    ::unlink(path.c_str());
  }
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return cannot_listen(path, errno);
  if (::bind(descriptor, generic, sizeof address) != 0 || ::chmod(path.c_str(), 0666) != 0 ||
      ::listen(descriptor, kBacklog) != 0) {
    const int reason = errno;
    ::close(descriptor);
    return cannot_listen(path, reason);
  }
  return BoundSocket{descriptor, 0};
}

HttpListener::HttpListener(std::shared_ptr<HttpServerState> server,
                           std::vector<std::shared_ptr<HttpLoop>> loops, int descriptor, bool local)
    : server_(std::move(server)),
      loops_(std::move(loops)),
      local_(local),
      listening_(descriptor),
      socket_(loops_.front()->events, descriptor),
      spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {}

HttpListener::~HttpListener() {
  if (spare_ >= 0) ::close(spare_);
}

void HttpListener::start() {
  socket_.wait_readable(shared_from_this());
}

void HttpListener::tick() {
  if (!closed_ && std::exchange(paused_, false)) start();
}

void HttpListener::close() {
  closed_ = true;
  socket_.close();
}

void HttpListener::refuse_new() {
  ::shutdown(listening_, SHUT_RDWR);
}

void HttpListener::on_readable() {
  if (closed_ || server_->draining) return;
  for (int turn = 0; turn < kAcceptsPerTurn; ++turn) {
    if (!accept_one()) break;
  }
  if (!paused_ && !closed_) start();
}

bool HttpListener::accept_one() {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  const int descriptor =
      ::accept4(listening_, reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) {
    if (errno == EINTR || errno == ECONNABORTED) return true;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) out_of_descriptors();
    if (errno == EINVAL) paused_ = true;  // refuse_new() came between; close() follows
    return false;
  }
  if (local_) {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
      ::close(descriptor);
      return true;
    }
    deal_out(descriptor, "local", PeerCredentials{credentials.uid, credentials.gid, credentials.pid});
    return true;
  }
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(storage).sin_addr, text, sizeof text);
  } else {
    ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(storage).sin6_addr, text, sizeof text);
  }
  deal_out(descriptor, text, std::nullopt);
  return true;
}

void HttpListener::deal_out(int descriptor, std::string address, std::optional<PeerCredentials> credentials) {
  if (server_->connections.load() >= server_->options.connection_limit ||
      (!local_ && !server_->take_address(address))) {
    ++server_->refused_connections;
    server_->event("connection from " + address + " refused: limit of connections reached");
    ::close(descriptor);
    return;
  }
  ++server_->connections;
  ++server_->accepted;
  const std::shared_ptr<HttpLoop>& loop = loops_[next_loop_++ % loops_.size()];
  auto adoption = std::make_shared<Adoption>(server_, loop, descriptor, local_,
                                             HttpConnection::Client{std::move(address), credentials});
  if (loop->events.on_loop_thread()) {
    adoption->run_task();
  } else {
    loop->events.post(std::move(adoption));
  }
}

void HttpListener::out_of_descriptors() {
  paused_ = true;  // tick() goes on
  ++server_->refused_connections;
  server_->event(std::string("cannot accept connections: ") + std::strerror(errno) +
                 "; raise the limit of open files");
  if (spare_ < 0) return;
  ::close(spare_);
  const int caller = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
  if (caller >= 0) ::close(caller);  // better told than left waiting
  spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace confd::rpc
