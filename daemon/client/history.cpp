#include "daemon/client/history.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "base/utf8.h"

namespace confd::client {
namespace {

using base::Struct;
using base::Value;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

// 2026-11-22T13:00:05 with ' ' or 'T', time or seconds left out, 'Z' or not.
std::optional<std::time_t> parse_utc(const std::string& text) {
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm tm{};
    const char* rest = ::strptime(text.c_str(), format, &tm);
    if (!rest) continue;
    if (*rest == '.')
      for (++rest; *rest >= '0' && *rest <= '9';) ++rest;
    if (*rest == 'Z') ++rest;
    if (*rest == '\0') return ::timegm(&tm);
  }
  return std::nullopt;
}

std::string format_utc_seconds(std::time_t time) {
  std::tm tm{};
  ::gmtime_r(&time, &tm);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm));
}

std::string absolute_time(const std::string& text, std::string_view option, base::WallTime now) {
  if (text.size() >= 2) {
    constexpr std::pair<char, std::int64_t> kUnits[] = {
        {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    for (const auto& [letter, seconds] : kUnits) {
      if (text.back() != letter) continue;
      const auto count = number(std::string_view(text).substr(0, text.size() - 1));
      if (count && *count >= 0 && *count <= 1'000'000'000 / seconds)
        return format_utc_seconds(std::chrono::system_clock::to_time_t(now) - *count * seconds);
    }
  }
  if (const auto time = parse_utc(text)) return format_utc_seconds(*time);
  throw UsageError{std::string(option) +
                   " wants a time such as '2026-11-22 13:00' (UTC) or an age such as 30m, 2h, 1d, not '" +
                   text + "'"};
}

std::string cell(const Value& row, std::string_view name) {
  const Value* member = row.find(name);
  if (!member || member->is_null()) return {};
  if (member->is_string()) return member->as_string();
  if (member->is_int()) return std::to_string(member->as_int());
  return {};
}

std::string duration(const std::string& from, const std::string& to) {
  const auto fraction = [](const std::string& text) {
    const std::size_t dot = text.find('.');
    const auto micros =
        dot == std::string::npos ? std::nullopt : number(std::string_view(text).substr(dot + 1, 3));
    return micros.value_or(0);
  };
  const auto start = parse_utc(from);
  const auto end = parse_utc(to);
  if (!start || !end) return {};
  const std::int64_t millis = (*end - *start) * 1000 + fraction(to) - fraction(from);
  if (millis < 0) return {};
  char text[32];
  if (millis < 60'000)
    std::snprintf(text, sizeof text, "%.3f s", static_cast<double>(millis) / 1000);
  else
    std::snprintf(text, sizeof text, "%ld min %ld s", static_cast<long>(millis / 60'000),
                  static_cast<long>(millis / 1000 % 60));
  return text;
}

using Row = std::array<std::string, 7>;

Row row_of(const Value& job) {
  const std::string submitted = cell(job, "submitted");
  const std::string ended = cell(job, "ended");
  std::string result = cell(job, "result_name");
  if (!result.empty() && result != "OK") result += ": " + cell(job, "result_desc");
  std::replace(result.begin(), result.end(), '\n', ' ');
  return {cell(job, "job_id"),
          cell(job, "job"),
          cell(job, "user"),
          cell(job, "stage"),
          submitted.substr(0, 19),
          duration(submitted, ended),
          result};
}

}  // namespace

Struct history_request(const HistoryFilter& filter, base::WallTime now) {
  Struct request;
  if (filter.state) request.append("state", *filter.state);
  if (filter.user) request.append("user", *filter.user);
  if (filter.job) request.append("job", *filter.job);
  if (filter.since) request.append("since", absolute_time(*filter.since, "--since", now));
  if (filter.until) request.append("until", absolute_time(*filter.until, "--until", now));
  if (filter.limit) {
    const auto limit = number(*filter.limit);
    if (!limit || *limit < 1) throw UsageError{"--limit wants a number from 1, not '" + *filter.limit + "'"};
    request.append("limit", static_cast<long long>(*limit));
  }
  return request;
}

std::string history_table(const Value& rows) {
  std::vector<Row> table{{"ID", "JOB", "USER", "STAGE", "SUBMITTED (UTC)", "DURATION", "RESULT"}};
  if (rows.is_array())
    for (const Value& job : rows.as_array()) table.push_back(row_of(job));
  std::array<std::size_t, 7> widths{};
  for (const Row& row : table)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], base::utf8_length(row[i]));
  std::string out;
  for (const Row& row : table) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] + 2 - base::utf8_length(row[i]), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace confd::client
