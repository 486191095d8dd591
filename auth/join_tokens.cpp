// The join tokens of cluster_authority.h. The file is a JSON list of {hash, node, expires}.
#include <openssl/evp.h>

#include <algorithm>

#include "auth/cluster_authority.h"
#include "base/json.h"
#include "base/text.h"

namespace confd::auth {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kLongestToken = 128;  // a longer text is none of ours: not worth hashing
constexpr std::size_t kMostTokens = 1000;

struct Entry {
  std::string hash;  // SHA-256 of the whole text, hex: the id before the dot belongs to it
  std::int64_t node = 0;
  std::int64_t expires = 0;  // seconds since the epoch
};

base::Result<std::string> hash_of(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1)
    return base::Error{base::Code::internal, "OpenSSL offers no SHA-256"};
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

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

base::Error broken(const std::string& path, const std::string& why) {
  return {base::Code::io_error, "the list of join tokens " + path + " can't be used: " + why +
                                    ". Delete it to end all join tokens, and make new ones"};
}

// Those that have not expired yet.
base::Result<std::vector<Entry>> read_entries(base::FileSystem& files, const std::string& path,
                                              base::WallTime now) {
  std::vector<Entry> entries;
  const auto text = files.read(path);
  if (!text && text.error().code == base::Code::not_found) return entries;
  if (!text) return broken(path, text.error().text);
  const auto parsed = base::parse_json(*text);
  if (!parsed) return broken(path, parsed.error().text);
  if (!parsed->is_array()) return broken(path, "it is no list");
  for (const base::Value& item : parsed->as_array()) {
    const base::Value* hash = item.find("hash");
    const base::Value* node = item.find("node");
    const base::Value* expires = item.find("expires");
    if (hash == nullptr || !hash->is_string() || node == nullptr || !node->is_int() || expires == nullptr ||
        !expires->is_int())
      return broken(path, "an entry lacks hash, node or expires");
    if (expires->as_int() > to_seconds(now))
      entries.push_back({hash->as_string(), node->as_int(), expires->as_int()});
  }
  return entries;
}

base::Status write_entries(base::FileSystem& files, const std::string& path,
                           const std::vector<Entry>& entries) {
  base::Array list;
  for (const Entry& entry : entries)
    list.push_back(base::Struct{{"hash", entry.hash}, {"node", entry.node}, {"expires", entry.expires}});
  return base::replace_file(files, path, base::render_json(list) + "\n", 0600);
}

}  // namespace

JoinTokens::JoinTokens(base::FileSystem& files, std::string path, base::Random& random, base::Clock& clock)
    : files_(files), path_(std::move(path)), random_(random), clock_(clock) {}

base::Result<std::string> JoinTokens::issue(int node, std::chrono::seconds life) {
  if (node < 0 || life.count() <= 0)
    return base::Error{base::Code::bad_parameter, "a join token is for a node's id and for some time: node " +
                                                      std::to_string(node) + ", " +
                                                      std::to_string(life.count()) + " s"};
  std::string bytes(kTokenBytes, '\0');
  random_.fill(bytes.data(), bytes.size());
  std::string token = std::to_string(node) + "." + base64url(bytes);
  const auto hash = hash_of(token);
  if (!hash) return hash.error();
  base::MutexLock lock(mutex_);
  const base::WallTime now = clock_.now();
  auto entries = read_entries(files_, path_, now);
  if (!entries) return entries.error();
  if (entries->size() >= kMostTokens)
    return base::Error{base::Code::busy, std::to_string(kMostTokens) +
                                             " join tokens wait to be used: use them, or delete " + path_ +
                                             " to end them all"};
  entries->push_back({*hash, node, to_seconds(now + life)});
  if (const base::Status saved = write_entries(files_, path_, *entries); !saved) return saved.error();
  return token;
}

base::Result<int> JoinTokens::redeem(std::string_view token) {
  const base::Error refusal{base::Code::forbidden,
                            "the join token is not valid: it is wrong, used already or too old; make a new "
                            "one on the master"};
  if (token.size() > kLongestToken) return refusal;
  const auto hash = hash_of(token);
  if (!hash) return hash.error();
  base::MutexLock lock(mutex_);
  auto entries = read_entries(files_, path_, clock_.now());
  if (!entries) return entries.error();
  // All are looked at, so that time does not tell which one was nearly right.
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < entries->size(); ++i)
    if (base::constant_time_equal((*entries)[i].hash, *hash)) found = i;
  if (!found) return refusal;
  const int node = static_cast<int>((*entries)[*found].node);
  entries->erase(entries->begin() + static_cast<std::ptrdiff_t>(*found));
  // Only a token that is gone for good has been redeemed: else a power cut would let it be used twice.
  if (const base::Status saved = write_entries(files_, path_, *entries); !saved) return saved.error();
  return node;
}

}  // namespace confd::auth
