#include "rpc/http_server.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/mutex.h"
#include "rpc/http_connection.h"
#include "rpc/http_listener.h"
#include "rpc/http_loop.h"
#include "rpc/http_server_state.h"

namespace confd::rpc {

namespace {

using std::chrono::milliseconds;

class LoopTask final : public EventLoop::Task {
 public:
  explicit LoopTask(std::function<void()> work) : work_(std::move(work)) {}
  void run_task() override { work_(); }

 private:
  std::function<void()> work_;
};

void post(HttpLoop& loop, std::function<void()> work) {
  loop.events.post(std::make_shared<LoopTask>(std::move(work)));
}

// Calls `visit` for every connection; it may close any of them.
template <class Visit>
void for_each_connection(HttpLoop& loop, Visit visit) {
  for (std::size_t i = loop.connections.size(); i-- > 0;) {
    if (i >= loop.connections.size()) continue;
    const std::shared_ptr<HttpConnection> connection = loop.connections[i];
    visit(*connection);
  }
}

// One sweep over a loop's connections serves all deadlines; a timer each would cost memory and a system call
// per request. Deadlines are kept to a quarter of the shortest.
milliseconds sweep_interval(const HttpServerOptions& options) {
  const milliseconds shortest =
      std::min({options.handshake_deadline, options.header_deadline, options.body_deadline,
                options.write_deadline, options.idle_deadline, options.linger_deadline, options.heartbeat});
  return std::clamp(shortest / 4, milliseconds(10), milliseconds(250));
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, std::shared_ptr<TlsContext> tls, HttpHandler& handler)
      : state_(std::make_shared<HttpServerState>(std::move(options), std::move(tls), handler)) {}

  base::Status start() {
    const HttpServerOptions& options = state_->options;
    if (!options.tls_endpoints.empty() && !state_->tls) {
      return base::Error{base::Code::internal, "cannot listen with TLS: no certificate was given"};
    }
    struct sigaction current {};
    if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) {
      ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL
    }
    std::vector<std::pair<int, bool>> bound;  // descriptor, local?
    base::Status failure;
    for (const HttpServerOptions::Endpoint& endpoint : options.tls_endpoints) {
      auto socket = bind_tcp(endpoint);
      if (!socket) {
        failure = socket.error();
        break;
      }
      bound.emplace_back(socket->descriptor, false);
      ports_.push_back(socket->port);
    }
    if (failure && !options.local_socket.empty()) {
      auto socket = bind_local(options.local_socket);
      if (socket) {
        bound.emplace_back(socket->descriptor, true);
        struct stat made {};
        if (::stat(options.local_socket.c_str(), &made) == 0) local_inode_ = made.st_ino;
      } else {
        failure = socket.error();
      }
    }
    if (!failure) {
      for (const auto& [descriptor, local] : bound) ::close(descriptor);
      ports_.clear();
      return failure;
    }
    run(bound);
    return {};
  }

  void stop_accepting() EXCLUDES(mutex_) {
    {
      base::MutexLock lock(mutex_);
      if (std::exchange(accepting_, false) == false) return;
    }
    state_->draining = true;
    for (const auto& listener : listeners_) listener->refuse_new();
    remove_local_socket();
    post(*loops_.front(), [listeners = listeners_] {
      for (const auto& listener : listeners) listener->close();
    });
    for (const auto& loop : loops_) {
      post(*loop, [loop] { for_each_connection(*loop, [](HttpConnection& one) { one.wind_down(); }); });
    }
  }

  void stop() EXCLUDES(mutex_) {
    stop_accepting();
    for (const auto& loop : loops_) {
      post(*loop, [loop] {
        loop->closing = true;
        loop->events.cancel_tick();
        for_each_connection(*loop, [](HttpConnection& one) { one.close(true); });
      });
    }
    for (const auto& loop : loops_) loop->events.finish();
    listeners_.clear();
    loops_.clear();
  }

  const std::vector<std::uint16_t>& ports() const { return ports_; }
  const HttpServerState& state() const { return *state_; }

 private:
  void run(const std::vector<std::pair<int, bool>>& bound) EXCLUDES(mutex_) {
    const unsigned threads = std::max(1u, state_->options.threads);
    for (unsigned i = 0; i < threads; ++i) loops_.push_back(std::make_shared<HttpLoop>());
    for (const auto& [descriptor, local] : bound) {
      listeners_.push_back(std::make_shared<HttpListener>(state_, loops_, descriptor, local));
    }
    const milliseconds interval = sweep_interval(state_->options);
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      HttpLoop& loop = *loops_[i];
      loop.events.set_tick(interval, [this, &loop, accepts = i == 0] {
        const auto now = std::chrono::steady_clock::now();
        for_each_connection(loop, [now](HttpConnection& one) { one.sweep(now); });
        if (!accepts) return;
        for (const auto& listener : listeners_) listener->tick();
      });
    }
    for (const auto& listener : listeners_) listener->start();
    for (std::size_t i = 0; i < loops_.size(); ++i) loops_[i]->events.start("http-" + std::to_string(i));
    base::MutexLock lock(mutex_);
    accepting_ = true;
  }

  // Only if it is still ours: another process may have put its own there.
  void remove_local_socket() {
    const std::string& path = state_->options.local_socket;
    struct stat there {};
    if (!path.empty() && ::stat(path.c_str(), &there) == 0 && there.st_ino == local_inode_) {
      ::unlink(path.c_str());
    }
  }

  const std::shared_ptr<HttpServerState> state_;
  std::vector<std::shared_ptr<HttpLoop>> loops_;
  std::vector<std::shared_ptr<HttpListener>> listeners_;
  std::vector<std::uint16_t> ports_;
  ino_t local_inode_ = 0;
  base::Mutex mutex_;
  bool accepting_ GUARDED_BY(mutex_) = false;
};

HttpServer::HttpServer(HttpServerOptions options, std::shared_ptr<TlsContext> tls, HttpHandler& handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(tls), handler)) {}

HttpServer::~HttpServer() {
  impl_->stop();
}

base::Status HttpServer::start() {
  return impl_->start();
}
void HttpServer::stop_accepting() {
  impl_->stop_accepting();
}
void HttpServer::stop() {
  impl_->stop();
}
std::vector<std::uint16_t> HttpServer::ports() const {
  return impl_->ports();
}

HttpServerCounters HttpServer::counters() const {
  const HttpServerState& state = impl_->state();
  HttpServerCounters counters;
  counters.connections = state.connections;
  counters.accepted = state.accepted;
  counters.requests = state.requests;
  counters.direct_answers = state.direct_answers;
  counters.buffered_bytes = state.buffered_bytes;
  counters.handshake_failures = state.handshake_failures;
  counters.refused_connections = state.refused_connections;
  return counters;
}

}  // namespace confd::rpc
