#include "rpc/stream_socket.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace confd::rpc {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using std::chrono::steady_clock;

namespace {

// Of TLS, a connection: eight records come with one system call instead of sixteen.
constexpr std::size_t kReadAhead = 128 * 1024;

}  // namespace

void StreamSocket::FreeSsl::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

StreamSocket::StreamSocket(int descriptor, StreamWakes wakes, const std::shared_ptr<SSL_CTX>& tls)
    : descriptor_(descriptor), wakes_(wakes) {
  if (!tls) return;
  ssl_.reset(SSL_new(tls.get()));
  broken_ = !ssl_ || SSL_set_fd(ssl_.get(), descriptor_) != 1;
  if (broken_) return;
  SSL_set_accept_state(ssl_.get());
  SSL_set_read_ahead(ssl_.get(), 1);
  SSL_set_default_read_buffer_len(ssl_.get(), kReadAhead);
  SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

StreamSocket::~StreamSocket() {
  ssl_.reset();
  ::close(descriptor_);
}

Status StreamSocket::wait(short events, Time deadline, bool idle) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return Error{Code::timeout, "the other end was silent for too long"};
    pollfd watched[3] = {
        {descriptor_, events, 0}, {wakes_.stop, POLLIN, 0}, {idle ? wakes_.drain : -1, POLLIN, 0}};
    const int ready = ::poll(watched, 3, static_cast<int>(std::min<long long>(left, INT_MAX)));
    if (ready < 0 && errno != EINTR) return Error{Code::io_error, std::strerror(errno)};
    if (ready <= 0) continue;
    if (watched[1].revents != 0) return Error{Code::stopped, "the listener closes"};
    if (watched[0].revents != 0) return {};
    if (watched[2].revents != 0) return Error{Code::stopped, "the listener closes"};
  }
}

Result<short> StreamSocket::wanted(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return static_cast<short>(POLLIN);
    case SSL_ERROR_WANT_WRITE:
      return static_cast<short>(POLLOUT);
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      return Error{Code::io_error, errno != 0 ? std::strerror(errno) : "the connection was cut"};
    default:
      break;
  }
  broken_ = true;
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return Error{Code::io_error, reason != nullptr ? reason : "TLS error"};
}

Status StreamSocket::handshake(Time deadline) {
  if (broken_) return Error{Code::io_error, "no memory for a TLS connection"};
  while (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) break;
    const auto events = wanted(result);
    if (!events) return events.error();
    if (Status ready = wait(*events, deadline, false); !ready) return ready;
  }
  return {};
}

Result<std::size_t> StreamSocket::read(char* to, std::size_t size, Time deadline, bool idle) {
  for (;;) {
    short events = POLLIN;
    if (ssl_) {
      if (broken_) return Error{Code::io_error, "the connection was cut"};
      ERR_clear_error();
      errno = 0;
      const int result = SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
      if (result > 0) return static_cast<std::size_t>(result);
      if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
      const auto needed = wanted(result);
      if (!needed) return needed.error();
      events = *needed;
    } else {
      const ssize_t result = ::recv(descriptor_, to, size, 0);
      if (result >= 0) return static_cast<std::size_t>(result);
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Error{Code::io_error, std::strerror(errno)};
    }
    if (Status ready = wait(events, deadline, idle); !ready) return ready.error();
  }
}

Status StreamSocket::write(std::string_view bytes, std::chrono::milliseconds patience) {
  Time deadline = steady_clock::now() + patience;
  while (!bytes.empty()) {
    short events = POLLOUT;
    std::size_t sent = 0;
    if (ssl_) {
      if (broken_) return Error{Code::io_error, "the connection was cut"};
      ERR_clear_error();
      errno = 0;
      const int result =
          SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX)));
      if (result > 0) {
        sent = static_cast<std::size_t>(result);
      } else {
        const auto needed = wanted(result);
        if (!needed) return needed.error();
        events = *needed;
      }
    } else {
      const ssize_t result = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (result < 0 && errno == EINTR) continue;
      if (result < 0 && errno != EAGAIN) return Error{Code::io_error, std::strerror(errno)};
      sent = result < 0 ? 0 : static_cast<std::size_t>(result);
    }
    if (sent > 0) {
      bytes.remove_prefix(sent);
      deadline = steady_clock::now() + patience;
      continue;
    }
    if (Status ready = wait(events, deadline, false); !ready) return ready;
  }
  return {};
}

void StreamSocket::say_goodbye(Time deadline) {
  if (ssl_ && !broken_ && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(descriptor_, SHUT_WR);
  char scratch[16 * 1024];
  for (;;) {
    const ssize_t result = ::recv(descriptor_, scratch, sizeof scratch, 0);
    if (result == 0 || (result < 0 && errno != EAGAIN && errno != EINTR)) return;
    if (result < 0 && !wait(POLLIN, deadline, false)) return;
    if (steady_clock::now() >= deadline) return;
  }
}

}  // namespace confd::rpc
