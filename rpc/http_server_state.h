// What the connections of one HttpServer share: options, handler, counters, the number of connections of each
// address. Used inside the server only. Thread-safety: any thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/mutex.h"
#include "rpc/http_server.h"

namespace confd::rpc {

struct HttpServerState {
  HttpServerState(HttpServerOptions all, std::shared_ptr<TlsContext> context, HttpHandler& to)
      : options(std::move(all)), tls(std::move(context)), handler(to) {}

  const HttpServerOptions options;
  const std::shared_ptr<TlsContext> tls;
  HttpHandler& handler;

  std::atomic<bool> draining{false};  // stop_accepting() was called: answers end their connection
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> direct_answers{0};
  std::atomic<std::uint64_t> buffered_bytes{0};
  std::atomic<std::uint64_t> handshake_failures{0};
  std::atomic<std::uint64_t> refused_connections{0};

  void event(const std::string& text) const {
    if (options.on_event) options.on_event(text);
  }

  // False when the address has its share already. Each true is paid back with release_address().
  bool take_address(const std::string& address) EXCLUDES(mutex_) {
    base::MutexLock lock(mutex_);
    std::size_t& count = per_address_[address];
    if (count >= options.connections_per_address) return false;
    ++count;
    return true;
  }
  void release_address(const std::string& address) EXCLUDES(mutex_) {
    base::MutexLock lock(mutex_);
    const auto found = per_address_.find(address);
    if (found != per_address_.end() && --found->second == 0) per_address_.erase(found);
  }

 private:
  base::Mutex mutex_;
  std::unordered_map<std::string, std::size_t> per_address_ GUARDED_BY(mutex_);
};

}  // namespace confd::rpc
