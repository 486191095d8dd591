#include "base/program.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace confd::base {
namespace {

using Clock = std::chrono::steady_clock;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return Error{Code::io_error, std::string("can't make a pipe: ") + std::strerror(errno)};
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

// Everything the child needs, made before the fork: between fork and exec nothing may be allocated.
struct Image {
  // `master`: the process that the program ends with; 0 for none.
  Image(const Program& program, pid_t its_master)
      : directory(program.directory.c_str()), user(program.user), master(its_master) {
    for (const std::string& each : program.arguments) arguments.push_back(const_cast<char*>(each.c_str()));
    for (const std::string& each : program.environment)
      environment.push_back(const_cast<char*>(each.c_str()));
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
  }
  std::vector<char*> arguments, environment;
  const char* directory;
  std::optional<OsUser> user;
  pid_t master;
};

// In the child. Rights that are gone can't be had again.
bool take_rights(const Image& image) {
  if (image.user && *image.user != own_os_user() &&
      (::setgroups(0, nullptr) != 0 || ::setgid(image.user->group) != 0 || ::setuid(image.user->id) != 0))
    return false;
  if (image.user && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  // Another user's process has forgotten it.
  if (image.master == 0) return true;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  return ::getppid() == image.master;
}

// In the child: the standard files, nothing else open, signals as after login. Never returns; tells errno to
// `problem`, which closes by itself when the program starts.
[[noreturn]] void become(const Image& image, int in, int out, int err, int problem) {
  // Out of the way of 0 to 2 first, so that none is closed before it is used.
  std::array<int, 4> files = {in, out, err, problem};
  for (int& file : files) file = ::fcntl(file, F_DUPFD_CLOEXEC, 10);
  bool good = std::all_of(files.begin(), files.end(), [](int file) { return file >= 0; });
  good = good && ::dup2(files[0], 0) >= 0 && ::dup2(files[1], 1) >= 0 && ::dup2(files[2], 2) >= 0 &&
         ::dup3(files[3], 3, O_CLOEXEC) >= 0;
  if (good) {
    ::syscall(SYS_close_range, 4u, ~0u, 0u);
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (take_rights(image) && ::chdir(image.directory) == 0)
      ::execve(image.arguments[0], image.arguments.data(), image.environment.data());
  }
  const int reason = errno;
  const ssize_t told = ::write(good ? 3 : problem, &reason, sizeof reason);
  ::_exit(told == sizeof reason ? 127 : 126);
}

Error not_started(const Program& program, int reason) {
  return {reason == ENOENT ? Code::not_found : Code::io_error,
          "can't start " + program.arguments.front() + ": " + std::strerror(reason)};
}

// Nothing: it started.
std::optional<Error> problem_of(const Program& program, Descriptor& problem) {
  int reason = 0;
  ssize_t size = 0;
  do size = ::read(problem.get(), &reason, sizeof reason);
  while (size < 0 && errno == EINTR);
  if (size != sizeof reason) return std::nullopt;
  return not_started(program, reason);
}

// A program that does not read its input must not end this process.
void ignore_broken_pipes() {
  static const bool done = [] {
    struct sigaction current {};
    if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
      ::signal(SIGPIPE, SIG_IGN);
    return true;
  }();
  (void)done;
}

// Makes poll() return when a stop is asked for.
class StopEvent {
 public:
  explicit StopEvent(const std::stop_token& stop)
      : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(stop, Wake{event_.get()}) {}
  int get() const { return event_.get(); }

 private:
  struct Wake {
    int event;
    void operator()() const {
      const std::uint64_t one = 1;
      (void)!::write(event, &one, sizeof one);
    }
  };
  Descriptor event_;
  std::stop_callback<Wake> callback_;
};

int milliseconds_until(Clock::time_point when) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
}

void make_nonblocking(const Descriptor& file) {
  ::fcntl(file.get(), F_SETFL, ::fcntl(file.get(), F_GETFL) | O_NONBLOCK);
}

// One program while it runs: feeds its input, takes its output, ends it when it is time.
class Run {
 public:
  Run(pid_t child, Descriptor in, Descriptor out, Descriptor err, const ProgramStreams& streams,
      const ProgramLimits& limits, const std::stop_token& stop)
      : child_(child),
        alive_(static_cast<int>(::syscall(SYS_pidfd_open, child, 0))),
        in_(std::move(in)),
        out_(std::move(out)),
        err_(std::move(err)),
        streams_(streams),
        limits_(limits),
        stop_(stop),
        stopped_(stop),
        until_(Clock::now() + limits.timeout) {
    for (const Descriptor* file : {&in_, &out_, &err_}) make_nonblocking(*file);
    if (!streams_.input) in_.close();
  }

  Result<ProgramEnd> finish() {
    while (!has_ended()) {
      std::array<pollfd, 5> files = {{{alive_.get(), POLLIN, 0},
                                      {is_ending() ? -1 : stopped_.get(), POLLIN, 0},
                                      {is_ending() ? -1 : in_.get(), POLLOUT, 0},
                                      {out_.get(), POLLIN, 0},
                                      {err_.get(), POLLIN, 0}}};
      ::poll(files.data(), files.size(), milliseconds_until(until_));
      move();
      look_at_limits();
    }
    move();
    if (problem_) return *problem_;
    if (end_.output.size() > limits_.output) {
      end_.output.resize(limits_.output);
      if (end_.why == ProgramEnd::Why::exited) end_.why = ProgramEnd::Why::too_much_output;
    }
    return std::move(end_);
  }

 private:
  bool is_ending() const { return end_.why != ProgramEnd::Why::exited; }

  void look_at_limits() {
    if (!is_ending()) {
      if (end_.output.size() > limits_.output) return end_it(ProgramEnd::Why::too_much_output);
      if (stop_.stop_requested()) return end_it(ProgramEnd::Why::stopped);
      if (Clock::now() >= until_) return end_it(ProgramEnd::Why::timed_out);
    } else if (Clock::now() >= until_) {
      ::kill(-child_, SIGKILL);
      until_ = Clock::now() + limits_.grace;
    }
  }

  void end_it(ProgramEnd::Why why) {
    end_.why = why;
    ::kill(-child_, SIGTERM);
    until_ = Clock::now() + limits_.grace;
  }

  // As much as a stream gives or takes at once.
  static constexpr std::size_t kPiece = 256u << 10;

  void move() {
    for (int rounds = 0; in_ && rounds < 16; ++rounds)
      if (!feed()) break;
    take(out_, end_.output);
    if (streams_.output) {
      if (!end_.output.empty() && !problem_)
        if (Status taken = streams_.output(end_.output); !taken) break_off(taken.error());
      end_.output.clear();
    }
    // What comes after the limit is read and dropped: a full pipe would keep it from ending.
    if (end_.output.size() > limits_.output) end_.output.resize(limits_.output + 1);
    take(err_, end_.errors);
    if (end_.errors.size() > limits_.errors) end_.errors.erase(0, end_.errors.size() - limits_.errors);
  }

  // False: no more for now.
  bool feed() {
    if (is_ending()) return false;
    if (input_.empty()) {
      pollfd room = {in_.get(), POLLOUT, 0};
      if (::poll(&room, 1, 0) <= 0) return false;
      if ((room.revents & POLLERR) != 0) {
        in_.close();  // not wanted
        return false;
      }
      Result<std::string> piece = streams_.input(kPiece);
      if (!piece) {
        break_off(piece.error());
        return false;
      }
      if (piece->empty()) {
        in_.close();
        return false;
      }
      piece_ = std::move(*piece);
      input_ = piece_;
    }
    const ssize_t size = ::write(in_.get(), input_.data(), input_.size());
    if (size < 0) {
      if (errno != EAGAIN && errno != EINTR) in_.close();  // not wanted
      return errno == EINTR;
    }
    input_.remove_prefix(static_cast<std::size_t>(size));
    return true;
  }

  void break_off(Error error) {
    problem_ = std::move(error);
    if (!is_ending()) end_it(ProgramEnd::Why::stopped);
  }

  void take(Descriptor& file, std::string& text) {
    std::array<char, 16384> piece;
    for (int rounds = 0; file && rounds < 64; ++rounds) {
      const ssize_t size = ::read(file.get(), piece.data(), piece.size());
      if (size > 0) text.append(piece.data(), static_cast<std::size_t>(size));
      if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) file.close();
      if (size < 0 && errno == EAGAIN) return;
    }
  }

  bool has_ended() {
    int status = 0;
    pid_t ended = 0;
    do ended = ::waitpid(child_, &status, WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended == 0) return false;
    if (is_ending()) ::kill(-child_, SIGKILL);  // what it left of its group
    if (WIFEXITED(status)) end_.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) {
      end_.status = WTERMSIG(status);
      if (end_.why == ProgramEnd::Why::exited) end_.why = ProgramEnd::Why::signalled;
    }
    return true;
  }

  const pid_t child_;
  Descriptor alive_;
  Descriptor in_, out_, err_;
  const ProgramStreams& streams_;
  std::string piece_;       // of the input
  std::string_view input_;  // what of it the program has not taken yet
  std::optional<Error> problem_;
  const ProgramLimits& limits_;
  const std::stop_token& stop_;
  StopEvent stopped_;
  Clock::time_point until_;
  ProgramEnd end_;
};

std::string link_target(const std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  return size <= 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(size));
}

}  // namespace

Result<ProgramEnd> run_program(const Program& program, std::string_view input, const ProgramLimits& limits,
                               const std::stop_token& stop) {
  ProgramStreams streams;
  if (!input.empty())
    streams.input = [&input](std::size_t most) -> Result<std::string> {
      const std::string_view piece = input.substr(0, most);
      input.remove_prefix(piece.size());
      return std::string(piece);
    };
  return run_streaming(program, streams, limits, stop);
}

Result<ProgramEnd> run_streaming(const Program& program, const ProgramStreams& streams,
                                 const ProgramLimits& limits, const std::stop_token& stop) {
  ignore_broken_pipes();
  auto in = make_pipe();
  auto out = make_pipe();
  auto err = make_pipe();
  auto problem = make_pipe();
  for (const auto* pipe : {&in, &out, &err, &problem})
    if (!pipe->ok()) return pipe->error();
  const Image image(program, ::getpid());
  const pid_t child = ::fork();
  if (child < 0) return not_started(program, errno);
  if (child == 0) {
    ::setsid();
    become(image, in->read.get(), out->write.get(), err->write.get(), problem->write.get());
  }
  in->read.close();
  out->write.close();
  err->write.close();
  problem->write.close();
  if (auto failed = problem_of(program, problem->read)) {
    ::waitpid(child, nullptr, 0);
    return *failed;
  }
  // Fewer turns for what streams; where that many are not allowed, the usual 64 KiB do.
  if (streams.input) ::fcntl(in->write.get(), F_SETPIPE_SZ, 1 << 20);
  if (streams.output) ::fcntl(out->read.get(), F_SETPIPE_SZ, 1 << 20);
  return Run(child, std::move(in->write), std::move(out->read), std::move(err->read), streams, limits, stop)
      .finish();
}

Result<pid_t> start_detached(const Program& program, const std::string& output_path) {
  Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Descriptor output(::open(output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!null || !output)
    return Error{Code::io_error, "can't open " + output_path + ": " + std::strerror(errno)};
  auto problem = make_pipe();
  auto number = make_pipe();
  if (!problem || !number) return problem ? number.error() : problem.error();
  const Image image(program, 0);
  const pid_t between = ::fork();
  if (between < 0) return not_started(program, errno);
  if (between == 0) {
    // The one between ends at once, so that init is the parent and nobody here has to wait for it.
    ::setsid();
    const pid_t child = ::fork();
    if (child == 0) {
      ::setsid();
      become(image, null.get(), output.get(), output.get(), problem->write.get());
    }
    const int reason = errno;
    const int told = child < 0 ? problem->write.get() : number->write.get();
    const int what = child < 0 ? reason : child;
    ::_exit(::write(told, &what, sizeof what) == sizeof what ? 0 : 1);
  }
  problem->write.close();
  number->write.close();
  int ended = 0;
  while (::waitpid(between, &ended, 0) < 0 && errno == EINTR) {
  }
  int child = 0;
  const bool told = ::read(number->read.get(), &child, sizeof child) == sizeof child;
  if (auto failed = problem_of(program, problem->read)) return *failed;
  if (!told) return Error{Code::internal, "can't start " + program.arguments.front() + ": no process came"};
  return static_cast<pid_t>(child);
}

OsUser own_os_user() {
  return {::geteuid(), ::getegid()};
}

std::vector<std::string> plain_environment() {
  std::vector<std::string> environment = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  for (const char* name : {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ"})
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  return environment;
}

std::optional<pid_t> parent_of(pid_t id) {
  std::ifstream file("/proc/" + std::to_string(id) + "/stat");
  std::string line;
  std::getline(file, line);
  // "id (name) state parent ...": the name may hold anything.
  const std::size_t name_end = line.rfind(')');
  int parent = 0;
  if (name_end == std::string::npos || std::sscanf(line.c_str() + name_end + 1, " %*c %d", &parent) != 1)
    return std::nullopt;
  return parent;
}

ProcessHandle::ProcessHandle(ProcessHandle&& other) noexcept
    : id_(other.id_), descriptor_(std::exchange(other.descriptor_, -1)) {}

ProcessHandle& ProcessHandle::operator=(ProcessHandle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

ProcessHandle::~ProcessHandle() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<ProcessHandle> ProcessHandle::find(pid_t id, const std::string& executable, const IsIt& is_it) {
  if (id <= 0) return std::nullopt;
  // Held before it is looked at: what is read below is then of this very process, or of none.
  ProcessHandle handle(id, static_cast<int>(::syscall(SYS_pidfd_open, id, 0)));
  if (handle.descriptor_ < 0) return std::nullopt;
  const std::string folder = "/proc/" + std::to_string(id);
  std::string program = link_target(folder + "/exe");  // empty: gone, a zombie, or hidden
  const bool is_hidden = program.empty() && errno == EACCES;
  constexpr std::string_view kDeleted = " (deleted)";  // replaced by a newer one since
  if (program.ends_with(kDeleted)) program.resize(program.size() - kDeleted.size());
  std::ifstream file(folder + "/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string each; std::getline(file, each, '\0');) arguments.push_back(each);
  // In a container root may not look at another user's executable (CAP_SYS_PTRACE): the name it was started
  // by has to do.
  if (is_hidden && !arguments.empty()) program = arguments.front();
  if (program != executable) return std::nullopt;
  if (!is_it(arguments, link_target(folder + "/cwd"))) return std::nullopt;
  return handle;
}

std::optional<ProcessHandle> ProcessHandle::find(pid_t id, const std::string& executable,
                                                 const std::string& argument) {
  return find(id, executable, [&](const std::vector<std::string>& arguments, const std::string&) {
    return std::find(arguments.begin(), arguments.end(), argument) != arguments.end();
  });
}

Status ProcessHandle::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, descriptor_, number, nullptr, 0) == 0 || errno == ESRCH) return {};
  return Error{Code::io_error, "can't send signal " + std::to_string(number) + " to process " +
                                   std::to_string(id_) + ": " + std::strerror(errno)};
}

bool ProcessHandle::wait_until_gone(std::chrono::milliseconds timeout, const std::stop_token& stop) const {
  const auto until = Clock::now() + timeout;
  const StopEvent stopped(stop);
  for (;;) {
    std::array<pollfd, 2> files = {{{descriptor_, POLLIN, 0}, {stopped.get(), POLLIN, 0}}};
    ::poll(files.data(), files.size(), milliseconds_until(until));
    if ((files[0].revents & (POLLIN | POLLHUP)) != 0) return true;
    if (stop.stop_requested() || Clock::now() >= until) return false;
  }
}

}  // namespace confd::base
