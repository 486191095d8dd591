// FileSystem: every file operation of confd goes through this, so that tests can fail any of them and cut the
// power between any two (tests/support/fake_file_system.h).
//
// Paths are absolute or relative UTF-8. Errors: Code::not_found for ENOENT, Code::exists for EEXIST,
// Code::io_error otherwise; the text names operation, path and reason. Durability is said at each function:
// nothing is durable before a sync. Thread-safety: any thread; one File belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace confd::base {

class File {
 public:
  virtual ~File() = default;
  // Writes all of it at the end of the file. On failure an unknown part has been written. May be called from
  // several threads: each call's bytes stay together (O_APPEND, one write(2)) unless the disk is full.
  virtual Status append(std::string_view bytes) = 0;
  // fdatasync: content and size are durable when this returns; the name is not (FileSystem::sync_directory).
  virtual Status sync() = 0;
};

struct FileStatus {
  std::uint64_t size = 0;  // bytes
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;  // since the epoch
  std::uint32_t mode = 0;        // permission bits
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool is_directory = false;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::string> read(const std::string& path) = 0;
  // Makes or empties the file.
  virtual Result<std::unique_ptr<File>> create(const std::string& path, std::uint32_t mode) = 0;
  // Opens for appending; makes the file when absent.
  virtual Result<std::unique_ptr<File>> open_append(const std::string& path, std::uint32_t mode) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;
  // A second name for the same file; fails with Code::exists when `to` is there.
  virtual Status link(const std::string& from, const std::string& to) = 0;
  virtual Status change_mode(const std::string& path, std::uint32_t mode) = 0;
  virtual Status change_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) = 0;
  // Makes the folder and its parents; fine when it is there.
  virtual Status make_directories(const std::string& path, std::uint32_t mode) = 0;
  // Makes names made, renamed or removed in this folder durable.
  virtual Status sync_directory(const std::string& path) = 0;
  // Makes everything written so far on the file system that holds `path` durable, contents and names
  // (syncfs). Costs a while; for checkpoints.
  virtual Status sync_everything(const std::string& path) = 0;
  // Names in the folder, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Result<FileStatus> status(const std::string& path) = 0;
};

// The operating system's.
FileSystem& system_file_system();

// Replaces `path` by `text` so that a crash leaves the old or the new content, whole: temp file beside it,
// sync, rename, sync of the folder. Durable when it returns ok. After a failure the old content stands, or
// (when only the last step failed) the new one.
Status replace_file(FileSystem& files, const std::string& path, std::string_view text, std::uint32_t mode);
// Removes the temp files that writers killed inside replace_file() left in `folder`. REQUIRES: no other
// process writes there.
void remove_torn_replacements(FileSystem& files, const std::string& folder);

// "a/b/c" -> "a/b", "c" -> ".".
std::string parent_directory(const std::string& path);
std::string join_path(std::string_view folder, std::string_view name);

}  // namespace confd::base
