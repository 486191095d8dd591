// HttpClient: a small blocking HTTP/1.1 client, for confd_client over the local socket. One connection, kept
// alive between calls. Thread-safety: one thread at a time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "rpc/http_message.h"

namespace confd::rpc {

class HttpClient {
 public:
  // Error: Code::node_unreachable with the path and the reason.
  static base::Result<HttpClient> connect_local(const std::string& socket_path);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  // Sends and waits for the whole answer (gzip is not asked for). Without a deadline it waits as long as the
  // job runs. Errors: Code::node_unreachable (connection lost), Code::timeout.
  base::Result<HttpResponse> call(const HttpRequest& request,
                                  std::optional<std::chrono::milliseconds> deadline = std::nullopt);

 private:
  struct Connection;
  explicit HttpClient(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace confd::rpc
