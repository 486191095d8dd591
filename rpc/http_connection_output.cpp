// The output side of a connection: answers, event streams, and the messages that bring them.
#include <algorithm>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "rpc/http_connection.h"
#include "rpc/http_exchange.h"

namespace confd::rpc {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t kOneWrite = 16 * 1024;    // head and body up to this size go out together
constexpr std::size_t kKeptOutput = 64 * 1024;  // a loop's output buffer larger than this is freed
constexpr std::size_t kCompactAt = 64 * 1024;

std::string chunk_of(std::string_view text) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, text.size(), 16).ptr;
  std::string chunk(digits, end);
  chunk.append("\r\n").append(text).append("\r\n");
  return chunk;
}

}  // namespace

void HttpConnection::refuse(unsigned status, std::string_view text) {
  if (answered_) return close_when_written();
  keep_alive_ = false;
  http_1_0_ = false;
  head_only_ = false;
  gzip_ = false;
  clear_deadline();
  release_body();
  phase_ = Phase::answering;
  answer(text_answer(status, std::string(text)));
}

void HttpConnection::answer(HttpResponse response) {
  answered_ = true;
  const auto gone = std::exchange(on_disconnect_, {});
  release_body();
  close_after_answer_ = response.close || !keep_alive_ || server_->draining.load(std::memory_order_relaxed);
  ResponseFrame frame;
  frame.http_1_0 = http_1_0_;
  frame.keep_alive = !close_after_answer_;
  frame.date = loop_->date.now();
  const bool with_body = has_body(response.status);
  if (!with_body) response.body.clear();
  if (gzip_ && with_body && response.body.size() >= server_->options.gzip_minimum &&
      std::none_of(response.headers.begin(), response.headers.end(), [](const auto& field) {
        return base::equals_ignoring_case(field.first, "Content-Encoding");
      })) {
    frame.gzip = loop_->gzip.encode(response.body, response.body);
  }
  frame.content_length = response.body.size();
  if (phase_ == Phase::answering) phase_ = Phase::writing;

  std::string& head = loop_->output;
  head.clear();
  append_head(head, response, frame);
  if (head_only_) {
    write_out(head);
  } else if (head.size() + response.body.size() <= kOneWrite) {
    head.append(response.body);
    write_out(head);
  } else {
    write_out(head, std::move(response.body));
  }
  if (loop_->output.capacity() > kKeptOutput) loop_->output = std::string();
  if (phase_ != Phase::closed && !output_waits()) after_flush();
}

// What the socket takes goes straight from `bytes`; only the rest is kept.
void HttpConnection::write_out(std::string_view bytes, std::string tail) {
  if (phase_ == Phase::closed) return;
  if (!output_waits()) {
    out_.clear();
    tail_ = std::move(tail);
    out_at_ = tail_at_ = 0;
    if (!tail_.empty()) {  // the first record takes as much of the body as fits
      tail_at_ = std::min(tail_.size(), kOneWrite - std::min(kOneWrite, bytes.size()));
      out_.reserve(bytes.size() + tail_at_);
      out_.assign(bytes).append(tail_, 0, tail_at_);
    } else {
      std::size_t written = 0;
      const IoStatus status = write_some(bytes, written);
      if (status == IoStatus::closed || status == IoStatus::failed) return close();
      if (written == bytes.size()) return;
      out_.assign(bytes.substr(written));
      write_deadline_ = steady_clock::now() + server_->options.write_deadline;
      return;
    }
  } else {
    // Only heads and events come while output waits; a tail can't be there already.
    out_.append(bytes).append(tail);
  }
  flush();
}

IoStatus HttpConnection::write_some(std::string_view bytes, std::size_t& written) {
  while (written < bytes.size()) {
    const IoResult result = transport_.write(bytes.substr(written));
    switch (result.status) {
      case IoStatus::done:
        written += result.bytes;
        break;
      case IoStatus::want_write:
        await_writable();
        return result.status;
      case IoStatus::want_read:
        write_wants_read_ = true;
        await_readable();
        return result.status;
      case IoStatus::closed:
      case IoStatus::failed:
        return result.status;
    }
  }
  return IoStatus::done;
}

// True when everything is written. Closes the connection when it can't be.
bool HttpConnection::flush() {
  const std::size_t before = out_at_ + tail_at_;
  const std::size_t out_before = out_at_;
  IoStatus status = write_some(out_, out_at_);
  if (phase_ == Phase::events) {
    const std::size_t gone = std::min(out_at_ - out_before, events_buffered_);
    events_buffered_ -= gone;
    unread_events_ -= gone;
  }
  if (status == IoStatus::done) status = write_some(tail_, tail_at_);
  if (status == IoStatus::closed || status == IoStatus::failed) {
    close();
    return false;
  }
  if (status == IoStatus::done) {
    if (phase_ == Phase::events) unread_events_ -= std::exchange(events_buffered_, 0u);
    out_ = std::string();
    tail_ = std::string();
    out_at_ = tail_at_ = 0;
    write_deadline_ = Time::max();
    return true;
  }
  if (write_deadline_ == Time::max() || out_at_ + tail_at_ > before) {
    write_deadline_ = steady_clock::now() + server_->options.write_deadline;
  }
  if (out_at_ > kCompactAt) {
    out_.erase(0, out_at_);
    out_at_ = 0;
  }
  return false;
}

void HttpConnection::on_writable() {
  if (!take_back()) return;  // never: nothing is lent while it waits to write
  writable_wait_ = false;
  if (phase_ == Phase::closed) return;
  if (phase_ == Phase::handshake) return continue_handshake();
  if (output_waits() && flush()) {
    after_flush();
    if (phase_ == Phase::idle) resume();
  }
  if (std::exchange(read_wants_write_, false) && phase_ != Phase::closed) read_on();
}

void HttpConnection::after_flush() {
  write_deadline_ = Time::max();
  if (phase_ == Phase::discarding) {
    if (close_after_answer_) linger();
  } else if (phase_ == Phase::writing || (phase_ == Phase::events && events_ended_)) {
    if (close_after_answer_) {
      linger();
    } else {
      finish_exchange();
    }
  }
}

void HttpConnection::close_when_written() {
  close_after_answer_ = true;
  phase_ = Phase::writing;
  clear_deadline();
  if (!output_waits()) linger();
}

void HttpConnection::finish_exchange() {
  ++exchange_;
  answered_ = false;
  events_ended_ = false;
  context_.reset();
  if (server_->draining && in_.empty() && !in_process_) return close(true);
  begin_idle();
}

void HttpConnection::begin_idle() {
  phase_ = Phase::idle;
  set_deadline(server_->options.idle_deadline);
}

void HttpConnection::linger() {
  phase_ = Phase::lingering;
  drained_ = 0;
  write_deadline_ = Time::max();
  transport_.shut_down_sending();
  set_deadline(server_->options.linger_deadline);
  await_readable();
}

void HttpConnection::begin_events(BeginEvents events) {
  answered_ = true;
  const auto gone = std::exchange(on_disconnect_, {});
  release_body();
  phase_ = Phase::events;
  events_ended_ = false;
  events_buffered_ = 0;
  unread_events_ = 0;
  on_events_closed_ = std::move(events.on_closed);
  close_after_answer_ = !keep_alive_ || http_1_0_;
  ResponseFrame frame;
  frame.http_1_0 = http_1_0_;
  frame.keep_alive = !close_after_answer_;
  frame.chunked = !http_1_0_;
  frame.date = loop_->date.now();
  HttpResponse head;
  head.headers = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}};
  loop_->output.clear();
  if (http_1_0_) {
    // No chunks there: the end of the stream is the end of the connection.
    loop_->output =
        "HTTP/1.1 200 OK\r\nServer: confd\r\nContent-Type: text/event-stream\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n";
  } else {
    append_head(loop_->output, head, frame);
  }
  heartbeat_at_ = steady_clock::now() + server_->options.heartbeat;
  write_out(loop_->output);
}

void HttpConnection::send_event(const std::string& text, bool counted) {
  heartbeat_at_ = steady_clock::now() + server_->options.heartbeat;
  if (text.empty()) return;
  const bool waited = output_waits();
  if (counted) events_buffered_ += text.size();
  if (http_1_0_) {
    write_out(text);
  } else {
    write_out(chunk_of(text));
  }
  if (phase_ != Phase::closed && !output_waits() && !waited) {
    unread_events_ -= std::exchange(events_buffered_, 0u);
  }
}

void HttpConnection::end_events(const EndEvents& end) {
  if (end.cut_off) {
    server_->event("event stream of " + client_.address + " cut off: the client does not read");
    return close();
  }
  on_events_closed_ = nullptr;
  events_ended_ = true;
  if (!http_1_0_) write_out("0\r\n\r\n");
  if (phase_ != Phase::closed && !output_waits()) after_flush();
}

void HttpConnection::submit(Message message) {
  if (loop_->events.on_loop_thread() && take_back()) {
    if (has_mail_.load(std::memory_order_acquire)) deliver_mail();  // what was sent before comes first
    handle(std::move(message));
    return;
  }
  bool first = false;
  {
    base::MutexLock lock(mutex_);
    first = mail_.empty();
    mail_.push_back(std::move(message));
    has_mail_.store(true, std::memory_order_release);
  }
  if (first && !loop_->events.post(shared_from_this())) {
    for (Message& late : take_mail()) handle_unreachable(std::move(late));
  }
}

std::vector<HttpConnection::Message> HttpConnection::take_mail() {
  base::MutexLock lock(mutex_);
  has_mail_.store(false, std::memory_order_release);
  return std::exchange(mail_, {});
}

void HttpConnection::deliver_mail() {
  for (Message& message : take_mail()) handle(std::move(message));
}

void HttpConnection::run_task() {
  if (!take_back()) return;  // comes again when the connection is back
  if (phase_ != Phase::closed) catch_up();
  if (has_mail_.load(std::memory_order_acquire)) deliver_mail();
  if (phase_ != Phase::closed && std::exchange(yielded_, false)) {
    if (!in_.empty()) process({});
    if (phase_ != Phase::closed && !yielded_ && !reading_) read_on();
  }
  if (phase_ != Phase::closed && std::exchange(readable_missed_, false)) read_on();
  lend();
}

void HttpConnection::handle(Message message) {
  if (phase_ == Phase::closed) return handle_unreachable(std::move(message));
  if (message.exchange != exchange_) return;  // answered already
  if (auto* decision = std::get_if<HeaderDecision>(&message.content)) {
    if (phase_ != Phase::deciding) return;
    if (in_process_) {  // on_header() has not returned yet
      decision_ = std::move(*decision);
      return;
    }
    in_process_ = true;
    apply(std::move(*decision));
    in_process_ = false;
    if (phase_ != Phase::closed) resume();
  } else if (auto* response = std::get_if<HttpResponse>(&message.content)) {
    if (phase_ == Phase::deciding) {
      HeaderDecision failed;
      failed.answer = std::move(*response);
      return handle({message.exchange, std::move(failed)});
    }
    if (phase_ != Phase::answering) return;
    answer(std::move(*response));
    if (!in_process_ && phase_ != Phase::closed) resume();
  } else if (auto* events = std::get_if<BeginEvents>(&message.content)) {
    if (phase_ == Phase::answering) begin_events(std::move(*events));
  } else if (auto* chunk = std::get_if<EventChunk>(&message.content)) {
    if (phase_ == Phase::events && !events_ended_) send_event(chunk->text, true);
  } else if (auto* end = std::get_if<EndEvents>(&message.content)) {
    if (phase_ != Phase::events || events_ended_) return;
    end_events(*end);
    if (!in_process_ && phase_ == Phase::idle) resume();
  } else if (auto* gone = std::get_if<OnDisconnect>(&message.content)) {
    if (phase_ == Phase::answering) on_disconnect_.push_back(std::move(gone->callback));
  }
}

void HttpConnection::handle_unreachable(Message message) {
  if (auto* events = std::get_if<BeginEvents>(&message.content)) {
    if (events->on_closed) events->on_closed();
  } else if (auto* gone = std::get_if<OnDisconnect>(&message.content)) {
    if (gone->callback) gone->callback();
  }
}

}  // namespace confd::rpc
