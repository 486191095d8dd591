// ArchiveStore: a place for files that are written once, read as a whole or from an offset, and removed: what
// backups go to and come from. Behind it are remote volumes (storage/rclone_store.h) and local archive
// volumes.
//
// Paths are relative, parts separated by '/' (check_archive_path). put() is all or nothing: when it returns
// ok the file is there whole; after an Error a reader finds the old file or none (docs/storage-remote.md says
// where a store can't promise that). Thread-safety: any thread; each call blocks until it is done, its time
// is over or its stop is asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace confd::storage {

struct ArchiveLimits {
  std::chrono::milliseconds timeout{std::chrono::minutes(1)};  // of the whole call
  std::stop_token stop = {};
  // get() only, of stores that know checksums: this content and no other; else Code::conflict.
  std::string checksum = {};
};

struct ArchiveFile {
  std::string path;
  std::uint64_t size = 0;     // bytes
  std::string checksum = {};  // lower-case hex; from find() of a store that knows it, else empty
};

// Errors of all: Code::bad_parameter for the path, Code::not_found (get: no such file; all: the place itself
// is not there), Code::timeout, Code::stopped, Code::io_error with what the store said.
class ArchiveStore {
 public:
  // At most `most` bytes; empty: the end. An Error ends the put with it.
  using Source = std::function<base::Result<std::string>(std::size_t most)>;
  // An Error ends the get with it.
  using Sink = std::function<base::Status(std::string_view piece)>;

  virtual ~ArchiveStore() = default;

  // Writes the file, in place of one that is there. `size`, when it is known before: a source that gives
  // another number of bytes is an Error. Returns the bytes written.
  virtual base::Result<std::uint64_t> put(const std::string& path, const Source& source,
                                          std::optional<std::uint64_t> size, const ArchiveLimits& limits) = 0;
  // Reads the file from `offset` on. Returns the bytes read; an Error may come after some were given.
  virtual base::Result<std::uint64_t> get(const std::string& path, std::uint64_t offset, const Sink& sink,
                                          const ArchiveLimits& limits) = 0;
  // All files below a folder ("" = all there are), at any depth, sorted by path, which is from the root of
  // the store on; none when there is no such folder.
  virtual base::Result<std::vector<ArchiveFile>> list(const std::string& folder,
                                                      const ArchiveLimits& limits) = 0;
  // The file, or nothing.
  virtual base::Result<std::optional<ArchiveFile>> find(const std::string& path,
                                                        const ArchiveLimits& limits) = 0;
  // Fine when there is no such file.
  virtual base::Status remove(const std::string& path, const ArchiveLimits& limits) = 0;
};

// A path is 1 to 1024 bytes of UTF-8 without control characters; no part is empty, "." or "..", or longer
// than 255 bytes.
base::Status check_archive_path(std::string_view path);

}  // namespace confd::storage
