#include "rpc/tls_peer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

#include "rpc/tls_identity.h"

namespace confd::rpc {

namespace {

using base::Code;
using base::Error;

struct PeerIdentity {
  std::string server_name;
  OpensslOwned<X509> certificate;
  OpensslOwned<EVP_PKEY> key;
  std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> authorities{X509_STORE_new(), &X509_STORE_free};
};

// Where a context keeps its PeerIdentity, which ends with it.
int context_index() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* identity, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<PeerIdentity*>(identity);
      });
  return index;
}

// Set in connections that asked for the peer identity.
int connection_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool become_peer(SSL* ssl, PeerIdentity& identity) {
  // Both certificates may stay in different slots (RSA, EC), and the client's taste would choose.
  SSL_certs_clear(ssl);
  SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_set_client_CA_list(ssl, nullptr);  // the authorities of users are of no interest here
  SSL_set_options(ssl, SSL_OP_NO_TICKET);
  return SSL_set_num_tickets(ssl, 0) == 1 && SSL_use_certificate(ssl, identity.certificate.get()) == 1 &&
         SSL_use_PrivateKey(ssl, identity.key.get()) == 1 &&
         SSL_set1_verify_cert_store(ssl, identity.authorities.get()) == 1 &&
         SSL_set_ex_data(ssl, connection_index(), &identity) == 1;
}

int on_server_name(SSL* ssl, int* alert, void* argument) {
  auto& identity = *static_cast<PeerIdentity*>(argument);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr || identity.server_name != name) return SSL_TLSEXT_ERR_OK;
  if (become_peer(ssl, identity)) return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Error refused(const std::string& part, const std::string& reason) {
  return {Code::bad_parameter, "cluster: " + part + ": " + reason};
}

}  // namespace

base::Status use_peer_identity(SSL_CTX* context, const TlsSettings& settings) {
  auto identity = std::make_unique<PeerIdentity>();
  identity->server_name = settings.peer_server_name;
  auto certificates = read_certificates(settings.peer_certificate_pem, "cluster: certificate");
  if (!certificates) return certificates.error();
  identity->certificate = std::move(certificates->front());
  const OpensslOwned<BIO> bio(BIO_new_mem_buf(settings.peer_private_key_pem.data(),
                                              static_cast<int>(settings.peer_private_key_pem.size())));
  // Nobody is there to be asked for a password.
  identity->key.reset(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (!identity->key) return refused("private key", "unreadable (" + openssl_reason() + ")");
  if (X509_check_private_key(identity->certificate.get(), identity->key.get()) != 1) {
    ERR_clear_error();
    return refused("private key", "it does not belong to the certificate");
  }
  auto authorities = read_certificates(settings.peer_authorities_pem, "cluster: authority");
  if (!authorities) return authorities.error();
  for (const OpensslOwned<X509>& authority : *authorities) {
    if (X509_STORE_add_cert(identity->authorities.get(), authority.get()) != 1) {
      return refused("authority", openssl_reason());
    }
  }
  SSL_CTX_set_tlsext_servername_callback(context, &on_server_name);
  SSL_CTX_set_tlsext_servername_arg(context, identity.get());
  if (SSL_CTX_set_ex_data(context, context_index(), identity.get()) != 1) {
    return Error{Code::internal, "TLS context: " + openssl_reason()};
  }
  (void)identity.release();  // the context's from here on
  return {};
}

bool came_as_peer(const SSL* ssl) {
  return SSL_get_ex_data(ssl, connection_index()) != nullptr;
}

std::string verified_peer_uri(const SSL* ssl) {
  // A resumed session was verified when it began, perhaps by the authorities of users: TLS 1.3 lets a ticket
  // be used under another server name.
  if (!came_as_peer(ssl) || SSL_session_reused(ssl) == 1 || SSL_get_verify_result(ssl) != X509_V_OK)
    return {};
  X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return {};
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  std::string uri;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    if (!uri.empty()) return {};  // which one is meant?
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
               static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  return uri;
}

}  // namespace confd::rpc
