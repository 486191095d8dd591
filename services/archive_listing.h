// Folders of an archive volume, and how they are shown: as a page, as plain text, as a WebDAV answer.
//
// A volume holds files only; folders are what their paths imply. A folder that was made on purpose (MKCOL)
// holds the empty file kFolderMark, which nobody sees. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/archive_store.h"

namespace confd::services {

constexpr std::string_view kFolderMark = ".confd-folder";
// Is it a path that clients must not touch: one with kFolderMark in it?
bool is_reserved(std::string_view path);

struct ListingEntry {
  std::string path;  // from the root of the volume on
  bool is_folder = false;
  std::uint64_t size = 0;     // of a file
  std::string checksum = {};  // of a file, where known
  std::string_view name() const;
};
// What lies directly in the folder, sorted by name; `files`: all below it, as ArchiveStore::list gives them.
std::vector<ListingEntry> entries_of(std::string_view folder, const std::vector<storage::ArchiveFile>& files);

std::string html_listing(std::string_view volume, std::string_view folder,
                         const std::vector<ListingEntry>& entries);
// One line an entry: size ('-' for a folder), a tab, the name (with '/' for a folder).
std::string text_listing(const std::vector<ListingEntry>& entries);
// The body of a 207: the entry itself, then what lies in it.
std::string multistatus(const ListingEntry& self, const std::vector<ListingEntry>& entries);

}  // namespace confd::services
