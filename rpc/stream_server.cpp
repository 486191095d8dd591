#include "rpc/stream_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <list>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "rpc/http_listener.h"
#include "rpc/stream_connection.h"
#include "rpc/stream_socket.h"

namespace confd::rpc {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Status;

namespace {

// When descriptors or memory run out: how long to accept nobody.
constexpr int kPauseMs = 250;

std::string text_of(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET)
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text, sizeof text);
  else
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, text, sizeof text);
  return text;
}

void raise(int wake) {
  const std::uint64_t one = 1;
  (void)!::write(wake, &one, sizeof one);
}

}  // namespace

class StreamServer::Impl {
 public:
  Impl(StreamServerOptions options, StreamHandler& handler)
      : options_(std::move(options)), handler_(handler) {}
  ~Impl() {
    stop();
    for (const int wake : {wakes_.stop, wakes_.drain})
      if (wake >= 0) ::close(wake);
  }

  Status start() {
    struct sigaction current {};
    if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
      ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
    wakes_ = {::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (wakes_.stop < 0 || wakes_.drain < 0)
      return Error{Code::io_error, "cannot listen: no descriptor left; raise the limit of open files"};
    for (const HttpServerOptions::Endpoint& endpoint : options_.endpoints) {
      const auto bound = bind_tcp(endpoint);
      if (!bound) {
        for (const int listening : std::exchange(listening_, {})) ::close(listening);
        ports_.clear();
        return bound.error();
      }
      listening_.push_back(bound->descriptor);
      ports_.push_back(bound->port);
    }
    acceptor_ = std::thread([this] { accept_all(); });
    return {};
  }

  void stop_accepting() {
    if (wakes_.drain < 0) return;
    drain_.request_stop();
    raise(wakes_.drain);
    if (acceptor_.joinable()) acceptor_.join();
  }

  void stop() EXCLUDES(mutex_) {
    stop_accepting();
    if (wakes_.stop >= 0) raise(wakes_.stop);
    stop_.request_stop();
    std::list<Client> all;
    {
      MutexLock lock(mutex_);
      all.swap(clients_);
    }
    for (Client& client : all)
      if (client.thread.joinable()) client.thread.join();
  }

  const std::vector<std::uint16_t>& ports() const { return ports_; }
  std::size_t connections() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    std::size_t open = 0;
    for (const Client& client : clients_) open += *client.ended ? 0 : 1;
    return open;
  }

 private:
  struct Client {
    std::string address;
    std::shared_ptr<std::atomic<bool>> ended = std::make_shared<std::atomic<bool>>(false);
    std::thread thread = {};
  };

  void accept_all() {
    std::vector<pollfd> watched;
    for (const int listening : listening_) watched.push_back({listening, POLLIN, 0});
    watched.push_back({wakes_.drain, POLLIN, 0});
    while (!drain_.stop_requested()) {
      if (::poll(watched.data(), watched.size(), 1000) < 0 && errno != EINTR) pause();
      join_ended();
      for (const int listening : listening_) accept_from(listening);
    }
    for (const int listening : std::exchange(listening_, {})) ::close(listening);
  }

  void pause() const {
    pollfd watched{wakes_.drain, POLLIN, 0};
    (void)::poll(&watched, 1, kPauseMs);
  }

  void join_ended() EXCLUDES(mutex_) {
    std::list<Client> ended;
    {
      MutexLock lock(mutex_);
      for (auto it = clients_.begin(); it != clients_.end();) {
        const auto next = std::next(it);
        if (*it->ended) ended.splice(ended.end(), clients_, it);
        it = next;
      }
    }
    for (Client& client : ended) client.thread.join();
  }

  void accept_from(int listening) {
    while (!drain_.stop_requested()) {
      sockaddr_storage storage{};
      socklen_t size = sizeof storage;
      const int descriptor =
          ::accept4(listening, reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          event("cannot accept connections: no descriptor left; raise the limit of open files");
          pause();
        }
        return;
      }
      serve(descriptor, text_of(storage));
    }
  }

  void serve(int descriptor, const std::string& address) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    std::size_t open = 0, same = 0;
    for (const Client& client : clients_) {
      if (*client.ended) continue;
      ++open;
      same += client.address == address ? 1 : 0;
    }
    const bool over = open >= options_.connection_limit || same >= options_.connections_per_address;
    if (!over) {
      Client& client = clients_.emplace_back(Client{address});
      try {
        client.thread = std::thread([this, descriptor, address, ended = client.ended] {
          {
            StreamSocket socket(descriptor, wakes_, options_.tls ? options_.tls->current() : nullptr);
            StreamConnection(options_, handler_, socket, address, stop_.get_token(), drain_.get_token())
                .run();
          }
          *ended = true;
        });
        return;
      } catch (const std::system_error&) {
        clients_.pop_back();
      }
    }
    lock.unlock();
    ::close(descriptor);
    event("connection from " + address +
          " refused: " + (over ? "limit of connections reached" : "no thread left for it"));
  }

  void event(const std::string& text) const {
    if (options_.on_event) options_.on_event(text);
  }

  const StreamServerOptions options_;
  StreamHandler& handler_;
  StreamWakes wakes_;
  std::stop_source stop_, drain_;
  std::vector<int> listening_;  // the acceptor's, once it runs
  std::vector<std::uint16_t> ports_;
  std::thread acceptor_;
  mutable base::Mutex mutex_;
  std::list<Client> clients_ GUARDED_BY(mutex_);
};

StreamServer::StreamServer(StreamServerOptions options, StreamHandler& handler)
    : impl_(std::make_unique<Impl>(std::move(options), handler)) {}
StreamServer::~StreamServer() = default;
Status StreamServer::start() {
  return impl_->start();
}
void StreamServer::stop_accepting() {
  impl_->stop_accepting();
}
void StreamServer::stop() {
  impl_->stop();
}
std::vector<std::uint16_t> StreamServer::ports() const {
  return impl_->ports();
}
std::size_t StreamServer::connections() const {
  return impl_->connections();
}

}  // namespace confd::rpc
