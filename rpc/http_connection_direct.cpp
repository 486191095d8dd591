// Answers written by the thread that has them, which spares the way through the loop's thread: two changes of
// thread for a lone caller.
//
// A connection belongs to its loop's thread. While a handler works on its request there is nothing for the
// loop to do but to wait for the socket, so the loop lends it (`hands_`); the thread with the answer may take
// it, write, and give it back. Nobody waits for the other: a loop that finds its connection taken notes what
// it wanted and is called again when it is back (`Hands::wanted`). What can't be finished in one write (a
// client that does not read, large answers, the end of the connection) is the loop's business as ever.
#include <utility>

#include "rpc/http_connection.h"

namespace confd::rpc {

namespace {

constexpr std::size_t kLargestBody = 15 * 1024;  // with the head it goes out as one TLS record

}  // namespace

// The last thing its caller does with the connection.
void HttpConnection::lend() {
  if (phase_ == Phase::answering && reading_ && !writable_wait_ && in_.empty() && !output_waits() &&
      keep_alive_ && !http_1_0_ && !head_only_ && !gzip_) {
    loop_->lent.fetch_add(1, std::memory_order_relaxed);
    hands_.store(Hands::lent, std::memory_order_release);
  }
}

bool HttpConnection::take_back() {
  Hands now = hands_.load(std::memory_order_acquire);
  while (now != Hands::loop) {
    if (now == Hands::wanted) return false;
    const Hands next = now == Hands::lent ? Hands::loop : Hands::wanted;
    if (!hands_.compare_exchange_weak(now, next, std::memory_order_acq_rel)) continue;
    if (next == Hands::wanted) return false;
    loop_->lent.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }
  return true;
}

bool HttpConnection::answer_directly(std::uint64_t exchange, HttpResponse& response) {
  // With many answers at the same time it is cheaper to write them one after the other on the loop's thread.
  Hands expected = Hands::lent;
  if (loop_->lent.load(std::memory_order_relaxed) != 1 || response.close ||
      response.body.size() > kLargestBody || !has_body(response.status) ||
      server_->draining.load(std::memory_order_relaxed) ||
      !hands_.compare_exchange_strong(expected, Hands::writing, std::memory_order_acq_rel))
    return false;
  loop_->lent.fetch_sub(1, std::memory_order_relaxed);
  bool loop_is_needed = false;
  const bool is_mine = exchange == exchange_ && phase_ == Phase::answering;
  if (is_mine) {
    thread_local std::string output;
    thread_local DateText date;
    ResponseFrame frame;
    frame.keep_alive = true;
    frame.date = date.now();
    frame.content_length = response.body.size();
    output.clear();
    append_head(output, response, frame);
    output.append(response.body);
    answered_ = true;
    close_after_answer_ = false;
    on_disconnect_.clear();
    release_body();
    phase_ = Phase::writing;
    const IoResult written = transport_.write(output);
    if (written.status == IoStatus::done && written.bytes == output.size()) {
      ++exchange_;
      answered_ = false;
      context_.reset();
      begin_idle();
      loop_is_needed = server_->draining;
      ++server_->direct_answers;
    } else {
      left_over_ = written.status == IoStatus::closed || written.status == IoStatus::failed
                       ? LeftOver::close
                       : LeftOver::output;
      out_.assign(output, written.status == IoStatus::done ? written.bytes : 0, std::string::npos);
      out_at_ = 0;
      loop_is_needed = true;
    }
  }
  expected = Hands::writing;
  if (!hands_.compare_exchange_strong(expected, Hands::loop, std::memory_order_acq_rel)) {
    hands_.store(Hands::loop, std::memory_order_release);
    loop_is_needed = true;
  }
  if (loop_is_needed) loop_->events.post(shared_from_this());
  return is_mine;
}

// What the loop could not do, or the writing thread not finish.
void HttpConnection::catch_up() {
  const LeftOver left = std::exchange(left_over_, LeftOver::nothing);
  if (left == LeftOver::close || close_missed_) return close();
  if (left == LeftOver::output && flush()) after_flush();
  if (phase_ == Phase::idle && server_->draining && in_.empty()) return close(true);
}

}  // namespace confd::rpc
