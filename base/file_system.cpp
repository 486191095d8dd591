#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/failpoint.h"

namespace confd::base {
namespace {

Error os_error(std::string_view operation, const std::string& path, int number = errno) {
  const Code code = number == ENOENT ? Code::not_found : number == EEXIST ? Code::exists : Code::io_error;
  return {code, std::string(operation) + " " + path + ": " + std::strerror(number)};
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

 private:
  int fd_;
};

// So much is written before the disk is told to begin: the sync of a large file waits for its end only.
constexpr std::size_t kBehind = 8u << 20;

class SystemFile : public File {
 public:
  SystemFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        return os_error("cannot write", path_);
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
      behind_.fetch_add(static_cast<std::size_t>(n), std::memory_order_relaxed);
    }
    if (behind_.load(std::memory_order_relaxed) >= kBehind) {
      behind_.store(0, std::memory_order_relaxed);
      // Promises nothing, so its failure means nothing: sync() says what is durable.
      (void)::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_.get()) != 0) return os_error("cannot sync", path_);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
  std::atomic<std::size_t> behind_ = 0;  // bytes since then
};

class SystemFileSystem : public FileSystem {
 public:
  Result<std::string> read(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return os_error("cannot read", path);
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return os_error("cannot read", path);
    std::string text;
    if (S_ISREG(st.st_mode)) text.reserve(static_cast<std::size_t>(st.st_size) + 1);
    char buffer[65536];
    for (;;) {
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n < 0) {
        if (errno == EINTR) continue;
        return os_error("cannot read", path);
      }
      if (n == 0) return text;
      text.append(buffer, static_cast<std::size_t>(n));
    }
  }

  Result<std::unique_ptr<File>> create(const std::string& path, std::uint32_t mode) override {
    return open(path, O_TRUNC, mode);
  }
  Result<std::unique_ptr<File>> open_append(const std::string& path, std::uint32_t mode) override {
    return open(path, 0, mode);
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return os_error("cannot rename " + from + " to", to);
    return {};
  }
  Status remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return os_error("cannot remove", path);
    return {};
  }
  Status link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) return os_error("cannot link " + from + " as", to);
    return {};
  }
  Status change_mode(const std::string& path, std::uint32_t mode) override {
    if (::chmod(path.c_str(), mode) != 0) return os_error("cannot change the mode of", path);
    return {};
  }
  Status change_owner(const std::string& path, std::uint32_t uid, std::uint32_t gid) override {
    if (::chown(path.c_str(), uid, gid) != 0) return os_error("cannot change the owner of", path);
    return {};
  }

  Status make_directories(const std::string& path, std::uint32_t mode) override {
    for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
      const std::string part = path.substr(0, at);
      if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
        return os_error("cannot make the folder", part);
      if (at == std::string::npos) break;
    }
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return os_error("cannot make the folder", path);
    if (!S_ISDIR(st.st_mode)) return os_error("cannot make the folder", path, ENOTDIR);
    return {};
  }

  Status sync_directory(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return os_error("cannot open the folder", path);
    if (::fsync(fd.get()) != 0) return os_error("cannot sync the folder", path);
    return {};
  }

  Status sync_everything(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return os_error("cannot open", path);
    if (::syncfs(fd.get()) != 0) return os_error("cannot sync the file system of", path);
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* dir = ::opendir(path.c_str());
    if (!dir) return os_error("cannot list", path);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(dir);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<FileStatus> status(const std::string& path) override {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return os_error("cannot look at", path);
    FileStatus status;
    status.size = static_cast<std::uint64_t>(st.st_size);
    status.inode = st.st_ino;
    status.modified_ns = st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec;
    status.mode = st.st_mode & 07777;
    status.uid = st.st_uid;
    status.gid = st.st_gid;
    status.is_directory = S_ISDIR(st.st_mode);
    return status;
  }

 private:
  Result<std::unique_ptr<File>> open(const std::string& path, int flags, std::uint32_t mode) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, mode);
    if (fd < 0) return os_error("cannot write", path);
    return std::unique_ptr<File>(std::make_unique<SystemFile>(fd, path));
  }
};

}  // namespace

FileSystem& system_file_system() {
  static SystemFileSystem files;
  return files;
}

Status replace_file(FileSystem& files, const std::string& path, std::string_view text, std::uint32_t mode) {
  static std::atomic<unsigned> counter{0};
  const std::string folder = parent_directory(path);
  const std::string temp =
      join_path(folder, "." + path.substr(path.rfind('/') + 1) + "." + std::to_string(::getpid()) + "." +
                            std::to_string(++counter));
  auto file = files.create(temp, mode);
  if (!file) return file.error();
  Status done = (*file)->append(text);
  CONFD_FAILPOINT("replace.written");
  if (done) done = (*file)->sync();
  CONFD_FAILPOINT("replace.synced");
  file->reset();
  // The umask may have taken bits away, and a file that holds secrets must not gain any.
  if (done) done = files.change_mode(temp, mode);
  if (done) done = files.rename(temp, path);
  CONFD_FAILPOINT("replace.renamed");
  if (!done) {
    (void)files.remove(temp).ok();
    return done;
  }
  return files.sync_directory(folder);
}

namespace {

// ".<name>.<process id>.<count>", as replace_file() makes them.
bool is_torn_replacement(const std::string& name) {
  std::string_view rest = name;
  for (int part = 0; part < 2; ++part) {
    const std::size_t dot = rest.rfind('.');
    if (dot == std::string_view::npos || dot + 1 == rest.size()) return false;
    if (rest.find_first_not_of("0123456789", dot + 1) != std::string_view::npos) return false;
    rest = rest.substr(0, dot);
  }
  return rest.size() > 1 && rest.front() == '.';
}

}  // namespace

void remove_torn_replacements(FileSystem& files, const std::string& folder) {
  const auto names = files.list(folder);
  if (!names) return;
  for (const std::string& name : *names)
    if (is_torn_replacement(name)) (void)files.remove(join_path(folder, name)).ok();
}

std::string parent_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string join_path(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

}  // namespace confd::base
