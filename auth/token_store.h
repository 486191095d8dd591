// TokenStore: bearer tokens of user_login: they expire (12 h), can be revoked, and are kept as SHA-256 only.
//
// On disk: <root>/spool/tokens.json (0600), rewritten whole with replace_file() at each issue and revoke; a
// crash keeps the old or the new list. A token ends when its user is deleted, may no longer log in, or
// changes the password (the record's hash is part of the entry). Thread-safety: any thread; lookup() takes a
// short lock, does no I/O and never waits for a write.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "exaconf/config.h"

namespace confd::auth {

class TokenStore {
 public:
  // A file that cannot be read or parsed is an Error (delete it to drop all tokens); an absent one is empty.
  static base::Result<std::unique_ptr<TokenStore>> open(
      base::FileSystem& files, std::string path, base::Clock& clock, base::Random& random,
      std::chrono::seconds lifetime = std::chrono::hours(12));
  struct Issued {
    std::string token;  // shown once
    base::WallTime expires;
  };
  // At most 100 tokens a user; the oldest goes.
  base::Result<Issued> issue(const exaconf::User& user) EXCLUDES(writing_, mutex_);
  // The user name the token stands for.
  std::optional<std::string> lookup(const exaconf::Config& config, std::string_view token) const
      EXCLUDES(mutex_);
  // True when there was one. After an Error it is refused by this process, but may come back with a restart.
  base::Result<bool> revoke(std::string_view token) EXCLUDES(writing_, mutex_);

 private:
  struct Entry {
    std::string user;
    std::string user_record_hash;
    base::WallTime expires;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;  // by hex SHA-256 of the token
  TokenStore(base::FileSystem& files, std::string path, base::Clock& clock, base::Random& random,
             std::chrono::seconds lifetime);
  base::Status save(const Entries& entries) REQUIRES_LOCK(writing_);
  // Without the expired ones.
  Entries current_entries() const EXCLUDES(mutex_);

  base::FileSystem& files_;
  const std::string path_;
  base::Clock& clock_;
  base::Random& random_;
  const std::chrono::seconds lifetime_;
  base::Mutex writing_;  // held by issue() and revoke() over their write, never by lookup()
  mutable base::Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
};

}  // namespace confd::auth
