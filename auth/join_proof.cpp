#include "auth/join_proof.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <initializer_list>

#include "base/json.h"
#include "base/text.h"

namespace confd::auth {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kLongestToken = 128;
constexpr std::size_t kSecretDigits = 43;  // 32 bytes in base64 without its padding

void add_field(std::string& text, std::string_view field) {
  for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>((field.size() >> shift) & 0xFF);
  text += field;
}

// `purpose` keeps the two proofs apart: a request's is never an answer's.
Result<std::string> proof_of(std::string_view secret, std::string_view purpose,
                             std::initializer_list<std::string_view> fields) {
  std::string text;
  add_field(text, purpose);
  for (const std::string_view field : fields) add_field(text, field);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size) == nullptr)
    return Error{Code::internal, "OpenSSL offers no HMAC with SHA-256"};
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

// The members of a message, each there and of its kind.
class Members {
 public:
  explicit Members(const base::Value& message) : message_(message) {}
  std::string text(std::string_view name) {
    const base::Value* value = message_.is_struct() ? message_.find(name) : nullptr;
    if (value != nullptr && value->is_string()) return value->as_string();
    note(name);
    return {};
  }
  std::int64_t number(std::string_view name) {
    const base::Value* value = message_.is_struct() ? message_.find(name) : nullptr;
    if (value != nullptr && value->is_int()) return value->as_int();
    note(name);
    return 0;
  }
  const std::string& missing() const { return missing_; }

 private:
  void note(std::string_view name) { missing_ += (missing_.empty() ? "" : ", ") + std::string(name); }
  const base::Value& message_;
  std::string missing_;
};

Error lacking(const std::string& what, const std::string& missing) {
  return {Code::bad_parameter, what + " lacks " + missing};
}

}  // namespace

Result<std::string> join_secret(std::string_view token) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(token.data(), token.size(), digest, &size, EVP_sha256(), nullptr) != 1)
    return Error{Code::internal, "OpenSSL offers no SHA-256"};
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

Result<int> node_of_join_token(std::string_view token) {
  const std::size_t dot = token.find('.');
  const auto node = base::parse_int(token.substr(0, dot));
  if (token.size() > kLongestToken || dot == std::string_view::npos || !node || *node < 0 ||
      *node > 1'000'000 || token.size() - dot - 1 != kSecretDigits)
    return Error{Code::bad_parameter, "that is no join token: one is the node's id, a dot and " +
                                          std::to_string(kSecretDigits) +
                                          " letters, as `confd --make-token ID` on the master prints it"};
  return static_cast<int>(*node);
}

Result<std::string> prove(std::string_view secret, std::string_view channel, const JoinRequest& request) {
  if (channel.empty())
    return Error{Code::unsupported, "joining wants TLS 1.3 from the new node to the master"};
  return proof_of(secret, "confd join 1: request",
                  {channel, std::to_string(request.node), request.nonce, std::to_string(request.time),
                   request.certificate_request});
}

Result<std::string> prove(std::string_view secret, std::string_view request_proof, const JoinAnswer& answer) {
  return proof_of(secret, "confd join 1: answer",
                  {request_proof, answer.certificate, answer.authority, answer.authority_key, answer.exaconf,
                   answer.settings});
}

std::string render(const Proven<JoinRequest>& request) {
  return base::render_json(base::Struct{{"node", request.message.node},
                                        {"nonce", request.message.nonce},
                                        {"time", request.message.time},
                                        {"certificate_request", request.message.certificate_request},
                                        {"proof", request.proof}});
}

std::string render(const Proven<JoinAnswer>& answer) {
  return base::render_json(base::Struct{{"certificate", answer.message.certificate},
                                        {"authority", answer.message.authority},
                                        {"authority_key", answer.message.authority_key},
                                        {"exaconf", answer.message.exaconf},
                                        {"settings", answer.message.settings},
                                        {"proof", answer.proof}});
}

Result<Proven<JoinRequest>> parse_join_request(std::string_view json) {
  const auto value = base::parse_json(json, {.depth = 2, .values = 20});
  if (!value) return Error{Code::bad_parameter, "the request to join is no JSON: " + value.error().text};
  Members members(*value);
  Proven<JoinRequest> request;
  const std::int64_t node = members.number("node");
  request.message.nonce = members.text("nonce");
  request.message.time = members.number("time");
  request.message.certificate_request = members.text("certificate_request");
  request.proof = members.text("proof");
  if (!members.missing().empty()) return lacking("the request to join", members.missing());
  if (node < 0 || node > 1'000'000) return Error{Code::bad_parameter, "there is no node of that id"};
  request.message.node = static_cast<int>(node);
  return request;
}

Result<Proven<JoinAnswer>> parse_join_answer(std::string_view json) {
  const auto value = base::parse_json(json, {.depth = 2, .values = 20});
  if (!value) return Error{Code::bad_parameter, "the answer is no JSON: " + value.error().text};
  Members members(*value);
  Proven<JoinAnswer> answer;
  answer.message.certificate = members.text("certificate");
  answer.message.authority = members.text("authority");
  answer.message.authority_key = members.text("authority_key");
  answer.message.exaconf = members.text("exaconf");
  answer.message.settings = members.text("settings");
  answer.proof = members.text("proof");
  if (!members.missing().empty()) return lacking("the answer", members.missing());
  return answer;
}

}  // namespace confd::auth
