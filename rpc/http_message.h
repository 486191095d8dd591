// HttpRequest, HttpResponse: what the server hands to the routes and gets back. No Boost here, so routes are
// pure functions to test. Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace confd::rpc {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Who is at the other end of a local socket, as the kernel reports it (SO_PEERCRED).
struct PeerCredentials {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int32_t pid = 0;
};

struct HttpRequest {
  std::string method;                   // "POST", upper case as sent
  std::string target;                   // path and query, undecoded: "/master?info_type=name"
  Headers headers;                      // names as sent
  std::string body;                     // decoded (chunked undone); empty while only the header is known
  std::string remote_address;           // "127.0.0.1"; "local" for a local socket
  std::optional<PeerCredentials> peer;  // local socket only
  std::string client_subject;           // subject of a verified client certificate, else empty
  // URI name of a certificate that TlsSettings::peer_authorities_pem signed, "confd://node/12"; empty for all
  // who did not come as a peer.
  std::string peer_uri;
  // What the two ends of this TLS 1.3 connection know and nobody else (rpc/tls_binding.h); empty otherwise.
  std::string channel_binding;

  // First header of that name, any case; nullptr when absent.
  const std::string* header(std::string_view name) const;
  // Path without query. "/rpc2?x=1" -> "/rpc2".
  std::string_view path() const;
  // Percent-decoded value of a query parameter; nothing when absent.
  std::optional<std::string> query(std::string_view name) const;
};

struct HttpResponse {
  unsigned status = 200;
  Headers headers;  // Content-Length, Date, Connection are the server's business
  std::string body;
  bool close = false;  // end the connection after this answer
};

// "Unauthorized" for 401 and so on.
std::string_view reason_phrase(unsigned status);

}  // namespace confd::rpc
