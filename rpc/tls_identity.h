// Certificates and keys in PEM text, as both ends of TLS need them: TlsContext (listener) and ClientTls
// (outgoing calls). Errors are Code::bad_parameter and name the part. Thread-safety: pure functions but for
// the context given.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace confd::rpc {

struct OpensslFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
template <class T>
using OpensslOwned = std::unique_ptr<T, OpensslFree>;

// Text of this thread's last OpenSSL error, which is cleared.
std::string openssl_reason();

// At least one; `part` is how the error calls the text.
base::Result<std::vector<OpensslOwned<X509>>> read_certificates(const std::string& pem,
                                                                const std::string& part);

// Shows the chain (own certificate first) and uses the key, which has to belong to it.
base::Status use_identity(SSL_CTX* context, const std::string& chain_pem, const std::string& private_key_pem);

}  // namespace confd::rpc
