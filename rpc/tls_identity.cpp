#include "rpc/tls_identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <utility>

namespace confd::rpc {

using base::Code;
using base::Error;
using base::Result;

std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason ? reason : "unknown reason";
}

namespace {

Error refused(const std::string& part, const std::string& reason) {
  return {Code::bad_parameter, part + ": " + reason};
}

}  // namespace

Result<std::vector<OpensslOwned<X509>>> read_certificates(const std::string& pem, const std::string& part) {
  std::vector<OpensslOwned<X509>> certificates;
  OpensslOwned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  ERR_clear_error();
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!at_end && error != 0) return refused(part, "unreadable certificate (" + openssl_reason() + ")");
  ERR_clear_error();
  if (certificates.empty()) {
    return refused(part, "no certificate in it; expected PEM text with -----BEGIN CERTIFICATE-----");
  }
  return certificates;
}

base::Status use_identity(SSL_CTX* context, const std::string& chain_pem,
                          const std::string& private_key_pem) {
  auto chain = read_certificates(chain_pem, "certificate");
  if (!chain) return chain.error();
  OpensslOwned<BIO> bio(BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size())));
  // An encrypted key has nobody to ask for its passphrase here.
  OpensslOwned<EVP_PKEY> key(PEM_read_bio_PrivateKey(
      bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (!key) {
    return refused("private key",
                   "unreadable (" + openssl_reason() + "); expected an unencrypted key in PEM text");
  }
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) {
    return refused("certificate", openssl_reason());
  }
  for (std::size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1) {
      return refused("certificate chain", openssl_reason());
    }
  }
  if (X509_check_private_key(chain->front().get(), key.get()) != 1) {
    ERR_clear_error();
    return refused("private key", "it does not belong to the certificate");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return refused("private key", openssl_reason());
  return {};
}

}  // namespace confd::rpc
