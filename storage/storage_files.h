// StorageFiles: what storage needs of the operating system beyond base::FileSystem: devices written in place,
// and segment folders made durable, measured and emptied as trees. Used by NodeStorage and the offline check;
// tests/support/fake_storage_files.h cuts the power between any two calls.
//
// Errors: Code::not_found for what is not there, Code::io_error otherwise, with operation, path and reason.
// Links are never followed below a segment folder: it may hold a database's links to elsewhere.
// Thread-safety: StorageFiles from any thread, one DeviceFile from one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace confd::storage {

class DeviceFile {
 public:
  virtual ~DeviceFile() = default;
  // Bytes, of a file or a block device.
  virtual base::Result<std::uint64_t> size() = 0;
  // Exactly `bytes`; Code::io_error when the device ends before. REQUIRES, with direct I/O, as for write_at:
  // offset and length are multiples of 4096.
  virtual base::Result<std::string> read_at(std::uint64_t offset, std::size_t bytes) = 0;
  // All of it, inside the device. On failure an unknown part has been written.
  virtual base::Status write_at(std::uint64_t offset, std::string_view bytes) = 0;
  // What was written is durable when this returns.
  virtual base::Status sync() = 0;
};

struct OpenMode {
  bool write = true;
  bool direct = false;  // past the page cache, where the file system can
};

// What tells one file from another and from itself after a change by somebody else.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0;
  bool is_block_device = false;
  bool is_same_file(const FileIdentity& other) const {
    return device == other.device && inode == other.inode;
  }
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class StorageFiles {
 public:
  virtual ~StorageFiles() = default;
  // Never makes a file. Error for what is neither a regular file nor a block device.
  virtual base::Result<std::unique_ptr<DeviceFile>> open_device(const std::string& path, OpenMode mode) = 0;
  virtual base::Result<FileIdentity> identity(const std::string& path) = 0;

  // With its parents; durable when this returns. Fine when it is there.
  virtual base::Status make_folder(const std::string& path) = 0;
  virtual base::Result<bool> has_folder(const std::string& path) = 0;
  // Names of folders in it, sorted; none when it is not there.
  virtual base::Result<std::vector<std::string>> folders_in(const std::string& path) = 0;
  // With all that is in it; durable when this returns. Fine when it is not there. A failure or a stop leaves
  // a part.
  virtual base::Status remove_folder(const std::string& path, std::stop_token stop) = 0;
  // The same, but the folder itself stays.
  virtual base::Status empty_folder(const std::string& path, std::stop_token stop) = 0;
  // Bytes allocated by the files below; what vanishes meanwhile does not count.
  virtual base::Result<std::uint64_t> usage(const std::string& path, std::stop_token stop) = 0;
  // Bytes that can still be written to the file system that holds `path`.
  virtual base::Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  // Overwrites with zeroes the first `bytes` of what the files below hold, files in the order of their
  // paths; durable when this returns.
  virtual base::Status zero_front(const std::string& path, std::uint64_t bytes, std::stop_token stop) = 0;
};

// The operating system's.
StorageFiles& system_storage_files();

}  // namespace confd::storage
