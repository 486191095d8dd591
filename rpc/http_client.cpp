#include "rpc/http_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "base/text.h"

namespace confd::rpc {

namespace {

namespace http = boost::beast::http;
using base::Code;
using base::Error;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kHeaderLimit = 64 * 1024;

Error lost(const std::string& path, const std::string& reason) {
  return {Code::node_unreachable, "connection to confd at " + path + " lost: " + reason};
}

}  // namespace

struct HttpClient::Connection {
  explicit Connection(std::string socket_path) : path(std::move(socket_path)) {}
  ~Connection() { disconnect(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void disconnect() {
    if (descriptor >= 0) ::close(descriptor);
    descriptor = -1;
    input.clear();
  }

  base::Status connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
      return Error{Code::node_unreachable,
                   "cannot reach confd at " + path + ": the path is too long for a socket"};
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 ||
        ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const int reason = errno;
      disconnect();
      std::string text = "cannot reach confd at " + path + ": " + std::strerror(reason);
      if (reason == ENOENT || reason == ECONNREFUSED) text += "; is confd running on this node?";
      return Error{Code::node_unreachable, std::move(text)};
    }
    return {};
  }

  base::Status wait(short events, std::optional<Clock::time_point> until) {
    while (true) {
      int timeout = -1;
      if (until) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(*until - Clock::now()).count();
        if (left <= 0) return Error{Code::timeout, "no answer from confd at " + path + " in time"};
        timeout = static_cast<int>(std::min<long>(left + 1, std::numeric_limits<int>::max()));
      }
      pollfd watched{descriptor, events, 0};
      const int ready = ::poll(&watched, 1, timeout);
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return lost(path, std::strerror(errno));
    }
  }

  base::Status send_all(std::string_view bytes, std::optional<Clock::time_point> until) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (sent < 0 && errno == EAGAIN) {
        if (auto status = wait(POLLOUT, until); !status) return status;
      } else if (sent < 0 && errno != EINTR) {
        return lost(path, std::strerror(errno));
      }
    }
    return {};
  }

  // Whether the connection kept from the last call was closed by the server meanwhile (restart, idle).
  bool stale() const {
    char byte = 0;
    const ssize_t result = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return result == 0 || (result < 0 && errno != EAGAIN && errno != EINTR);
  }

  base::Result<HttpResponse> receive(bool head_only, std::optional<Clock::time_point> until) {
    http::response_parser<http::string_body> parser;
    parser.header_limit(kHeaderLimit);
    parser.body_limit(boost::none);
    parser.eager(true);
    parser.skip(head_only);
    while (!parser.is_done()) {
      boost::system::error_code error;
      if (!input.empty()) {
        const std::size_t used = parser.put(boost::asio::const_buffer(input.data(), input.size()), error);
        input.erase(0, used);
        if (error && error != http::error::need_more)
          return lost(path, "bad answer (" + error.message() + ")");
        if (parser.is_done()) break;
        if (!error && used > 0 && !input.empty()) continue;
      }
      if (auto status = wait(POLLIN, until); !status) return status.error();
      char buffer[64 * 1024];
      const ssize_t got = ::recv(descriptor, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got > 0) {
        input.append(buffer, static_cast<std::size_t>(got));
      } else if (got == 0) {
        const bool nothing = !parser.got_some();  // for put_eof() that would be a complete, empty message
        parser.put_eof(error);
        if (error || nothing || !parser.is_done()) return lost(path, "closed before the answer was complete");
      } else if (errno != EAGAIN && errno != EINTR) {
        return lost(path, std::strerror(errno));
      }
    }
    HttpResponse response;
    response.status = parser.get().result_int();
    for (const auto& field : parser.get()) {
      response.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    response.body = std::move(parser.get().body());
    response.close = !parser.keep_alive();
    return response;
  }

  const std::string path;
  int descriptor = -1;
  std::string input;  // bytes behind the last answer
};

HttpClient::HttpClient(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

base::Result<HttpClient> HttpClient::connect_local(const std::string& socket_path) {
  auto connection = std::make_unique<Connection>(socket_path);
  if (auto status = connection->connect(); !status) return status.error();
  return HttpClient(std::move(connection));
}

base::Result<HttpResponse> HttpClient::call(const HttpRequest& request,
                                            std::optional<std::chrono::milliseconds> deadline) {
  std::optional<Clock::time_point> until;
  if (deadline) until = Clock::now() + *deadline;
  Connection& connection = *connection_;
  if (connection.descriptor >= 0 && connection.stale()) connection.disconnect();
  if (connection.descriptor < 0) {
    if (auto status = connection.connect(); !status) return status.error();
  }
  std::string bytes = request.method + " " + request.target + " HTTP/1.1\r\n";
  if (!request.header("Host")) bytes += "Host: localhost\r\n";
  for (const auto& [name, value] : request.headers) {
    if (base::equals_ignoring_case(name, "Content-Length")) continue;
    bytes += name + ": " + value + "\r\n";
  }
  bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n\r\n";
  bytes += request.body;
  auto answer = [&]() -> base::Result<HttpResponse> {
    // A server that refuses early stops reading, but its answer is there to be read.
    const base::Status sent = connection.send_all(bytes, until);
    if (!sent && sent.error().code == Code::timeout) return sent.error();
    return connection.receive(request.method == "HEAD", until);
  }();
  if (!answer || answer->close) connection.disconnect();  // the next call starts afresh
  return answer;
}

}  // namespace confd::rpc
