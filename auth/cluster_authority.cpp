#include "auth/cluster_authority.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "auth/x509_parts.h"
#include "base/json.h"
#include "base/text.h"
#include "exaconf/node_names.h"

namespace confd::auth {
namespace {

constexpr long kAuthorityDays = 20 * 365 + 5;
constexpr long kNodeDays = 10 * 365 + 2;
constexpr std::size_t kLargestPem = 64 * 1024;
constexpr std::size_t kLongestCommonName = 64;  // X.520

base::Error unusable(const std::string& what, const std::string& why) {
  ERR_clear_error();
  return {base::Code::bad_parameter, what + ": " + why};
}

X509Ptr read_certificate(std::string_view pem) {
  if (pem.size() > kLargestPem) return nullptr;
  X509Ptr certificate(PEM_read_bio_X509(memory(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

struct Authority {
  X509Ptr certificate;
  KeyPtr key;
};

base::Result<Authority> read_authority(const SignedPair& pair, base::WallTime now) {
  const std::string what = "the authority of the cluster";
  Authority authority{read_certificate(pair.certificate_pem), nullptr};
  // Nobody is there to be asked for a password.
  authority.key.reset(PEM_read_bio_PrivateKey(
      memory(pair.key_pem).get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  ERR_clear_error();
  if (!authority.certificate) return unusable(what, "its certificate can't be read as PEM");
  if (!authority.key) return unusable(what, "its private key can't be read as PEM without a password");
  if (X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1)
    return unusable(what, "the private key does not belong to the certificate");
  if (X509_check_ca(authority.certificate.get()) != 1)
    return unusable(what, "the certificate may not sign others");
  std::time_t when = std::chrono::system_clock::to_time_t(now);
  if (X509_cmp_time(X509_get0_notAfter(authority.certificate.get()), &when) < 0)
    return unusable(what, "the certificate has expired");
  return authority;
}

std::string node_common_name(int node) {
  return "confd node " + std::to_string(node);
}

// A certificate must not outlive what it is checked against.
bool end_with(X509* certificate, const X509* issuer) {
  const ASN1_TIME* end = X509_get0_notAfter(issuer);
  return ASN1_TIME_compare(X509_get0_notAfter(certificate), end) <= 0 ||
         X509_set1_notAfter(certificate, end) == 1;
}

// Nothing of this comes from the node: its key only.
base::Result<std::string> sign_node(const Authority& authority, EVP_PKEY* key, int node,
                                    std::vector<std::string> names, base::WallTime now) {
  if (node < 0)
    return base::Error{base::Code::bad_parameter, "a node's id is not negative, as " + std::to_string(node)};
  if (base::Status checked = check_names(names); !checked.ok()) return checked.error();
  names.push_back(exaconf::node_server_name(node));
  X509* issuer = authority.certificate.get();
  const X509Ptr certificate(X509_new());
  X509* cert = certificate.get();
  const bool made =
      cert != nullptr && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
      set_life(cert, std::chrono::system_clock::to_time_t(now), kNodeDays) && end_with(cert, issuer) &&
      set_common_name(X509_get_subject_name(cert), node_common_name(node)) &&
      X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 && X509_set_pubkey(cert, key) == 1 &&
      add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
      add_extension(cert, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
      add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
      add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
      add_extension(cert, issuer, NID_subject_alt_name,
                    "URI:" + exaconf::node_uri(node) + "," + alternative_names(names)) &&
      X509_sign(cert, authority.key.get(), EVP_sha256()) != 0;
  std::string text = made ? certificate_pem(cert) : std::string();
  if (text.empty()) return openssl_failure("making the certificate of node " + std::to_string(node));
  return text;
}

}  // namespace

base::Result<SignedPair> make_cluster_authority(const std::string& cluster_name, base::WallTime now) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  X509* cert = certificate.get();
  std::string common_name = "confd cluster " + cluster_name;
  common_name.resize(std::min(common_name.size(), kLongestCommonName));
  while (!base::is_valid_utf8(common_name)) common_name.pop_back();  // the cut may be inside a letter
  const bool made =
      key && cert != nullptr && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
      set_life(cert, std::chrono::system_clock::to_time_t(now), kAuthorityDays) &&
      set_common_name(X509_get_subject_name(cert), common_name) &&
      X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 && X509_set_pubkey(cert, key.get()) == 1 &&
      add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
      X509_sign(cert, key.get(), EVP_sha256()) != 0;
  SignedPair pair;
  if (made) pair = {certificate_pem(cert), key_pem(key.get())};
  if (pair.certificate_pem.empty() || pair.key_pem.empty())
    return openssl_failure("making the authority of the cluster");
  return pair;
}

base::Result<SignedPair> issue_node_certificate(const SignedPair& pair, int node,
                                                const std::vector<std::string>& names, base::WallTime now) {
  const auto authority = read_authority(pair, now);
  if (!authority) return authority.error();
  const KeyPtr key(EVP_EC_gen("P-256"));
  std::string key_text = key ? key_pem(key.get()) : std::string();
  if (key_text.empty()) return openssl_failure("making the key of node " + std::to_string(node));
  auto certificate = sign_node(*authority, key.get(), node, names, now);
  if (!certificate) return certificate.error();
  return SignedPair{std::move(*certificate), std::move(key_text)};
}

base::Result<CertificateRequest> make_certificate_request(int node) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const RequestPtr request(X509_REQ_new());
  const BioPtr text(BIO_new(BIO_s_mem()));
  const bool made = key && request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                    set_common_name(X509_REQ_get_subject_name(request.get()), node_common_name(node)) &&
                    X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                    X509_REQ_sign(request.get(), key.get(), EVP_sha256()) != 0 &&
                    PEM_write_bio_X509_REQ(text.get(), request.get()) == 1;
  CertificateRequest result;
  if (made) result = {read_all(text.get()), key_pem(key.get())};
  if (result.request_pem.empty() || result.key_pem.empty())
    return openssl_failure("making the certificate request of node " + std::to_string(node));
  return result;
}

base::Result<std::string> sign_certificate_request(const SignedPair& pair, std::string_view request_pem,
                                                   int node, const std::vector<std::string>& names,
                                                   base::WallTime now) {
  const auto authority = read_authority(pair, now);
  if (!authority) return authority.error();
  const std::string what = "the certificate request";
  if (request_pem.size() > kLargestPem) return unusable(what, "more than 64 KiB of text is none");
  const RequestPtr request(PEM_read_bio_X509_REQ(memory(request_pem).get(), nullptr, nullptr, nullptr));
  EVP_PKEY* key = request ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  if (key == nullptr) return unusable(what, "it can't be read as PEM (-----BEGIN CERTIFICATE REQUEST-----)");
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) < 256)
    return unusable(what, "its key must be EC with 256 bits or more");
  // Whoever asks must have the key, or he could have another's key certified as his.
  if (X509_REQ_verify(request.get(), key) != 1)
    return unusable(what, "it is not signed with the key that it names");
  return sign_node(*authority, key, node, names, now);
}

std::optional<int> node_of_certificate(std::string_view pem) {
  const X509Ptr certificate = read_certificate(pem);
  if (!certificate) return std::nullopt;
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::optional<int> node;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const auto found = exaconf::node_of_uri(text_of(name->d.uniformResourceIdentifier));
    if (found && node) return std::nullopt;  // of two nodes at once: of none
    if (found) node = found;
  }
  return node;
}

}  // namespace confd::auth
