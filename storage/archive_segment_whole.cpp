// ArchiveSegment: what is done to all of its files.
#include <algorithm>

#include "storage/archive_segment_turn.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Status;

Status ArchiveSegment::clear(std::uint64_t version, const std::vector<int>& without, std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  std::string text;
  std::vector<std::string> paths;
  std::map<int, std::uint64_t> notes;
  const ArchiveEntry mark{version, 0, "", ""};
  {
    MutexLock lock(mutex_);
    std::uint64_t next = manifest_.notes;
    for (const int node : without) notes[node] = ++next;
    for (const auto& [path, entry] : manifest_.entries)
      if (!entry.removed() && is_newer(mark, entry)) paths.push_back(path);
  }
  for (const auto& [node, note] : notes) text += missed_line(node, note);
  for (const std::string& path : paths) text += entry_line(path, mark);
  if (text.empty()) return {};
  if (Status written = append(text); !written) return written;
  // What stays is removed at the next load.
  std::set<std::string> folders;
  for (const std::string& path : paths) {
    (void)services_.files.remove(path_of(path)).ok();
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
      folders.insert(path.substr(0, slash));
  }
  // Those that are empty now, inner ones first.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder)
    (void)services_.files.remove(path_of(*folder)).ok();
  ArchiveManifest whole;
  {
    MutexLock lock(mutex_);
    for (const auto& [node, note] : notes) {
      manifest_.missed[node] = note;
      manifest_.notes = std::max(manifest_.notes, note);
    }
    manifest_.counter = std::max(manifest_.counter, version);
    for (const std::string& path : paths) {
      manifest_.entries[path] = mark;
      damaged_.erase(path);
      seen_right_.erase(path);
    }
    digest_.reset();
    durable_folders_.clear();
    whole = manifest_;
  }
  if (Status shortened = write_whole(whole); !shortened) {
    MutexLock lock(mutex_);
    loaded_ = in_step_ = false;
  }
  return {};
}

Status ArchiveSegment::verify(std::stop_token stop) {
  const auto all = manifest(stop);
  if (!all) return all.error();
  {
    MutexLock lock(mutex_);
    seen_right_.clear();
  }
  for (const auto& [path, entry] : all->entries) {
    if (entry.removed()) continue;
    // read() notes what is wrong; a file that changes meanwhile was written just now.
    const auto content = read(path, 0, entry.version, stop);
    if (!content && (content.error().code == Code::stopped || content.error().code == Code::timeout))
      return content.error();
  }
  return {};
}

}  // namespace confd::storage
