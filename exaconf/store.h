// Store: EXAConf on disk and the current revision in memory; the only writer of the file.
//
// On disk, in <root>/etc: EXAConf (0600) and EXAConf.0 (newest) ... EXAConf.9, the revisions before. Order of
// a commit: temp file, sync, shift of the history (hard links and renames, so that EXAConf is there at every
// moment), rename over EXAConf, sync of the folder. A crash leaves the old or the new revision whole; a
// history entry may be missing or doubled, and temp files are removed by open(). Thread-safety: current()
// from any thread without waiting; commit() and poll() from one thread at a time (the publisher's).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/result.h"
#include "exaconf/config.h"

namespace confd::exaconf {

class Store {
 public:
  static constexpr int kHistory = 10;

  // Loads `path`; commits at once when it says Checksum = COMMIT or lacks an AuthenticationToken (spec §4,
  // §5). Error: what is wrong and the way out.
  static base::Result<std::unique_ptr<Store>> open(base::FileSystem& files, std::string path);

  ConfigPtr current() const;

  // Makes `next` the revision in force: durable, then visible. REQUIRES: next->revision() >
  // current()->revision() (equal texts may keep it). Error: Code::io_error; the old revision stays in force.
  // Code::conflict when the file on disk was edited by hand meanwhile (call poll()).
  base::Status commit(ConfigPtr next);

  // Looks whether somebody edited the file (one stat when not). Returns what to tell:
  struct Edit {
    bool taken = false;  // true: the edit carried Checksum = COMMIT and was committed as a new revision
    std::string text;    // for the log; for a refused edit the documented text (spec §4)
  };
  std::optional<Edit> poll();

 private:
  Store(base::FileSystem& files, std::string path, ConfigPtr config, base::FileStatus seen);
  base::FileSystem& files_;
  const std::string path_;
  base::FileStatus seen_;
  std::string refused_;  // text of the last refused edit, so that it is told once
  mutable base::Mutex mutex_;
  ConfigPtr current_ GUARDED_BY(mutex_);
};

}  // namespace confd::exaconf
