#include "storage/archive_segment.h"

#include <algorithm>

#include "base/content_checksum.h"
#include "storage/archive_segment_turn.h"
#include "storage/archive_store.h"

namespace confd::storage {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kPiece = 1 << 20;
constexpr std::chrono::hours kStageLife{1};

class Content : public cluster::FileSource {
 public:
  Content(std::unique_ptr<DeviceFile> file, std::uint64_t at, std::uint64_t size, ArchiveEntry entry)
      : file_(std::move(file)), at_(at), size_(size), entry_(std::move(entry)) {}

  Result<std::string> read(std::size_t most) override {
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(size_ - at_, most));
    if (bytes == 0) return std::string();
    auto piece = file_->read_at(at_, bytes);
    if (piece) at_ += bytes;
    return piece;
  }
  base::Struct about() override {
    return {{"version", static_cast<std::int64_t>(entry_.version)}, {"checksum", entry_.checksum}};
  }

 private:
  const std::unique_ptr<DeviceFile> file_;
  std::uint64_t at_;
  const std::uint64_t size_;
  const ArchiveEntry entry_;
};

}  // namespace

// Content on its way into incoming/.
class ArchiveSegment::Incoming : public cluster::FileSink {
 public:
  Incoming(ArchiveSegment& segment, std::string id, std::unique_ptr<base::File> file, Room room)
      : segment_(segment), id_(std::move(id)), file_(std::move(file)), room_(std::move(room)) {}
  ~Incoming() override {
    if (!done_) segment_.drop_stage(id_);
  }

  Status write(std::string_view piece) override {
    if (Status may = room_(piece.size()); !may) return may;
    if (Status written = file_->append(piece); !written) return written;
    hash_.update(piece);
    size_ += piece.size();
    return {};
  }

  Result<base::Value> finish() override {
    if (Status synced = file_->sync(); !synced) return synced.error();
    if (Status synced = segment_.services_.files.sync_directory(segment_.folder_ + "/incoming"); !synced)
      return synced.error();
    const Staged staged{id_, hash_.finish(), size_};
    MutexLock lock(segment_.mutex_);
    segment_.coming_.erase(id_);
    segment_.staged_[id_] = {staged, segment_.services_.clock.steady_now()};
    done_ = true;
    return base::Value(base::Struct{{"stage", staged.id},
                                    {"size", static_cast<std::int64_t>(staged.size)},
                                    {"checksum", staged.checksum}});
  }

 private:
  ArchiveSegment& segment_;
  const std::string id_;
  const std::unique_ptr<base::File> file_;
  const Room room_;
  base::ContentChecksum hash_;
  std::uint64_t size_ = 0;
  bool done_ = false;
};

ArchiveSegment::ArchiveSegment(std::string folder, Services services)
    : folder_(std::move(folder)), services_(std::move(services)) {}

void ArchiveSegment::set_in_step(bool on) {
  MutexLock lock(mutex_);
  in_step_ = on && loaded_;
}

std::set<std::string> ArchiveSegment::damaged() const {
  MutexLock lock(mutex_);
  return damaged_;
}

Result<ArchiveSegment::State> ArchiveSegment::state(const std::string& path, std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  MutexLock lock(mutex_);
  if (!digest_) digest_ = manifest_.digest();
  State state{in_step_, manifest_.counter, *digest_, damaged_.size(), manifest_.missed, std::nullopt};
  const auto found = manifest_.entries.find(path);
  if (found != manifest_.entries.end()) state.entry = found->second;
  return state;
}

Result<ArchiveManifest> ArchiveSegment::manifest(std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  MutexLock lock(mutex_);
  return manifest_;
}

Result<std::vector<std::pair<std::string, ArchiveEntry>>> ArchiveSegment::list(const std::string& folder,
                                                                               const std::string& after,
                                                                               std::size_t most,
                                                                               std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  const std::string prefix = folder.empty() ? "" : folder + "/";
  std::vector<std::pair<std::string, ArchiveEntry>> found;
  MutexLock lock(mutex_);
  auto at = manifest_.entries.lower_bound(prefix);
  if (after > prefix) at = manifest_.entries.upper_bound(after);
  for (; at != manifest_.entries.end() && at->first.starts_with(prefix) && found.size() < most; ++at)
    if (!at->second.removed()) found.emplace_back(at->first, at->second);
  return found;
}

Status ArchiveSegment::check_folders(const std::string& path) const {
  MutexLock lock(mutex_);
  const auto& entries = manifest_.entries;
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const auto above = entries.find(path.substr(0, slash));
    if (above != entries.end() && !above->second.removed())
      return Error{Code::exists, "'" + path + "' can't be written: '" + above->first + "' is a file"};
  }
  for (auto at = entries.lower_bound(path + "/"); at != entries.end() && at->first.starts_with(path + "/");
       ++at)
    if (!at->second.removed())
      return Error{Code::exists, "'" + path + "' can't be written: it is a folder, with '" + at->first + "'"};
  return {};
}

Result<std::unique_ptr<cluster::FileSink>> ArchiveSegment::stage(const std::string& path, Room room,
                                                                 std::stop_token stop) {
  if (Status good = check_archive_path(path); !good) return good.error();
  std::vector<std::string> old;
  const std::string id = base::random_hex(services_.random, 16);
  {
    const auto mine = turn(std::move(stop));
    if (!mine) return mine.error();
    if (Status able = check_folders(path); !able) return able.error();
    MutexLock lock(mutex_);
    for (const auto& [known, kept] : staged_)
      if (services_.clock.steady_now() - kept.since > kStageLife) old.push_back(known);
    coming_.insert(id);
  }
  for (const std::string& forgotten : old) drop_stage(forgotten);
  if (Status made = services_.files.make_directories(folder_ + "/incoming", 0700); !made) {
    drop_stage(id);
    return made.error();
  }
  auto file = services_.files.create(stage_path(id), 0600);
  if (!file) {
    drop_stage(id);
    return file.error();
  }
  return std::unique_ptr<cluster::FileSink>(
      std::make_unique<Incoming>(*this, id, std::move(*file), std::move(room)));
}

void ArchiveSegment::drop_stage(const std::string& id) {
  {
    MutexLock lock(mutex_);
    staged_.erase(id);
    coming_.erase(id);
  }
  // What stays is removed at the next load.
  (void)services_.files.remove(stage_path(id)).ok();
}

Status ArchiveSegment::commit(const std::string& path, const std::string& stage, std::uint64_t version,
                              const std::vector<int>& without, std::stop_token stop) {
  if (Status good = check_archive_path(path); !good) return good;
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  ArchiveEntry entry;
  {
    MutexLock lock(mutex_);
    const auto kept = staged_.find(stage);
    if (kept == staged_.end()) {
      // Asked again after the answer got lost.
      const auto done = manifest_.entries.find(path);
      if (done != manifest_.entries.end() && done->second.stage == stage && done->second.version == version)
        return {};
      return Error{Code::not_found, "'" + path + "' can't be completed: its content is not here any more"};
    }
    entry = {version, kept->second.staged.size, kept->second.staged.checksum, stage};
  }
  if (Status able = check_folders(path); !able) return able;
  return change(path, entry, without);
}

Status ArchiveSegment::remove(const std::string& path, std::uint64_t version, const std::vector<int>& without,
                              std::stop_token stop) {
  if (Status good = check_archive_path(path); !good) return good;
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  return change(path, {version, 0, "", ""}, without);
}

Status ArchiveSegment::adopt(const std::string& path, const ArchiveEntry& entry, std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  {
    MutexLock lock(mutex_);
    const auto known = manifest_.entries.find(path);
    if (known == manifest_.entries.end() || known->second.checksum != entry.checksum ||
        damaged_.contains(path))
      return Error{Code::conflict, "'" + path + "' is not here with that content"};
  }
  ArchiveEntry same = entry;
  same.stage = "-";
  return change(path, same, {});
}

// The content of `entry` is in its stage, or in place already ("-"), or it is a mark.
Status ArchiveSegment::change(const std::string& path, const ArchiveEntry& entry,
                              const std::vector<int>& without) {
  std::string text;
  bool newer = true;
  std::map<int, std::uint64_t> notes;
  {
    MutexLock lock(mutex_);
    const auto known = manifest_.entries.find(path);
    if (known != manifest_.entries.end())
      newer = is_newer(entry, known->second) ||
              (is_same(entry, known->second) && damaged_.contains(path) && !entry.removed());
    std::uint64_t next = manifest_.notes;
    for (const int node : without) notes[node] = ++next;
  }
  for (const auto& [node, note] : notes) text += missed_line(node, note);
  if (newer) text += entry_line(path, entry);
  const bool staged = !entry.removed() && entry.stage != "-";
  if (!text.empty())
    if (Status written = append(text); !written) return written;
  if (newer && staged) {
    if (Status placed = place(path, entry.stage); !placed) {
      MutexLock lock(mutex_);
      loaded_ = in_step_ = false;
      return placed;
    }
  }
  if (newer && entry.removed()) remove_file(path);
  if (staged && !newer) drop_stage(entry.stage);
  const auto status = staged && newer ? services_.files.status(path_of(path))
                                      : Result<base::FileStatus>(Error{Code::not_found, ""});
  {
    MutexLock lock(mutex_);
    for (const auto& [node, note] : notes) {
      manifest_.missed[node] = note;
      manifest_.notes = std::max(manifest_.notes, note);
    }
    if (!newer) return {};
    manifest_.counter = std::max(manifest_.counter, entry.version);
    manifest_.entries[path] = entry;
    digest_.reset();
    if (staged || entry.removed()) damaged_.erase(path);
    staged_.erase(entry.stage);
    if (status) seen_right_[path] = {status->inode, status->modified_ns};
    if (manifest_.lines <= 2 * manifest_.entries.size() + kFewLines) return {};
  }
  ArchiveManifest whole;
  {
    MutexLock lock(mutex_);
    whole = manifest_;
  }
  // The change itself is durable: what fails here is found at the next load.
  if (Status shortened = write_whole(whole); !shortened) {
    MutexLock lock(mutex_);
    loaded_ = in_step_ = false;
  }
  return {};
}

Status ArchiveSegment::note(const std::vector<int>& nodes, std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  std::map<int, std::uint64_t> notes;
  std::string text;
  {
    MutexLock lock(mutex_);
    std::uint64_t next = manifest_.notes;
    for (const int node : nodes) notes[node] = ++next;
  }
  for (const auto& [node, note] : notes) text += missed_line(node, note);
  if (text.empty()) return {};
  if (Status written = append(text); !written) return written;
  MutexLock lock(mutex_);
  for (const auto& [node, note] : notes) {
    manifest_.missed[node] = note;
    manifest_.notes = std::max(manifest_.notes, note);
  }
  return {};
}

Status ArchiveSegment::rejoin(int node, std::uint64_t seen, std::stop_token stop) {
  const auto mine = turn(std::move(stop));
  if (!mine) return mine.error();
  {
    MutexLock lock(mutex_);
    const auto missed = manifest_.missed.find(node);
    if (missed == manifest_.missed.end()) return {};
    if (missed->second != seen)
      return Error{Code::busy, "the copy on node " + std::to_string(node) + " missed more meanwhile"};
  }
  if (Status written = append(missed_line(node, 0)); !written) return written;
  MutexLock lock(mutex_);
  manifest_.missed.erase(node);
  return {};
}

Result<std::string> ArchiveSegment::checksum(DeviceFile& file, std::uint64_t size,
                                             const std::stop_token& stop) {
  base::ContentChecksum hash;
  for (std::uint64_t at = 0; at < size;) {
    if (stop.stop_requested()) return Error{Code::stopped, "stopped while reading " + folder_};
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, size - at));
    const auto piece = file.read_at(at, bytes);
    if (!piece) return piece.error();
    hash.update(*piece);
    at += bytes;
  }
  return hash.finish();
}

Result<std::unique_ptr<cluster::FileSource>> ArchiveSegment::read(const std::string& path,
                                                                  std::uint64_t offset,
                                                                  std::optional<std::uint64_t> version,
                                                                  std::stop_token stop) {
  if (Status good = check_archive_path(path); !good) return good.error();
  ArchiveEntry entry;
  std::unique_ptr<DeviceFile> file;
  Identity identity;
  bool right = false;
  {
    const auto mine = turn(stop);
    if (!mine) return mine.error();
    {
      MutexLock lock(mutex_);
      const auto found = manifest_.entries.find(path);
      if (found == manifest_.entries.end() || found->second.removed())
        return Error{Code::not_found, "there is no file '" + path + "'"};
      if (version && found->second.version != *version)
        return Error{Code::not_found, "there is another version of '" + path + "' now"};
      entry = found->second;
    }
    const auto status = services_.files.status(path_of(path));
    auto opened = services_.open(path_of(path));
    const auto size = opened ? (*opened)->size() : Result<std::uint64_t>(opened.error());
    if (!status || !size || *size != entry.size) {
      MutexLock lock(mutex_);
      damaged_.insert(path);
      return Error{Code::io_error,
                   "'" + path + "' is damaged on this node: " +
                       (size ? "it has " + std::to_string(*size) + " bytes" : size.error().text)};
    }
    file = std::move(*opened);
    identity = {status->inode, status->modified_ns};
    MutexLock lock(mutex_);
    const auto known = seen_right_.find(path);
    right = known != seen_right_.end() && known->second == identity;
  }
  if (offset > entry.size)
    return Error{Code::bad_parameter, "'" + path + "' ends before byte " + std::to_string(offset)};
  if (!right) {
    const auto sum = checksum(*file, entry.size, stop);
    if (!sum && sum.error().code == Code::stopped) return sum.error();
    const bool wrong = !sum || *sum != entry.checksum;
    MutexLock lock(mutex_);
    // Another change may have come meanwhile; only of what is still there something is learnt.
    const auto found = manifest_.entries.find(path);
    const bool current = found != manifest_.entries.end() && is_same(found->second, entry);
    if (wrong && current) damaged_.insert(path);
    if (wrong) return Error{Code::io_error, "'" + path + "' is damaged on this node: wrong checksum"};
    if (current) seen_right_[path] = identity;
  }
  return std::unique_ptr<cluster::FileSource>(
      std::make_unique<Content>(std::move(file), offset, entry.size, entry));
}

}  // namespace confd::storage
