// HttpTransport: bytes to and from one connection, through TLS or in clear. Used by HttpConnection.
//
// OpenSSL works on the non-blocking descriptor itself: no buffer of ours lies between, and the library frees
// its own while the connection idles (docs/http.md gives the figures). Thread-safety: the connection's loop.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "rpc/http_event_loop.h"

namespace confd::rpc {

enum class IoStatus { done, want_read, want_write, closed, failed };

struct IoResult {
  IoStatus status = IoStatus::done;
  std::size_t bytes = 0;
};

class HttpTransport {
 public:
  HttpTransport(EventLoop::Socket socket, SSL_CTX* tls);  // `tls` null: in clear

  bool encrypted() const { return ssl_ != nullptr; }
  EventLoop::Socket& socket() { return socket_; }

  // Server side of the TLS handshake. failed: last_error() says why.
  IoResult handshake();
  IoResult read(char* to, std::size_t size);
  IoResult write(std::string_view from);
  // Bytes that were taken off the socket already: waiting for it would miss them.
  bool has_pending() const { return ssl_ && SSL_has_pending(ssl_.get()) != 0; }
  // Says goodbye and sends FIN; reading goes on with drain().
  void shut_down_sending();
  // Takes bytes off the socket and drops them.
  IoResult drain();
  void close();

  // Subject of the verified certificate of the client (RFC 2253 text), empty without one.
  std::string client_subject() const;
  // As HttpRequest::peer_uri; then there is no client_subject().
  std::string peer_uri() const;
  // As HttpRequest::channel_binding.
  std::string binding() const;
  // After a failed handshake: the client spoke HTTP without TLS.
  bool spoke_clear_http() const { return spoke_clear_http_; }
  const std::string& last_error() const { return last_error_; }

 private:
  struct SslFree {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  IoResult ssl_failure(int result);

  EventLoop::Socket socket_;
  std::unique_ptr<SSL, SslFree> ssl_;
  std::string last_error_;
  bool spoke_clear_http_ = false;
  bool broken_ = false;  // a TLS error was fatal: no goodbye
};

}  // namespace confd::rpc
