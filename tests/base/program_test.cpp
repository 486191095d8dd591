// Programs with real processes: scripts in a temporary folder, /bin/sleep.
#include "base/program.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/text.h"
#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

namespace confd::base {
namespace {

using test::TemporaryFolder;
using Why = ProgramEnd::Why;
using std::chrono::milliseconds;

ProgramEnd run(const Program& program, std::string_view input = {}, const ProgramLimits& limits = {},
               const std::stop_token& stop = {}) {
  const auto end = run_program(program, input, limits, stop);
  if (!end) FAIL(end.error().text);
  return *end;
}

bool is_gone(pid_t process) {
  // A child of init that nobody waits for (yet) has no executable any more.
  std::error_code none;
  (void)std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/exe", none);
  return static_cast<bool>(none);
}

pid_t number_in(const TemporaryFolder& folder, const std::string& file) {
  REQUIRE(test::eventually([&] { return folder.read(file).ends_with("\n"); }));
  return static_cast<pid_t>(*parse_int(trim(folder.read(file))));
}

}  // namespace

TEST_CASE("a program gets its input, arguments and environment, and nothing else") {
  const TemporaryFolder folder;
  const std::string path = folder.script(
      "show",
      "cat; echo \"[$1] [$2] [$HOME] [$COLOUR]\"; pwd; ls /proc/self/fd | wc -l; echo oops >&2; exit 7\n");
  const ProgramEnd end =
      run({{path, "a b", "$(id)"}, {"COLOUR=red", "PATH=/usr/bin:/bin"}, folder.path()}, "from outside\n");
  CHECK(end.why == Why::exited);
  CHECK(end.status == 7);
  // ls has 0, 1, 2 and the folder it lists.
  CHECK(end.output == "from outside\n[a b] [$(id)] [] [red]\n" + folder.path() + "\n4\n");
  CHECK(end.errors == "oops\n");
}

TEST_CASE("a program that takes no input ends all the same") {
  const TemporaryFolder folder;
  CHECK(run({{folder.script("deaf", "exit 0\n")}, {}}, std::string(1 << 20, 'x')).status == 0);
}

TEST_CASE("a program that can't be started says why") {
  const TemporaryFolder folder;
  const auto absent = run_program({{folder / "absent"}, {}}, {}, {}, {});
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().code == Code::not_found);
  CHECK(absent.error().text.find("absent") != std::string::npos);
  const auto no_program = run_program({{folder.write("text", "hello")}, {}}, {}, {}, {});
  REQUIRE_FALSE(no_program.ok());
  CHECK(no_program.error().code == Code::io_error);
  CHECK_FALSE(start_detached({{folder / "absent"}, {}}, folder / "log").ok());
}

TEST_CASE("a program that a signal ends is known as such") {
  const TemporaryFolder folder;
  const ProgramEnd end = run({{folder.script("suicide", "kill -KILL $$\n")}, {"PATH=/usr/bin:/bin"}});
  CHECK(end.why == Why::signalled);
  CHECK(end.status == SIGKILL);
}

TEST_CASE("a program that is too slow ends with its children, also when it does not listen") {
  const TemporaryFolder folder;
  const std::string path = folder.script(
      "slow", "trap '' TERM; echo begun; sleep 300 & echo $! > " + (folder / "child") + "; wait; wait\n");
  const ProgramEnd end =
      run({{path}, {"PATH=/usr/bin:/bin"}}, {}, {.timeout = milliseconds(500), .grace = milliseconds(200)});
  CHECK(end.why == Why::timed_out);
  CHECK(end.output == "begun\n");
  const pid_t child = number_in(folder, "child");
  CHECK(test::eventually([&] { return is_gone(child); }));
}

TEST_CASE("a stop ends a program at once") {
  const TemporaryFolder folder;
  const std::string path = folder.script("long", "echo $$ > " + (folder / "begun") + "; exec sleep 300\n");
  std::stop_source stop;
  std::jthread stopper([&] {
    (void)test::eventually([&] { return !folder.read("begun").empty(); });
    stop.request_stop();
  });
  const ProgramEnd end = run({{path}, {"PATH=/usr/bin:/bin"}}, {}, {}, stop.get_token());
  CHECK(end.why == Why::stopped);
}

TEST_CASE("output is bounded: too much of it ends a program, of errors the last bytes stay") {
  const TemporaryFolder folder;
  const ProgramLimits limits{.output = 1000, .errors = 100};
  const ProgramEnd loud = run({{"/usr/bin/yes"}, {}}, {}, limits);
  CHECK(loud.why == Why::too_much_output);
  CHECK(loud.output.size() == 1000);
  const ProgramEnd wordy = run(
      {{folder.script("wordy", "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done\n")}, {}},
      {}, limits);
  CHECK(wordy.why == Why::exited);
  CHECK(wordy.errors.size() == 100);
  CHECK(wordy.errors.ends_with("line 1999\n"));
}

TEST_CASE("a detached program is nobody's child here, leads its own group, and is found again") {
  const TemporaryFolder folder;
  const auto brief =
      start_detached({{folder.script("brief", "echo here; echo there >&2\n")}, {}}, folder / "log");
  REQUIRE(brief.ok());
  CHECK(test::eventually([&] { return is_gone(*brief); }));
  CHECK(folder.read("log") == "here\nthere\n");

  const auto started = start_detached({{"/bin/sleep", "300"}, {}}, folder / "log");
  REQUIRE(started.ok());
  const std::string executable = std::filesystem::canonical("/bin/sleep");
  const auto sleeps = [](const std::string& time) {
    return [time](const std::vector<std::string>& arguments, const std::string& directory) {
      return arguments == std::vector<std::string>{"/bin/sleep", time} && directory == "/";
    };
  };
  CHECK_FALSE(ProcessHandle::find(*started, executable, sleeps("301")));
  CHECK_FALSE(ProcessHandle::find(*started, "/bin/false", sleeps("300")));
  CHECK_FALSE(ProcessHandle::find(0, executable, sleeps("300")));
  auto found = ProcessHandle::find(*started, executable, sleeps("300"));
  REQUIRE(found);
  CHECK(::getpgid(*started) == *started);
  CHECK_FALSE(found->wait_until_gone(milliseconds(1), {}));
  REQUIRE(found->signal(SIGTERM).ok());
  CHECK(found->wait_until_gone(std::chrono::seconds(20), {}));
  CHECK(found->signal(SIGTERM).ok());  // to nobody, whoever has the number now
  CHECK_FALSE(ProcessHandle::find(*started, executable, sleeps("300")));
}

TEST_CASE("a program reads and writes streams that nobody holds as a whole") {
  const TemporaryFolder folder;
  const std::string path = folder.script("pass", "cat\n");
  constexpr std::size_t kSize = 20u << 20;
  std::size_t given = 0, taken = 0;
  bool same = true;
  const auto letter = [](std::size_t at) { return static_cast<char>('a' + at / 1000 % 26); };
  ProgramStreams streams;
  streams.input = [&](std::size_t most) -> Result<std::string> {
    std::string piece(std::min(most, kSize - given), '\0');
    for (char& c : piece) c = letter(given++);
    return piece;
  };
  streams.output = [&](std::string_view piece) -> Status {
    for (const char c : piece) same = same && c == letter(taken++);
    return {};
  };
  const auto end = run_streaming({{path}, {"PATH=/usr/bin:/bin"}}, streams, {}, {});
  REQUIRE(end.ok());
  CHECK(end->why == Why::exited);
  CHECK(end->status == 0);
  CHECK(end->output.empty());
  CHECK(taken == kSize);
  CHECK(same);
}

TEST_CASE("a program whose input breaks off does not see its end") {
  const TemporaryFolder folder;
  const std::string path =
      folder.script("count", "cat > input; echo whole > " + folder.path() + "/verdict\n");
  bool first = true;
  ProgramStreams streams;
  streams.input = [&](std::size_t) -> Result<std::string> {
    if (std::exchange(first, false)) return std::string("half");
    return Error{Code::timeout, "the rest did not come"};
  };
  const auto end = run_streaming({{path}, {"PATH=/usr/bin:/bin"}, folder.path()}, streams, {}, {});
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == Code::timeout);
  CHECK(end.error().text == "the rest did not come");
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/verdict"));
}

TEST_CASE("a program whose output is not wanted ends") {
  const TemporaryFolder folder;
  ProgramStreams streams;
  streams.output = [](std::string_view) -> Status { return Error{Code::io_error, "no space"}; };
  const auto end =
      run_streaming({{folder.script("talk", "while :; do echo talk; done\n")}, {}}, streams, {}, {});
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().text == "no space");
}

TEST_CASE("a program that ends early takes no more of a stream") {
  const TemporaryFolder folder;
  std::size_t asked = 0;
  ProgramStreams streams;
  streams.input = [&](std::size_t most) -> Result<std::string> {
    ++asked;
    return std::string(most, 'x');
  };
  const auto end = run_streaming({{folder.script("refuse", "echo full >&2; exit 1\n")}, {}}, streams, {}, {});
  REQUIRE(end.ok());
  CHECK(end->status == 1);
  CHECK(end->errors == "full\n");
  CHECK(asked < 100);
}

}  // namespace confd::base
