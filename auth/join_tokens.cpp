// The file is a JSON list of {hash, node, authority, expires, used, by}.
#include "auth/join_tokens.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "auth/join_proof.h"
#include "base/json.h"
#include "base/text.h"

namespace confd::auth {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kMostTokens = 1000;
constexpr std::int64_t kRemembered = 7 * 24 * 3600;  // s after its end

struct Entry {
  std::string hash;
  std::int64_t node = 0;
  bool authority = false;
  std::int64_t expires = 0;  // seconds since the epoch
  std::int64_t used = 0;     // 0: not yet
  std::string by;

  bool is_open(std::int64_t now) const { return used == 0 && expires > now; }
};

std::string base64url(std::string_view bytes) {
  std::string text = base::base64_encode(bytes);
  text.erase(std::min(text.find('='), text.size()));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::int64_t to_seconds(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string utc(std::int64_t seconds) {
  return base::format_utc(base::WallTime(std::chrono::seconds(seconds)));
}

base::Error broken(const std::string& path, const std::string& why) {
  return {base::Code::io_error, "the list of join tokens " + path + " can't be used: " + why +
                                    ". Delete it to end all join tokens, and make new ones"};
}

std::optional<Entry> read_entry(const base::Value& item) {
  const base::Value* hash = item.find("hash");
  const base::Value* node = item.find("node");
  const base::Value* expires = item.find("expires");
  if (hash == nullptr || !hash->is_string() || node == nullptr || !node->is_int() || expires == nullptr ||
      !expires->is_int())
    return std::nullopt;
  Entry entry{hash->as_string(), node->as_int(), false, expires->as_int(), 0, {}};
  const base::Value* authority = item.find("authority");
  const base::Value* used = item.find("used");
  const base::Value* by = item.find("by");
  entry.authority = authority != nullptr && authority->is_bool() && authority->as_bool();
  if (used != nullptr && used->is_int()) entry.used = used->as_int();
  if (by != nullptr && by->is_string()) entry.by = by->as_string();
  return entry;
}

// But those that ended long ago.
base::Result<std::vector<Entry>> read_entries(base::FileSystem& files, const std::string& path,
                                              std::int64_t now) {
  std::vector<Entry> entries;
  const auto text = files.read(path);
  if (!text && text.error().code == base::Code::not_found) return entries;
  if (!text) return broken(path, text.error().text);
  const auto parsed = base::parse_json(*text);
  if (!parsed) return broken(path, parsed.error().text);
  if (!parsed->is_array()) return broken(path, "it is no list");
  for (const base::Value& item : parsed->as_array()) {
    auto entry = item.is_struct() ? read_entry(item) : std::nullopt;
    if (!entry) return broken(path, "an entry lacks hash, node or expires");
    if (entry->expires + kRemembered > now) entries.push_back(std::move(*entry));
  }
  return entries;
}

base::Status write_entries(base::FileSystem& files, const std::string& path,
                           const std::vector<Entry>& entries) {
  base::Array list;
  for (const Entry& entry : entries) {
    base::Struct item{{"hash", entry.hash},
                      {"node", entry.node},
                      {"authority", entry.authority},
                      {"expires", entry.expires}};
    if (entry.used != 0) {
      item.append("used", entry.used);
      item.append("by", entry.by);
    }
    list.push_back(std::move(item));
  }
  return base::replace_file(files, path, base::render_json(list) + "\n", 0600);
}

base::Error refusal() {
  return {base::Code::forbidden,
          "the join token is not valid here; make a new one on the master with `confd --root DIR "
          "--make-token ID`"};
}

// Who is told this has proven that he holds the token.
base::Status usable(const Entry& entry, std::int64_t now) {
  if (entry.used != 0)
    return base::Error{base::Code::forbidden,
                       "the join token was used already, at " + utc(entry.used) + " by " + entry.by +
                           "; when that was not you, remove node " + std::to_string(entry.node) +
                           " from the cluster. Make a new one on the master with `confd --root DIR "
                           "--make-token ID`"};
  if (entry.expires <= now)
    return base::Error{base::Code::forbidden, "the join token expired at " + utc(entry.expires) +
                                                  "; make a new one on the master with `confd --root DIR "
                                                  "--make-token ID`"};
  return {};
}

}  // namespace

JoinTokens::JoinTokens(base::FileSystem& files, std::string path, base::Random& random, base::Clock& clock)
    : files_(files), path_(std::move(path)), random_(random), clock_(clock) {}

base::Result<std::string> JoinTokens::issue(const Grant& grant, std::chrono::seconds life) {
  if (grant.node < 0 || life.count() <= 0)
    return base::Error{base::Code::bad_parameter, "a join token is for a node's id and for some time: node " +
                                                      std::to_string(grant.node) + ", " +
                                                      std::to_string(life.count()) + " s"};
  std::string bytes(kTokenBytes, '\0');
  random_.fill(bytes.data(), bytes.size());
  std::string token = std::to_string(grant.node) + "." + base64url(bytes);
  const auto secret = join_secret(token);
  if (!secret) return secret.error();
  base::MutexLock lock(mutex_);
  const std::int64_t now = to_seconds(clock_.now());
  auto entries = read_entries(files_, path_, now);
  if (!entries) return entries.error();
  const auto open = [&](const Entry& entry) { return entry.is_open(now); };
  if (static_cast<std::size_t>(std::count_if(entries->begin(), entries->end(), open)) >= kMostTokens)
    return base::Error{base::Code::busy, std::to_string(kMostTokens) +
                                             " join tokens wait to be used: use them, or delete " + path_ +
                                             " to end them all"};
  // The memory of old ones gives way first.
  while (entries->size() >= kMostTokens)
    entries->erase(std::find_if_not(entries->begin(), entries->end(), open));
  entries->push_back({*secret, grant.node, grant.with_authority, now + life.count(), 0, {}});
  if (const base::Status saved = write_entries(files_, path_, *entries); !saved) return saved.error();
  return token;
}

base::Result<JoinTokens::Held> JoinTokens::find(
    int node, const std::function<bool(const std::string& secret)>& fits) const {
  base::MutexLock lock(mutex_);
  const std::int64_t now = to_seconds(clock_.now());
  const auto entries = read_entries(files_, path_, now);
  if (!entries) return entries.error();
  for (const Entry& entry : *entries) {
    if (entry.node != node || !fits(entry.hash)) continue;
    if (const base::Status good = usable(entry, now); !good) return good.error();
    return Held{{node, entry.authority}, entry.hash};
  }
  return refusal();
}

base::Status JoinTokens::use(const Held& held, std::string_view by) {
  base::MutexLock lock(mutex_);
  const std::int64_t now = to_seconds(clock_.now());
  auto entries = read_entries(files_, path_, now);
  if (!entries) return entries.error();
  const auto found = std::find_if(entries->begin(), entries->end(), [&](const Entry& entry) {
    return entry.node == held.grant.node && entry.hash == held.secret;
  });
  if (found == entries->end()) return refusal();
  if (base::Status good = usable(*found, now); !good) return good;
  found->used = now;
  found->by = by;
  // Only what is on disk counts: else a power cut would let it be used twice.
  return write_entries(files_, path_, *entries);
}

}  // namespace confd::auth
