#include "services/archive_listing.h"

#include <algorithm>

#include "base/text.h"
#include "services/archive_request.h"

namespace confd::services {

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

void append_response(std::string& out, const ListingEntry& entry) {
  out += "<D:response><D:href>" + escaped(archive_href(entry.path, entry.is_folder)) +
         "</D:href><D:propstat><D:prop><D:displayname>" + escaped(entry.name()) + "</D:displayname>";
  if (entry.is_folder) {
    out += "<D:resourcetype><D:collection/></D:resourcetype>";
  } else {
    out += "<D:resourcetype/><D:getcontentlength>" + std::to_string(entry.size) +
           "</D:getcontentlength><D:getcontenttype>application/octet-stream</D:getcontenttype>";
    if (!entry.checksum.empty()) out += "<D:getetag>&quot;" + entry.checksum + "&quot;</D:getetag>";
  }
  out += "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n";
}

}  // namespace

bool is_reserved(std::string_view path) {
  const auto parts = base::split(path, '/');
  return std::find(parts.begin(), parts.end(), kFolderMark) != parts.end();
}

std::string_view ListingEntry::name() const {
  return std::string_view(path).substr(path.rfind('/') + 1);
}

std::vector<ListingEntry> entries_of(std::string_view folder,
                                     const std::vector<storage::ArchiveFile>& files) {
  std::vector<ListingEntry> entries;
  const std::string prefix = folder.empty() ? std::string() : std::string(folder) + "/";
  for (const storage::ArchiveFile& file : files) {
    if (file.path.compare(0, prefix.size(), prefix) != 0) continue;
    const std::size_t slash = file.path.find('/', prefix.size());
    if (slash == std::string::npos) {
      if (std::string_view(file.path).substr(prefix.size()) == kFolderMark) continue;
      entries.push_back({file.path, false, file.size, file.checksum});
    } else if (entries.empty() || !entries.back().is_folder || entries.back().path.size() != slash ||
               file.path.compare(0, slash, entries.back().path) != 0) {
      entries.push_back({file.path.substr(0, slash), true});
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const ListingEntry& a, const ListingEntry& b) { return a.path < b.path; });
  // The files come sorted by their bytes: "a/1", "a-b", "a/2" can't be, but nobody promises it.
  entries.erase(std::unique(entries.begin(), entries.end(),
                            [](const ListingEntry& a, const ListingEntry& b) {
                              return a.path == b.path && a.is_folder == b.is_folder;
                            }),
                entries.end());
  return entries;
}

std::string html_listing(std::string_view volume, std::string_view folder,
                         const std::vector<ListingEntry>& entries) {
  const std::string title = escaped(volume) + ": /" + escaped(folder);
  std::string page = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + title +
                     "</title></head>\n<body><h1>" + title +
                     "</h1>\n<table><tr><th align=\"left\">Name</th><th align=\"right\">Size</th></tr>\n";
  if (!folder.empty()) {
    const std::size_t slash = folder.rfind('/');
    page += "<tr><td><a href=\"" +
            escaped(archive_href(slash == std::string_view::npos ? "" : folder.substr(0, slash), true)) +
            "\">..</a></td><td></td></tr>\n";
  }
  for (const ListingEntry& entry : entries)
    page += "<tr><td><a href=\"" + escaped(archive_href(entry.path, entry.is_folder)) + "\">" +
            escaped(entry.name()) + (entry.is_folder ? "/" : "") + "</a></td><td align=\"right\">" +
            (entry.is_folder ? "" : std::to_string(entry.size)) + "</td></tr>\n";
  return page + "</table></body></html>\n";
}

std::string text_listing(const std::vector<ListingEntry>& entries) {
  std::string text;
  for (const ListingEntry& entry : entries)
    text += (entry.is_folder ? std::string("-") : std::to_string(entry.size)) + "\t" +
            std::string(entry.name()) + (entry.is_folder ? "/\n" : "\n");
  return text;
}

std::string multistatus(const ListingEntry& self, const std::vector<ListingEntry>& entries) {
  std::string out = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
  append_response(out, self);
  for (const ListingEntry& entry : entries) append_response(out, entry);
  return out + "</D:multistatus>\n";
}

}  // namespace confd::services
