#include "rpc/stream_connection.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/text.h"
#include "rpc/http_exchange.h"

namespace confd::rpc {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t kRead = 128 * 1024;
constexpr std::uint64_t kDrainLimit = 64 * 1024;  // of a body nobody wants, to keep the connection
// A piece that is not full goes on after this time: behind it are programs with deadlines of their own.
constexpr std::chrono::milliseconds kGather{200};

}  // namespace

StreamConnection::StreamConnection(const StreamServerOptions& options, StreamHandler& handler,
                                   StreamSocket& socket, std::string address, std::stop_token stop,
                                   std::stop_token drain)
    : options_(options),
      handler_(handler),
      socket_(socket),
      address_(std::move(address)),
      stop_(std::move(stop)),
      drain_(std::move(drain)),
      parser_(*this) {}

void StreamConnection::run() {
  if (Status done = socket_.handshake(steady_clock::now() + options_.handshake_deadline); !done) {
    if (done.error().code == Code::io_error && options_.on_event)
      options_.on_event("TLS handshake with " + address_ + " failed: " + done.error().text);
    return;
  }
  buffer_.resize(kRead);
  while (keep_alive_ && read_header()) handle();
  if (linger_) socket_.say_goodbye(steady_clock::now() + options_.linger_deadline);
}

bool StreamConnection::refuse(unsigned status, const std::string& text) {
  keep_alive_ = false;
  linger_ = true;
  answered_ = false;
  (void)send(text_answer(status, text)).ok();
  return false;
}

bool StreamConnection::read_header() {
  request_ = HttpRequest();
  pending_.clear();
  answered_ = expects_continue_ = false;
  left_ = 0;
  body_left_.reset();
  parser_.begin(request_, options_.header_limit);
  std::optional<Time> deadline;
  for (;;) {
    while (!deadline && !in_.empty() && (in_.front() == '\r' || in_.front() == '\n')) in_.erase(0, 1);
    if (!in_.empty()) {
      if (!deadline) deadline = steady_clock::now() + options_.header_deadline;
      const std::size_t used = parser_.put_header(in_);
      if (parser_.fault().status != 0) return refuse(parser_.fault().status, parser_.fault().text);
      in_.erase(0, used);
      if (parser_.header_done()) break;
    }
    const auto got = socket_.read(buffer_.data(), buffer_.size(),
                                  deadline.value_or(steady_clock::now() + options_.idle_deadline), !deadline);
    if (!got && deadline && got.error().code == Code::timeout)
      return refuse(408, "the header of the request took too long");
    if (!got || *got == 0) return false;
    in_.append(buffer_, 0, *got);
  }
  request_.remote_address = address_;
  if (!parser_.chunked()) body_left_ = parser_.content_length().value_or(0);
  keep_alive_ = parser_.keep_alive() && !drain_.stop_requested();
  const std::string* expected = request_.header("Expect");
  expects_continue_ = expected != nullptr && !parser_.http_1_0();
  if (expects_continue_ && !base::equals_ignoring_case(*expected, "100-continue"))
    return refuse(417, "the only expectation known here is 100-continue");
  return true;
}

void StreamConnection::handle() {
  try {
    handler_.on_request(*this);
  } catch (const std::exception& error) {
    if (options_.on_event) options_.on_event(std::string("a request failed: ") + error.what());
    keep_alive_ = false;
    if (!answered_) (void)send(text_answer(500, "internal error")).ok();
  }
  if (!answered_) {
    keep_alive_ = false;
    (void)send(text_answer(500, "the server gave this request up; its log says why")).ok();
  }
  if (left_ > 0 || !keep_alive_) {
    linger_ = left_ == 0;
    keep_alive_ = false;
    return;
  }
  if (!drop_rest()) {
    keep_alive_ = false;
    linger_ = true;
  }
  if (drain_.stop_requested()) keep_alive_ = false;
}

bool StreamConnection::drop_rest() {
  if (body_done()) return true;
  // After "Expect: 100-continue" nobody can tell whether the body will follow.
  const auto length = parser_.content_length();
  if (expects_continue_ || (length && *length > kDrainLimit)) return false;
  std::uint64_t dropped = 0;
  const Time deadline = steady_clock::now() + options_.linger_deadline;
  while (!body_done()) {
    if (Status more = fill(deadline); !more) return false;
    dropped += std::exchange(pending_, {}).size();
    if (dropped > kDrainLimit) return false;
  }
  return true;
}

std::optional<std::uint64_t> StreamConnection::content_length() const {
  if (parser_.chunked()) return std::nullopt;
  return parser_.content_length().value_or(0);
}

bool StreamConnection::body_done() const {
  return body_left_ ? *body_left_ == 0 : parser_.done();
}

Status StreamConnection::fill(Time deadline) {
  if (body_left_) {
    if (in_.empty()) {
      const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(kRead, *body_left_));
      const auto got = socket_.read(buffer_.data(), room, deadline);
      if (!got) return got.error();
      if (*got == 0) return Error{Code::io_error, "the client left before its file was whole"};
      pending_.append(buffer_, 0, *got);
      *body_left_ -= *got;
    } else {
      const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(in_.size(), *body_left_));
      pending_.append(in_, 0, now);
      in_.erase(0, now);
      *body_left_ -= now;
    }
    return {};
  }
  for (bool fresh = !in_.empty();; fresh = true) {
    if (fresh) {
      const std::size_t before = pending_.size();
      in_.erase(0, parser_.put_body(in_));
      if (parser_.fault().status != 0) return Error{Code::io_error, parser_.fault().text};
      if (parser_.done() || pending_.size() > before) return {};
    }
    const auto got = socket_.read(buffer_.data(), buffer_.size(), deadline);
    if (!got) return got.error();
    if (*got == 0) return Error{Code::io_error, "the client left before its file was whole"};
    in_.append(buffer_, 0, *got);
  }
}

Result<std::string> StreamConnection::read(std::size_t most) {
  if (std::exchange(expects_continue_, false) && !body_done())
    if (Status told = socket_.write("HTTP/1.1 100 Continue\r\n\r\n", options_.silence_deadline); !told)
      return told.error();
  const Time start = steady_clock::now();
  if (body_left_)
    pending_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(most, *body_left_ + pending_.size())));
  while (!body_done() && pending_.size() < most) {
    const Status more = fill(start + (pending_.empty() ? options_.silence_deadline : kGather));
    if (!more && more.error().code == Code::timeout && !pending_.empty()) break;
    if (!more) {
      keep_alive_ = false;
      return more.error();
    }
  }
  if (pending_.size() <= most) return std::exchange(pending_, {});
  std::string rest = pending_.substr(most);
  pending_.resize(most);
  return std::exchange(pending_, std::move(rest));
}

Status StreamConnection::send(HttpResponse response) {
  if (response.close) keep_alive_ = false;
  const std::uint64_t size = response.body.size();
  const std::string body = std::exchange(response.body, {});
  if (Status done = begin(response, size); !done) return done;
  return left_ > 0 ? write(body) : Status();
}

Status StreamConnection::begin(const HttpResponse& head, std::uint64_t size) {
  answered_ = true;
  // The rest of a body that is too much to be dropped ends the connection; the client is told.
  const auto length = parser_.header_done() ? parser_.content_length() : std::nullopt;
  if (!parser_.header_done() || (!body_done() && (expects_continue_ || (length && *length > kDrainLimit)))) {
    keep_alive_ = false;
  }
  ResponseFrame frame;
  frame.http_1_0 = parser_.header_done() && parser_.http_1_0();
  frame.keep_alive = keep_alive_;
  frame.content_length = size;
  frame.date = date_.now();
  left_ = request_.method == "HEAD" || !has_body(head.status) ? 0 : size;
  std::string text;
  append_head(text, head, frame);
  const Status sent = socket_.write(text, options_.silence_deadline);
  if (!sent) keep_alive_ = false;
  return sent;
}

Status StreamConnection::write(std::string_view bytes) {
  if (bytes.size() > left_) return Error{Code::internal, "more bytes than the answer was said to have"};
  if (Status sent = socket_.write(bytes, options_.silence_deadline); !sent) {
    keep_alive_ = false;
    return sent;
  }
  left_ -= bytes.size();
  return {};
}

}  // namespace confd::rpc
