// ask_password: from the terminal without echo.
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <iostream>

#include "daemon/exaconf/command.h"

namespace confd::exaconf_program {
namespace {

// The terminal with echo off. Signals wait meanwhile, so that nobody is left with a silent terminal.
class Terminal {
 public:
  Terminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {
    if (fd_ < 0 || ::tcgetattr(fd_, &before_) != 0) return;
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGTSTP, SIGHUP}) sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, &signals_);
    termios silent = before_;
    // Byte by byte: Ctrl-C has to end the question at once, with the echo back on.
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG | ICANON);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    usable_ = ::tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  ~Terminal() {
    if (usable_) {
      ::tcsetattr(fd_, TCSAFLUSH, &before_);
      ::sigprocmask(SIG_SETMASK, &signals_, nullptr);
    }
    if (fd_ >= 0) ::close(fd_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool usable() const { return usable_; }

  std::string ask(const std::string& prompt) {
    print(prompt);
    std::string line;
    for (char c = 0; ::read(fd_, &c, 1) == 1 && c != '\n' && c != '\r';) {
      if (c == '\x03' || c == '\x04') {
        print("\n");
        throw Failure("no password was given");
      }
      if (c == '\x7f' || c == '\b') {
        if (!line.empty()) line.pop_back();
      } else if (c == '\x15') {
        line.clear();
      } else {
        line += c;
      }
    }
    print("\n");
    return line;
  }

 private:
  void print(const std::string& text) const {
    if (::write(fd_, text.data(), text.size()) < 0) throw Failure("cannot write to the terminal");
  }

  int fd_;
  termios before_{};
  sigset_t signals_{};
  bool usable_ = false;
};

}  // namespace

std::string ask_password(const std::string& prompt, bool confirm) {
  std::string password;
  if (::isatty(STDIN_FILENO) == 0) {
    if (!std::getline(std::cin, password)) throw Failure("no password on standard input: use -p or type one");
    return password;
  }
  Terminal terminal;
  if (!terminal.usable()) throw Failure("there is no terminal to ask for the password: use -p");
  password = terminal.ask(prompt + ": ");
  if (confirm && terminal.ask(prompt + " again: ") != password) throw Failure("the two passwords differ");
  return password;
}

}  // namespace confd::exaconf_program
