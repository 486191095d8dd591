#include "auth/login.h"

#include <algorithm>
#include <list>
#include <unordered_map>

#include "auth/password.h"
#include "auth/sip_hash.h"
#include "base/mutex.h"
#include "base/text.h"

namespace confd::auth {
namespace {

// The setting verified against when there is no record to verify against, so that an unknown user, a disabled
// one and a wrong password take the same time. No password fits: it holds no hash.
const std::string kNobodysPassword = "$6$O6v1B2mXk0Zc9QdT$";
constexpr std::string_view kRoot = "root";
constexpr std::chrono::seconds kRow{60};  // failures further apart than this are not in a row

struct HashOfHash {
  std::size_t operator()(const Hash128& hash) const { return hash.low; }
};

// The rest of the header when it starts with this scheme (any case, RFC 9110 §11.1) and a blank.
std::optional<std::string_view> after_scheme(std::string_view authorization, std::string_view scheme) {
  if (authorization.size() <= scheme.size() || authorization[scheme.size()] != ' ' ||
      !base::equals_ignoring_case(authorization.substr(0, scheme.size()), scheme))
    return std::nullopt;
  return base::trim(authorization.substr(scheme.size()));
}

// A user name as it may stand in a log line: no control characters (forged lines), not endless.
std::string loggable(std::string_view user) {
  constexpr std::size_t kLongest = 64;
  std::string text(user.substr(0, kLongest));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return user.size() > kLongest ? text + "..." : text;
}

bool may_use_password(const exaconf::User& user) {
  return user.login_enabled && !user.passwd.empty() && user.passwd.front() != '*' &&
         user.passwd.front() != '!';
}

// A map of bounded size that forgets its oldest entries.
template <class Entry>
class Recent {
 public:
  explicit Recent(std::size_t limit) : limit_(std::max<std::size_t>(limit, 1)) {}

  Entry* find(const Hash128& key) {
    const auto it = index_.find(key);
    return it == index_.end() ? nullptr : &it->second->second;
  }
  // Puts it in as the newest.
  Entry& put(const Hash128& key, Entry entry) {
    erase(key);
    while (index_.size() >= limit_) {
      index_.erase(order_.front().first);
      order_.pop_front();
    }
    order_.emplace_back(key, std::move(entry));
    index_[key] = std::prev(order_.end());
    return order_.back().second;
  }
  void erase(const Hash128& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return;
    order_.erase(it->second);
    index_.erase(it);
  }

 private:
  using Order = std::list<std::pair<Hash128, Entry>>;
  const std::size_t limit_;
  Order order_;  // oldest first
  std::unordered_map<Hash128, typename Order::iterator, HashOfHash> index_;
};

struct Remembered {
  std::string user;
  Hash128 record;  // of the user's crypt text at that time
  base::SteadyTime ends;
  // The outcome for one Config; most logins come many times within a revision.
  std::uint64_t config = 0;
  IdentityPtr identity;
};

struct Failures {
  int in_a_row = 0;
  base::SteadyTime last;
};

}  // namespace

struct Login::State {
  State(LoginOptions given, base::Clock& c, TokenStore& t)
      : options(given),
        clock(c),
        tokens(t),
        remembered(options.remembered_logins),
        failures(options.tracked_failures) {}

  const LoginOptions options;
  base::Clock& clock;
  TokenStore& tokens;
  SipKey key{};
  base::Mutex mutex;
  Recent<Remembered> remembered GUARDED_BY(mutex);
  Recent<Failures> failures GUARDED_BY(mutex);

  Hash128 record_of(const exaconf::User& user) const { return sip_hash(key, user.passwd); }

  static IdentityPtr shared(Identity who) { return std::make_shared<const Identity>(std::move(who)); }

  IdentityPtr bearer(const exaconf::Config& config, std::string_view token) const {
    if (token.empty()) return nullptr;
    const std::string* cluster = config.get("Global", "AuthenticationToken");
    if (cluster != nullptr && !cluster->empty() && *cluster != "None" &&
        base::constant_time_equal(token, *cluster))
      return shared(identify(config, kRoot, "cluster-token"));
    if (const auto user = tokens.lookup(config, token)) return shared(identify(config, *user, "token"));
    return nullptr;
  }

  IdentityPtr recall(const exaconf::Config& config, std::string_view authorization) {
    const Hash128 header = sip_hash(key, authorization);
    const base::SteadyTime now = clock.steady_now();
    std::string name;
    Hash128 record;
    {
      base::MutexLock lock(mutex);
      const Remembered* entry = remembered.find(header);
      if (entry == nullptr) return nullptr;
      if (now >= entry->ends) {
        remembered.erase(header);
        return nullptr;
      }
      if (entry->config == config.serial()) return entry->identity;
      name = entry->user;
      record = entry->record;
    }
    // Another revision than at the last look: is the user still the same, and in which groups?
    const exaconf::User* user = config.user(name);
    const bool is_same = user != nullptr && may_use_password(*user) && record_of(*user) == record;
    IdentityPtr who = is_same ? shared(identify(config, name, "basic")) : nullptr;
    base::MutexLock lock(mutex);
    if (!who) {
      remembered.erase(header);
    } else if (Remembered* entry = remembered.find(header)) {
      entry->config = config.serial();
      entry->identity = who;
    }
    return who;
  }

  std::chrono::milliseconds count_failure(const Hash128& what, base::SteadyTime now) REQUIRES_LOCK(mutex) {
    Failures next{1, now};
    if (const Failures* before = failures.find(what); before != nullptr && now - before->last < kRow)
      next.in_a_row = std::min(before->in_a_row + 1, 64);
    failures.put(what, next);
    std::chrono::milliseconds delay = options.first_delay;
    for (int i = 1; i < next.in_a_row && delay < options.longest_delay; ++i) delay *= 2;
    return std::min(delay, options.longest_delay);
  }

  Outcome refuse(std::string reason, std::string_view user, std::string_view address) {
    const base::SteadyTime now = clock.steady_now();
    Outcome outcome;
    outcome.reason = std::move(reason);
    base::MutexLock lock(mutex);
    outcome.delay = count_failure(sip_hash(key, "address " + std::string(address)), now);
    if (!user.empty())
      outcome.delay = std::max(outcome.delay, count_failure(sip_hash(key, "user " + std::string(user)), now));
    return outcome;
  }

  Outcome basic(const exaconf::Config& config, std::string_view authorization, std::string_view address) {
    const auto given = parse_basic(authorization);
    if (!given) return refuse("malformed Basic credentials", {}, address);
    const exaconf::User* user = config.user(given->user);
    const bool usable = user != nullptr && may_use_password(*user);
    const bool right = verify_password(given->password, usable ? user->passwd : kNobodysPassword);
    const std::string name = loggable(given->user);
    if (user == nullptr) return refuse("unknown user " + name, given->user, address);
    if (!user->login_enabled) return refuse("login of " + name + " is disabled", given->user, address);
    if (!usable) return refuse("user " + name + " has no password", given->user, address);
    if (!right) return refuse("wrong password for " + name, given->user, address);
    Outcome outcome;
    outcome.identity = shared(identify(config, user->name, "basic"));
    base::MutexLock lock(mutex);
    failures.erase(sip_hash(key, "user " + given->user));
    remembered.put(sip_hash(key, authorization),
                   Remembered{user->name, record_of(*user), clock.steady_now() + options.remember,
                              config.serial(), outcome.identity});
    return outcome;
  }
};

Login::Login(LoginOptions options, base::Clock& clock, base::Random& random, TokenStore& tokens)
    : state_(std::make_unique<State>(options, clock, tokens)) {
  random.fill(state_->key.data(), sizeof state_->key);
}

Login::~Login() = default;

IdentityPtr Login::try_fast(const exaconf::Config& config, std::string_view authorization) {
  if (const auto token = after_scheme(authorization, "Bearer")) return state_->bearer(config, *token);
  return authorization.empty() ? nullptr : state_->recall(config, authorization);
}

Login::Outcome Login::verify(const exaconf::Config& config, std::string_view authorization,
                             std::string_view address) {
  Outcome outcome;
  if (authorization.empty()) {
    outcome.reason = "no credentials";
    return outcome;
  }
  if (auto who = try_fast(config, authorization)) {
    outcome.identity = std::move(who);
    return outcome;
  }
  if (after_scheme(authorization, "Bearer")) return state_->refuse("unknown or ended token", {}, address);
  if (after_scheme(authorization, "Basic")) return state_->basic(config, authorization, address);
  return state_->refuse("unknown authorization scheme", {}, address);
}

std::optional<BasicCredentials> parse_basic(std::string_view authorization) {
  const auto encoded = after_scheme(authorization, "Basic");
  if (!encoded) return std::nullopt;
  const auto text = base::base64_decode(*encoded);
  if (!text) return std::nullopt;
  const std::size_t colon = text->find(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  return BasicCredentials{text->substr(0, colon), text->substr(colon + 1)};
}

}  // namespace confd::auth
