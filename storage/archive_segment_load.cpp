// ArchiveSegment: its turn, loading and rebuilding the manifest, and moving files to their places.
#include <algorithm>

#include "storage/archive_segment_turn.h"
#include "storage/archive_store.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kPatience{60};

Status unless_gone(Status status) {
  return !status && status.error().code == Code::not_found ? Status() : status;
}

}  // namespace

Result<std::unique_ptr<ArchiveSegment::Turn>> ArchiveSegment::turn(std::stop_token stop) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  {
    const std::stop_callback wake(stop, [this] {
      MutexLock lock(mutex_);
      turn_free_.notify_all();
    });
    MutexLock lock(mutex_);
    while (turn_taken_ && !stop.stop_requested())
      if (turn_free_.wait_until(mutex_, until) == std::cv_status::timeout) break;
    if (stop.stop_requested()) {
      turn_free_.notify_one();
      return Error{Code::stopped, "stopped while others work on " + folder_};
    }
    if (turn_taken_) return Error{Code::timeout, "others work on " + folder_ + " for too long"};
    turn_taken_ = true;
  }
  auto mine = std::make_unique<Turn>(*this);
  const auto status = services_.files.status(folder_ + "/manifest");
  if (!status && status.error().code != Code::not_found) return status.error();
  {
    MutexLock lock(mutex_);
    if (loaded_ && status && known_ == std::pair(status->inode, status->size)) return mine;
    loaded_ = in_step_ = false;
  }
  if (Status done = load(stop); !done) return done.error();
  return mine;
}

Status ArchiveSegment::know_manifest() {
  const auto status = services_.files.status(folder_ + "/manifest");
  if (!status) return status.error();
  MutexLock lock(mutex_);
  known_ = {status->inode, status->size};
  return {};
}

Status ArchiveSegment::load(const std::stop_token& stop) {
  // NodeStorage makes it, and takes it away: it is not to come back by a late call.
  if (const auto there = services_.files.status(folder_); !there) return there.error();
  base::remove_torn_replacements(services_.files, folder_);
  const auto text = services_.files.read(folder_ + "/manifest");
  if (!text && text.error().code != Code::not_found) return text.error();
  auto parsed = text ? parse_manifest(*text) : Result<ArchiveManifest>(text.error());
  // Nothing is changed that another version may still read.
  if (!parsed && parsed.error().code == Code::unsupported)
    return Error{Code::unsupported, "the manifest of " + folder_ + " can't be used: " + parsed.error().text};
  const bool lost = !parsed;
  ArchiveManifest manifest =
      parsed ? std::move(*parsed) : salvage_manifest(text ? std::string_view(*text) : std::string_view());
  {
    MutexLock lock(mutex_);
    durable_folders_.clear();
    seen_right_.clear();
    damaged_.clear();
  }
  // A line counts when it is durable, and of one that was just read nobody knows.
  if (!lost)
    if (Status done = write_whole(manifest); !done) return done;
  if (Status done = finish_changes(manifest); !done) return done;
  // Moved by somebody who ended before his sync: once incoming is synced, the old name is gone for good.
  std::set<std::string> folders;
  for (auto& [path, entry] : manifest.entries) {
    if (entry.removed() || entry.stage == "-") continue;
    folders.insert(base::parent_directory(path_of(path)));
    entry.stage = "-";
  }
  for (const std::string& folder : folders)
    if (services_.files.status(folder))
      if (Status done = services_.files.sync_directory(folder); !done) return done;
  if (lost)
    if (Status done = rebuild(manifest, stop); !done) return done;
  std::set<std::string> damaged;
  for (const auto& [path, entry] : manifest.entries) {
    if (entry.removed()) continue;
    const auto status = services_.files.status(path_of(path));
    if (!status && status.error().code != Code::not_found) return status.error();
    if (!status || status->size != entry.size) damaged.insert(path);
  }
  if (lost)
    if (Status done = write_whole(manifest); !done) return done;
  MutexLock lock(mutex_);
  manifest.lines = manifest_.lines;
  manifest_ = std::move(manifest);
  manifest_.torn = false;
  digest_.reset();
  damaged_ = std::move(damaged);
  loaded_ = true;
  in_step_ = false;
  return {};
}

// What a crash left between a line of the manifest and its effect.
Status ArchiveSegment::finish_changes(const ArchiveManifest& manifest) {
  std::set<std::string> wanted;
  {
    MutexLock lock(mutex_);
    wanted = coming_;
    for (const auto& [id, kept] : staged_) wanted.insert(id);
  }
  const auto names = services_.files.list(folder_ + "/incoming");
  if (!names && names.error().code != Code::not_found) return names.error();
  std::set<std::string> left;
  if (names) left.insert(names->begin(), names->end());
  for (const auto& [path, entry] : manifest.entries) {
    if (entry.removed()) {
      if (const auto status = services_.files.status(path_of(path)); status && !status->is_directory)
        remove_file(path);
    } else if (left.erase(entry.stage) > 0) {
      if (Status placed = place(path, entry.stage); !placed) return placed;
      MutexLock lock(mutex_);
      staged_.erase(entry.stage);
    }
  }
  for (const std::string& name : left)
    if (!wanted.contains(name))
      if (Status gone = unless_gone(services_.files.remove(stage_path(name))); !gone) return gone;
  return {};
}

Status ArchiveSegment::find_files(const std::string& below, std::vector<std::string>& found) {
  const auto names = services_.files.list(below.empty() ? folder_ + "/files" : path_of(below));
  if (!names) return unless_gone(names.error());
  for (const std::string& name : *names) {
    const std::string path = below.empty() ? name : below + "/" + name;
    const auto status = services_.files.status(path_of(path));
    if (!status) {
      if (Status done = unless_gone(status.error()); !done) return done;
    } else if (status->is_directory) {
      if (Status done = find_files(path, found); !done) return done;
    } else if (check_archive_path(path)) {
      found.push_back(path);
    }
  }
  return {};
}

// Content stands over what sound lines of a damaged manifest say.
Status ArchiveSegment::rebuild(ArchiveManifest& manifest, const std::stop_token& stop) {
  std::vector<std::string> found;
  if (Status done = find_files("", found); !done) return done;
  std::map<std::string, ArchiveEntry> entries;
  for (const auto& [path, entry] : manifest.entries)
    if (entry.removed()) entries[path] = entry;
  for (const std::string& path : found) {
    const auto file = services_.open(path_of(path));
    if (!file) return file.error();
    const auto size = (*file)->size();
    if (!size) return size.error();
    const auto sum = checksum(**file, *size, stop);
    if (!sum) return sum.error();
    ArchiveEntry entry{0, *size, *sum, "-"};
    const auto known = manifest.entries.find(path);
    if (known != manifest.entries.end() && known->second.checksum == *sum)
      entry.version = known->second.version;
    entries[path] = std::move(entry);
  }
  manifest.entries = std::move(entries);
  return {};
}

Status ArchiveSegment::write_whole(const ArchiveManifest& manifest) {
  if (Status done = base::replace_file(services_.files, folder_ + "/manifest", manifest_text(manifest), 0600);
      !done)
    return done;
  {
    MutexLock lock(mutex_);
    manifest_.lines = manifest.entries.size() + manifest.missed.size() + 2;
  }
  return know_manifest();
}

Status ArchiveSegment::append(const std::string& text) {
  const auto write = [&]() -> Status {
    auto file = services_.files.open_append(folder_ + "/manifest", 0600);
    if (!file) return file.error();
    if (Status done = (*file)->append(text); !done) return done;
    if (Status done = (*file)->sync(); !done) return done;
    return know_manifest();
  };
  Status done = write();
  MutexLock lock(mutex_);
  if (done)
    manifest_.lines += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  else
    loaded_ = in_step_ = false;
  return done;
}

Status ArchiveSegment::make_parents(const std::string& path) {
  const std::string parent = base::parent_directory(path_of(path));
  {
    MutexLock lock(mutex_);
    if (durable_folders_.contains(parent)) return {};
  }
  if (Status done = services_.files.make_directories(parent, 0700); !done) return done;
  for (std::string at = parent; at.size() > folder_.size();) {
    at = base::parent_directory(at);
    if (Status done = services_.files.sync_directory(at); !done) return done;
  }
  MutexLock lock(mutex_);
  durable_folders_.insert(parent);
  return {};
}

Status ArchiveSegment::place(const std::string& path, const std::string& stage) {
  if (Status done = make_parents(path); !done) return done;
  // A folder without files may have that name.
  if (const auto status = services_.files.status(path_of(path)); status && status->is_directory)
    if (Status done = services_.files.remove(path_of(path)); !done) return done;
  if (Status done = services_.files.rename(stage_path(stage), path_of(path)); !done) return done;
  // The old name may come back by a power cut: it is of the same content, and the same move follows.
  return services_.files.sync_directory(base::parent_directory(path_of(path)));
}

// With the folders that are empty then. What stays is removed at the next load.
void ArchiveSegment::remove_file(const std::string& path) {
  if (!services_.files.remove(path_of(path))) return;
  for (std::string at = base::parent_directory(path_of(path)); at.size() > folder_.size() + 6;
       at = base::parent_directory(at)) {
    const auto names = services_.files.list(at);
    if (!names || !names->empty() || !services_.files.remove(at)) return;
    MutexLock lock(mutex_);
    durable_folders_.erase(at);
  }
}

}  // namespace confd::storage
