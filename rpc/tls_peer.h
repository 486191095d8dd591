// The listener's second identity, for the other nodes of a cluster, beside the one that users see.
//
// A client chooses it by the server name (SNI) in the first message of TLS. Such a connection must bring a
// certificate of the peer authorities, is never resumed from another's ticket, and gives none out: what was
// verified in one role is worth nothing in the other. Used by TlsContext and HttpTransport. Thread-safety:
// pure functions but for the context given.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "base/result.h"
#include "rpc/tls_context.h"

namespace confd::rpc {

// REQUIRES: settings.peer_server_name is not empty. Errors as TlsContext::create.
base::Status use_peer_identity(SSL_CTX* context, const TlsSettings& settings);

// After the handshake.
bool came_as_peer(const SSL* ssl);
// The one URI name of the certificate that a peer has proven; empty for all others.
std::string verified_peer_uri(const SSL* ssl);

}  // namespace confd::rpc
