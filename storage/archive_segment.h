// ArchiveSegment: the files of one copy of an archive segment, in the segment's folder on this node:
//   files/<path>        contents, readable by tools
//   incoming/<stage>    contents on their way in, durable before their change is
//   manifest            what is there (storage/archive_manifest.h); appended to, shortened now and then
// A change counts from the moment its line in the manifest is durable. A crash leaves
//   before that  a file in incoming that no line names: removed at the next load
//   after it     a file in incoming that the newest line of its path names: moved to its place then; or a
//                file that a mark says is removed: removed then
//   in the line  a torn end: left out, the manifest is written anew
// A manifest that is lost or damaged is made from the files, with version 0 where no sound line tells more.
// The manifest is loaded at the first use and whenever the file is not the one known; the copy is not "in
// step" then until Recovery says so. Thread-safety: any thread, never an I/O thread; changes of one segment
// follow each other.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "cluster/file_stream.h"
#include "storage/archive_manifest.h"
#include "storage/storage_files.h"

namespace confd::storage {

class ArchiveSegment {
 public:
  struct Services {
    base::FileSystem& files;
    base::Clock& clock;
    base::Random& random;
    // For reading, at any offset; goes on showing the file it opened when another takes its name.
    std::function<base::Result<std::unique_ptr<DeviceFile>>(const std::string& path)> open;
  };
  // Asked before bytes are written.
  using Room = std::function<base::Status(std::uint64_t bytes)>;
  struct State {
    bool in_step = false;
    std::uint64_t counter = 0, digest = 0, damaged = 0;
    std::map<int, std::uint64_t> missed;
    std::optional<ArchiveEntry> entry;
  };
  struct Staged {
    std::string id, checksum;
    std::uint64_t size = 0;
  };

  // `services` outlive this.
  ArchiveSegment(std::string folder, Services services);

  // Errors of all: Code::bad_parameter for the path, Code::timeout, Code::stopped, Code::io_error.
  // The state and, for a path that is not empty, its entry.
  base::Result<State> state(const std::string& path, std::stop_token stop);
  base::Result<ArchiveManifest> manifest(std::stop_token stop);
  // Paths whose content is not what the manifest says.
  std::set<std::string> damaged() const;
  // Live files below a folder ("" = all) after the path `after`, at most `most`.
  base::Result<std::vector<std::pair<std::string, ArchiveEntry>>> list(const std::string& folder,
                                                                       const std::string& after,
                                                                       std::size_t most,
                                                                       std::stop_token stop);

  // Takes content in; finish() gives {stage, size, checksum}, which commit() wants. Forgotten after an hour.
  // Error also: Code::exists when a folder has that name or a file that of its folder.
  base::Result<std::unique_ptr<cluster::FileSink>> stage(const std::string& path, Room room,
                                                         std::stop_token stop);
  // The staged content becomes the file, unless a newer one is there (fine as well). `without`: nodes whose
  // copies miss this change; noted even then. Durable when it returns ok; after an error, done or not done.
  base::Status commit(const std::string& path, const std::string& stage, std::uint64_t version,
                      const std::vector<int>& without, std::stop_token stop);
  base::Status remove(const std::string& path, std::uint64_t version, const std::vector<int>& without,
                      std::stop_token stop);
  // Removes every file that is older than `version`: one change, as remove() of each of them.
  base::Status clear(std::uint64_t version, const std::vector<int>& without, std::stop_token stop);
  // Reads all files and compares them with their checksums; damaged() has those that differ.
  base::Status verify(std::stop_token stop);
  // A newer entry whose content is here already, under an older version.
  base::Status adopt(const std::string& path, const ArchiveEntry& entry, std::stop_token stop);
  base::Status note(const std::vector<int>& nodes, std::stop_token stop);
  // The copy on that node has all. Error: Code::busy when it missed more since the note `seen`.
  base::Status rejoin(int node, std::uint64_t seen, std::stop_token stop);

  // Content from `offset` on, its checksum looked at before the first byte is given when this process has not
  // seen it right. `version`: Code::not_found when the file has another one. Error also: Code::not_found.
  base::Result<std::unique_ptr<cluster::FileSource>> read(const std::string& path, std::uint64_t offset,
                                                          std::optional<std::uint64_t> version,
                                                          std::stop_token stop);

  // Has everything that was acknowledged, as far as this process knows; false after each load.
  void set_in_step(bool on);

 private:
  using Identity = std::pair<std::uint64_t, std::int64_t>;  // inode, time of change
  class Turn;
  class Incoming;
  struct Kept {
    Staged staged;
    base::SteadyTime since;
  };

  std::string path_of(const std::string& path) const { return folder_ + "/files/" + path; }
  std::string stage_path(const std::string& id) const { return folder_ + "/incoming/" + id; }
  base::Result<std::unique_ptr<Turn>> turn(std::stop_token stop);
  // All these: REQUIRES the turn.
  base::Status load(const std::stop_token& stop);
  base::Status rebuild(ArchiveManifest& manifest, const std::stop_token& stop);
  base::Status find_files(const std::string& below, std::vector<std::string>& found);
  base::Status finish_changes(const ArchiveManifest& manifest);
  base::Status write_whole(const ArchiveManifest& manifest);
  base::Status append(const std::string& text);
  base::Status know_manifest();
  base::Status place(const std::string& path, const std::string& stage);
  void remove_file(const std::string& path);
  base::Status make_parents(const std::string& path);
  base::Status check_folders(const std::string& path) const;
  base::Status change(const std::string& path, const ArchiveEntry& entry, const std::vector<int>& without);
  void drop_stage(const std::string& id);
  base::Result<std::string> checksum(DeviceFile& file, std::uint64_t size, const std::stop_token& stop);

  const std::string folder_;
  const Services services_;
  mutable base::Mutex mutex_;
  base::CondVar turn_free_;
  bool turn_taken_ GUARDED_BY(mutex_) = false;
  bool loaded_ GUARDED_BY(mutex_) = false;
  bool in_step_ GUARDED_BY(mutex_) = false;
  std::pair<std::uint64_t, std::uint64_t> known_ GUARDED_BY(mutex_);  // inode and size of the manifest
  ArchiveManifest manifest_ GUARDED_BY(mutex_);
  mutable std::optional<std::uint64_t> digest_ GUARDED_BY(mutex_);
  std::set<std::string> damaged_ GUARDED_BY(mutex_);
  std::map<std::string, Identity> seen_right_ GUARDED_BY(mutex_);
  std::set<std::string> coming_ GUARDED_BY(mutex_);  // ids being written
  std::map<std::string, Kept> staged_ GUARDED_BY(mutex_);
  std::set<std::string> durable_folders_ GUARDED_BY(mutex_);
};

}  // namespace confd::storage
