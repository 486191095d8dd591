// Login: decides whose request this is, from the Authorization header (Basic, Bearer).
//
// * A verified Basic login is remembered under a keyed hash (random key of this process) for 5 minutes or
// until the user's record changes, so that requests
//   do not pay for crypt(3) each. Nothing that would show a password is kept.
// * Failures are slowed per user and per address: the n-th failure in a row within a minute waits min(2^(n-1)
// * 100 ms, 5 s), and is logged
//   without the password. An unknown user costs as much time as a wrong password.
// * Bearer is [Global] AuthenticationToken (acts as root, spec/rpc.md §14.7) or a token of user_login
// (TokenStore).
//
// Thread-safety: any thread. try_fast() never blocks; verify() runs crypt(3): a worker thread's business.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/identity.h"
#include "auth/token_store.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace confd::auth {

struct LoginOptions {
  std::chrono::seconds remember{300};
  std::size_t remembered_logins = 1000;  // the oldest are dropped
  std::chrono::milliseconds first_delay{100};
  std::chrono::milliseconds longest_delay{5000};
  std::size_t tracked_failures = 10000;  // users and addresses; the oldest are dropped
};

class Login {
 public:
  Login(LoginOptions options, base::Clock& clock, base::Random& random, TokenStore& tokens);
  ~Login();

  // The identity when no crypt(3) is needed: a remembered login, a token. nullptr: ask verify().
  IdentityPtr try_fast(const exaconf::Config& config, std::string_view authorization);

  struct Outcome {
    IdentityPtr identity;  // nullptr: refused
    std::string
        reason;  // for the log: "wrong password for alice", "no credentials", ...; never a password or token
    std::chrono::milliseconds delay{0};  // answer a refusal only after this time
  };
  // The whole check. `address` is the caller's, for slowing down.
  Outcome verify(const exaconf::Config& config, std::string_view authorization, std::string_view address);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "user:password" of a Basic header, split at the first colon; nothing when it is malformed.
struct BasicCredentials {
  std::string user;
  std::string password;
};
std::optional<BasicCredentials> parse_basic(std::string_view authorization);

}  // namespace confd::auth
