// What certificate.cpp and cluster_authority.cpp both build certificates from: owners of OpenSSL's objects,
// PEM in memory, serial numbers, extensions, alternative names. Used inside auth only. Thread-safety: pure
// functions.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace confd::auth {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

std::string read_all(BIO* bio);
BioPtr memory(std::string_view text);
std::string text_of(const ASN1_STRING* text);

// "<what> failed: <OpenSSL's reason>", Code::internal. Clears OpenSSL's errors.
base::Error openssl_failure(const std::string& what);

// Error: Code::bad_parameter for a name that can't stand in a certificate.
base::Status check_names(const std::vector<std::string>& names);
// "IP:127.0.0.11,DNS:localhost" as OpenSSL's extension syntax wants it. REQUIRES: check_names().
std::string alternative_names(const std::vector<std::string>& names);
// `issuer`: whose key identifier an authorityKeyIdentifier names.
bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value);
bool set_serial(X509* certificate);  // random, 127 bits
bool set_common_name(X509_NAME* subject, const std::string& name);
bool set_life(X509* certificate, std::time_t now, long days);  // from a day before `now`

// Empty after a failure of OpenSSL.
std::string certificate_pem(const X509* certificate);
std::string key_pem(const EVP_PKEY* key);

}  // namespace confd::auth
