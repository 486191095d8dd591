// A file system in memory that can fail at the Nth call and lose what was not synced.
//
// power_cut() leaves what a disk may show after the plug was pulled, in its harshest form: file contents as
// of their last sync, names as of the last sync of their folder. A file whose name survived but whose content
// was never synced is empty. Folders themselves are durable at once. kill() is softer: the process ends, the
// kernel keeps all (nothing is lost). Thread-safety: any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "base/file_system.h"
#include "base/mutex.h"

namespace confd::test {

class FakeFileSystem : public base::FileSystem {
 public:
  base::Result<std::string> read(const std::string& path) override;
  base::Result<std::unique_ptr<base::File>> create(const std::string& path, std::uint32_t mode) override;
  base::Result<std::unique_ptr<base::File>> open_append(const std::string& path, std::uint32_t mode) override;
  base::Status rename(const std::string& from, const std::string& to) override;
  base::Status remove(const std::string& path) override;
  base::Status link(const std::string& from, const std::string& to) override;
  base::Status change_mode(const std::string& path, std::uint32_t mode) override;
  base::Status change_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) override;
  base::Status make_directories(const std::string& path, std::uint32_t mode) override;
  base::Status sync_directory(const std::string& path) override;
  base::Status sync_everything(const std::string& path) override;
  base::Result<std::vector<std::string>> list(const std::string& path) override;
  base::Result<base::FileStatus> status(const std::string& path) override;

  // Calls that change something since the start: create, append, sync, rename, ... Use it to walk all crash
  // points.
  int calls() const;
  // The call with this number (1 = the next one from now counted absolutely by calls()+1) and all later ones
  // fail with Code::io_error; 0 = never.
  void fail_from(int call);
  // Only that one call fails.
  void fail_at(int call);
  // Everything not synced is gone; failures are cleared. Open Files go nowhere afterwards.
  void power_cut();
  // As if the process died: failures are cleared, nothing is lost.
  void kill();

  // Puts a file there, durable, as an operator's editor would.
  void put(const std::string& path, std::string text, std::uint32_t mode = 0600);
  // Names in all folders, sorted.
  std::vector<std::string> all_paths() const;

 private:
  struct Inode {
    std::string content, durable;
    std::uint64_t number = 0;
    std::uint32_t mode = 0, uid = 0, gid = 0;
    std::int64_t modified = 0;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  class OpenFile;

  base::Status step(const std::string& what) REQUIRES_LOCK(mutex_);
  std::shared_ptr<Inode> make_inode(std::uint32_t mode) REQUIRES_LOCK(mutex_);
  void touch(Inode& inode) REQUIRES_LOCK(mutex_);

  mutable base::Mutex mutex_;
  Names names_ GUARDED_BY(mutex_);
  Names durable_names_ GUARDED_BY(mutex_);
  std::map<std::string, std::uint32_t> folders_ GUARDED_BY(mutex_);
  std::uint64_t next_inode_ GUARDED_BY(mutex_) = 1;
  std::int64_t ticks_ GUARDED_BY(mutex_) = 1;
  int calls_ GUARDED_BY(mutex_) = 0;
  int fail_from_ GUARDED_BY(mutex_) = 0;
  int fail_at_ GUARDED_BY(mutex_) = 0;
  std::uint64_t generation_ GUARDED_BY(mutex_) = 0;
};

}  // namespace confd::test
