// Certificates: checks of a key and chain before they are installed, and the self-signed one of a new root.
// OpenSSL underneath. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace confd::auth {

struct CertificateCheck {
  std::string subject;
  std::string fingerprint_sha256;  // "AB:CD:..."
  base::WallTime not_before, not_after;
  std::vector<std::string> names;     // DNS and IP names of the server certificate
  std::vector<std::string> warnings;  // e.g. a URI name, no name at all
};

// `chain` is PEM, server certificate first, root last; `key` is PEM, RSA (2048..8192 bit) or EC, without a
// password; `authorities` may be empty. Checks: all parse; key belongs to the first certificate; each
// certificate is signed by the next; all are within their dates at `now`; more than one certificate in the
// chain (spec other.yaml cert_update; text "Only one cert in the give cert." as the original writes it, code
// job_error). With `web_pki`: also server-auth usage, subjectAltName present, life of at most 398 days, no
// SHA-1.
base::Result<CertificateCheck> check_certificate(std::string_view key, std::string_view chain,
                                                 std::string_view authorities, bool web_pki,
                                                 base::WallTime now);

struct SelfSigned {
  std::string certificate_pem;
  std::string key_pem;
};
// ECDSA P-256, valid 10 years from a day ago, subjectAltName = names (IP addresses recognised).
base::Result<SelfSigned> make_self_signed(const std::string& common_name,
                                          const std::vector<std::string>& names, base::WallTime now);

}  // namespace confd::auth
