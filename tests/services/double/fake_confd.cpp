// A confd as the provider local knows it: its command line, its process id in the root, its answer to
// SIGTERM. What lies in the root says what it does wrong: `refuse` ends it at once, `deaf` lets it ignore
// SIGTERM.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

namespace {

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

}  // namespace

int main(int count, char** values) {
  std::string root, join, token_file;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = values[i];
    if (name == "--root") root = values[i + 1];
    if (name == "--join") join = values[i + 1];
    if (name == "--token-file") token_file = values[i + 1];
  }
  if (!join.empty()) {
    std::string token;
    std::getline(std::cin, token);
    if (token_file != "-" || token.find("good") == std::string::npos) {
      std::cerr << "the token is not accepted\n";
      return 1;
    }
    write(root + "/etc/EXAConf", "joined " + join + "\n");
    return 0;
  }
  if (std::filesystem::exists(root + "/refuse")) {
    std::cerr << "EXAConf is broken\n";
    return 1;
  }
  std::filesystem::create_directories(root + "/run");
  const int lock = ::open((root + "/run/confd.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) return 2;
  ::alarm(600);  // not left behind by a test that died
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  write(root + "/run/confd.pid", std::to_string(::getpid()) + "\n");
  for (int received = 0; ::sigwait(&signals, &received) == 0;)
    if (!std::filesystem::exists(root + "/deaf")) break;
  std::filesystem::remove(root + "/run/confd.pid");
  return 0;
}
