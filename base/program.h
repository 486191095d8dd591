// Programs: other executables, run to their end or started so that they outlive confd. Never through a shell.
//
// A program gets the arguments and the environment it is given and nothing else: no open files but its
// standard three, no blocked or ignored signals, a session and process group of its own. Secrets go to its
// standard input; arguments can be read by everybody on the machine. Thread-safety: any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace confd::base {

struct OsUser {
  uid_t id = 0;
  gid_t group = 0;
  friend bool operator==(const OsUser&, const OsUser&) = default;
};
// Of this process.
OsUser own_os_user();

struct Program {
  std::vector<std::string> arguments;    // the first one is the path of the executable
  std::vector<std::string> environment;  // "NAME=value"
  std::string directory = "/";
  // Whom it runs as, without further groups and without a way to more rights; only root may name another than
  // itself. Not set: as this process.
  std::optional<OsUser> user = {};
};

struct ProgramLimits {
  std::chrono::milliseconds timeout{std::chrono::minutes(30)};
  std::chrono::milliseconds grace{std::chrono::seconds(5)};  // between SIGTERM and SIGKILL
  std::size_t output = 1u << 20;   // bytes of standard output; more ends the program
  std::size_t errors = 32u << 10;  // last bytes of standard error that are kept
};

struct ProgramEnd {
  enum class Why { exited, signalled, timed_out, stopped, too_much_output };
  Why why = Why::exited;
  int status = 0;  // exit code, or number of the signal
  std::string output;
  std::string errors;
};

// What a program reads and writes, piece by piece, for what is too big to be held as a whole. Both are called
// on the thread that runs the program, which looks at no limit meanwhile: they must not take long.
struct ProgramStreams {
  // At most `most` bytes for standard input; empty: the end. Not set: no input at all. After an Error the
  // program is ended without having seen the end of its input, so that it takes no part for the whole.
  std::function<Result<std::string>(std::size_t most)> input = {};
  // What it wrote to standard output. Not set: it is kept in ProgramEnd. An Error ends the program.
  std::function<Status(std::string_view)> output = {};
};

// Runs it to its end. At the timeout, at a stop and when it writes too much its whole process group gets
// SIGTERM, and after the grace SIGKILL. When this process dies the program gets SIGTERM. Children it leaves
// behind after a normal end are not touched, and not waited for. Error: it could not be started.
Result<ProgramEnd> run_program(const Program& program, std::string_view input, const ProgramLimits& limits,
                               const std::stop_token& stop);
// The same with streams. Errors: also those of the streams, after the program has ended.
Result<ProgramEnd> run_streaming(const Program& program, const ProgramStreams& streams,
                                 const ProgramLimits& limits, const std::stop_token& stop);

// Starts it detached: no child of this process, standard output and error appended to `output_path`.
// Error: it could not be started.
Result<pid_t> start_detached(const Program& program, const std::string& output_path);

// What a program of ours is passed on of our own environment: PATH (a fixed one), HOME, LANG, LC_*, TZ.
std::vector<std::string> plain_environment();

// The process that waits for `id`; nothing when `id` is gone.
std::optional<pid_t> parent_of(pid_t id);

// A process that is the one it is taken for, however often its number was given again: signals go to it or
// to nobody.
class ProcessHandle {
 public:
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle&& other) noexcept;
  ~ProcessHandle();

  // The process `id` if it runs `executable` (a path) and `is_it` knows its arguments; `directory` is the one
  // it runs in.
  using IsIt = std::function<bool(const std::vector<std::string>& arguments, const std::string& directory)>;
  static std::optional<ProcessHandle> find(pid_t id, const std::string& executable, const IsIt& is_it);

  // The same; `argument` is among its arguments.
  static std::optional<ProcessHandle> find(pid_t id, const std::string& executable,
                                           const std::string& argument);

  pid_t id() const { return id_; }
  Status signal(int number) const;
  // True when it is gone; false at the timeout or at a stop.
  bool wait_until_gone(std::chrono::milliseconds timeout, const std::stop_token& stop) const;

 private:
  ProcessHandle(pid_t id, int descriptor) : id_(id), descriptor_(descriptor) {}
  pid_t id_;
  int descriptor_;  // of pidfd_open(2)
};

}  // namespace confd::base
