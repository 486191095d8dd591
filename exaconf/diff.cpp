#include "exaconf/diff.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "base/secret_text.h"
#include "base/text.h"

namespace confd::exaconf {
namespace {

class Comparison {
 public:
  void compare(const std::string& path, const Section& before, const Section& after) {
    compare_entries(path, before, after);
    std::unordered_map<std::string_view, const Section*> old;
    for (const Section& section : before.sections) old.emplace(section.name, &section);
    std::unordered_set<std::string_view> kept;
    for (const Section& section : after.sections) {
      const auto at = old.find(section.name);
      if (at == old.end()) {
        add(path_of(path, section), section);
      } else {
        kept.insert(section.name);
        compare(path_of(path, section), *at->second, section);
      }
    }
    for (const Section& section : before.sections)
      if (!kept.contains(section.name)) remove(path_of(path, section), section);
  }

  std::vector<Change> changes;

 private:
  static std::string path_of(const std::string& path, const Section& section) {
    return path.empty() ? section.name : path + "/" + section.name;
  }
  static bool is_left_out(const std::string& path, const Entry& entry) {
    return path == "Global" && (entry.key == "Revision" || entry.key == "Checksum");
  }

  void compare_entries(const std::string& path, const Section& before, const Section& after) {
    // Most sections are untouched and keep their order: walk both side by side as long as the keys agree.
    const std::size_t common = std::min(before.entries.size(), after.entries.size());
    std::size_t i = 0;
    for (; i < common && before.entries[i].key == after.entries[i].key; ++i)
      change(path, before.entries[i], before.entries[i].value, after.entries[i].value);
    if (i == before.entries.size() && i == after.entries.size()) return;
    std::unordered_map<std::string_view, const Entry*> old;
    for (std::size_t k = i; k < before.entries.size(); ++k)
      old.emplace(before.entries[k].key, &before.entries[k]);
    for (std::size_t k = i; k < after.entries.size(); ++k) {
      const Entry& entry = after.entries[k];
      const auto at = old.find(entry.key);
      if (at == old.end()) {
        change(path, entry, std::nullopt, entry.value);
      } else {
        change(path, entry, at->second->value, entry.value);
        old.erase(at);
      }
    }
    for (std::size_t k = i; k < before.entries.size(); ++k)
      if (old.contains(before.entries[k].key))
        change(path, before.entries[k], before.entries[k].value, std::nullopt);
  }

  void change(const std::string& path, const Entry& entry, std::optional<std::string> before,
              std::optional<std::string> after) {
    if (before == after || is_left_out(path, entry)) return;
    changes.push_back({path, entry.key, std::move(before), std::move(after)});
  }

  void add(const std::string& path, const Section& section) {
    changes.push_back({path, "", std::nullopt, ""});
    for (const Entry& entry : section.entries) change(path, entry, std::nullopt, entry.value);
    for (const Section& inner : section.sections) add(path_of(path, inner), inner);
  }
  void remove(const std::string& path, const Section& section) {
    for (const Section& inner : section.sections) remove(path_of(path, inner), inner);
    for (const Entry& entry : section.entries) change(path, entry, entry.value, std::nullopt);
    changes.push_back({path, "", "", std::nullopt});
  }
};

base::Value shown(const std::optional<std::string>& value, bool secret) {
  if (!value) return {};
  return secret && !value->empty() ? std::string(base::kSecretMask) : base::without_secrets(*value);
}

}  // namespace

std::vector<Change> difference(const Document& before, const Document& after) {
  Comparison comparison;
  comparison.compare("", before.root, after.root);
  return std::move(comparison.changes);
}

base::Value render_changes(const std::vector<Change>& changes) {
  base::Array list;
  list.reserve(changes.size());
  for (const Change& change : changes) {
    const bool secret = is_secret_key(change.key);
    base::Struct item;
    item.append("section", change.section);
    item.append("key", change.key);
    item.append("before", shown(change.before, secret));
    item.append("after", shown(change.after, secret));
    list.push_back(std::move(item));
  }
  return list;
}

bool is_secret_key(std::string_view key) {
  constexpr std::array<std::string_view, 6> kParts = {"passwd", "password",   "synckey",
                                                      "token",  "credential", "secret"};
  const std::string name = base::to_lower(key);
  if (name.ends_with("hash") || name.ends_with("hashes") || name == "restapiauthpubkey") return true;
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

}  // namespace confd::exaconf
