#include "rpc/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "rpc/tls_identity.h"
#include "rpc/tls_peer.h"

namespace confd::rpc {

namespace {

using base::Code;
using base::Error;
using base::Result;

Error refused(const std::string& part, const std::string& reason) {
  return {Code::bad_parameter, part + ": " + reason};
}

base::Status use_verification(SSL_CTX* context, const TlsSettings& settings) {
  if (settings.verify == TlsSettings::Verify::none) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  if (settings.authorities_pem.empty()) {
    return refused("CertAuth",
                   "certificates of clients are to be verified, but there is no authority to do it with");
  }
  auto authorities = read_certificates(settings.authorities_pem, "CertAuth");
  if (!authorities) return authorities.error();
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const OpensslOwned<X509>& authority : *authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1 ||
        SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return refused("CertAuth", openssl_reason());
    }
  }
  int mode = SSL_VERIFY_PEER;
  if (settings.verify == TlsSettings::Verify::required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, mode, nullptr);
  return {};
}

Result<std::shared_ptr<SSL_CTX>> make_context(const TlsSettings& settings) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return Error{Code::internal, "TLS context: " + openssl_reason()};
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Buffers are freed while a connection idles: 2,000 of them must stay cheap.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);  // header and payload of a record in one system call
  // Resumption works through tickets alone; the cache of sessions would only grow.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  static constexpr unsigned char kSessionContext[] = "confd";
  SSL_CTX_set_session_id_context(context.get(), kSessionContext, sizeof kSessionContext - 1);
  if (SSL_CTX_set1_groups_list(context.get(), "X25519:P-256:P-384:P-521") != 1 ||
      SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
    return Error{Code::internal, "TLS context: " + openssl_reason()};
  }
  if (auto status = use_identity(context.get(), settings.certificate_chain_pem, settings.private_key_pem);
      !status)
    return status.error();
  if (auto status = use_verification(context.get(), settings); !status) return status.error();
  if (!settings.peer_server_name.empty()) {
    if (auto status = use_peer_identity(context.get(), settings); !status) return status.error();
  }
  ERR_clear_error();
  return context;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::create(const TlsSettings& settings) {
  auto context = make_context(settings);
  if (!context) return context.error();
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(*context)));
}

base::Status TlsContext::replace(const TlsSettings& settings) {
  auto context = make_context(settings);
  if (!context) return context.error();
  std::shared_ptr<SSL_CTX> old = std::move(*context);
  base::MutexLock lock(mutex_);
  std::swap(context_, old);
  return {};
}

std::shared_ptr<SSL_CTX> TlsContext::current() const {
  base::MutexLock lock(mutex_);
  return context_;
}

}  // namespace confd::rpc
