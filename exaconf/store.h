// Store: EXAConf on disk and the current revision in memory; the only writer of the file.
//
// On disk, in <root>/etc: EXAConf (0600) and EXAConf.0 (newest) ... EXAConf.9, the revisions before. Order of
// a commit: temp file, sync, shift of the history (hard links and renames, so that EXAConf is there at every
// moment), rename over EXAConf, sync of the folder. A crash leaves the old or the new revision whole; a
// history entry may be missing or doubled, and temp files are removed by open(). A refused edit stays until
// the next commit, which keeps it as EXAConf.refused. Thread-safety: current() from any thread without
// waiting; commit() and poll() from one thread at a time (the publisher's).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "exaconf/config.h"

namespace confd::exaconf {

class Store {
 public:
  static constexpr int kHistory = 10;

  // The daemon owns the folder and removes what a crash left in it; a guest (the exaconf program) does not:
  // the temp file may be the daemon's.
  enum class Role { owner, guest };

  // Loads `path`; commits at once when it says Checksum = COMMIT or lacks an AuthenticationToken (spec §4,
  // §5). Error: what is wrong and the way out.
  static base::Result<std::unique_ptr<Store>> open(base::FileSystem& files, std::string path,
                                                   base::Random& random = base::system_random(),
                                                   Role role = Role::owner);

  ConfigPtr current() const;

  // Makes `next` the revision in force: durable, then visible. REQUIRES: next->revision() >
  // current()->revision() (equal texts may keep it). Error: Code::io_error; the old revision stays in force.
  // Code::conflict when the file on disk was edited by hand meanwhile (call poll()).
  base::Status commit(ConfigPtr next);

  // Makes what the nodes of a cluster agreed on the revision in force, whatever stands here: durable, then
  // visible. A different text that was in force stays in the history; an edit by hand that is in the way is
  // kept as EXAConf.refused. Error: Code::io_error.
  base::Status adopt(ConfigPtr agreed);

  // Looks whether somebody edited the file (one stat when not). Returns what to tell:
  struct Edit {
    bool taken = false;  // true: the edit is in force as a new revision (it carried Checksum = COMMIT)
    std::string text;    // for the log; for a refused edit the documented text (spec §4)
  };
  // A taken edit gets the revision after the one in force, at least `first_free` (numbers below may have been
  // promised to somebody).
  // `agree` (with several nodes): makes the edited revision what all nodes are to hold, and returns it (the
  // master may have given it another number); what it refuses is not taken.
  using Agree = std::function<base::Result<ConfigPtr>(const Config& base, ConfigPtr next)>;
  std::optional<Edit> poll(std::int64_t first_free = 0, const Agree& agree = {});

 private:
  // What becomes EXAConf.0 at a commit.
  enum class History {
    file,     // the file on disk: it is the revision in force
    current,  // the revision in force, written anew: the file on disk is somebody's edit
    nothing,
  };

  Store(base::FileSystem& files, std::string path, ConfigPtr config, base::FileStatus seen);
  base::Status complete(base::Random& random);
  base::Status replace(const Config& next, History history);
  base::Status shift_history(History history);
  base::Status write_temp(const std::string& temp, const std::string& text);
  base::Status keep_refused();
  void roll_back();
  std::string temp_name();
  void make_current(ConfigPtr config);
  std::optional<Edit> refuse(const base::FileStatus& status, std::string text);
  std::optional<Edit> put_back();
  std::optional<Edit> take(ConfigPtr edited, const base::FileStatus& status, std::int64_t first_free,
                           const Agree& agree);

  base::FileSystem& files_;
  const std::string path_;
  base::FileStatus seen_;       // of the file as we wrote or judged it
  std::string refused_;         // text of the last refused edit, so that it is told once
  bool holds_refused_ = false;  // the file on disk is a refused edit
  mutable base::Mutex mutex_;
  ConfigPtr current_ GUARDED_BY(mutex_);
};

}  // namespace confd::exaconf
