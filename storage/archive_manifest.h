// ArchiveManifest: what files one copy of an archive segment holds, and which other copies missed something.
// The text of it is the file `manifest` of the segment's folder (storage/archive_segment.h writes it).
//
// Of two entries for one path the newer stands: the greater version, then the greater checksum. So copies
// that exchange entries in any order become equal. Versions come from a counter of the segment that only
// grows; a removed file leaves a mark with a version. Lines, each with the CRC32C of what follows it, in hex:
//   <crc> A 2                                     format, first line
//   <crc> C <counter> <notes>                     highest version and highest note so far
//   <crc> M <node> <note>                         the copy on that node missed a change; note 0: it has all
//   <crc> F <version> <size> <checksum> <stage> <path>   a file; `stage` names where its content came in
//   <crc> R <version> <path>                      removed
// Later lines stand over earlier ones. Thread-safety: plain values, pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace confd::storage {

struct ArchiveEntry {
  std::uint64_t version = 0;  // 0: found without a manifest
  std::uint64_t size = 0;     // bytes
  std::string checksum;       // base/content_checksum.h; empty: removed
  std::string stage;          // "-" when not known; only of this copy
  bool removed() const { return checksum.empty(); }
};
// Is `a` to stand over `b`?
bool is_newer(const ArchiveEntry& a, const ArchiveEntry& b);
// The same change?
bool is_same(const ArchiveEntry& a, const ArchiveEntry& b);

struct ArchiveManifest {
  std::map<std::string, ArchiveEntry> entries;  // by path
  std::map<int, std::uint64_t> missed;          // node -> note
  std::uint64_t counter = 0;                    // highest version
  std::uint64_t notes = 0;                      // highest note
  std::size_t lines = 0;                        // of the text it was read from
  bool torn = false;                            // the text ends in a line that was never completed

  // The same number for copies with the same entries.
  std::uint64_t digest() const;
};

std::string entry_line(const std::string& path, const ArchiveEntry& entry);
std::string missed_line(int node, std::uint64_t note);
// The shortest text of it.
std::string manifest_text(const ArchiveManifest& manifest);
// A torn end is left out. Errors: Code::invalid_config when a line before the end is damaged, or the first is
// not there; Code::unsupported for another format.
base::Result<ArchiveManifest> parse_manifest(std::string_view text);
// Every line that is sound, for a manifest that is made anew.
ArchiveManifest salvage_manifest(std::string_view text);

}  // namespace confd::storage
