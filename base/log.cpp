#include "base/log.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <sys/stat.h>

#include <cstdio>
#include <vector>

#include "base/clock.h"
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

struct Log::Sinks {
  std::vector<spdlog::sink_ptr> lines;  // file, standard error: our own line
  spdlog::sink_ptr journal;             // has time and level of its own
};

Log::Log(std::unique_ptr<Sinks> sinks, LogLevel level) : sinks_(std::move(sinks)), level_(level) {}
Log::~Log() {
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
  } catch (const spdlog::spdlog_ex& problem) {
    return Error{Code::io_error, "cannot open the log " + options.path + ": " + problem.what()};
  }
  for (const spdlog::sink_ptr& sink : sinks->lines)
    sink->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  return std::unique_ptr<Log>(new Log(std::move(sinks), options.level));
}

void Log::write(LogLevel level, std::string_view text) {
  if (!enabled(level)) return;
  thread_local std::string line;  // its memory is kept: this is called five times a request
  line = format_utc(std::chrono::system_clock::now());
  line += ' ';
  line += log_level_name(level);
  line.resize(35, ' ');  // 27 of the time, a blank, six of the level, a blank
  const std::size_t start = line.size();
  // Callers give names and values; none of them may fill the log with one line.
  constexpr std::size_t kLongest = 4096;
  line += text.substr(0, kLongest);
  if (text.size() > kLongest) line += "... (" + std::to_string(text.size()) + " bytes)";
  for (std::size_t i = start; i < line.size(); ++i)
    if (static_cast<unsigned char>(line[i]) < 0x20) line[i] = ' ';
  const spdlog::details::log_msg message(spdlog::string_view_t("confd"), to_spdlog(level), line);
  try {
    for (const spdlog::sink_ptr& sink : sinks_->lines) {
      sink->log(message);
      if (level <= LogLevel::notice) sink->flush();
    }
    if (sinks_->journal)
      sinks_->journal->log(spdlog::details::log_msg(spdlog::string_view_t("confd"), to_spdlog(level),
                                                    std::string_view(line).substr(start)));
  } catch (const spdlog::spdlog_ex&) {
    // A full disk must not end the daemon; the next line tries again.
  }
}

void Log::flush() {
  try {
    for (const spdlog::sink_ptr& sink : sinks_->lines) sink->flush();
  } catch (const spdlog::spdlog_ex&) {
  }
}

}  // namespace confd::base
