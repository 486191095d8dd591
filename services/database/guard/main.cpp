// confd_guard: parent of a database server, so that the server writes only as long as its node may.
//
//     confd_guard LEASE PROGRAM ARGUMENTS...
//
// LEASE is a file with one line: the moment, in milliseconds of CLOCK_BOOTTIME, until which the program may
// run, or "none" for no limit. confd moves it on as long as the node belongs to the cluster, replacing the
// file each time. When the moment has passed the program and all that came of it get SIGKILL: by then another
// node may be about to take its place. It needs nobody for that, neither confd nor a network; when it is
// killed itself the program gets SIGQUIT.
//
// SIGTERM and SIGINT are passed on as SIGINT. Exit codes: 0 the program ended well; 1 it did not; 2 wrong
// usage, or it could not be started; 3 the lease ran out. Says what it does on standard error.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>

namespace {

constexpr int kRoundMs = 100;
constexpr std::int64_t kGraceMs = 3000;  // for what is left after the program's end to write its last lines
constexpr std::int64_t kForEver = INT64_MAX;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);  // goes on while the machine sleeps, as the cluster does
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Nothing when there is no such file, or it says something else.
std::optional<std::int64_t> lease_in(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  char text[32] = {};
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return std::nullopt;
  if (std::strcmp(text, "none\n") == 0) return kForEver;
  char* end = nullptr;
  errno = 0;
  const long long until = std::strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\n') return std::nullopt;
  return until;
}

// Everything whose parent is this process; what loses its parent becomes a child of this one.
void kill_children() {
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return;
  while (const dirent* entry = ::readdir(processes)) {
    const pid_t id = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (id <= 0) continue;
    char path[64], line[512] = {};
    std::snprintf(path, sizeof path, "/proc/%d/stat", id);
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    const ssize_t size = ::read(file, line, sizeof line - 1);
    ::close(file);
    // "id (name) state parent ...": the name may hold anything.
    const char* name_end = size > 0 ? std::strrchr(line, ')') : nullptr;
    int parent = 0;
    if (name_end != nullptr && std::sscanf(name_end + 1, " %*c %d", &parent) == 1 && parent == ::getpid())
      ::kill(id, SIGKILL);
  }
  ::closedir(processes);
}

[[noreturn]] void become(char** arguments, const sigset_t& mask, pid_t guard) {
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != guard) ::_exit(2);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execv(arguments[0], arguments);
  std::fprintf(stderr, "confd_guard: can't start %s: %s\n", arguments[0], std::strerror(errno));
  ::_exit(2);
}

// Takes up what ended. True when nothing is left; `status` is the program's.
bool take_ended(pid_t program, std::optional<int>& status) {
  for (;;) {
    int its_status = 0;
    const pid_t ended = ::waitpid(-1, &its_status, WNOHANG);
    if (ended < 0 && errno == ECHILD) return true;
    if (ended <= 0) return false;
    if (ended == program) status = its_status;
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: confd_guard LEASE PROGRAM ARGUMENTS...\n");
    return 2;
  }
  const char* lease_path = arguments[1];
  auto lease = lease_in(lease_path);
  if (!lease || *lease < now_ms()) {
    std::fprintf(stderr, "confd_guard: %s gives no time to run\n", lease_path);
    return 2;
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  sigset_t wanted, before;
  sigemptyset(&wanted);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&wanted, number);
  ::sigprocmask(SIG_BLOCK, &wanted, &before);
  const int signals = ::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  const pid_t guard = ::getpid();
  const pid_t program = ::fork();
  if (program < 0 || signals < 0) {
    std::fprintf(stderr, "confd_guard: %s\n", std::strerror(errno));
    return 2;
  }
  if (program == 0) become(arguments + 2, before, guard);

  bool is_over = false;  // the lease is
  std::optional<int> status;
  std::int64_t left_until = kForEver;
  for (;;) {
    pollfd file{signals, POLLIN, 0};
    ::poll(&file, 1, kRoundMs);
    signalfd_siginfo signal{};
    while (::read(signals, &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal))
      if (signal.ssi_signo != SIGCHLD) ::kill(program, SIGINT);
    if (take_ended(program, status)) break;
    // A file that can't be read for a moment changes nothing.
    if (const auto next = lease_in(lease_path)) lease = next;
    if (!is_over && *lease < now_ms()) {
      std::fprintf(stderr, "confd_guard: the lease in %s ran out %lld ms ago: %s is killed\n", lease_path,
                   static_cast<long long>(now_ms() - *lease), arguments[2]);
      is_over = true;
    }
    if (status && left_until == kForEver) left_until = now_ms() + kGraceMs;
    if (is_over || left_until < now_ms()) kill_children();
  }
  if (is_over) return 3;
  if (status && WIFEXITED(*status)) return WEXITSTATUS(*status) == 0 ? 0 : WEXITSTATUS(*status) == 2 ? 2 : 1;
  return 1;
}
