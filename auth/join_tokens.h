// JoinTokens: the one-time secrets by which new nodes join, as <root>/etc/cluster/tokens (0600).
//
// A token is "12.<32 random bytes, base64url>", shown once. The file keeps its SHA-256, which is what both
// sides prove to hold (join_proof.h): who can read the file could join, and so he could by ca.key beside it.
// One use, one node id, 24 hours by default; 1000 at most. Tokens that are used or over stay on the list for
// a week, so that who still holds one is told what became of it. Thread-safety: any thread; one JoinTokens a
// file (the process that holds the root).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"

namespace confd::auth {

class JoinTokens {
 public:
  // `path`: <root>/etc/cluster/tokens.
  JoinTokens(base::FileSystem& files, std::string path, base::Random& random, base::Clock& clock);

  struct Grant {
    int node = 0;
    bool with_authority = false;  // the new node gets the authority's key, too, and can let others join
  };
  // Durable before it is returned.
  base::Result<std::string> issue(const Grant& grant, std::chrono::seconds life = std::chrono::hours(24))
      EXCLUDES(mutex_);

  struct Held {
    Grant grant;
    std::string secret;  // join_secret() of the token
  };
  // The token of this node whose secret `fits`. Error: Code::forbidden; the same text for all that fit none,
  // and for one that fits but is used or over, when that was.
  base::Result<Held> find(int node, const std::function<bool(const std::string& secret)>& fits) const
      EXCLUDES(mutex_);
  // Marks it as used, durably before it returns ok. `by`: the address, for the next who asks. Errors as
  // find().
  base::Status use(const Held& held, std::string_view by) EXCLUDES(mutex_);

 private:
  base::FileSystem& files_;
  const std::string path_;
  base::Random& random_;
  base::Clock& clock_;
  mutable base::Mutex mutex_;  // from reading the file to its replacement
};

}  // namespace confd::auth
