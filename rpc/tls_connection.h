// TlsConnection: one outgoing TCP connection with TLS on it, for HttpsClient. The descriptor is non-blocking;
// whoever has to wait does it through CallWait, which ends at the deadline of the call or with its stop
// token. Thread-safety: one thread at a time; the stop token may be used from any.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "rpc/https_client.h"
#include "rpc/tls_identity.h"

namespace confd::rpc {

class CallWait {
 public:
  using Time = std::chrono::steady_clock::time_point;
  CallWait(Time deadline, std::stop_token stop);
  ~CallWait();
  CallWait(const CallWait&) = delete;
  CallWait& operator=(const CallWait&) = delete;

  // Until one of `events` holds for the descriptor; returns those that do. `at_most`: an earlier end. The
  // error (Code::timeout, Code::stopped, Code::io_error) says nothing of the other end.
  base::Result<short> wait(int descriptor, short events, std::optional<Time> at_most = std::nullopt);
  Time deadline() const { return deadline_; }
  const std::stop_token& stop() const { return stop_; }
  // ok while neither the deadline nor the stop has come.
  base::Status check() const;

 private:
  const Time deadline_;
  const std::stop_token stop_;
  int wake_ = -1;  // eventfd, readable once stopped
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

class TlsConnection {
 public:
  enum class Io { done, want_read, want_write, closed, failed };

  TlsConnection() = default;
  ~TlsConnection() { close(); }
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  // Connects and shakes hands. Errors: as HttpsClient::call, with host:port and what was tried.
  base::Status open(const HttpsClient::Target& target, const ClientTls& tls, CallWait& wait);
  bool is_open() const { return ssl_ != nullptr; }
  // The other end has closed it, or said something that nobody asked for.
  bool is_stale();
  void close();

  // At once; `bytes` says how many.
  Io read(char* to, std::size_t size, std::size_t& bytes);
  Io write(std::string_view from, std::size_t& bytes);
  // After closed or failed.
  const std::string& reason() const { return reason_; }
  // The other end ended TLS with an alert: what we sent was not taken.
  bool was_refused() const { return refused_; }
  int descriptor() const { return descriptor_; }
  // SHA-256 of the certificate last seen.
  const std::string& fingerprint() const { return fingerprint_; }
  // rpc/tls_binding.h; empty when not open.
  std::string binding() const;

 private:
  base::Status connect(const HttpsClient::Target& target, CallWait& wait);
  base::Status shake_hands(const HttpsClient::Target& target, const ClientTls& tls, CallWait& wait);
  Io failure(int result);

  int descriptor_ = -1;
  OpensslOwned<SSL> ssl_;
  std::string reason_;
  std::string fingerprint_;
  bool broken_ = false;  // a TLS error was fatal: no goodbye
  bool refused_ = false;
};

// "127.0.0.11:443", "[::1]:443".
std::string authority_of(const HttpsClient::Target& target);

}  // namespace confd::rpc
