// RcloneStore: a remote volume as ArchiveStore, by rclone. One program is run for each step; nothing is kept
// between calls but the configuration file.
//
// Object stores show an object when it is whole. Elsewhere put() writes a name of its own and renames it at
// the end. Thread-safety: any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/archive_store.h"
#include "storage/rclone.h"

namespace confd::storage {

class RcloneStore : public ArchiveStore {
 public:
  // Errors as Rclone::open().
  static base::Result<std::unique_ptr<RcloneStore>> open(base::FileSystem& files, base::Random& random,
                                                         const RcloneSettings& settings,
                                                         const RemoteVolume& volume,
                                                         const ArchiveLimits& limits);

  base::Result<std::uint64_t> put(const std::string& path, const Source& source,
                                  std::optional<std::uint64_t> size, const ArchiveLimits& limits) override;
  base::Result<std::uint64_t> get(const std::string& path, std::uint64_t offset, const Sink& sink,
                                  const ArchiveLimits& limits) override;
  base::Result<std::vector<ArchiveFile>> list(const std::string& folder,
                                              const ArchiveLimits& limits) override;
  base::Result<std::optional<ArchiveFile>> find(const std::string& path,
                                                const ArchiveLimits& limits) override;
  base::Status remove(const std::string& path, const ArchiveLimits& limits) override;

  // The place is there and can be listed. Errors: Code::not_found, and as all.
  base::Status check_reachable(const ArchiveLimits& limits);

 private:
  RcloneStore(std::unique_ptr<Rclone> rclone, base::Random& random)
      : rclone_(std::move(rclone)), random_(random) {}
  // Under `name`; the file is called `path` in errors.
  base::Status write(const std::string& name, const std::string& path, const Source& source,
                     std::optional<std::uint64_t> size, std::uint64_t& written, const ArchiveLimits& limits);

  std::unique_ptr<Rclone> rclone_;
  base::Random& random_;
};

}  // namespace confd::storage
