#include "auth/cluster_authority.h"

#include <catch2/catch.hpp>

#include "auth/certificate.h"
#include "exaconf/node_names.h"
#include "tests/support/fake_clock.h"
#include "tests/support/test_certificates.h"

namespace confd::auth {
namespace {

const base::WallTime kNow = test::FakeClock().now();

std::shared_ptr<X509> parse(const std::string& text) {
  BIO* bio = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  std::shared_ptr<X509> certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), &X509_free);
  BIO_free(bio);
  REQUIRE(certificate);
  return certificate;
}

SignedPair authority(const std::string& name = "cluster1") {
  auto made = make_cluster_authority(name, kNow);
  if (!made) FAIL(made.error().text);
  return *made;
}

SignedPair node(const SignedPair& issuer, int id, const std::vector<std::string>& names = {"127.0.0.12"}) {
  auto made = issue_node_certificate(issuer, id, names, kNow);
  if (!made) FAIL(made.error().text);
  return *made;
}

bool is_signed_by(const std::string& certificate, const std::string& issuer) {
  return X509_verify(parse(certificate).get(), X509_get0_pubkey(parse(issuer).get())) == 1;
}

// As a TLS library judges it, for a server or a client.
bool is_trusted(const std::string& certificate, const std::string& issuer, int purpose) {
  const std::shared_ptr<X509> leaf = parse(certificate);
  const std::shared_ptr<X509_STORE> store(X509_STORE_new(), &X509_STORE_free);
  X509_STORE_add_cert(store.get(), parse(issuer).get());
  const std::shared_ptr<X509_STORE_CTX> check(X509_STORE_CTX_new(), &X509_STORE_CTX_free);
  REQUIRE(X509_STORE_CTX_init(check.get(), store.get(), leaf.get(), nullptr) == 1);
  X509_STORE_CTX_set_purpose(check.get(), purpose);
  X509_STORE_CTX_set_time(check.get(), 0, std::chrono::system_clock::to_time_t(kNow));
  return X509_verify_cert(check.get()) == 1;
}

std::string subject(const std::string& certificate) {
  char line[200];
  return X509_NAME_oneline(X509_get_subject_name(parse(certificate).get()), line, sizeof line);
}

struct RequestSpec {
  std::string name = {};
  std::string alternative_names = {};  // asked for in the request
  test::PrivateKey key = test::ec_key();
  test::PrivateKey signing_key = nullptr;  // instead of `key`
};

std::string forged_request(const RequestSpec& spec) {
  const std::shared_ptr<X509_REQ> request(X509_REQ_new(), &X509_REQ_free);
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(spec.name.c_str()), -1, -1, 0);
  X509_REQ_set_pubkey(request.get(), spec.key.get());
  if (!spec.alternative_names.empty()) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509_EXTENSION* names =
        X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, spec.alternative_names.c_str());
    STACK_OF(X509_EXTENSION)* all = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(all, names);
    REQUIRE(X509_REQ_add_extensions(request.get(), all) == 1);
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
  }
  const test::PrivateKey& signer = spec.signing_key ? spec.signing_key : spec.key;
  REQUIRE(X509_REQ_sign(request.get(), signer.get(), EVP_sha256()) != 0);
  return test::pem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

std::string refusal(const SignedPair& issuer, std::string_view request) {
  const auto made = sign_certificate_request(issuer, request, 12, {}, kNow);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().code == base::Code::bad_parameter);
  return made.error().text;
}

}  // namespace

TEST_CASE("A node's certificate is signed by its cluster's authority and by no other") {
  const SignedPair ours = authority();
  const SignedPair others = authority();  // of the same name
  const SignedPair made = node(ours, 12);
  CHECK(is_signed_by(made.certificate_pem, ours.certificate_pem));
  CHECK_FALSE(is_signed_by(made.certificate_pem, others.certificate_pem));
  CHECK(is_trusted(made.certificate_pem, ours.certificate_pem, X509_PURPOSE_SSL_CLIENT));
  CHECK(is_trusted(made.certificate_pem, ours.certificate_pem, X509_PURPOSE_SSL_SERVER));
  CHECK_FALSE(is_trusted(made.certificate_pem, others.certificate_pem, X509_PURPOSE_SSL_CLIENT));
}

TEST_CASE("A node's key can't make certificates that the cluster trusts") {
  const SignedPair ours = authority();
  const SignedPair stolen = node(ours, 12);
  CHECK(X509_check_ca(parse(stolen.certificate_pem).get()) == 0);
  const auto made = issue_node_certificate(stolen, 13, {}, kNow);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().text == "the authority of the cluster: the certificate may not sign others");
}

TEST_CASE("Key and certificate belong together, names are DNS and IP names, the life is ten years") {
  const SignedPair ours = authority();
  const SignedPair made = node(ours, 12, {"127.0.0.12", "fe80::12", "n12.example"});
  const auto check = check_certificate(made.key_pem, made.certificate_pem + ours.certificate_pem,
                                       ours.certificate_pem, false, kNow);
  if (!check) FAIL(check.error().text);
  CHECK(check->subject == "CN=confd node 12");
  CHECK(check->names ==
        std::vector<std::string>{"127.0.0.12", "fe80::12", "n12.example", "node-12.confd.internal"});
  CHECK(check->not_before == kNow - std::chrono::hours(24));
  CHECK(check->not_after == kNow + std::chrono::hours(24) * 3652);
  CHECK(exaconf::node_server_name(12) == "node-12.confd.internal");
}

TEST_CASE("Every certificate has its own serial number and key") {
  const SignedPair ours = authority();
  const SignedPair one = node(ours, 12);
  const SignedPair two = node(ours, 12);
  CHECK(one.key_pem != two.key_pem);
  CHECK(ASN1_INTEGER_cmp(X509_get0_serialNumber(parse(one.certificate_pem).get()),
                         X509_get0_serialNumber(parse(two.certificate_pem).get())) != 0);
}

TEST_CASE("A certificate ends with its authority at the latest") {
  const SignedPair ours = authority();
  const base::WallTime late = kNow + std::chrono::hours(24) * 365 * 15;
  const auto made = issue_node_certificate(ours, 12, {}, late);
  REQUIRE(made.ok());
  CHECK(ASN1_TIME_compare(X509_get0_notAfter(parse(made->certificate_pem).get()),
                          X509_get0_notAfter(parse(ours.certificate_pem).get())) == 0);
  const auto too_late = issue_node_certificate(ours, 12, {}, kNow + std::chrono::hours(24) * 365 * 21);
  REQUIRE_FALSE(too_late.ok());
  CHECK(too_late.error().text == "the authority of the cluster: the certificate has expired");
}

TEST_CASE("The node is read from the URI name only") {
  const SignedPair ours = authority();
  CHECK(node_of_certificate(node(ours, 12).certificate_pem) == 12);
  CHECK(node_of_certificate(node(ours, 0).certificate_pem) == 0);
  const auto with_names = [](const std::string& names) {
    return test::make_certificate({.name = "confd node 12", .alternative_names = names}, kNow).text;
  };
  CHECK_FALSE(node_of_certificate(with_names("")));
  CHECK_FALSE(node_of_certificate(with_names("DNS:node-12.confd.internal,IP:127.0.0.12")));
  CHECK(node_of_certificate(with_names("DNS:x,URI:https://a/,URI:confd://node/13")) == 13);
  CHECK_FALSE(node_of_certificate(with_names("URI:confd://node/13,URI:confd://node/14")));
  CHECK_FALSE(node_of_certificate("no certificate"));
  for (const char* uri : {"confd://node/", "confd://node/+1", "confd://node/01", "confd://node/-1",
                          "confd://node/1x", "confd://node/99999999999", "CONFD://node/1", "confd://nod/1"})
    CHECK_FALSE(exaconf::node_of_uri(uri));
}

TEST_CASE("A request is signed for the id and the names that we say, whatever it asks for") {
  const SignedPair ours = authority();
  const RequestSpec spec{.name = "confd node 11",
                         .alternative_names = "URI:confd://node/11,DNS:evil.example,IP:127.0.0.11"};
  const auto made = sign_certificate_request(ours, forged_request(spec), 12, {"127.0.0.12"}, kNow);
  if (!made) FAIL(made.error().text);
  CHECK(node_of_certificate(*made) == 12);
  CHECK(subject(*made) == "/CN=confd node 12");
  const auto check =
      check_certificate(test::key_pem(spec.key), *made + ours.certificate_pem, "", false, kNow);
  if (!check) FAIL(check.error().text);
  CHECK(check->names == std::vector<std::string>{"127.0.0.12", "node-12.confd.internal"});
  CHECK(is_trusted(*made, ours.certificate_pem, X509_PURPOSE_SSL_CLIENT));
}

TEST_CASE("Our own request is signed, and its key fits the certificate") {
  const SignedPair ours = authority();
  const auto request = make_certificate_request(12);
  REQUIRE(request.ok());
  const auto made = sign_certificate_request(ours, request->request_pem, 12, {"127.0.0.12"}, kNow);
  if (!made) FAIL(made.error().text);
  CHECK(check_certificate(request->key_pem, *made + ours.certificate_pem, "", false, kNow).ok());
}

TEST_CASE("A request that proves nothing is refused") {
  const SignedPair ours = authority();
  CHECK(refusal(ours, "nothing").find("can't be read as PEM") != std::string::npos);
  CHECK(refusal(ours, std::string(100'000, 'x')).find("64 KiB") != std::string::npos);
  CHECK(refusal(ours, forged_request({.name = "x", .signing_key = test::ec_key()})) ==
        "the certificate request: it is not signed with the key that it names");
  CHECK(refusal(ours, forged_request({.name = "x", .key = test::rsa_key(1024)})) ==
        "the certificate request: its key must be EC with 256 bits or more");
}

TEST_CASE("An authority that is none, and names that are none, are refused") {
  const SignedPair ours = authority();
  const auto refused = [&](const SignedPair& pair) {
    const auto made = issue_node_certificate(pair, 12, {}, kNow);
    REQUIRE_FALSE(made.ok());
    return made.error().text;
  };
  CHECK(refused({ours.certificate_pem, authority().key_pem}).find("does not belong") != std::string::npos);
  CHECK(refused({"", ours.key_pem}).find("its certificate can't be read") != std::string::npos);
  CHECK(refused({ours.certificate_pem, "x"}).find("its private key can't be read") != std::string::npos);
  for (const std::string name : {"", "a,URI:confd://node/11", "a b", "DNS:x"}) {
    const auto made = issue_node_certificate(ours, 12, {name}, kNow);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == base::Code::bad_parameter);
  }
  CHECK_FALSE(issue_node_certificate(ours, -1, {}, kNow).ok());
}

TEST_CASE("A long name of a cluster is cut between letters") {
  std::string accents;
  for (int i = 0; i < 60; ++i) accents += "\xc3\xa9";
  const SignedPair made = authority(accents);
  unsigned char* name = nullptr;
  const std::shared_ptr<X509> kept = parse(made.certificate_pem);
  const X509_NAME* subject_name = X509_get_subject_name(kept.get());
  const int size = ASN1_STRING_to_UTF8(&name, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject_name, 0)));
  REQUIRE(size > 0);
  CHECK(std::string(reinterpret_cast<char*>(name), static_cast<std::size_t>(size)) ==
        "confd cluster " + accents.substr(0, 50));
  OPENSSL_free(name);
  CHECK(is_signed_by(node(made, 12).certificate_pem, made.certificate_pem));
}

}  // namespace confd::auth
