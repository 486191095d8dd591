// The input side of a connection: handshake, requests, deadlines, the end. http_connection_output.cpp has the
// answers.
#include "rpc/http_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/text.h"
#include "rpc/http_exchange.h"

namespace confd::rpc {

namespace {

using std::chrono::steady_clock;

constexpr int kReadsPerTurn = 8;                  // then other connections of the loop have their turn
constexpr int kRequestsPerTurn = 32;              // likewise for pipelined requests
constexpr std::size_t kEarlyInput = 16 * 1024;    // bytes taken in while an answer is on its way
constexpr std::size_t kSmallBody = 64 * 1024;     // room made before any of it has come
constexpr std::uint64_t kProgress = 1024;         // bytes of a body that earn a new deadline
constexpr std::uint64_t kGoodbyeLimit = 1 << 20;  // bytes dropped while a client may read the last answer

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpServerState> server, std::shared_ptr<HttpLoop> loop,
                               HttpTransport transport, Client client)
    : server_(std::move(server)),
      loop_(std::move(loop)),
      transport_(std::move(transport)),
      client_(std::move(client)) {}

HttpConnection::~HttpConnection() {
  uncount();
}

void HttpConnection::uncount() {
  if (!std::exchange(counted_, false)) return;
  --server_->connections;
  if (!client_.credentials) server_->release_address(client_.address);
}

void HttpConnection::open() {
  slot_ = loop_->connections.size();
  loop_->connections.push_back(shared_from_this());
  listed_ = true;
  set_deadline(server_->options.handshake_deadline);
  continue_handshake();
}

void HttpConnection::continue_handshake() {
  const IoResult result = transport_.handshake();
  switch (result.status) {
    case IoStatus::done:
      phase_ = Phase::idle;
      set_deadline(server_->options.idle_deadline);
      client_subject_ = transport_.client_subject();
      peer_uri_ = transport_.peer_uri();
      channel_binding_ = transport_.binding();
      if (transport_.has_pending()) {
        read_on();
      } else {
        await_readable();
      }
      return;
    case IoStatus::want_read:
      await_readable();
      return;
    case IoStatus::want_write:
      await_writable();
      return;
    case IoStatus::closed:
    case IoStatus::failed:
      break;
  }
  ++server_->handshake_failures;
  server_->event("TLS handshake with " + client_.address + " failed: " + transport_.last_error());
  if (transport_.spoke_clear_http()) {
    static constexpr std::string_view kSpeakTls =
        "HTTP/1.1 400 Bad Request\r\nServer: confd\r\nContent-Type: text/plain\r\nContent-Length: 46\r\n"
        "Connection: close\r\n\r\nThis port speaks HTTPS only: use https://...\r\n";
    (void)::send(transport_.socket().descriptor(), kSpeakTls.data(), kSpeakTls.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  close();
}

void HttpConnection::await_readable() {
  if (reading_ || phase_ == Phase::closed) return;
  reading_ = true;
  transport_.socket().wait_readable(shared_from_this());
}

void HttpConnection::await_writable() {
  if (writable_wait_ || phase_ == Phase::closed) return;
  writable_wait_ = true;
  transport_.socket().wait_writable(shared_from_this());
}

bool HttpConnection::wants_input() const {
  switch (phase_) {
    case Phase::closed:
      return false;
    case Phase::deciding:
    case Phase::answering:
    case Phase::writing:
    case Phase::events:
      return in_.size() < kEarlyInput;  // to notice that the client goes
    default:
      return true;
  }
}

void HttpConnection::start_reading() {
  if (reading_ || yielded_ || !wants_input()) return;
  if (transport_.has_pending() && phase_ != Phase::lingering) {
    yield();
  } else {
    await_readable();
  }
}

void HttpConnection::yield() {
  if (!std::exchange(yielded_, true)) loop_->events.post(shared_from_this());
}

void HttpConnection::on_readable() {
  if (!take_back()) {
    readable_missed_ = true;
    return;
  }
  read_on();
  lend();
}

void HttpConnection::read_on() {
  reading_ = false;
  if (write_wants_read_) {
    write_wants_read_ = false;
    if (flush()) after_flush();
  }
  if (phase_ == Phase::closed) return;
  if (phase_ == Phase::handshake) return continue_handshake();
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    if (phase_ == Phase::lingering) return drain_goodbye();
    if (!wants_input()) return;
    const IoResult got = transport_.read(loop_->input.data(), loop_->input.size());
    switch (got.status) {
      case IoStatus::done:
        break;
      case IoStatus::want_read:
        return await_readable();
      case IoStatus::want_write:
        read_wants_write_ = true;
        return await_writable();
      case IoStatus::closed:
      case IoStatus::failed:
        return close();
    }
    process({loop_->input.data(), got.bytes});
    if (phase_ == Phase::closed || yielded_) return;
    // What is still in the socket ends the next wait at once; what TLS holds already would not.
    if (!transport_.has_pending() && got.bytes < loop_->input.size()) return start_reading();
  }
  yield();
}

void HttpConnection::process(std::string_view fresh) {
  in_process_ = true;
  if (in_.empty()) {
    const std::size_t used = consume(fresh);
    if (used < fresh.size() && phase_ != Phase::closed) in_.assign(fresh.substr(used));
  } else {
    in_.append(fresh);
    const std::size_t used = consume(in_);
    in_.erase(0, std::min(used, in_.size()));
    if (in_.empty()) in_ = std::string();  // an idle connection keeps no buffer
  }
  in_process_ = false;
}

void HttpConnection::resume() {
  if (!in_.empty()) process({});
  start_reading();
}

std::size_t HttpConnection::consume(std::string_view bytes) {
  std::size_t used = 0;
  int requests = 0;
  while (true) {
    switch (phase_) {
      case Phase::idle:
        // Some clients send an empty line after a body.
        while (used < bytes.size() && (bytes[used] == '\r' || bytes[used] == '\n')) ++used;
        if (used == bytes.size()) return used;
        if (requests++ == kRequestsPerTurn) {
          yield();
          return used;
        }
        start_request();
        break;
      case Phase::header:
        used += parser_->put_header(bytes.substr(used));
        if (parser_->fault().status != 0) {
          refuse(parser_->fault().status, parser_->fault().text);
          return bytes.size();
        }
        if (!parser_->header_done()) return used;
        header_complete();
        break;
      case Phase::body:
      case Phase::discarding:
        used += parser_->put_body(bytes.substr(used));
        if (parser_->fault().status != 0) {
          refuse(parser_->fault().status, parser_->fault().text);
          return bytes.size();
        }
        body_progress();
        if ((phase_ == Phase::body || phase_ == Phase::discarding) &&
            (used == bytes.size() || !parser_->done())) {
          return used;
        }
        break;
      default:
        return used;
    }
  }
}

void HttpConnection::start_request() {
  phase_ = Phase::header;
  set_deadline(server_->options.header_deadline);
  request_ = HttpRequest();
  request_.headers.reserve(8);
  if (!parser_) parser_ = std::make_unique<RequestParser>(*this);
  parser_->begin(request_, server_->options.header_limit);
}

void HttpConnection::header_complete() {
  ++server_->requests;
  phase_ = Phase::deciding;
  clear_deadline();
  request_.remote_address = client_.address;
  request_.peer = client_.credentials;
  request_.client_subject = client_subject_;
  request_.peer_uri = peer_uri_;
  request_.channel_binding = channel_binding_;
  keep_alive_ = parser_->keep_alive();
  http_1_0_ = parser_->http_1_0();
  head_only_ = request_.method == "HEAD";
  const std::string* accepted = request_.header("Accept-Encoding");
  gzip_ = accepted && accepts_gzip(*accepted);
  const std::string* expected = request_.header("Expect");
  expects_continue_ = expected && !http_1_0_;
  if (expects_continue_ && !base::equals_ignoring_case(*expected, "100-continue")) {
    return refuse(417, "the only expectation known here is 100-continue");
  }
  decision_.reset();
  try {
    auto exchange = std::make_shared<Responder::Exchange>(shared_from_this(), exchange_);
    server_->handler.on_header(request_, [exchange = std::move(exchange)](HeaderDecision decision) {
      exchange->decide(std::move(decision));
    });
  } catch (const std::exception& error) {
    server_->event(std::string("a request failed: ") + error.what());
    return refuse(500, "internal error");
  }
  if (phase_ == Phase::deciding && decision_) apply(std::move(*decision_));
}

void HttpConnection::apply(HeaderDecision decision) {
  decision_.reset();
  if (decision.answer) return answer_early(std::move(*decision.answer));
  body_limit_ = decision.body_limit;
  context_ = std::move(decision.context);
  const std::optional<std::uint64_t> length = parser_->content_length();
  if (length && *length > body_limit_) {
    return answer_early(text_answer(413, "the body has " + std::to_string(*length) + " bytes; at most " +
                                             std::to_string(body_limit_) + " are accepted here"));
  }
  if (parser_->done()) return dispatch();
  phase_ = Phase::body;
  body_mark_ = 0;
  body_refusal_ = 0;
  set_deadline(server_->options.body_deadline);
  if (length) request_.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, kSmallBody)));
  if (expects_continue_) write_out("HTTP/1.1 100 Continue\r\n\r\n");
}

void HttpConnection::answer_early(HttpResponse response) {
  request_.body = std::string();
  phase_ = Phase::answering;
  if (parser_->done()) return answer(std::move(response));
  const std::optional<std::uint64_t> length = parser_->content_length();
  discard_left_ = server_->options.drain_limit;
  discard_overrun_ = false;
  // After "Expect: 100-continue" nobody can tell whether the body will follow an early answer.
  if (expects_continue_ || (length && *length > discard_left_)) response.close = true;
  phase_ = Phase::discarding;
  set_deadline(server_->options.body_deadline);
  answer(std::move(response));
}

void HttpConnection::on_body(std::string_view bytes) {
  if (phase_ == Phase::discarding) {
    discard_overrun_ = discard_overrun_ || bytes.size() > discard_left_;
    discard_left_ -= std::min<std::uint64_t>(bytes.size(), discard_left_);
    return;
  }
  if (phase_ != Phase::body || body_refusal_ != 0) return;
  std::string& body = request_.body;
  if (body.size() + bytes.size() > body_limit_) {
    body_refusal_ = 413;
    return;
  }
  if (server_->buffered_bytes.fetch_add(bytes.size()) + bytes.size() > server_->options.buffered_limit) {
    server_->buffered_bytes -= bytes.size();
    body_refusal_ = 503;
    return;
  }
  body_counted_ += bytes.size();
  if (body.size() >= kSmallBody && body.capacity() < body_limit_) {
    // It is meant seriously: one large piece instead of doubling.
    if (const auto length = parser_->content_length()) body.reserve(static_cast<std::size_t>(*length));
  }
  body.append(bytes);
}

void HttpConnection::body_progress() {
  if (phase_ == Phase::discarding) {
    if (discard_overrun_) return close_when_written();
    if (!parser_->done()) return;
    phase_ = Phase::writing;
    clear_deadline();
    if (!output_waits()) after_flush();
    return;
  }
  if (body_refusal_ != 0) {
    const unsigned status = std::exchange(body_refusal_, 0u);
    release_body();
    return answer_early(text_answer(
        status, status == 413
                    ? "the body is longer than the " + std::to_string(body_limit_) + " bytes accepted here"
                    : std::string("too many bodies are being received; try again later")));
  }
  if (parser_->done()) return dispatch();
  if (request_.body.size() >= body_mark_ + kProgress) {
    body_mark_ = request_.body.size();
    set_deadline(server_->options.body_deadline);
  }
}

void HttpConnection::dispatch() {
  phase_ = Phase::answering;
  clear_deadline();
  try {
    server_->handler.on_request(
        std::move(request_), std::move(context_),
        Responder(std::make_shared<Responder::Exchange>(shared_from_this(), exchange_)));
  } catch (const std::exception& error) {
    server_->event(std::string("a request failed: ") + error.what());
    if (phase_ == Phase::answering) refuse(500, "internal error");
  }
}

void HttpConnection::drain_goodbye() {
  for (int turn = 0; turn < kReadsPerTurn && drained_ < kGoodbyeLimit; ++turn) {
    const IoResult got = transport_.drain();
    if (got.status == IoStatus::want_read) return await_readable();
    if (got.status != IoStatus::done) return close();
    drained_ += got.bytes;
  }
  if (drained_ >= kGoodbyeLimit) return close();
  await_readable();
}

void HttpConnection::set_deadline(std::chrono::milliseconds from_now) {
  deadline_ = steady_clock::now() + from_now;
}

void HttpConnection::sweep(Time now) {
  if (hands_.load(std::memory_order_acquire) != Hands::loop) return;  // nothing has a deadline then
  if (now >= write_deadline_) return close();
  if (phase_ == Phase::events && now >= heartbeat_at_) send_event(": keep-alive\n\n", false);
  if (now < deadline_) return;
  switch (phase_) {
    case Phase::handshake:
      ++server_->handshake_failures;
      server_->event("TLS handshake with " + client_.address + " failed: not finished in time");
      return close();
    case Phase::header:
      return refuse(408, "the request header did not arrive in time");
    case Phase::body:
      return refuse(408, "the request body did not arrive in time");
    default:
      return close(phase_ == Phase::idle);
  }
}

void HttpConnection::wind_down() {
  if (!take_back()) return;  // catch_up() sees to it
  if (phase_ == Phase::idle || phase_ == Phase::handshake || phase_ == Phase::header) close(true);
  if (phase_ == Phase::events) close(true);
}

void HttpConnection::close(bool politely) {
  if (!take_back()) {
    close_missed_ = true;
    return;
  }
  if (phase_ == Phase::closed) return;
  const auto self = shared_from_this();  // the list may hold the last reference
  phase_ = Phase::closed;
  if (politely) transport_.shut_down_sending();
  transport_.close();
  release_body();
  uncount();
  if (std::exchange(listed_, false)) {
    auto& all = loop_->connections;
    all.back()->slot_ = slot_;
    std::swap(all[slot_], all.back());
    all.pop_back();
  }
  tail_ = std::string();
  out_ = std::string();
  out_at_ = tail_at_ = 0;
  auto callbacks = std::exchange(on_disconnect_, {});
  if (on_events_closed_) callbacks.push_back(std::exchange(on_events_closed_, nullptr));
  for (const auto& callback : callbacks) callback();
}

void HttpConnection::release_body() {
  server_->buffered_bytes -= std::exchange(body_counted_, 0u);
  if (phase_ == Phase::closed || phase_ == Phase::body) request_.body = std::string();
}

}  // namespace confd::rpc
