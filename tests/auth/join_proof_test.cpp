#include "auth/join_proof.h"

#include <catch2/catch.hpp>

#include <functional>
#include <set>

namespace confd::auth {
namespace {

const std::string kSecret = *join_secret("12.Dk3OZ8Xg0K2m1d5mB3d9Q0a7cWJrT4nV6eYhLpSfUxA");
const std::string kChannel(32, 'c');

JoinRequest request() {
  return {12, std::string(64, 'a'), 1'700'000'000, "-----BEGIN CERTIFICATE REQUEST-----"};
}
JoinAnswer answer() {
  return {"cert", "ca", "key", "[Global]", "cluster:"};
}

}  // namespace

TEST_CASE("The proof of a request depends on the secret, the connection and each field") {
  std::set<std::string> proofs{*prove(kSecret, kChannel, request())};
  CHECK(proofs.begin()->size() == 64);
  CHECK(*prove(kSecret, kChannel, request()) == *proofs.begin());
  proofs.insert(*prove(*join_secret("12.other"), kChannel, request()));
  proofs.insert(*prove(kSecret, std::string(32, 'd'), request()));
  for (const std::function<void(JoinRequest&)>& change :
       {std::function<void(JoinRequest&)>([](JoinRequest& r) { r.node = 13; }),
        std::function<void(JoinRequest&)>([](JoinRequest& r) { r.nonce[0] = 'b'; }),
        std::function<void(JoinRequest&)>([](JoinRequest& r) { ++r.time; }),
        std::function<void(JoinRequest&)>([](JoinRequest& r) { r.certificate_request += "\n"; })}) {
    JoinRequest changed = request();
    change(changed);
    proofs.insert(*prove(kSecret, kChannel, changed));
  }
  CHECK(proofs.size() == 7);
}

TEST_CASE("The proof of an answer depends on the secret, the request and each field") {
  const std::string asked = *prove(kSecret, kChannel, request());
  std::set<std::string> proofs{asked, *prove(kSecret, asked, answer())};
  proofs.insert(*prove(*join_secret("12.other"), asked, answer()));
  proofs.insert(*prove(kSecret, std::string(64, '0'), answer()));
  for (std::string JoinAnswer::*field :
       {&JoinAnswer::certificate, &JoinAnswer::authority, &JoinAnswer::authority_key, &JoinAnswer::exaconf,
        &JoinAnswer::settings}) {
    JoinAnswer changed = answer();
    changed.*field += "x";
    proofs.insert(*prove(kSecret, asked, changed));
  }
  // What moves from one field to the next is another message.
  JoinAnswer moved = answer();
  moved.certificate = "certc";
  moved.authority = "a";
  proofs.insert(*prove(kSecret, asked, moved));
  CHECK(proofs.size() == 10);
}

TEST_CASE("Without a connection that can be named nothing is proven") {
  const auto proof = prove(kSecret, "", request());
  REQUIRE_FALSE(proof.ok());
  CHECK(proof.error().text.find("TLS 1.3") != std::string::npos);
}

TEST_CASE("Messages of joining come back as they were") {
  const auto asked = parse_join_request(render(Proven<JoinRequest>{request(), "proof"}));
  REQUIRE(asked.ok());
  CHECK(asked->message.node == 12);
  CHECK(asked->message.nonce == request().nonce);
  CHECK(asked->message.time == request().time);
  CHECK(asked->message.certificate_request == request().certificate_request);
  CHECK(asked->proof == "proof");
  const auto answered = parse_join_answer(render(Proven<JoinAnswer>{answer(), "proof"}));
  REQUIRE(answered.ok());
  CHECK(*prove(kSecret, "x", answered->message) == *prove(kSecret, "x", answer()));
  CHECK(answered->proof == "proof");
}

TEST_CASE("Messages that lack something are refused by its name") {
  CHECK_FALSE(parse_join_request("").ok());
  CHECK_FALSE(parse_join_request("[]").ok());
  CHECK_FALSE(parse_join_request(std::string(100, '[')).ok());
  CHECK(parse_join_request(R"({"node": "12"})").error().text.find("node, nonce") != std::string::npos);
  CHECK_FALSE(parse_join_request(R"({"node": 9999999999, "nonce": "", "time": 0, "certificate_request": "",
      "proof": ""})")
                  .ok());
  CHECK(parse_join_answer(R"({"certificate": ""})").error().text.find("authority") != std::string::npos);
}

}  // namespace confd::auth
