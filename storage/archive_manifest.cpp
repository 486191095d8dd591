#include "storage/archive_manifest.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <tuple>
#include <vector>

#include "base/content_checksum.h"
#include "storage/crc32c.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kFormat = "A 2";

std::string with_crc(const std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const std::uint32_t crc = crc32c(text);
  std::string line;
  for (int shift = 28; shift >= 0; shift -= 4) line += kDigits[(crc >> shift) & 15];
  return line + " " + text + "\n";
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// The next word; the rest stays in `text`.
std::string_view word(std::string_view& text) {
  const std::size_t blank = std::min(text.find(' '), text.size());
  const std::string_view found = text.substr(0, blank);
  text.remove_prefix(std::min(blank + 1, text.size()));
  return found;
}

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_sound(std::string_view line) {
  return line.size() >= 10 && with_crc(std::string(line.substr(9))).substr(0, 9) == line.substr(0, 9);
}

// False when the line is damaged.
bool take(ArchiveManifest& manifest, std::string_view line) {
  if (!is_sound(line)) return false;
  std::string_view rest = line.substr(9);
  if (rest == kFormat) return true;
  const std::string_view kind = word(rest);
  if (kind == "C" || kind == "M") {
    const auto first = number(word(rest)), second = number(rest);
    if (!first || !second) return false;
    if (kind == "C") {
      manifest.counter = std::max(manifest.counter, *first);
      manifest.notes = std::max(manifest.notes, *second);
      return true;
    }
    manifest.notes = std::max(manifest.notes, *second);
    if (*second == 0)
      manifest.missed.erase(static_cast<int>(*first));
    else
      manifest.missed[static_cast<int>(*first)] = *second;
    return true;
  }
  if (kind != "F" && kind != "R") return false;
  ArchiveEntry entry;
  const auto version = number(word(rest));
  if (!version) return false;
  entry.version = *version;
  if (kind == "F") {
    const auto size = number(word(rest));
    const std::string_view checksum = word(rest);
    const std::string_view stage = word(rest);
    if (!size || !is_hex(checksum, base::ContentChecksum::kDigits) || (stage != "-" && !is_hex(stage, 32)))
      return false;
    entry.size = *size;
    entry.checksum = checksum;
    entry.stage = stage;
  }
  if (rest.empty()) return false;
  manifest.counter = std::max(manifest.counter, entry.version);
  manifest.entries[std::string(rest)] = std::move(entry);
  return true;
}

}  // namespace

bool is_newer(const ArchiveEntry& a, const ArchiveEntry& b) {
  return std::tie(a.version, a.checksum) > std::tie(b.version, b.checksum);
}

bool is_same(const ArchiveEntry& a, const ArchiveEntry& b) {
  return a.version == b.version && a.checksum == b.checksum;
}

std::uint64_t ArchiveManifest::digest() const {
  std::uint64_t sum = entries.size();
  for (const auto& [path, entry] : entries) {
    const std::string text = path + " " + std::to_string(entry.version) + " " + entry.checksum;
    const std::uint32_t low = crc32c(text);
    sum += (std::uint64_t{crc32c(text, low ^ 0x5A5A5A5Au)} << 32 | low) * 0x9E3779B97F4A7C15ull;
  }
  // It travels as a signed integer.
  return sum >> 1;
}

std::string entry_line(const std::string& path, const ArchiveEntry& entry) {
  if (entry.removed()) return with_crc("R " + std::to_string(entry.version) + " " + path);
  return with_crc("F " + std::to_string(entry.version) + " " + std::to_string(entry.size) + " " +
                  entry.checksum + " " + (entry.stage.empty() ? "-" : entry.stage) + " " + path);
}

std::string missed_line(int node, std::uint64_t note) {
  return with_crc("M " + std::to_string(node) + " " + std::to_string(note));
}

std::string manifest_text(const ArchiveManifest& manifest) {
  std::string text = with_crc(std::string(kFormat)) +
                     with_crc("C " + std::to_string(manifest.counter) + " " + std::to_string(manifest.notes));
  for (const auto& [node, note] : manifest.missed) text += missed_line(node, note);
  for (const auto& [path, entry] : manifest.entries) text += entry_line(path, entry);
  return text;
}

Result<ArchiveManifest> parse_manifest(std::string_view text) {
  const std::string_view first = text.substr(0, text.find('\n'));
  if (is_sound(first) && first.substr(9).starts_with("A ") && first.substr(9) != kFormat)
    return Error{Code::unsupported, "it has the format '" + std::string(first.substr(9)) +
                                        "', and this version of confd knows '" + std::string(kFormat) +
                                        "' only; read the files with the version that wrote them"};
  ArchiveManifest manifest;
  std::optional<std::size_t> damaged;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const bool sound = end != std::string_view::npos &&
                       (manifest.lines > 0 || text.substr(0, end).ends_with(" " + std::string(kFormat))) &&
                       take(manifest, text.substr(0, end));
    ++manifest.lines;
    if (!sound && !damaged) damaged = manifest.lines;
    if (sound && damaged)
      return Error{Code::invalid_config, "line " + std::to_string(*damaged) + " is damaged"};
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (manifest.lines == 0 || damaged == std::size_t{1})
    return Error{Code::invalid_config, "it does not begin as a manifest does"};
  manifest.torn = damaged.has_value();
  return manifest;
}

ArchiveManifest salvage_manifest(std::string_view text) {
  ArchiveManifest manifest;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    (void)take(manifest, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return manifest;
}

}  // namespace confd::storage
