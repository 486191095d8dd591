#include "services/database/postgres_files.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/file_system.h"
#include "base/text.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::OsUser;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMostLog = 64u << 10;

// Its last part from `from` on; nothing of what is no plain file.
std::string read_from(const std::string& path, std::uint64_t from) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return {};
  struct stat status {};
  std::string text;
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > kMostLog) from = std::max(from, size - kMostLog);
    text.resize(size > from ? size - from : 0);
    const ssize_t got = ::pread(file, text.data(), text.size(), static_cast<off_t>(from));
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  ::close(file);
  return text;
}

// The server's own log that is written now: names sort by day.
std::string newest_log(const std::string& folder) {
  const auto names = base::system_file_system().list(folder);
  if (!names) return {};
  std::string newest;
  for (const std::string& name : *names)
    if (name.starts_with("server-")) newest = std::max(newest, name);
  return newest;
}

// What a line of a log says went wrong: "FATAL:  could not create any TCP/IP sockets"; empty: nothing. The
// reason for a FATAL is often a LOG before it.
std::string problem_in(const std::string& line) {
  for (const char* severity : {"FATAL:  ", "ERROR:  ", "PANIC:  ", "DETAIL:  ", "confd_guard: "})
    if (const std::size_t at = line.find(severity); at != std::string::npos) return line.substr(at);
  const std::size_t at = line.find("LOG:  ");
  if (at == std::string::npos) return {};
  std::string said = line.substr(at + 6);
  const bool tells =
      said.find("parameter") != std::string::npos || said.find("could not") != std::string::npos;
  return tells ? said : std::string();
}

}  // namespace

std::string data_folder(const InstanceSpec& spec) {
  return spec.folder + "/data";
}

Result<std::string> owner_name(const OsUser& owner) {
  if (owner.id == 0)
    return Error{Code::unsupported,
                 "no database runs as root: give it another owner (parameter owner of db_configure)"};
  std::array<char, 4096> room;
  passwd user{};
  passwd* found = nullptr;
  ::getpwuid_r(owner.id, &user, room.data(), room.size(), &found);
  if (found == nullptr)
    return Error{Code::not_found, "this node has no OS user with id " + std::to_string(owner.id) +
                                      ", whom the database is to run as: make one (useradd --system --uid " +
                                      std::to_string(owner.id) +
                                      " exadefusr) or give the database another owner"};
  const OsUser own = base::own_os_user();
  if (own.id != 0 && own.id != owner.id)
    return Error{Code::wrong_state, "confd runs as user " + std::to_string(own.id) +
                                        ", not as root, and can't start a database of user '" +
                                        found->pw_name + "': make " + std::to_string(own.id) +
                                        " its owner (db_configure), or start confd as root"};
  return std::string(found->pw_name);
}

Status make_folder_for(const OsUser& owner, const std::string& path, std::uint32_t mode) {
  base::FileSystem& files = base::system_file_system();
  if (Status made = files.make_directories(path, mode); !made) return made;
  if (Status done = files.change_owner(path, owner.id, owner.group); !done) return done;
  return files.change_mode(path, mode);
}

Status write_for(const OsUser& owner, const std::string& path, const std::string& text) {
  base::FileSystem& files = base::system_file_system();
  if (Status written = base::replace_file(files, path, text, 0640); !written) return written;
  return files.change_owner(path, base::own_os_user().id, owner.group);
}

std::optional<PidFile> read_pid_file(const InstanceSpec& spec) {
  const std::string text = read_from(data_folder(spec) + "/postmaster.pid", 0);
  const std::vector<std::string> lines = base::split(text, '\n');
  // Process, data folder, start time, port, socket, address, shared memory, status.
  const auto process = base::parse_int(base::trim(lines.front()));
  if (!process || *process <= 0 || lines.size() < 2) return std::nullopt;
  PidFile file;
  file.process = static_cast<pid_t>(*process);
  if (lines.size() > 8) file.status = base::trim(lines[7]);
  return file;
}

LogMark::LogMark(const InstanceSpec& spec)
    : start_log_(spec.run_folder + "/start.log"),
      log_folder_(spec.log_folder),
      newest_(newest_log(spec.log_folder)) {
  struct stat status {};
  if (!newest_.empty() && ::lstat((log_folder_ + "/" + newest_).c_str(), &status) == 0)
    newest_size_ = static_cast<std::uint64_t>(status.st_size);
}

std::string LogMark::problems() const {
  std::string text = read_from(start_log_, 0);
  if (const std::string now = newest_log(log_folder_); !now.empty())
    text += "\n" + read_from(log_folder_ + "/" + now, now == newest_ ? newest_size_ : 0);
  std::vector<std::string> problems;
  for (const std::string& line : base::split(text, '\n'))
    if (std::string problem = problem_in(line);
        !problem.empty() && std::find(problems.begin(), problems.end(), problem) == problems.end())
      problems.push_back(std::move(problem));
  return base::join(problems, "; ");
}

std::int64_t boot_time_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

Status write_lease(const std::string& run_folder, std::optional<std::int64_t> until_ms) {
  // Renamed into place, so that it is read whole; after a reboot nobody wants it, so nothing is synced.
  base::FileSystem& files = base::system_file_system();
  const std::string path = run_folder + "/lease", next = path + ".next";
  {
    auto file = files.create(next, 0644);
    if (!file) return file.error();
    if (Status written = (*file)->append(until_ms ? std::to_string(*until_ms) + "\n" : "none\n"); !written)
      return written;
  }
  return files.rename(next, path);
}

}  // namespace confd::services
