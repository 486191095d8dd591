#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <csignal>
#include <mutex>
#include <utility>

#include "rpc/https_client.h"
#include "rpc/tls_identity.h"

namespace confd::rpc {

using base::Code;
using base::Error;
using base::Result;

namespace {

// OpenSSL writes to sockets without MSG_NOSIGNAL. A handler that somebody set is left alone.
void ignore_broken_pipes() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction current {};
    if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) {
      ::signal(SIGPIPE, SIG_IGN);
    }
  });
}

base::Status trust(SSL_CTX* context, const std::string& authorities_pem) {
  if (authorities_pem.empty()) {
    return Error{Code::bad_parameter,
                 "authorities: none given; without one no server's certificate could be believed"};
  }
  auto authorities = read_certificates(authorities_pem, "authorities");
  if (!authorities) return authorities.error();
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const OpensslOwned<X509>& authority : *authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) {
      return Error{Code::bad_parameter, "authorities: " + openssl_reason()};
    }
  }
  // An authority given here suffices, whether or not somebody else has signed it.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return {};
}

}  // namespace

Result<std::shared_ptr<const ClientTls>> ClientTls::create(const ClientTlsSettings& settings) {
  ignore_broken_pipes();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!context) return Error{Code::internal, "TLS context: " + openssl_reason()};
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);  // header and payload of a record in one system call
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set1_groups_list(context.get(), "X25519:P-256:P-384:P-521") != 1 ||
      SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
    return Error{Code::internal, "TLS context: " + openssl_reason()};
  }
  if (!settings.certificate_chain_pem.empty() || !settings.private_key_pem.empty()) {
    auto status = use_identity(context.get(), settings.certificate_chain_pem, settings.private_key_pem);
    if (!status) return status.error();
  }
  if (settings.any_server) {
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  } else if (auto status = trust(context.get(), settings.authorities_pem); !status) {
    return status.error();
  }
  ERR_clear_error();
  return std::shared_ptr<const ClientTls>(new ClientTls(std::move(context), settings.server_name));
}

}  // namespace confd::rpc
