// HttpsClient: a blocking HTTP/1.1 client over TLS, for the store (etcd) and for other nodes. One connection,
// made when it is first needed and kept alive; beside each other go as many calls as there are clients.
//
// Every call has a deadline and a stop token. A kept connection that the server had closed meanwhile is made
// anew once, only when not a byte of an answer had come. Bodies go out and come in pieces when asked, so that
// files and watches need no memory of their size. Thread-safety: one thread at a time; the TLS context may be
// shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "rpc/http_message.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace confd::rpc {

struct ClientTlsSettings {
  std::string certificate_chain_pem;  // shown to the server; may be empty
  std::string private_key_pem;
  std::string authorities_pem;  // the server's certificate must be signed by one of these
  std::string server_name;      // DNS name or IP address it must carry; empty: any, the authority suffices
  // Believes every server, with TLS 1.3 only: for a caller who proves and demands proof by channel_binding().
  // Then there are no authorities.
  bool any_server = false;
};

class ClientTls {
 public:
  // Error: which part is unreadable or does not match.
  static base::Result<std::shared_ptr<const ClientTls>> create(const ClientTlsSettings& settings);
  SSL_CTX* context() const { return context_.get(); }
  const std::string& server_name() const { return server_name_; }

 private:
  ClientTls(std::shared_ptr<SSL_CTX> context, std::string server_name)
      : context_(std::move(context)), server_name_(std::move(server_name)) {}
  std::shared_ptr<SSL_CTX> context_;
  std::string server_name_;
};

class HttpsClient {
 public:
  struct Target {
    std::string host;  // IP address, or a name to be resolved
    std::uint16_t port = 443;
    std::string source_address;    // local IP address to call from; empty: the system's choice
    std::string server_name = {};  // instead of ClientTls::server_name(): one context for many servers
  };
  struct Limits {
    std::chrono::steady_clock::time_point deadline;  // of the whole call
    std::stop_token stop = {};
    std::size_t answer_bytes = 64u << 20;  // a longer body is Code::io_error (not for streams)
    // Send once more when a kept connection ends without a byte of an answer. false: only what had not begun
    // to go out, for requests that must not take effect twice. Uploads are never sent twice.
    bool resend = true;
    // Earlier end for making the connection, so that time is left to ask somebody else.
    std::optional<std::chrono::steady_clock::time_point> connect_by = std::nullopt;
  };

  HttpsClient(std::shared_ptr<const ClientTls> tls, Target target);
  HttpsClient(HttpsClient&&) noexcept;
  HttpsClient& operator=(HttpsClient&&) noexcept;
  ~HttpsClient();

  // Sends method, target, headers and body, waits for the whole answer. Errors: Code::node_unreachable (no
  // connection, refused certificate, connection lost; the text says which), Code::timeout, Code::stopped,
  // Code::io_error (no HTTP). A status such as 500 is an answer, not an error.
  base::Result<HttpResponse> call(const HttpRequest& request, const Limits& limits);

  // The same with a body that `more` gives piece by piece (empty: the end), sent chunked.
  base::Result<HttpResponse> upload(const HttpRequest& request,
                                    const std::function<base::Result<std::string>()>& more,
                                    const Limits& limits);

  // The same with an answer whose body goes to `each` as it comes; `each` returns false to end the call (the
  // connection is closed then). The returned response has no body when its status is 200; other statuses are
  // returned with their body. `silence`: longest time without a byte, nullopt: none.
  base::Result<HttpResponse> stream(const HttpRequest& request,
                                    const std::function<bool(std::string_view)>& each, const Limits& limits,
                                    std::optional<std::chrono::milliseconds> silence = std::nullopt);

  // Makes the connection that the next call will use, if it is still there then. Errors as call().
  base::Status connect(const Limits& limits);
  // Of the connection as it is (rpc/tls_binding.h); empty without one.
  std::string channel_binding() const;

  // Whether any of the last call's request went out: after an error, whether the server may have acted on it.
  bool request_sent() const;

  // SHA-256 fingerprint of the server's certificate, "AB:CD:..."; empty before the first call.
  std::string server_fingerprint() const;

 private:
  struct Connection;
  std::shared_ptr<const ClientTls> tls_;
  Target target_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace confd::rpc
