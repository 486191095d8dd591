#include "daemon/client/waiting.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/utf8.h"

namespace confd::client {
namespace {

using base::Struct;
using base::Value;

// The handler may only use what is ready: text and length are set before it is installed.
char interrupt_text[512];
std::size_t interrupt_size = 0;

void on_interrupt(int) {
  const ssize_t written = ::write(STDERR_FILENO, interrupt_text, interrupt_size);
  static_cast<void>(written);
  ::_exit(kInterrupted);
}

void write_stderr(const std::string& text) {
  const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(written);  // nothing to do when the terminal has gone
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Control characters do not get to the terminal; longer lines would leave rests behind.
std::string fitting(std::string_view text, std::size_t width) {
  std::string out;
  std::size_t used = 0;
  for (std::size_t at = 0; at < text.size() && used + 1 < width; ++used) {
    const base::Utf8Character c = base::utf8_at(text, at);
    out += c.code < 0x20 || c.code == 0x7F ? " " : std::string(text.substr(at, c.size));
    at += c.size;
  }
  return out;
}

std::string text_member(const Value& value, std::string_view name) {
  const Value* member = value.find(name);
  return member && member->is_string() ? member->as_string() : std::string();
}

}  // namespace

InterruptMessage::InterruptMessage(const std::string& text) {
  interrupt_size = std::min(text.size(), sizeof interrupt_text);
  std::memcpy(interrupt_text, text.data(), interrupt_size);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
}

InterruptMessage::~InterruptMessage() {
  ::signal(SIGINT, SIG_DFL);
}

bool on_terminal() {
  return ::isatty(STDOUT_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

Value run_job(Confd& confd, const std::string& job, const Struct& options) {
  const InterruptMessage message("\nThe job " + job +
                                 " goes on if it was submitted; confd_client history shows its id.\n");
  return confd.call_job("job_exec", job, options);
}

std::string status_line(const std::string& job, const Value& info, long seconds) {
  std::string line = job + " " + text_member(info, "job_id") + ": " + text_member(info, "stage");
  if (const Value* progress = info.find("progress")) {
    const std::string text = progress->is_string() ? progress->as_string() : text_member(*progress, "text");
    if (!text.empty()) line += ", " + text;
    if (const Value* percent = progress->find("percent"); percent && percent->is_int())
      line += " (" + std::to_string(percent->as_int()) + "%)";
  }
  line += ", ";
  if (seconds >= 60) line += std::to_string(seconds / 60) + " min ";
  return line + std::to_string(seconds % 60) + " s";
}

Value run_job_with_display(Confd& confd, const std::string& job, const Struct& options) {
  const auto start = std::chrono::steady_clock::now();
  Value started;
  {
    const InterruptMessage message("\nThe job " + job +
                                   " goes on if it was submitted; confd_client history shows its id.\n");
    started = confd.call_job("job_start", job, options);
  }
  if (!started.is_string()) return started;  // refused: an envelope
  const std::string id = started.as_string();
  const Struct named{{"job_id", id}};
  const InterruptMessage message("\nThe job goes on as " + id + "; confd_client result " + id +
                                 " shows its result, confd_client stop " + id + " ends it.\n");
  bool shown = false;
  for (;;) {
    const Value ended = confd.call("job_wait", Struct{{"job_id", id}, {"timeout", 1}});
    if (!ended.is_bool() || ended.as_bool()) break;
    const Value info = confd.call("job_info", named);
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
    write_stderr("\r" + fitting(status_line(job, info, elapsed.count()), terminal_width()) + "\x1b[K");
    shown = true;
  }
  if (shown) write_stderr("\r\x1b[K");
  return confd.call("job_result", named);
}

}  // namespace confd::client
