#include "auth/certificate.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_clock.h"
#include "tests/support/test_certificates.h"

namespace confd::auth {
namespace {

using test::Certificate;
using test::CertificateSpec;
using test::make_certificate;

const base::WallTime kNow = test::FakeClock().now();

Certificate root(const std::string& name = "Test Root") {
  return make_certificate({.name = name, .authority = true, .to_day = 3650}, kNow);
}

Certificate server(const Certificate& issuer, CertificateSpec spec = {}) {
  if (spec.name.empty()) spec.name = "n11.example";
  if (spec.alternative_names.empty()) spec.alternative_names = "DNS:n11.example,IP:127.0.0.11";
  return make_certificate(spec, kNow, &issuer);
}

base::Error refusal(std::string_view key, const std::string& chain, std::string_view authorities = {},
                    bool web_pki = false) {
  const auto check = check_certificate(key, chain, authorities, web_pki, kNow);
  REQUIRE_FALSE(check.ok());
  return check.error();
}

bool says(const base::Error& error, std::string_view part) {
  INFO(error.text);
  return error.text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("A key with its chain is accepted, with names and dates") {
  const Certificate ca = root();
  const Certificate leaf = server(ca);
  const auto check = check_certificate(test::key_pem(leaf.key), leaf.text + ca.text, {}, true, kNow);
  if (!check) FAIL(check.error().text);
  CHECK(check->subject == "CN=n11.example");
  CHECK(check->names == std::vector<std::string>{"n11.example", "127.0.0.11"});
  CHECK(check->warnings.empty());
  CHECK(check->fingerprint_sha256.size() == 32 * 3 - 1);
  CHECK(check->not_before == kNow - std::chrono::hours(24));
  CHECK(check->not_after == kNow + std::chrono::hours(24 * 90));
}

TEST_CASE("A longer chain, an RSA key, text around the blocks and an authority are fine") {
  const Certificate ca = root();
  const Certificate middle = make_certificate({.name = "Middle", .authority = true}, kNow, &ca);
  const Certificate leaf = make_certificate({.name = "rsa", .alternative_names = "DNS:rsa.example"}, kNow,
                                            &middle, test::rsa_key(2048));
  const std::string chain = "server\n" + leaf.text + "middle\n" + middle.text + ca.text + "\nthe end\n";
  const auto check = check_certificate(test::key_pem(leaf.key), chain, ca.text, false, kNow);
  if (!check) FAIL(check.error().text);
  CHECK(check->warnings.empty());
}

TEST_CASE("One certificate alone is refused in the words of the original") {
  const Certificate alone = root();
  const base::Error error = refusal(test::key_pem(alone.key), alone.text);
  CHECK(error.code == base::Code::job_error);
  CHECK(error.text == "Only one cert in the give cert.");
}

TEST_CASE("A key that belongs to another certificate is refused") {
  const Certificate ca = root();
  const base::Error error = refusal(test::key_pem(test::ec_key()), server(ca).text + ca.text);
  CHECK(error.code == base::Code::bad_parameter);
  CHECK(says(error, "'key'"));
  CHECK(says(error, "does not belong"));
}

TEST_CASE("What is no private key, or one we can't use, is refused") {
  const Certificate ca = root();
  const std::string chain = server(ca).text + ca.text;
  CHECK(says(refusal("", chain), "no private key"));
  CHECK(says(refusal("-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n", chain),
             "no private key"));
  CHECK(says(refusal(chain, chain), "no private key"));
  CHECK(says(refusal(test::key_pem(test::ec_key(), "secret"), chain), "protected by a password"));
  CHECK(says(refusal(test::key_pem(test::rsa_key(1024)), chain), "1024 bits"));
  const test::PrivateKey edwards(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free);
  CHECK(says(refusal(test::key_pem(edwards), chain), "RSA or EC"));
  CHECK(says(refusal(std::string(2 * 1024 * 1024, 'x'), chain), "1 MiB"));
}

TEST_CASE("What is no certificate is refused") {
  const Certificate ca = root();
  const Certificate leaf = server(ca);
  const std::string key = test::key_pem(leaf.key);
  CHECK(says(refusal(key, ""), "no certificate"));
  CHECK(says(refusal(key, "rubbish"), "no certificate"));
  std::string broken = ca.text;
  broken[broken.size() / 2] = '!';
  CHECK(says(refusal(key, leaf.text + broken), "certificate 2"));
  CHECK(says(refusal(key, leaf.text + ca.text, "rubbish"), "'ca'"));
  std::string endless;
  for (int i = 0; i < 30; ++i) endless += ca.text;
  CHECK(says(refusal(key, endless), "more than 20"));
}

TEST_CASE("A chain in the wrong order or with a stranger is refused") {
  const Certificate ca = root();
  const Certificate leaf = server(ca);
  CHECK(says(refusal(test::key_pem(ca.key), ca.text + leaf.text), "not signed by the next one"));
  CHECK(says(refusal(test::key_pem(leaf.key), leaf.text + root("Another Root").text),
             "not signed by the next"));
  // A stranger who took the name of the root.
  CHECK(says(refusal(test::key_pem(leaf.key), leaf.text + root().text), "not signed by the next"));
}

TEST_CASE("A certificate signed by one that is no authority is refused") {
  const Certificate ca = root();
  const Certificate middle = server(ca, {.name = "not-a-ca"});
  const Certificate leaf = server(middle);
  CHECK(
      says(refusal(test::key_pem(leaf.key), leaf.text + middle.text + ca.text), "no certificate authority"));
}

TEST_CASE("Certificates outside their dates are refused, wherever they stand in the chain") {
  const Certificate ca = root();
  const Certificate expired = server(ca, {.from_day = -30, .to_day = -1});
  CHECK(says(refusal(test::key_pem(expired.key), expired.text + ca.text), "expired on 2020-09-12"));
  const Certificate early = server(ca, {.from_day = 1});
  CHECK(says(refusal(test::key_pem(early.key), early.text + ca.text), "not valid before"));
  const Certificate old_root =
      make_certificate({.name = "Old Root", .authority = true, .from_day = -30, .to_day = -1}, kNow);
  const Certificate leaf = server(old_root);
  CHECK(says(refusal(test::key_pem(leaf.key), leaf.text + old_root.text), "'CN=Old Root' expired"));
}

TEST_CASE("A URI name, no name at all and an open end are worth a warning") {
  const Certificate ca = root();
  const auto warnings = [&](const Certificate& leaf, const std::string& chain, const std::string& authority) {
    const auto check = check_certificate(test::key_pem(leaf.key), chain, authority, false, kNow);
    if (!check) FAIL(check.error().text);
    std::string text;
    for (const std::string& warning : check->warnings) text += warning + "\n";
    return text;
  };
  const Certificate uri = server(ca, {.alternative_names = "DNS:n11,URI:https://n11.example/"});
  CHECK(warnings(uri, uri.text + ca.text, {}).find("URI https://n11.example/") != std::string::npos);

  const Certificate nameless = make_certificate({.name = "nameless"}, kNow, &ca);
  CHECK(warnings(nameless, nameless.text + ca.text, {}).find("no DNS or IP name") != std::string::npos);

  const Certificate middle = make_certificate({.name = "Middle", .authority = true}, kNow, &ca);
  const Certificate leaf = server(middle);
  CHECK(warnings(leaf, leaf.text + middle.text, {}).find("no root") != std::string::npos);
  CHECK(warnings(leaf, leaf.text + middle.text, ca.text).empty());
  CHECK(warnings(leaf, leaf.text + middle.text, root("Another").text).find("does not lead") !=
        std::string::npos);
}

TEST_CASE("verify_cert asks for the rules of WebPKI") {
  const Certificate ca = root();
  const auto strict = [&](const Certificate& leaf) {
    CHECK(check_certificate(test::key_pem(leaf.key), leaf.text + ca.text, {}, false, kNow).ok());
    return refusal(test::key_pem(leaf.key), leaf.text + ca.text, {}, true);
  };
  CHECK(says(strict(server(ca, {.to_day = 398})), "398 days"));
  CHECK(says(strict(server(ca, {.server_usage = false})), "serverAuth"));
  CHECK(says(strict(make_certificate({.name = "nameless"}, kNow, &ca)), "subjectAltName"));
  CHECK(says(strict(server(ca, {.digest = EVP_sha1()})), "SHA1"));
}

TEST_CASE("A self-signed certificate has the names asked for and fits its key") {
  const auto made = make_self_signed("n11", {"127.0.0.11", "::1", "localhost"}, kNow);
  REQUIRE(made.ok());
  // Twice in a row it is a chain of its own: signed by itself and an authority.
  const auto check =
      check_certificate(made->key_pem, made->certificate_pem + made->certificate_pem, {}, false, kNow);
  if (!check) FAIL(check.error().text);
  CHECK(check->names == std::vector<std::string>{"127.0.0.11", "::1", "localhost"});
  CHECK(check->not_before == kNow - std::chrono::hours(24));
  CHECK(check->not_after == kNow + std::chrono::hours(24 * 3650));
  CHECK(check->subject == "CN=n11");
}

TEST_CASE("Two self-signed certificates differ, and bad names are refused") {
  CHECK(make_self_signed("n11", {"localhost"}, kNow)->key_pem !=
        make_self_signed("n11", {"localhost"}, kNow)->key_pem);
  CHECK(make_self_signed("n11", {}, kNow).ok());
  for (const std::string name : {"", "a,IP:1.2.3.4", "email:x", "two words"}) {
    CAPTURE(name);
    const auto made = make_self_signed("n11", {name}, kNow);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == base::Code::bad_parameter);
  }
}

}  // namespace confd::auth
