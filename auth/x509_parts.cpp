#include "auth/x509_parts.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "base/text.h"

namespace confd::auth {

std::string read_all(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

BioPtr memory(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

base::Error openssl_failure(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  base::Error error{base::Code::internal,
                    what + " failed: " + (reason == nullptr ? "OpenSSL gave no reason" : reason)};
  ERR_clear_error();
  return error;
}

base::Status check_names(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (name.empty() || name.find_first_of(",: \t\r\n") != std::string::npos) {
      // A colon belongs into IPv6 addresses only; elsewhere it would start another kind of name.
      unsigned char buffer[16];
      if (::inet_pton(AF_INET6, name.c_str(), buffer) != 1)
        return base::Error{base::Code::bad_parameter, "'" + name + "' is no name for a certificate"};
    }
  return {};
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::vector<std::string> items;
  for (const std::string& name : names) {
    unsigned char buffer[16];
    const bool address =
        ::inet_pton(AF_INET, name.c_str(), buffer) == 1 || ::inet_pton(AF_INET6, name.c_str(), buffer) == 1;
    items.push_back((address ? "IP:" : "DNS:") + name);
  }
  return base::join(items, ",");
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, and never zero
  const std::unique_ptr<BIGNUM, Deleter<BN_free>> number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_common_name(X509_NAME* subject, const std::string& name) {
  return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1;
}

bool set_life(X509* certificate, std::time_t now, long days) {
  constexpr long kDay = 24 * 60 * 60;
  return X509_time_adj_ex(X509_getm_notBefore(certificate), -1, 0, &now) != nullptr &&
         X509_time_adj(X509_getm_notAfter(certificate), days * kDay, &now) != nullptr;
}

std::string certificate_pem(const X509* certificate) {
  const BioPtr text(BIO_new(BIO_s_mem()));
  return PEM_write_bio_X509(text.get(), certificate) == 1 ? read_all(text.get()) : std::string();
}

std::string key_pem(const EVP_PKEY* key) {
  const BioPtr text(BIO_new(BIO_s_mem()));
  return PEM_write_bio_PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1
             ? read_all(text.get())
             : std::string();
}

}  // namespace confd::auth
