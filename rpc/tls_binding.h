// What ties a proof made above TLS to the connection it goes over: 32 bytes that both ends derive from the
// connection's own secrets (RFC 9266, "tls-exporter"). Somebody between two connections has two of them, so a
// proof that he passes on does not fit. Thread-safety: pure function.
#pragma once

#include <openssl/ssl.h>

#include <string>

namespace confd::rpc {

// After the handshake. Empty with TLS 1.2, where it would need an extension that not everybody has.
inline std::string channel_binding(SSL* ssl) {
  static constexpr char kLabel[] = "EXPORTER-Channel-Binding";
  std::string bytes(32, '\0');
  if (SSL_version(ssl) != TLS1_3_VERSION ||
      SSL_export_keying_material(ssl, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), kLabel,
                                 sizeof kLabel - 1, nullptr, 0, 0) != 1)
    return {};
  return bytes;
}

}  // namespace confd::rpc
