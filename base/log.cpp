#include "base/log.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/text.h"

namespace confd::base {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::err:
      return spdlog::level::err;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::notice:
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::debug:
      return spdlog::level::debug;
  }
  return spdlog::level::info;
}

}  // namespace

std::string_view log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::err:
      return "ERR";
    case LogLevel::warn:
      return "WARN";
    case LogLevel::notice:
      return "NOTICE";
    case LogLevel::info:
      return "INFO";
    case LogLevel::debug:
      return "DEBUG";
  }
  return "INFO";
}

std::optional<LogLevel> parse_log_level(std::string_view name) {
  for (LogLevel level : {LogLevel::err, LogLevel::warn, LogLevel::notice, LogLevel::info, LogLevel::debug})
    if (equals_ignoring_case(name, log_level_name(level))) return level;
  return std::nullopt;
}

// Lines of ordinary work wait here a moment and are written together: five lines a request, one by one, cost
// more than its login. What matters more (notice and above) goes out at once, with all that waited.
struct Log::Sinks {
  std::vector<spdlog::sink_ptr> lines;  // file, standard error: our own line
  spdlog::sink_ptr journal;             // has time and level of its own; gets each line at once
  bool at_once = false;                 // somebody looks on

  Mutex mutex;
  CondVar due;
  std::string waiting GUARDED_BY(mutex);  // whole lines
  bool ending GUARDED_BY(mutex) = false;
  Mutex order;  // of blocks on their way out
  std::thread writer;

  void write_out() EXCLUDES(mutex, order);
  void run() EXCLUDES(mutex);
};

namespace {

constexpr std::size_t kFull = 32 * 1024;  // then whoever writes a line takes it out
constexpr std::chrono::milliseconds kDelay{100};

}  // namespace

void Log::Sinks::write_out() {
  MutexLock turn(order);
  std::string block;
  {
    MutexLock lock(mutex);
    block.swap(waiting);
    waiting.reserve(kFull + 8192);
  }
  if (block.empty()) return;
  block.pop_back();  // the sinks end the line
  const spdlog::details::log_msg message(spdlog::string_view_t("confd"), spdlog::level::info, block);
  try {
    for (const spdlog::sink_ptr& sink : lines) {
      sink->log(message);
      sink->flush();
    }
  } catch (const spdlog::spdlog_ex&) {
    // A full disk must not end the daemon; the next lines try again.
  }
}

void Log::Sinks::run() {
  for (;;) {
    {
      MutexLock lock(mutex);
      while (waiting.empty() && !ending) due.wait(mutex);
      const auto until = std::chrono::steady_clock::now() + kDelay;
      while (!ending && std::chrono::steady_clock::now() < until) due.wait_until(mutex, until);
      if (ending) return;
    }
    write_out();
  }
}

Log::Log(std::unique_ptr<Sinks> sinks, LogLevel level) : sinks_(std::move(sinks)), level_(level) {
  if (!sinks_->at_once && !sinks_->lines.empty()) sinks_->writer = std::thread([this] { sinks_->run(); });
}

Log::~Log() {
  {
    MutexLock lock(sinks_->mutex);
    sinks_->ending = true;
  }
  sinks_->due.notify_all();
  if (sinks_->writer.joinable()) sinks_->writer.join();
  flush();
}

Result<std::unique_ptr<Log>> Log::open(const Options& options) {
  auto sinks = std::make_unique<Sinks>();
  try {
    if (!options.path.empty()) {
      // Whatever the umask: a log tells of users and addresses.
      spdlog::file_event_handlers opened;
      opened.after_open = [](const spdlog::filename_t&, std::FILE* file) { ::fchmod(::fileno(file), 0600); };
      sinks->lines.push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
          options.path, options.file_bytes, options.files, false, opened));
    }
    if (options.standard_error) sinks->lines.push_back(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    if (options.journal) sinks->journal = std::make_shared<spdlog::sinks::systemd_sink_mt>("confd");
    sinks->at_once = options.standard_error;
  } catch (const spdlog::spdlog_ex& problem) {
    return Error{Code::io_error, "cannot open the log " + options.path + ": " + problem.what()};
  }
  for (const spdlog::sink_ptr& sink : sinks->lines)
    sink->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  return std::unique_ptr<Log>(new Log(std::move(sinks), options.level));
}

void Log::write(LogLevel level, std::string_view text) {
  if (!enabled(level)) return;
  // Callers give names and values; none of them may fill the log with one line.
  constexpr std::size_t kLongest = 4096;
  constexpr std::size_t kTextAt = 35;  // 27 of the time, a blank, six of the level, a blank
  const auto now = std::chrono::system_clock::now();
  bool is_first = false;
  bool is_full = false;
  {
    MutexLock lock(sinks_->mutex);
    std::string& out = sinks_->waiting;
    const std::size_t line = out.size();
    is_first = line == 0;
    append_utc(out, now);
    out += ' ';
    out += log_level_name(level);
    out.resize(line + kTextAt, ' ');
    out += text.substr(0, kLongest);
    if (text.size() > kLongest) out += "... (" + std::to_string(text.size()) + " bytes)";
    char* const bytes = out.data();
    for (std::size_t i = line + kTextAt, end = out.size(); i < end; ++i)
      bytes[i] = static_cast<unsigned char>(bytes[i]) < 0x20 ? ' ' : bytes[i];
    out += '\n';
    is_full = out.size() >= kFull;
  }
  if (level <= LogLevel::notice || is_full || sinks_->at_once)
    sinks_->write_out();
  else if (is_first)
    sinks_->due.notify_one();
  if (!sinks_->journal) return;
  try {
    sinks_->journal->log(
        spdlog::details::log_msg(spdlog::string_view_t("confd"), to_spdlog(level), text.substr(0, kLongest)));
  } catch (const spdlog::spdlog_ex&) {
  }
}

void Log::flush() {
  sinks_->write_out();
}

}  // namespace confd::base
