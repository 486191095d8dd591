// StreamSocket: one accepted connection, through TLS or in clear, read and written by a thread that waits.
// Used by StreamConnection.
//
// Every wait has a deadline and ends early when a wake descriptor becomes readable. Thread-safety: one
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

#include "base/result.h"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace confd::rpc {

// Descriptors of eventfd(2); readable from the moment on.
struct StreamWakes {
  int stop = -1;   // ends every wait
  int drain = -1;  // ends the wait for a next request
};

class StreamSocket {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Takes over `descriptor` (non-blocking). `tls` null: in clear.
  StreamSocket(int descriptor, StreamWakes wakes, const std::shared_ptr<SSL_CTX>& tls);
  ~StreamSocket();
  StreamSocket(const StreamSocket&) = delete;
  StreamSocket& operator=(const StreamSocket&) = delete;

  // Errors of all: Code::timeout, Code::stopped, Code::io_error with what the connection said.
  base::Status handshake(Time deadline);
  // At least one byte; 0: the other end sends no more. `idle`: also ended by the wake `drain`.
  base::Result<std::size_t> read(char* to, std::size_t size, Time deadline, bool idle = false);
  // All of it; `patience`: for each bit of progress.
  base::Status write(std::string_view bytes, std::chrono::milliseconds patience);
  // Says that nothing more is sent, and reads on until the other end has closed: what was sent last would
  // otherwise be lost to a client that is still sending.
  void say_goodbye(Time deadline);

 private:
  base::Status wait(short events, Time deadline, bool idle);
  base::Result<short> wanted(int result);  // after an SSL_* call that did not succeed

  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };
  const int descriptor_;
  const StreamWakes wakes_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool broken_ = false;
};

}  // namespace confd::rpc
