#include "rpc/https_client.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "rpc/http_response_parser.h"
#include "rpc/tls_connection.h"

namespace confd::rpc {

namespace {

using base::Code;
using base::Error;
using base::Result;
using Clock = std::chrono::steady_clock;
using MorePieces = std::function<Result<std::string>()>;

// Up to here header and body go out in one piece: one TLS record and one system call less.
constexpr std::size_t kJoinedBody = 32 * 1024;

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

Result<std::string> render_head(const HttpRequest& request, const std::string& authority, bool chunked) {
  if (request.method.empty() || request.target.empty() || has_line_break(request.method) ||
      request.target.find(' ') != std::string::npos || has_line_break(request.target)) {
    return Error{Code::bad_parameter,
                 "no HTTP request can be made of '" + request.method + " " + request.target + "'"};
  }
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
  if (!request.header("Host")) head += "Host: " + authority + "\r\n";
  for (const auto& [name, value] : request.headers) {
    if (base::equals_ignoring_case(name, "Content-Length") ||
        base::equals_ignoring_case(name, "Transfer-Encoding")) {
      continue;
    }
    if (has_line_break(name) || has_line_break(value)) {
      return Error{Code::bad_parameter, "header " + name + ": a line break can't be sent"};
    }
    head += name + ": " + value + "\r\n";
  }
  if (chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
    head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return head + "\r\n";
}

std::string chunk_of(std::string_view piece) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string size;
  for (std::size_t left = piece.size(); left > 0; left /= 16) size.insert(size.begin(), kDigits[left % 16]);
  std::string chunk;
  chunk.reserve(size.size() + piece.size() + 4);
  return chunk.append(size).append("\r\n").append(piece).append("\r\n");
}

// What a call sends and where its answer goes.
struct Order {
  const HttpRequest& request;
  const MorePieces* more = nullptr;
  const std::function<bool(std::string_view)>* each = nullptr;
  std::optional<std::chrono::milliseconds> silence;
};

// One try of one call on an open connection.
class Exchange {
 public:
  Exchange(TlsConnection& link, CallWait& wait, const Order& order, const std::string& head,
           const std::string& authority, std::size_t answer_limit)
      : link_(link),
        wait_(wait),
        order_(order),
        head_(head),
        authority_(authority),
        answer_limit_(answer_limit),
        parser_(order.request.method == "HEAD", [this](std::string_view bytes) { return take(bytes); }) {}

  Result<HttpResponse> run();
  // For the decision whether to try again.
  bool heard() const { return heard_; }
  bool sent() const { return sent_; }
  bool lost() const { return lost_; }
  bool reusable() const { return reusable_; }

 private:
  bool take(std::string_view bytes);
  base::Status send_request();
  base::Status send(std::string_view bytes);
  base::Status receive(bool only_what_is_there);
  Error lost_because(const std::string& reason);
  Error waited(const Error& error, bool silent) const;
  bool is_answered() const { return parser_.done() || parser_.ended_by_sink() || parser_.header_done(); }
  std::string doing() const {
    if (!all_sent_) return "sending the request";
    return heard_ ? "reading the answer" : "waiting for the answer";
  }

  TlsConnection& link_;
  CallWait& wait_;
  const Order& order_;
  const std::string& head_;
  const std::string& authority_;
  const std::size_t answer_limit_;
  ResponseParser parser_;
  std::string input_;  // not yet used by the parser
  std::string body_;
  Clock::time_point last_byte_ = Clock::now();
  bool too_long_ = false;
  bool sent_ = false;
  bool all_sent_ = false;
  bool heard_ = false;
  bool lost_ = false;
  bool reusable_ = false;
};

bool Exchange::take(std::string_view bytes) {
  if (order_.each && parser_.response().status == 200) return (*order_.each)(bytes);
  if (bytes.size() > answer_limit_ - body_.size()) {
    too_long_ = true;
    return false;
  }
  if (body_.empty())
    if (const auto length = parser_.content_length())
      body_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, answer_limit_)));
  body_.append(bytes);
  return true;
}

Error Exchange::lost_because(const std::string& reason) {
  lost_ = true;
  if (link_.was_refused() && !heard_) sent_ = false;
  return {Code::node_unreachable, authority_ + ": connection lost while " + doing() + ": " + reason};
}

Error Exchange::waited(const Error& error, bool silent) const {
  const std::string text =
      silent ? "not a byte came for " + std::to_string(order_.silence->count()) + " ms" : error.text;
  return {error.code, authority_ + ": " + text + " (" + doing() + ")"};
}

base::Status Exchange::send(std::string_view bytes) {
  while (!bytes.empty() && !is_answered()) {
    std::size_t count = 0;
    const auto io = link_.write(bytes, count);
    if (io == TlsConnection::Io::done) {
      sent_ = true;
      bytes.remove_prefix(count);
      continue;
    }
    if (io == TlsConnection::Io::closed || io == TlsConnection::Io::failed) {
      // A server that refuses early stops reading, but its answer, or its alert, may be there to be read.
      const std::string reason = link_.reason();
      auto status = receive(true);
      if (is_answered()) return {};
      return status ? lost_because(reason) : status.error();
    }
    auto ready = wait_.wait(link_.descriptor(),
                            static_cast<short>(POLLIN | (io == TlsConnection::Io::want_write ? POLLOUT : 0)));
    if (!ready) return waited(ready.error(), false);
    if ((*ready & POLLIN) != 0) {
      if (auto status = receive(true); !status) return status;
    }
  }
  return {};
}

base::Status Exchange::send_request() {
  if (!order_.more) {
    if (order_.request.body.size() <= kJoinedBody) return send(head_ + order_.request.body);
    if (auto status = send(head_); !status) return status;
    return send(order_.request.body);
  }
  if (auto status = send(head_); !status) return status;
  while (!is_answered()) {
    if (auto status = wait_.check(); !status) return waited(status.error(), false);
    auto piece = (*order_.more)();
    if (!piece) return piece.error();
    if (piece->empty()) return send("0\r\n\r\n");
    if (auto status = send(chunk_of(*piece)); !status) return status;
  }
  return {};
}

base::Status Exchange::receive(bool only_what_is_there) {
  char buffer[16 * 1024];
  while (!parser_.done()) {
    if (auto status = wait_.check(); !status) return waited(status.error(), false);
    std::size_t count = 0;
    const auto io = link_.read(buffer, sizeof buffer, count);
    if (io == TlsConnection::Io::done) {
      heard_ = true;
      last_byte_ = Clock::now();
      // Rarely is something left over from before: then it goes the long way.
      if (!input_.empty()) input_.append(buffer, count);
      const std::string_view fresh = input_.empty() ? std::string_view(buffer, count) : input_;
      std::string rest(fresh.substr(parser_.put(fresh)));
      input_.swap(rest);
      if (too_long_) {
        return Error{Code::io_error, authority_ + ": the answer to " + order_.request.method + " " +
                                         order_.request.target + " is longer than " +
                                         std::to_string(answer_limit_) + " bytes"};
      }
      if (parser_.ended_by_sink()) return {};
      if (!parser_.fault().empty()) {
        return Error{Code::io_error, authority_ + ": the answer is not HTTP (" + parser_.fault() + ")"};
      }
    } else if (io == TlsConnection::Io::want_read || io == TlsConnection::Io::want_write) {
      if (only_what_is_there) return {};
      std::optional<Clock::time_point> until;
      if (order_.silence) until = last_byte_ + *order_.silence;
      auto ready =
          wait_.wait(link_.descriptor(), io == TlsConnection::Io::want_read ? POLLIN : POLLOUT, until);
      if (!ready) return waited(ready.error(), until && *until < wait_.deadline() && Clock::now() >= *until);
    } else {
      parser_.put_end();
      if (!parser_.done() || io == TlsConnection::Io::failed) return lost_because(link_.reason());
    }
  }
  return {};
}

Result<HttpResponse> Exchange::run() {
  if (auto status = send_request(); !status) return status.error();
  const bool whole = !is_answered();  // otherwise the server has said enough before it had all
  all_sent_ = true;
  last_byte_ = Clock::now();
  if (!parser_.ended_by_sink()) {
    if (auto status = receive(false); !status) return status.error();
  }
  const bool complete = parser_.done();
  HttpResponse response = parser_.take_response();
  response.body = std::move(body_);
  reusable_ = whole && complete && !response.close && input_.empty();
  return response;
}

}  // namespace

struct HttpsClient::Connection {
  TlsConnection link;
  bool sent = false;

  Result<HttpResponse> run(const ClientTls& tls, const Target& target, const Order& order,
                           const Limits& limits);
};

Result<HttpResponse> HttpsClient::Connection::run(const ClientTls& tls, const Target& target,
                                                  const Order& order, const Limits& limits) {
  const std::string authority = authority_of(target);
  sent = false;
  const auto head = render_head(order.request, authority, order.more != nullptr);
  if (!head) return head.error();
  CallWait wait(limits.deadline, limits.stop);
  if (auto status = wait.check(); !status) {
    return Error{status.error().code, authority + ": " + status.error().text + " (before it began)"};
  }
  while (true) {
    if (link.is_open() && link.is_stale()) link.close();
    const bool kept = link.is_open();
    if (!kept) {
      CallWait connecting(std::min(limits.deadline, limits.connect_by.value_or(limits.deadline)),
                          limits.stop);
      if (auto status = link.open(target, tls, connecting); !status) return status.error();
    }
    Exchange exchange(link, wait, order, *head, authority, limits.answer_bytes);
    auto answer = exchange.run();
    sent = exchange.sent();
    if (!exchange.reusable()) link.close();
    const bool again =
        !answer && kept && exchange.lost() && !exchange.heard() && !order.more && (limits.resend || !sent);
    if (!again) return answer;
  }
}

HttpsClient::HttpsClient(std::shared_ptr<const ClientTls> tls, Target target)
    : tls_(std::move(tls)), target_(std::move(target)), connection_(std::make_unique<Connection>()) {}
HttpsClient::HttpsClient(HttpsClient&&) noexcept = default;
HttpsClient& HttpsClient::operator=(HttpsClient&&) noexcept = default;
HttpsClient::~HttpsClient() = default;

Result<HttpResponse> HttpsClient::call(const HttpRequest& request, const Limits& limits) {
  return connection_->run(*tls_, target_, {request, nullptr, nullptr, std::nullopt}, limits);
}

Result<HttpResponse> HttpsClient::upload(const HttpRequest& request, const MorePieces& more,
                                         const Limits& limits) {
  return connection_->run(*tls_, target_, {request, &more, nullptr, std::nullopt}, limits);
}

Result<HttpResponse> HttpsClient::stream(const HttpRequest& request,
                                         const std::function<bool(std::string_view)>& each,
                                         const Limits& limits,
                                         std::optional<std::chrono::milliseconds> silence) {
  return connection_->run(*tls_, target_, {request, nullptr, &each, silence}, limits);
}

base::Status HttpsClient::connect(const Limits& limits) {
  CallWait wait(limits.deadline, limits.stop);
  return connection_->link.open(target_, *tls_, wait);
}

std::string HttpsClient::channel_binding() const {
  return connection_->link.binding();
}

std::string HttpsClient::server_fingerprint() const {
  return connection_->link.fingerprint();
}

bool HttpsClient::request_sent() const {
  return connection_->sent;
}

}  // namespace confd::rpc
