#include "storage/storage_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <utility>

namespace confd::storage {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Error os_error(std::string_view operation, const std::string& path, int number = errno) {
  return {number == ENOENT ? Code::not_found : Code::io_error,
          std::string(operation) + " " + path + ": " + std::strerror(number)};
}

Error stopped(const std::string& path) {
  return {Code::stopped, "stopped while working through " + path};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

constexpr std::size_t kDirectAlignment = 4096;

// What direct I/O reads into and writes from.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t bytes)
      : at_(static_cast<char*>(std::aligned_alloc(
            kDirectAlignment, (bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment))) {
    if (at_ == nullptr) std::abort();
  }
  ~AlignedBuffer() { std::free(at_); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  char* get() { return at_; }

 private:
  char* at_;
};

class SystemDeviceFile : public DeviceFile {
 public:
  SystemDeviceFile(int fd, bool direct, std::string path)
      : fd_(fd), direct_(direct), path_(std::move(path)) {}

  Result<std::uint64_t> size() override {
    struct stat st {};
    if (::fstat(fd_.get(), &st) != 0) return os_error("cannot look at", path_);
    if (!S_ISBLK(st.st_mode)) return static_cast<std::uint64_t>(st.st_size);
    std::uint64_t bytes = 0;
    if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes) != 0) return os_error("cannot find the size of", path_);
    return bytes;
  }

  Result<std::string> read_at(std::uint64_t offset, std::size_t bytes) override {
    if (!direct_) {
      std::string content(bytes, '\0');
      if (Status done = read_into(content.data(), offset, bytes); !done) return done.error();
      return content;
    }
    AlignedBuffer buffer(bytes);
    if (Status done = read_into(buffer.get(), offset, bytes); !done) return done.error();
    return std::string(buffer.get(), bytes);
  }

  Status write_at(std::uint64_t offset, std::string_view bytes) override {
    AlignedBuffer buffer(bytes.size());
    std::memcpy(buffer.get(), bytes.data(), bytes.size());
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n =
          ::pwrite(fd_.get(), buffer.get() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error("cannot write", path_);
      done += static_cast<std::size_t>(n);
    }
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_.get()) != 0) return os_error("cannot sync", path_);
    return {};
  }

 private:
  Status read_into(char* to, std::uint64_t offset, std::size_t bytes) {
    for (std::size_t done = 0; done < bytes;) {
      const ssize_t n = ::pread(fd_.get(), to + done, bytes - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error("cannot read", path_);
      if (n == 0) return Error{Code::io_error, "cannot read " + path_ + ": it ends too early"};
      done += static_cast<std::size_t>(n);
    }
    return {};
  }

  Descriptor fd_;
  const bool direct_;
  const std::string path_;
};

// Names in an open folder, sorted.
Result<std::vector<std::string>> names_in(int folder, const std::string& path) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return os_error("cannot list", path);
  DIR* dir = ::fdopendir(copy);
  if (dir == nullptr) {
    const int number = errno;
    ::close(copy);
    return os_error("cannot list", path, number);
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir))
    if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

// Goes through what is below `folder`, folders after what is in them. `visit` gets the open folder, the name
// and what it is; links are not followed. What vanishes meanwhile is passed over.
using Visit = std::function<Status(int folder, const std::string& name, const struct stat& st,
                                   const std::string& path)>;
Status walk(int folder, const std::string& path, const std::stop_token& stop, const Visit& visit) {
  const auto names = names_in(folder, path);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (stop.stop_requested()) return stopped(path);
    const std::string below = path + "/" + name;
    struct stat st {};
    if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return os_error("cannot look at", below);
    }
    if (S_ISDIR(st.st_mode)) {
      Descriptor inner(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner && errno != ENOENT) return os_error("cannot open the folder", below);
      if (inner)
        if (Status done = walk(inner.get(), below, stop, visit); !done) return done;
    }
    if (Status done = visit(folder, name, st, below); !done) return done;
  }
  return {};
}

Status zero_file(int folder, const std::string& name, const std::string& path, std::uint64_t bytes,
                 const std::stop_token& stop) {
  Descriptor file(::openat(folder, name.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return os_error("cannot write", path);
  static const std::string zeroes(1 << 20, '\0');
  for (std::uint64_t done = 0; done < bytes;) {
    if (stop.stop_requested()) return stopped(path);
    const ssize_t n =
        ::pwrite(file.get(), zeroes.data(), std::min<std::uint64_t>(zeroes.size(), bytes - done),
                 static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("cannot write", path);
    done += static_cast<std::uint64_t>(n);
  }
  if (::fdatasync(file.get()) != 0) return os_error("cannot sync", path);
  return {};
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_folder(const std::string& path) {
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return os_error("cannot open the folder", path);
  if (::fsync(folder.get()) != 0) return os_error("cannot sync the folder", path);
  return {};
}

class SystemStorageFiles : public StorageFiles {
 public:
  Result<std::unique_ptr<DeviceFile>> open_device(const std::string& path, OpenMode mode) override {
    const auto what = identity(path);
    if (!what) return what.error();
    const int flags = (mode.write ? O_RDWR : O_RDONLY) | O_CLOEXEC;
    int fd = ::open(path.c_str(), flags | (mode.direct ? O_DIRECT : 0));
    if (fd < 0 && errno == EINVAL && mode.direct) fd = ::open(path.c_str(), flags);
    if (fd < 0) return os_error("cannot open the device", path);
    return std::unique_ptr<DeviceFile>(std::make_unique<SystemDeviceFile>(fd, mode.direct, path));
  }

  Result<FileIdentity> identity(const std::string& path) override {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return os_error("cannot look at", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
      return Error{Code::io_error, path + " is neither a file nor a block device"};
    FileIdentity result;
    result.device = st.st_dev;
    result.inode = st.st_ino;
    result.size = static_cast<std::uint64_t>(st.st_size);
    result.modified_ns = st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec;
    result.is_block_device = S_ISBLK(st.st_mode);
    return result;
  }

  Status make_folder(const std::string& path) override {
    // A folder's name is durable with a sync of the folder above it.
    std::vector<std::string> made;
    for (std::string at = path;; at = parent_of(at)) {
      struct stat st {};
      if (::stat(at.c_str(), &st) == 0) {
        if (!S_ISDIR(st.st_mode)) return os_error("cannot make the folder", at, ENOTDIR);
        break;
      }
      if (errno != ENOENT || at == "/" || at == ".") return os_error("cannot make the folder", at);
      made.push_back(at);
    }
    std::reverse(made.begin(), made.end());
    for (const std::string& folder : made) {
      if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return os_error("cannot make the folder", folder);
      if (Status done = sync_folder(parent_of(folder)); !done) return done;
    }
    // It may have been made by somebody who ended before his sync.
    return sync_folder(parent_of(path));
  }

  Result<bool> has_folder(const std::string& path) override {
    struct stat st {};
    if (::lstat(path.c_str(), &st) == 0) return S_ISDIR(st.st_mode);
    if (errno == ENOENT) return false;
    return os_error("cannot look at", path);
  }

  Result<std::vector<std::string>> folders_in(const std::string& path) override {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder && errno == ENOENT) return std::vector<std::string>();
    if (!folder) return os_error("cannot list", path);
    auto names = names_in(folder.get(), path);
    if (!names) return names;
    std::erase_if(*names, [&](const std::string& name) {
      struct stat st {};
      return ::fstatat(folder.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode);
    });
    return names;
  }

  Status remove_folder(const std::string& path, std::stop_token stop) override {
    if (Status done = empty_folder(path, std::move(stop)); !done)
      return done.error().code == Code::not_found ? Status() : done;
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return os_error("cannot remove the folder", path);
    return sync_folder(parent_of(path));
  }

  Status empty_folder(const std::string& path, std::stop_token stop) override {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return os_error("cannot empty the folder", path);
    Status done = walk(
        folder.get(), path, stop,
        [](int in, const std::string& name, const struct stat& st, const std::string& below) -> Status {
          if (::unlinkat(in, name.c_str(), S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT)
            return os_error("cannot remove", below);
          return {};
        });
    if (!done) return done;
    if (::fsync(folder.get()) != 0) return os_error("cannot sync the folder", path);
    return {};
  }

  Result<std::uint64_t> usage(const std::string& path, std::stop_token stop) override {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return os_error("cannot measure", path);
    std::uint64_t bytes = 0;
    std::set<std::pair<dev_t, ino_t>> seen;  // files with several names
    const Status done =
        walk(folder.get(), path, stop,
             [&](int, const std::string&, const struct stat& st, const std::string&) -> Status {
               if (!S_ISREG(st.st_mode)) return {};
               if (st.st_nlink > 1 && !seen.emplace(st.st_dev, st.st_ino).second) return {};
               bytes += static_cast<std::uint64_t>(st.st_blocks) * 512;
               return {};
             });
    if (!done) return done.error();
    return bytes;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs space {};
    if (::statvfs(path.c_str(), &space) != 0) return os_error("cannot read the free space of", path);
    return static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
  }

  Status zero_front(const std::string& path, std::uint64_t bytes, std::stop_token stop) override {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return os_error("cannot clear", path);
    return walk(
        folder.get(), path, stop,
        [&](int in, const std::string& name, const struct stat& st, const std::string& below) -> Status {
          if (!S_ISREG(st.st_mode) || bytes == 0) return {};
          const std::uint64_t here = std::min(bytes, static_cast<std::uint64_t>(st.st_size));
          bytes -= here;
          return zero_file(in, name, below, here, stop);
        });
  }
};

}  // namespace

StorageFiles& system_storage_files() {
  static SystemStorageFiles files;
  return files;
}

}  // namespace confd::storage
