// TlsContext: certificate, key and policy of the listener, replaceable while connections run.
//
// New connections take the current one; those that stand keep theirs. TLS 1.2 and 1.3 only. Thread-safety:
// any thread.
#pragma once

#include <memory>
#include <string>

#include "base/mutex.h"
#include "base/result.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace confd::rpc {

struct TlsSettings {
  enum class Verify { none, optional, required };  // EXAConf [SSL] CertVerify, for certificates of clients
  std::string certificate_chain_pem;
  std::string private_key_pem;
  std::string
      authorities_pem;  // against which certificates of clients are checked; may be empty with Verify::none
  Verify verify = Verify::none;

  // A second identity, for other nodes (rpc/tls_peer.h): who asks for this server name (SNI) is shown this
  // certificate and must have one of these authorities, whatever `verify` says; all others notice nothing of
  // it. Empty name: none.
  std::string peer_server_name;
  std::string peer_certificate_pem;
  std::string peer_private_key_pem;
  std::string peer_authorities_pem;
};

class TlsContext {
 public:
  // Error: what is wrong with which part (unreadable chain, key that does not match, ...).
  static base::Result<std::shared_ptr<TlsContext>> create(const TlsSettings& settings);

  // Same checks; the old settings stay in force after an error.
  base::Status replace(const TlsSettings& settings);

  std::shared_ptr<SSL_CTX> current() const;

 private:
  explicit TlsContext(std::shared_ptr<SSL_CTX> context) : context_(std::move(context)) {}
  mutable base::Mutex mutex_;
  std::shared_ptr<SSL_CTX> context_ GUARDED_BY(mutex_);
};

}  // namespace confd::rpc
