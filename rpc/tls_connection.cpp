#include "rpc/tls_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <limits>
#include <utility>

#include "base/text.h"
#include "rpc/name_lookup.h"
#include "rpc/tls_binding.h"

namespace confd::rpc {

namespace {

using base::Code;
using base::Error;
using Clock = std::chrono::steady_clock;

Error stopped_error() {
  return {Code::stopped, "the call was stopped"};
}
Error timeout_error() {
  return {Code::timeout, "nothing came in time"};
}

Error unreachable(const HttpsClient::Target& target, const std::string& what) {
  return {Code::node_unreachable, "cannot reach " + authority_of(target) + ": " + what};
}

// What CallWait says, with the other end and what was tried.
Error while_doing(const HttpsClient::Target& target, const std::string& what, const Error& error) {
  return {error.code == Code::io_error ? Code::node_unreachable : error.code,
          authority_of(target) + ": " + error.text + " (" + what + ")"};
}

std::string fingerprint_of(const SSL* ssl) {
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!certificate || X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    if (i > 0) text += ':';
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

bool is_ip_address(const std::string& name) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
  const bool is_one = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  ERR_clear_error();
  return is_one;
}

bool expect_name(SSL* ssl, const std::string& name) {
  if (name.empty()) return true;
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  if (is_ip_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(rules,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

}  // namespace

std::string authority_of(const HttpsClient::Target& target) {
  const bool is_v6 = target.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + target.host + "]" : target.host) + ":" + std::to_string(target.port);
}

CallWait::CallWait(Time deadline, std::stop_token stop) : deadline_(deadline), stop_(std::move(stop)) {
  if (!stop_.stop_possible()) return;
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  on_stop_.emplace(stop_, std::function<void()>([this] {
                     const std::uint64_t one = 1;
                     [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
                   }));
}

CallWait::~CallWait() {
  on_stop_.reset();  // waits for a callback that runs
  if (wake_ >= 0) ::close(wake_);
}

base::Status CallWait::check() const {
  if (stop_.stop_requested()) return stopped_error();
  if (Clock::now() >= deadline_) return timeout_error();
  return {};
}

base::Result<short> CallWait::wait(int descriptor, short events, std::optional<Time> at_most) {
  const Time until = at_most ? std::min(*at_most, deadline_) : deadline_;
  while (true) {
    if (stop_.stop_requested()) return stopped_error();
    const Time now = Clock::now();
    if (now >= until) return timeout_error();
    // An hour at a time: a deadline of Time::max() does not fit a poll.
    const auto left = std::min<Clock::duration>(until - now, std::chrono::hours(1));
    int timeout = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
    // Without a descriptor for the wake-up a stop is looked for instead.
    if (wake_ < 0 && stop_.stop_possible()) timeout = std::min(timeout, 50);
    pollfd watched[2] = {{descriptor, events, 0}, {wake_, POLLIN, 0}};
    const int ready = ::poll(watched, wake_ < 0 ? 1 : 2, timeout);
    if (ready < 0 && errno != EINTR) return Error{Code::io_error, std::strerror(errno)};
    if (ready > 0 && watched[0].revents != 0 && !stop_.stop_requested()) return watched[0].revents;
  }
}

base::Status TlsConnection::open(const HttpsClient::Target& target, const ClientTls& tls, CallWait& wait) {
  close();
  reason_.clear();
  broken_ = refused_ = false;
  auto status = connect(target, wait);
  if (status) status = shake_hands(target, tls, wait);
  if (!status) close();
  return status;
}

base::Status TlsConnection::connect(const HttpsClient::Target& target, CallWait& wait) {
  auto addresses = look_up(target.host, target.port, wait.deadline(), wait.stop());
  if (!addresses) {
    if (addresses.error().code == Code::node_unreachable) return unreachable(target, addresses.error().text);
    return while_doing(target, "looking up the name", addresses.error());
  }
  std::optional<SocketAddress> source;
  if (!target.source_address.empty()) {
    auto own = numeric_address(target.source_address);
    if (!own) {
      return unreachable(target, "source address " + target.source_address + " is no IP address");
    }
    source = *own;
  }
  Error last = unreachable(target, "it has no address");
  for (const SocketAddress& address : *addresses) {
    if (source && source->family() != address.family()) {
      last =
          unreachable(target, "source address " + target.source_address + " is of another kind (IPv4, IPv6)");
      continue;
    }
    descriptor_ = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor_ < 0) return unreachable(target, std::string("socket: ") + std::strerror(errno));
    const int on = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source) {
      // The port is chosen when the other end is known: many connections may share a source then.
      ::setsockopt(descriptor_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
      if (::bind(descriptor_, source->get(), source->size) != 0) {
        last = unreachable(target,
                           "bind to source address " + target.source_address + ": " + std::strerror(errno));
        ::close(std::exchange(descriptor_, -1));
        continue;
      }
    }
    int error = ::connect(descriptor_, address.get(), address.size) == 0 ? 0 : errno;
    if (error == EINPROGRESS || error == EINTR) {
      auto ready = wait.wait(descriptor_, POLLOUT);
      if (!ready) return while_doing(target, "connecting", ready.error());
      socklen_t size = sizeof error;
      if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    }
    if (error == 0) return {};
    last = unreachable(target, std::string("connect: ") + std::strerror(error));
    ::close(std::exchange(descriptor_, -1));
  }
  return last;
}

base::Status TlsConnection::shake_hands(const HttpsClient::Target& target, const ClientTls& tls,
                                        CallWait& wait) {
  const std::string& name = target.server_name.empty() ? tls.server_name() : target.server_name;
  ssl_.reset(SSL_new(tls.context()));
  if (!ssl_ || SSL_set_fd(ssl_.get(), descriptor_) != 1 || !expect_name(ssl_.get(), name)) {
    return unreachable(target, "TLS set-up: " + openssl_reason());
  }
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_connect(ssl_.get());
    if (result == 1) break;
    const Io io = failure(result);
    if (io == Io::want_read || io == Io::want_write) {
      auto ready = wait.wait(descriptor_, io == Io::want_read ? POLLIN : POLLOUT);
      if (!ready) return while_doing(target, "TLS handshake", ready.error());
      continue;
    }
    const long verified = SSL_get_verify_result(ssl_.get());
    if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH) {
      return unreachable(target, "the server's certificate does not carry the name " + name);
    }
    if (verified != X509_V_OK) {
      return unreachable(target, std::string("the server's certificate is refused: ") +
                                     X509_verify_cert_error_string(verified) +
                                     "; it has to be signed by an authority known here");
    }
    return unreachable(target, "TLS handshake: " + reason_);
  }
  fingerprint_ = fingerprint_of(ssl_.get());
  return {};
}

std::string TlsConnection::binding() const {
  return ssl_ ? channel_binding(ssl_.get()) : std::string();
}

bool TlsConnection::is_stale() {
  char byte = 0;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_peek(ssl_.get(), &byte, 1);
  return result > 0 || failure(result) != Io::want_read;
}

void TlsConnection::close() {
  if (ssl_ && !broken_ && SSL_is_init_finished(ssl_.get())) {
    SSL_shutdown(ssl_.get());  // best effort, nobody waits for the other end's goodbye
  }
  ERR_clear_error();
  ssl_.reset();
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

TlsConnection::Io TlsConnection::failure(int result) {
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::want_read;
    case SSL_ERROR_WANT_WRITE:
      return Io::want_write;
    case SSL_ERROR_ZERO_RETURN:
      reason_ = "closed by the server";
      return Io::closed;
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      reason_ = system_error != 0 ? std::strerror(system_error) : "closed by the server";
      return Io::closed;
    default:
      break;
  }
  broken_ = true;
  const unsigned long error = ERR_peek_error();
  const int code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
  if (code == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    reason_ = "closed by the server";
    return Io::closed;
  }
  const char* text = ERR_reason_error_string(error);
  reason_ = text ? text : "TLS error";
  // With TLS 1.3 the server looks at our certificate after we think the handshake done.
  refused_ = code > SSL_AD_REASON_OFFSET && code < SSL_AD_REASON_OFFSET + 256;
  if (refused_) reason_ = "the server refuses us, or our certificate: " + reason_;
  if (code == SSL_R_WRONG_VERSION_NUMBER) reason_ = "the server does not speak TLS";
  ERR_clear_error();
  return Io::failed;
}

TlsConnection::Io TlsConnection::read(char* to, std::size_t size, std::size_t& bytes) {
  ERR_clear_error();
  errno = 0;
  bytes = 0;
  const int result = SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
  if (result <= 0) return failure(result);
  bytes = static_cast<std::size_t>(result);
  return Io::done;
}

TlsConnection::Io TlsConnection::write(std::string_view from, std::size_t& bytes) {
  ERR_clear_error();
  errno = 0;
  bytes = 0;
  const int result =
      SSL_write(ssl_.get(), from.data(), static_cast<int>(std::min<std::size_t>(from.size(), INT_MAX)));
  if (result <= 0) return failure(result);
  bytes = static_cast<std::size_t>(result);
  return Io::done;
}

}  // namespace confd::rpc
