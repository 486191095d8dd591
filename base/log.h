// Log: one line an event, to logs/logd/ConfD.log (rotated) and, under systemd, to the journal. spdlog
// underneath.
//
// Levels by consequence: err = we failed; warn = the caller failed; notice = the state of the service
// changed; info = ordinary work; debug = for whoever looks for a fault. A line reads
// `2026-11-22T00:05:12.123456Z INFO  text`, UTC; log_collect reads the same form. Line breaks in the text
// become blanks, so that one event stays one line. Callers never pass secrets. Lines at info and debug reach
// the file within a tenth of a second (a kill loses them until then), others at once. Thread-safety: any
// thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace confd::base {

enum class LogLevel { err, warn, notice, info, debug };
std::string_view log_level_name(LogLevel level);  // ERR WARN NOTICE INFO DEBUG
std::optional<LogLevel> parse_log_level(std::string_view name);

class Log {
 public:
  struct Options {
    std::string path;                    // empty: standard error only
    std::size_t file_bytes = 16u << 20;  // rotated beyond
    std::size_t files = 5;               // kept beside the current one: ConfD.1.log ...
    bool standard_error = false;         // also there (confd in the foreground on a terminal)
    bool journal = false;                // also to systemd's journal
    LogLevel level = LogLevel::info;
  };
  static Result<std::unique_ptr<Log>> open(const Options& options);
  ~Log();

  bool enabled(LogLevel level) const { return level <= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  void write(LogLevel level, std::string_view text);
  void err(std::string_view text) { write(LogLevel::err, text); }
  void warn(std::string_view text) { write(LogLevel::warn, text); }
  void notice(std::string_view text) { write(LogLevel::notice, text); }
  void info(std::string_view text) { write(LogLevel::info, text); }
  void debug(std::string_view text) { write(LogLevel::debug, text); }
  void flush();

 private:
  struct Sinks;
  explicit Log(std::unique_ptr<Sinks> sinks, LogLevel level);
  std::unique_ptr<Sinks> sinks_;
  std::atomic<LogLevel> level_;
};

}  // namespace confd::base
