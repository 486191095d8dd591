#include "auth/token_store.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "base/json.h"
#include "base/text.h"
#include "base/value.h"

namespace confd::auth {
namespace {

constexpr std::size_t kTokensPerUser = 100;
constexpr std::size_t kTokenLength = 64;     // letters and digits: 381 bits
constexpr std::size_t kLongestToken = 1024;  // a longer one is not ours: not worth hashing

// On the way of every request with a token: the algorithm is fetched once, the context kept by each thread
// (OpenSSL's one-shot SHA256() looks both up anew and takes five times as long).
std::string sha256_hex(std::string_view text) {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  // Without SHA-256 no token can be told from another: nothing to go on with.
  if (EVP_DigestInit_ex2(context.get(), algorithm, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest, &size) != 1)
    std::abort();
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

// Changes with the user's name, password and permission to log in.
std::string record_hash(const exaconf::User& user) {
  std::string text = user.name;
  text += '\0';
  text += user.passwd;
  text += '\0';
  text += user.login_enabled ? '1' : '0';
  return sha256_hex(text);
}

std::int64_t to_seconds(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

base::WallTime from_seconds(std::int64_t seconds) {
  return base::WallTime(std::chrono::seconds(seconds));
}

const std::string* text_member(const base::Value& entry, std::string_view name) {
  const base::Value* value = entry.find(name);
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

base::Error broken(const std::string& path, const std::string& why) {
  return {base::Code::io_error, "the list of tokens " + path + " can't be used: " + why +
                                    ". Delete it to end all tokens of user_login; users then log in again"};
}

}  // namespace

TokenStore::TokenStore(base::FileSystem& files, std::string path, base::Clock& clock, base::Random& random,
                       std::chrono::seconds lifetime)
    : files_(files), path_(std::move(path)), clock_(clock), random_(random), lifetime_(lifetime) {}

base::Result<std::unique_ptr<TokenStore>> TokenStore::open(base::FileSystem& files, std::string path,
                                                           base::Clock& clock, base::Random& random,
                                                           std::chrono::seconds lifetime) {
  std::unique_ptr<TokenStore> store(new TokenStore(files, std::move(path), clock, random, lifetime));
  const auto text = files.read(store->path_);
  if (!text && text.error().code == base::Code::not_found) return store;
  if (!text) return broken(store->path_, text.error().text);
  const auto parsed = base::parse_json(*text);
  if (!parsed) return broken(store->path_, parsed.error().text);
  if (!parsed->is_array()) return broken(store->path_, "it is no list");
  Entries entries;
  for (const base::Value& item : parsed->as_array()) {
    const std::string* token = text_member(item, "token");
    const std::string* user = text_member(item, "user");
    const std::string* record = text_member(item, "record");
    const base::Value* expires = item.find("expires");
    if (token == nullptr || user == nullptr || record == nullptr || expires == nullptr || !expires->is_int())
      return broken(store->path_, "an entry lacks token, user, record or expires");
    entries[*token] = Entry{*user, *record, from_seconds(expires->as_int())};
  }
  base::MutexLock lock(store->mutex_);
  store->entries_ = std::move(entries);
  lock.unlock();
  return store;
}

TokenStore::Entries TokenStore::current_entries() const {
  const base::WallTime now = clock_.now();
  base::MutexLock lock(mutex_);
  Entries entries = entries_;
  lock.unlock();
  std::erase_if(entries, [&](const auto& item) { return item.second.expires <= now; });
  return entries;
}

base::Status TokenStore::save(const Entries& entries) {
  base::Array list;
  for (const auto& [token, entry] : entries)
    list.push_back(base::Struct{{"token", token},
                                {"user", entry.user},
                                {"record", entry.user_record_hash},
                                {"expires", to_seconds(entry.expires)}});
  return base::replace_file(files_, path_, base::render_json(list) + "\n", 0600);
}

base::Result<TokenStore::Issued> TokenStore::issue(const exaconf::User& user) {
  if (!user.login_enabled)
    return base::Error{base::Code::forbidden, "the login of user '" + user.name + "' is disabled"};
  Issued issued{base::random_alphanumeric(random_, kTokenLength), clock_.now() + lifetime_};
  base::MutexLock writing(writing_);
  Entries entries = current_entries();
  for (;;) {  // room for one more of this user
    std::size_t count = 0;
    auto oldest = entries.end();
    for (auto it = entries.begin(); it != entries.end(); ++it) {
      if (it->second.user != user.name) continue;
      ++count;
      if (oldest == entries.end() || it->second.expires < oldest->second.expires) oldest = it;
    }
    if (count < kTokensPerUser) break;
    entries.erase(oldest);
  }
  entries[sha256_hex(issued.token)] = Entry{user.name, record_hash(user), issued.expires};
  if (const base::Status saved = save(entries); !saved.ok()) return saved.error();
  base::MutexLock lock(mutex_);
  entries_ = std::move(entries);
  return issued;
}

std::optional<std::string> TokenStore::lookup(const exaconf::Config& config, std::string_view token) const {
  if (token.empty() || token.size() > kLongestToken) return std::nullopt;
  const std::string hash = sha256_hex(token);
  Entry entry;
  {
    base::MutexLock lock(mutex_);
    const auto it = entries_.find(hash);
    if (it == entries_.end()) return std::nullopt;
    entry = it->second;
  }
  if (clock_.now() >= entry.expires) return std::nullopt;
  const exaconf::User* user = config.user(entry.user);
  if (user == nullptr || !user->login_enabled || record_hash(*user) != entry.user_record_hash)
    return std::nullopt;
  return entry.user;
}

base::Result<bool> TokenStore::revoke(std::string_view token) {
  const std::string hash = sha256_hex(token.substr(0, kLongestToken));
  base::MutexLock writing(writing_);
  Entries entries = current_entries();
  if (entries.erase(hash) == 0) return false;
  {
    base::MutexLock lock(mutex_);
    entries_ = entries;
  }
  if (const base::Status saved = save(entries); !saved.ok())
    return base::Error{saved.error().code,
                       "the token is revoked, but this could not be stored: " + saved.error().text};
  return true;
}

}  // namespace confd::auth
