#include "auth/sip_hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

namespace confd::auth {
namespace {

// OpenSSL's SipHash-2-4 with 16 bytes of output.
Hash128 openssl_sip_hash(const SipKey& key, const std::string& text) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  std::size_t size = 16;
  OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  unsigned char digest[16];
  REQUIRE(EVP_MAC_init(context, reinterpret_cast<const unsigned char*>(key.data()), 16, params) == 1);
  REQUIRE(EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1);
  REQUIRE(EVP_MAC_final(context, digest, &size, sizeof digest) == 1);
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  Hash128 hash;
  std::memcpy(&hash.low, digest, 8);
  std::memcpy(&hash.high, digest + 8, 8);
  return hash;
}

}  // namespace

TEST_CASE("sip_hash is SipHash-2-4-128 for every length around a word") {
  const SipKey key{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
  std::string text;
  for (int length = 0; length < 70; ++length) {
    CAPTURE(length);
    CHECK(sip_hash(key, text) == openssl_sip_hash(key, text));
    text += static_cast<char>(length * 37);
  }
}

TEST_CASE("sip_hash depends on the key") {
  CHECK(sip_hash({1, 2}, "Basic YWxpY2U6") != sip_hash({1, 3}, "Basic YWxpY2U6"));
}

}  // namespace confd::auth
