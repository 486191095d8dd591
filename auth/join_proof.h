// What a new node and the master say to each other at POST /join, and their proofs that both hold the same
// join token. The token itself never goes over the wire (docs/security.md, "Joining").
//
// Both sides know `secret` (join_secret() of the token: what the master keeps) and `channel`, the binding of
// the TLS connection. Proof of the request = HMAC over channel and request; proof of the answer = HMAC over
// the request's proof and the answer. Each field goes in with its length in front, so that no two messages
// have the same bytes. Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace confd::auth {

struct JoinRequest {
  int node = 0;
  std::string nonce;                // 64 hex digits; so that no two requests are alike
  std::int64_t time = 0;            // of the asking node's clock, seconds since the epoch
  std::string certificate_request;  // PEM
};

struct JoinAnswer {
  std::string certificate;    // PEM: of the new node
  std::string authority;      // PEM: may hold several
  std::string authority_key;  // PEM; empty: the new node can't let others join
  std::string exaconf;
  std::string settings;  // section `cluster:` of etc/confd.yaml
};

template <class Message>
struct Proven {
  Message message;
  std::string proof;  // hex
};

// Hex SHA-256 of the token's whole text.
base::Result<std::string> join_secret(std::string_view token);
// "12.Dk3..." -> 12. Error: Code::bad_parameter, without the text.
base::Result<int> node_of_join_token(std::string_view token);

base::Result<std::string> prove(std::string_view secret, std::string_view channel,
                                const JoinRequest& request);
base::Result<std::string> prove(std::string_view secret, std::string_view request_proof,
                                const JoinAnswer& answer);

// JSON. Error of parse: Code::bad_parameter, what is missing.
std::string render(const Proven<JoinRequest>& request);
std::string render(const Proven<JoinAnswer>& answer);
base::Result<Proven<JoinRequest>> parse_join_request(std::string_view json);
base::Result<Proven<JoinAnswer>> parse_join_answer(std::string_view json);

}  // namespace confd::auth
