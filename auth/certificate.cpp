#include "auth/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

#include "auth/x509_parts.h"
#include "base/text.h"

namespace confd::auth {
namespace {

constexpr std::size_t kLargestPem = 1024 * 1024;
constexpr std::size_t kLongestChain = 20;
constexpr int kSmallestRsa = 2048;
constexpr int kLargestRsa = 8192;
constexpr auto kLongestWebPkiLife = std::chrono::hours(24 * 398);

using Chain = std::vector<X509Ptr>;

base::Error refused(std::string_view parameter, const std::string& why) {
  return {base::Code::bad_parameter, "parameter '" + std::string(parameter) + "': " + why};
}

std::string name_text(const X509_NAME* name) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return read_all(bio.get());
}

std::string subject_of(const X509& certificate) {
  return "'" + name_text(X509_get_subject_name(&certificate)) + "'";
}

base::WallTime to_time(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

// A key behind a password is refused, not asked for.
int no_password(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

base::Result<KeyPtr> read_key(std::string_view pem) {
  if (pem.size() > kLargestPem) return refused("key", "more than 1 MiB of text is no private key");
  bool password_asked = false;
  KeyPtr key(PEM_read_bio_PrivateKey(memory(pem).get(), nullptr, &no_password, &password_asked));
  ERR_clear_error();
  if (password_asked)
    return refused("key",
                   "the private key is protected by a password: give it without one "
                   "(openssl pkey -in key.pem -out plain.pem)");
  if (!key) return refused("key", "no private key in PEM form (-----BEGIN PRIVATE KEY-----) found");
  const int type = EVP_PKEY_get_base_id(key.get());
  if (type == EVP_PKEY_RSA) {
    const int bits = EVP_PKEY_get_bits(key.get());
    if (bits < kSmallestRsa || bits > kLargestRsa)
      return refused("key", "the RSA key has " + std::to_string(bits) + " bits: between " +
                                std::to_string(kSmallestRsa) + " and " + std::to_string(kLargestRsa) +
                                " are allowed");
  } else if (type != EVP_PKEY_EC) {
    return refused("key", "the private key must be RSA or EC");
  }
  return key;
}

base::Result<Chain> read_certificates(std::string_view parameter, std::string_view pem) {
  if (pem.size() > kLargestPem) return refused(parameter, "more than 1 MiB of text is no certificate chain");
  Chain chain;
  const BioPtr bio = memory(pem);
  for (;;) {
    X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!certificate) break;
    if (chain.size() == kLongestChain)
      return refused(parameter, "more than " + std::to_string(kLongestChain) + " certificates");
    chain.push_back(std::move(certificate));
  }
  // The end of the text says "no start line"; anything else is a certificate that does not parse.
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end)
    return refused(parameter,
                   "certificate " + std::to_string(chain.size() + 1) + " of the text can't be read as PEM");
  if (chain.empty())
    return refused(parameter, "no certificate in PEM form (-----BEGIN CERTIFICATE-----) found");
  return chain;
}

base::Status check_dates(std::string_view parameter, const X509& certificate, base::WallTime now) {
  const base::WallTime from = to_time(X509_get0_notBefore(&certificate));
  const base::WallTime to = to_time(X509_get0_notAfter(&certificate));
  if (now < from)
    return refused(parameter, "the certificate " + subject_of(certificate) + " is not valid before " +
                                  base::format_utc(from));
  if (now > to)
    return refused(parameter,
                   "the certificate " + subject_of(certificate) + " expired on " + base::format_utc(to));
  return {};
}

bool signed_by(X509& certificate, X509& issuer) {
  const bool named = X509_NAME_cmp(X509_get_issuer_name(&certificate), X509_get_subject_name(&issuer)) == 0;
  const bool proven = named && X509_verify(&certificate, X509_get0_pubkey(&issuer)) == 1;
  ERR_clear_error();
  return proven;
}

base::Status check_links(const Chain& chain) {
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    X509& lower = *chain[i];
    X509& upper = *chain[i + 1];
    if (!signed_by(lower, upper))
      return refused("cert", "the certificate " + subject_of(lower) + " is not signed by the next one, " +
                                 subject_of(upper) +
                                 ": give the server certificate first, each followed by its issuer, the "
                                 "root last");
    if (X509_check_ca(&upper) == 0)
      return refused("cert", "the certificate " + subject_of(upper) +
                                 " may not sign others (it is no certificate authority)");
  }
  ERR_clear_error();
  return {};
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  if (ASN1_STRING_length(address) == 4 || ASN1_STRING_length(address) == 16)
    ::inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text);
  return text;
}

void read_names(X509& certificate, CertificateCheck& check) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) check.names.push_back(text_of(name->d.dNSName));
    if (name->type == GEN_IPADD) check.names.push_back(address_text(name->d.iPAddress));
    if (name->type == GEN_URI)
      check.warnings.push_back("the certificate names the URI " + text_of(name->d.uniformResourceIdentifier) +
                               ": clients compare DNS and IP names only");
  }
  if (check.names.empty())
    check.warnings.emplace_back(
        "the certificate has no DNS or IP name (subjectAltName): clients that check names refuse it");
}

std::string fingerprint(const X509& certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  X509_digest(&certificate, EVP_sha256(), digest, &size);
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    if (i > 0) text += ':';
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

// The rules of WebPKI and the CA/Browser Forum that can be told from the chain alone.
base::Status check_web_pki(const Chain& chain, const CertificateCheck& check) {
  X509& server = *chain.front();
  if (check.names.empty())
    return refused("cert", "verify_cert: the server certificate has no subjectAltName");
  if ((X509_get_extension_flags(&server) & EXFLAG_XKUSAGE) == 0 ||
      (X509_get_extended_key_usage(&server) & XKU_SSL_SERVER) == 0)
    return refused("cert",
                   "verify_cert: the server certificate is not meant for servers (extended key usage "
                   "serverAuth is missing)");
  if (check.not_after - check.not_before > kLongestWebPkiLife)
    return refused("cert", "verify_cert: the server certificate lives longer than 398 days");
  for (const X509Ptr& certificate : chain) {
    // Nobody relies on the signature a root puts on itself.
    if (signed_by(*certificate, *certificate)) continue;
    int digest = NID_undef;
    X509_get_signature_info(certificate.get(), &digest, nullptr, nullptr, nullptr);
    if (digest == NID_sha1 || digest == NID_md5 || digest == NID_md5_sha1)
      return refused("cert", "verify_cert: the certificate " + subject_of(*certificate) +
                                 " is signed with the broken " + OBJ_nid2sn(digest));
  }
  return {};
}

// Where the chain ends, as far as the given authorities tell.
void check_end(const Chain& chain, const Chain& authorities, CertificateCheck& check) {
  X509& last = *chain.back();
  if (authorities.empty()) {
    if (!signed_by(last, last))
      check.warnings.push_back("the chain ends with " + subject_of(last) +
                               ", which is no root: clients need the rest from elsewhere");
    return;
  }
  for (const X509Ptr& authority : authorities)
    if (X509_cmp(&last, authority.get()) == 0 || signed_by(last, *authority)) return;
  check.warnings.push_back("the chain does not lead to a certificate of 'ca'");
}

}  // namespace

base::Result<CertificateCheck> check_certificate(std::string_view key_pem, std::string_view chain_pem,
                                                 std::string_view authorities_pem, bool web_pki,
                                                 base::WallTime now) {
  const auto key = read_key(key_pem);
  if (!key) return key.error();
  const auto chain = read_certificates("cert", chain_pem);
  if (!chain) return chain.error();
  if (chain->size() < 2) return base::Error{base::Code::job_error, "Only one cert in the give cert."};
  Chain authorities;
  if (!base::trim(authorities_pem).empty()) {
    auto read = read_certificates("ca", authorities_pem);
    if (!read) return read.error();
    authorities = std::move(*read);
  }
  X509& server = *chain->front();
  if (X509_check_private_key(&server, key->get()) != 1) {
    ERR_clear_error();
    return refused("key", "the private key does not belong to the first certificate " + subject_of(server));
  }
  for (const X509Ptr& certificate : *chain)
    if (auto dates = check_dates("cert", *certificate, now); !dates.ok()) return dates.error();
  for (const X509Ptr& certificate : authorities)
    if (auto dates = check_dates("ca", *certificate, now); !dates.ok()) return dates.error();
  if (auto links = check_links(*chain); !links.ok()) return links.error();

  CertificateCheck check;
  check.subject = name_text(X509_get_subject_name(&server));
  check.fingerprint_sha256 = fingerprint(server);
  check.not_before = to_time(X509_get0_notBefore(&server));
  check.not_after = to_time(X509_get0_notAfter(&server));
  read_names(server, check);
  check_end(*chain, authorities, check);
  if (web_pki)
    if (auto rules = check_web_pki(*chain, check); !rules.ok()) return rules.error();
  ERR_clear_error();
  return check;
}

base::Result<SelfSigned> make_self_signed(const std::string& common_name,
                                          const std::vector<std::string>& names, base::WallTime now) {
  if (base::Status checked = check_names(names); !checked.ok()) return checked.error();
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  X509* cert = certificate.get();
  const bool made =
      key && cert != nullptr && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
      set_life(cert, std::chrono::system_clock::to_time_t(now), 3650) &&
      set_common_name(X509_get_subject_name(cert), common_name) &&
      X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 && X509_set_pubkey(cert, key.get()) == 1 &&
      add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
      add_extension(cert, cert, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
      add_extension(cert, cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
      add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
      (names.empty() || add_extension(cert, cert, NID_subject_alt_name, alternative_names(names))) &&
      X509_sign(cert, key.get(), EVP_sha256()) != 0;
  SelfSigned pair;
  if (made) pair = {certificate_pem(cert), key_pem(key.get())};
  if (pair.certificate_pem.empty() || pair.key_pem.empty())
    return openssl_failure("making a self-signed certificate");
  return pair;
}

}  // namespace confd::auth
