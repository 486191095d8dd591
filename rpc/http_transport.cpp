#include "rpc/http_transport.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "rpc/tls_binding.h"
#include "rpc/tls_peer.h"

namespace confd::rpc {

HttpTransport::HttpTransport(EventLoop::Socket socket, SSL_CTX* tls) : socket_(std::move(socket)) {
  if (!tls) return;
  ssl_.reset(SSL_new(tls));
  if (!ssl_ || SSL_set_fd(ssl_.get(), socket_.descriptor()) != 1) {
    broken_ = true;
    last_error_ = "no memory for a TLS connection";
    return;
  }
  SSL_set_accept_state(ssl_.get());
}

IoResult HttpTransport::ssl_failure(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {IoStatus::want_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {IoStatus::want_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {IoStatus::closed, 0};
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      last_error_ = errno != 0 ? std::strerror(errno) : "connection closed by the client";
      return {IoStatus::closed, 0};
    default:
      break;
  }
  broken_ = true;
  const unsigned long error = ERR_peek_error();
  const char* reason = ERR_reason_error_string(error);
  last_error_ = reason ? reason : "TLS error";
  spoke_clear_http_ = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST;
  // A client that leaves without close_notify (many do) has just closed the connection.
  const bool left =
      ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  ERR_clear_error();
  return {left ? IoStatus::closed : IoStatus::failed, 0};
}

IoResult HttpTransport::handshake() {
  if (!ssl_ || broken_) return {broken_ ? IoStatus::failed : IoStatus::done, 0};
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? IoResult{} : ssl_failure(result);
}

IoResult HttpTransport::read(char* to, std::size_t size) {
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
    if (result > 0) return {IoStatus::done, static_cast<std::size_t>(result)};
    return ssl_failure(result);
  }
  while (true) {
    const ssize_t result = ::recv(socket_.descriptor(), to, size, 0);
    if (result > 0) return {IoStatus::done, static_cast<std::size_t>(result)};
    if (result == 0) return {IoStatus::closed, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return {IoStatus::want_read, 0};
    return {IoStatus::closed, 0};
  }
}

IoResult HttpTransport::write(std::string_view from) {
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int result =
        SSL_write(ssl_.get(), from.data(), static_cast<int>(std::min<std::size_t>(from.size(), INT_MAX)));
    if (result > 0) return {IoStatus::done, static_cast<std::size_t>(result)};
    return ssl_failure(result);
  }
  while (true) {
    const ssize_t result = ::send(socket_.descriptor(), from.data(), from.size(), MSG_NOSIGNAL);
    if (result >= 0) return {IoStatus::done, static_cast<std::size_t>(result)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return {IoStatus::want_write, 0};
    return {IoStatus::closed, 0};
  }
}

void HttpTransport::shut_down_sending() {
  if (ssl_ && !broken_ && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // best effort: a client that does not read is cut off by the deadline
    ERR_clear_error();
  }
  ::shutdown(socket_.descriptor(), SHUT_WR);
}

IoResult HttpTransport::drain() {
  char scratch[16 * 1024];
  while (true) {
    const ssize_t result = ::recv(socket_.descriptor(), scratch, sizeof scratch, 0);
    if (result > 0) return {IoStatus::done, static_cast<std::size_t>(result)};
    if (result == 0) return {IoStatus::closed, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return {IoStatus::want_read, 0};
    return {IoStatus::closed, 0};
  }
}

void HttpTransport::close() {
  ssl_.reset();
  socket_.close();
}

std::string HttpTransport::client_subject() const {
  if (!ssl_ || SSL_get_verify_result(ssl_.get()) != X509_V_OK || came_as_peer(ssl_.get())) return {};
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (!certificate) return {};
  std::string text;
  if (BIO* bio = BIO_new(BIO_s_mem())) {
    X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    if (size > 0) text.assign(data, static_cast<std::size_t>(size));
    BIO_free(bio);
  }
  return text;
}

std::string HttpTransport::peer_uri() const {
  return ssl_ ? verified_peer_uri(ssl_.get()) : std::string();
}

std::string HttpTransport::binding() const {
  return ssl_ ? channel_binding(ssl_.get()) : std::string();
}

}  // namespace confd::rpc
