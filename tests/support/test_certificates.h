// Keys and certificates made in tests with OpenSSL: roots, servers, broken ones. Used by tests of
// auth/certificate and of cert_update.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "base/clock.h"

namespace confd::test {

using PrivateKey = std::shared_ptr<EVP_PKEY>;

inline PrivateKey ec_key() {
  return {EVP_EC_gen("P-256"), &EVP_PKEY_free};
}
inline PrivateKey rsa_key(unsigned int bits) {
  return {EVP_RSA_gen(bits), &EVP_PKEY_free};
}

template <class Write>
std::string pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  REQUIRE(write(bio) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

inline std::string key_pem(const PrivateKey& key, const char* password = nullptr) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key.get(), password == nullptr ? nullptr : EVP_aes_256_cbc(),
                                    nullptr, 0, nullptr, const_cast<char*>(password));
  });
}

struct CertificateSpec {
  std::string name = {};
  bool authority = false;
  std::string alternative_names = {};  // "DNS:x,IP:127.0.0.11"; empty = none
  bool server_usage = true;
  int from_day = -1, to_day = 90;  // days from `now`
  const EVP_MD* digest = EVP_sha256();
};

struct Certificate {
  std::shared_ptr<X509> x509;
  PrivateKey key;
  std::string text;
};

// Signed by `issuer`, or by itself.
inline Certificate make_certificate(const CertificateSpec& spec, base::WallTime now,
                                    const Certificate* issuer = nullptr, PrivateKey key = ec_key()) {
  Certificate made{{X509_new(), &X509_free}, std::move(key), {}};
  X509* cert = made.x509.get();
  static long serial = 1;
  std::time_t when = std::chrono::system_clock::to_time_t(now);
  X509_set_version(cert, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  X509_time_adj_ex(X509_getm_notBefore(cert), spec.from_day, 0, &when);
  X509_time_adj_ex(X509_getm_notAfter(cert), spec.to_day, 0, &when);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(spec.name.c_str()), -1, -1, 0);
  X509* issuer_cert = issuer == nullptr ? cert : issuer->x509.get();
  X509_set_issuer_name(cert, X509_get_subject_name(issuer_cert));
  X509_set_pubkey(cert, made.key.get());
  const auto extend = [&](int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer_cert, cert, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, spec.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!spec.authority && spec.server_usage) extend(NID_ext_key_usage, "serverAuth");
  if (!spec.alternative_names.empty()) extend(NID_subject_alt_name, spec.alternative_names);
  REQUIRE(X509_sign(cert, issuer == nullptr ? made.key.get() : issuer->key.get(), spec.digest) != 0);
  made.text = pem([&](BIO* bio) { return PEM_write_bio_X509(bio, cert); });
  return made;
}

}  // namespace confd::test
