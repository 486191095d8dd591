// HttpConnection: one client of the server, from handshake to close. Used by HttpServer and its listeners.
//
// A phase says what the connection waits for; bytes that come early stay in `in_` until their turn, so
// pipelined requests are answered in order. Answers and decisions of the handler arrive as messages with the
// number of the exchange they belong to; one that comes late changes nothing.
// Thread-safety: submit(), answer_directly() and unread_events() from any thread, everything else on the
// loop's thread while it has the connection in hand (http_connection_direct.cpp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "rpc/http_event_loop.h"
#include "rpc/http_loop.h"
#include "rpc/http_request_parser.h"
#include "rpc/http_server.h"
#include "rpc/http_server_state.h"
#include "rpc/http_transport.h"

namespace confd::rpc {

class HttpConnection final : public EventLoop::SocketEvents,
                             public EventLoop::Task,
                             public BodySink,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Client {
    std::string address;  // "local" for the local socket
    std::optional<PeerCredentials> credentials;
  };

  // Messages from handlers.
  struct BeginEvents {
    std::function<void()> on_closed;
  };
  struct EventChunk {
    std::string text;
  };
  struct EndEvents {
    bool cut_off = false;  // the client did not keep up
  };
  struct OnDisconnect {
    std::function<void()> callback;
  };
  using Content =
      std::variant<HeaderDecision, HttpResponse, BeginEvents, EventChunk, EndEvents, OnDisconnect>;
  struct Message {
    std::uint64_t exchange = 0;
    Content content;
  };

  HttpConnection(std::shared_ptr<HttpServerState> server, std::shared_ptr<HttpLoop> loop,
                 HttpTransport transport, Client client);
  ~HttpConnection() override;

  void open();
  void sweep(Time now);  // ends what is past its deadline
  void wind_down();      // stop_accepting(): an idle connection ends, others do after their answer
  void close(bool politely = false);

  void submit(Message message) EXCLUDES(mutex_);
  // Writes the answer on the caller's thread when that can be done at once; false: submit() it.
  bool answer_directly(std::uint64_t exchange, HttpResponse& response);
  std::atomic<std::size_t>& unread_events() { return unread_events_; }
  std::size_t event_backlog() const { return server_->options.event_backlog; }

  void on_readable() override;
  void on_writable() override;
  void run_task() override EXCLUDES(mutex_);
  void on_body(std::string_view bytes) override;

 private:
  enum class Phase {
    handshake,
    idle,        // between requests
    header,      // some bytes of a request are there
    deciding,    // the handler looks at the header
    body,        // the body is read
    answering,   // the handler has the request
    discarding,  // answered early, the body is read and dropped
    writing,     // the answer is on its way
    events,      // an event stream is open
    lingering,   // all is said; waits for the client to close
    closed,
  };

  // Whose the connection is.
  enum class Hands {
    loop,
    lent,     // the handler works: who has the answer may take it
    writing,  // another thread writes the answer
    wanted,   // likewise, and the loop waits to be called
  };
  enum class LeftOver { nothing, output, close };  // by the thread that wrote, for the loop
  void lend();
  bool take_back();
  void catch_up();

  // Input
  void read_on();
  void continue_handshake();
  void await_readable();
  void await_writable();
  void start_reading();
  void yield();
  bool wants_input() const;
  void process(std::string_view fresh);
  std::size_t consume(std::string_view bytes);
  void resume();
  void start_request();
  void header_complete();
  void apply(HeaderDecision decision);
  void answer_early(HttpResponse response);
  void body_progress();
  void dispatch();
  void drain_goodbye();

  // Output
  void refuse(unsigned status, std::string_view text);  // answers and closes
  void answer(HttpResponse response);
  void write_out(std::string_view bytes, std::string tail = {});
  IoStatus write_some(std::string_view bytes, std::size_t& written);
  bool output_waits() const { return out_at_ < out_.size() || tail_at_ < tail_.size(); }
  void close_when_written();
  bool flush();
  void after_flush();
  void finish_exchange();
  void begin_idle();
  void linger();

  // Events
  void begin_events(BeginEvents events);
  void send_event(const std::string& text, bool counted);
  void end_events(const EndEvents& end);

  void deliver_mail() EXCLUDES(mutex_);
  void handle(Message message);
  static void handle_unreachable(Message message);
  void uncount();
  void set_deadline(std::chrono::milliseconds from_now);
  void clear_deadline() { deadline_ = Time::max(); }
  void release_body();
  std::vector<Message> take_mail() EXCLUDES(mutex_);

  const std::shared_ptr<HttpServerState> server_;
  const std::shared_ptr<HttpLoop> loop_;  // before transport_: outlives its socket
  HttpTransport transport_;
  const Client client_;
  std::string client_subject_;
  std::string peer_uri_;
  std::string channel_binding_;
  std::size_t slot_ = 0;  // in loop_->connections

  Phase phase_ = Phase::handshake;
  bool counted_ = true;            // in the server's counters
  bool listed_ = false;            // in loop_->connections
  bool reading_ = false;           // a wait for readable stands
  bool writable_wait_ = false;     // a wait for writable stands
  bool read_wants_write_ = false;  // TLS must send before it can read on
  bool write_wants_read_ = false;  // and the reverse
  bool in_process_ = false;        // input is being worked on: an answer must not start on the next request
  bool yielded_ = false;           // more requests wait in in_, others come first
  bool close_after_answer_ = false;
  bool answered_ = false;  // this exchange has its answer
  Time deadline_ = Time::max();
  Time write_deadline_ = Time::max();
  Time heartbeat_at_ = Time::max();

  std::string in_;  // bytes not used yet
  std::unique_ptr<RequestParser> parser_;
  HttpRequest request_;
  std::shared_ptr<void> context_;
  std::optional<HeaderDecision> decision_;  // came while on_header() was still running
  std::uint64_t exchange_ = 1;
  std::uint64_t body_limit_ = 0;
  std::uint64_t body_counted_ = 0;  // bytes in the server's buffered_bytes
  std::uint64_t body_mark_ = 0;     // progress already rewarded with a new deadline
  std::uint64_t discard_left_ = 0;
  bool discard_overrun_ = false;
  unsigned body_refusal_ = 0;  // status with which the body being read is to be refused
  bool head_only_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = true;
  bool gzip_ = false;
  bool expects_continue_ = false;

  std::string out_;  // bytes the socket did not take yet, then tail_
  std::string tail_;
  std::size_t out_at_ = 0;
  std::size_t tail_at_ = 0;
  std::uint64_t drained_ = 0;

  std::vector<std::function<void()>> on_disconnect_;
  std::function<void()> on_events_closed_;
  bool events_ended_ = false;
  std::size_t events_buffered_ = 0;  // the part of out_ that counts in unread_events_
  std::atomic<std::size_t> unread_events_{0};

  std::atomic<Hands> hands_{Hands::loop};
  LeftOver left_over_ = LeftOver::nothing;
  bool readable_missed_ = false;  // these two: loop's thread, whoever has the connection
  bool close_missed_ = false;

  std::atomic<bool> has_mail_{false};
  base::Mutex mutex_;
  std::vector<Message> mail_ GUARDED_BY(mutex_);
};

}  // namespace confd::rpc
