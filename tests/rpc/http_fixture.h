// What the tests of the HTTP server share: a server with a handler made of lambdas, a client that sends bytes
// as they are and reads answers, certificates made on the spot. Every wait ends after kPatience.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "rpc/http_server.h"
#include "rpc/tls_context.h"

namespace confd::rpc::test {

constexpr std::chrono::seconds kPatience{20};

struct Identity {
  std::string certificate;  // PEM
  std::string key;
};
// Self-signed, or signed by `issuer`.
Identity make_identity(const std::string& common_name, const Identity* issuer = nullptr);

// Waits until the condition holds; false when it still does not after kPatience.
bool eventually(const std::function<bool()>& condition);

class Handler final : public HttpHandler {
 public:
  // Defaults: any body up to 1 MiB; the answer is "METHOD target body".
  std::function<HeaderDecision(const HttpRequest&)> decide = [](const HttpRequest&) {
    HeaderDecision decision;
    decision.body_limit = 1 << 20;
    return decision;
  };
  std::function<void(HttpRequest, std::shared_ptr<void>, Responder)> respond =
      [](HttpRequest request, const std::shared_ptr<void>&, const Responder& responder) {
        HttpResponse response;
        response.body = request.method + " " + request.target + " " + request.body;
        responder.send(std::move(response));
      };
  // When set, on_header() hands its callback over instead of calling `decide`.
  std::function<void(std::function<void(HeaderDecision)>)> decide_later;

  void on_header(const HttpRequest& head, std::function<void(HeaderDecision)> done) override {
    if (decide_later) return decide_later(std::move(done));
    done(decide(head));
  }
  void on_request(HttpRequest request, std::shared_ptr<void> context, Responder responder) override {
    respond(std::move(request), std::move(context), std::move(responder));
  }
};

struct Answer {
  unsigned status = 0;
  std::string head;  // status line and fields as they came
  std::string body;
  // Value of a field, empty when absent.
  std::string field(const std::string& name) const;
};

class Client {
 public:
  enum class Kind { tls, local, tcp };
  struct Options {
    int tls_version = 0;                 // only this one; 0 = any
    const Identity* identity = nullptr;  // shown to the server
  };
  Client() = default;
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  static Client tls(std::uint16_t port) { return tls(port, Options()); }
  static Client tls(std::uint16_t port, const Options& options);
  static Client tcp(std::uint16_t port);
  static Client unconnected();
  bool connect(std::uint16_t port);
  static Client local(const std::string& path);

  bool connected() const { return connected_; }  // TLS: the handshake succeeded
  bool send(const std::string& bytes);
  // Sends GET for the target and reads the answer.
  std::optional<Answer> get(const std::string& target);
  // The next answer; nothing when the connection ended before it was whole. `head_only`: to a HEAD request.
  std::optional<Answer> receive(bool head_only = false);
  // Bytes until `mark` has come, or all until the end.
  std::string read_until(const std::string& mark);
  // True when the server ends the connection and has nothing more to say.
  bool ended();
  void close();
  std::string peer_common_name() const;
  const char* tls_version() const { return SSL_get_version(ssl_); }

 private:
  bool fill();  // more bytes to input_; false at the end
  int descriptor_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
  std::string input_;
};

// Starts in the constructor with one TLS endpoint and one local socket.
class Server {
 public:
  explicit Server(HttpServerOptions options = {}, TlsSettings settings = default_settings());
  ~Server();
  static TlsSettings default_settings();

  Client client() const { return Client::tls(port); }
  const std::string& folder() const { return folder_; }

  Handler handler;
  std::uint16_t port = 0;
  std::string local_socket;
  std::shared_ptr<TlsContext> tls;
  std::unique_ptr<HttpServer> http;

 private:
  std::string folder_;
};

// A list of events that tests wait for.
class Log {
 public:
  void add(const std::string& line) EXCLUDES(mutex_);
  bool wait_for(const std::string& part) EXCLUDES(mutex_);

 private:
  base::Mutex mutex_;
  std::vector<std::string> lines_ GUARDED_BY(mutex_);
};

}  // namespace confd::rpc::test
