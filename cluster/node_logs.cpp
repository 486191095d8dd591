#include "cluster/node_logs.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/mutex.h"
#include "base/text.h"

namespace confd::cluster {
namespace {

constexpr std::size_t kMostTags = 1000;
constexpr std::size_t kMostText = 4 * 1024 * 1024;
constexpr std::size_t kTimeLength = 27;  // 2026-11-22T00:05:12.123456Z
constexpr std::string_view kSuffix = ".log";

struct Event {
  std::string time;
  std::string level;
  std::string text;
};

struct Position {
  std::string time;
  std::int64_t count = 0;
};

struct Query {
  Position after;
  std::string until;
  std::string level;
  std::vector<std::string> mentions;
  std::size_t limit = 0;
};

// 0 is the worst; unknown words count as the least.
int severity(std::string_view level) {
  static constexpr std::string_view kLevels[] = {"ERR", "WARN", "NOTICE", "INFO"};
  int rank = 0;
  for (const std::string_view known : kLevels) {
    if (known == level) return rank;
    ++rank;
  }
  return rank;
}

std::optional<Event> parse_line(std::string_view line) {
  if (line.size() < kTimeLength + 1 || line[4] != '-' || line[10] != 'T' || line[kTimeLength - 1] != 'Z' ||
      line[kTimeLength] != ' ')
    return std::nullopt;
  Event event;
  event.time = line.substr(0, kTimeLength);
  line.remove_prefix(kTimeLength + 1);
  const std::size_t blank = line.find(' ');
  event.level = line.substr(0, blank);
  if (blank != std::string_view::npos) {
    line.remove_prefix(blank);
    const std::size_t text = line.find_first_not_of(' ');
    if (text != std::string_view::npos) event.text = line.substr(text);
  }
  return event;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool mentions_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
  }
  return false;
}

bool wanted(const Query& query, const Event& event) {
  if (!query.level.empty() && severity(event.level) > severity(query.level)) return false;
  return query.mentions.empty() ||
         std::any_of(query.mentions.begin(), query.mentions.end(),
                     [&](const std::string& word) { return mentions_word(event.text, word); });
}

// Calls `use(event)` for each event of the text, in order, until it returns false.
template <class Use>
bool for_each_event(std::string_view text, Use use) {
  std::optional<Event> event;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (auto next = parse_line(line)) {
      if (event && !use(*event)) return false;
      event = std::move(next);
    } else if (event && !line.empty()) {
      event->text += '\n';
      event->text += line;
    }
  }
  return !event || use(*event);
}

// Says for events in order of the log whether they lie behind the position; keeps the new position.
class Progress {
 public:
  explicit Progress(const Position& start) : start_(start), position_(start) {}

  bool behind(const Event& event) {
    if (event.time < start_.time) return false;
    return event.time > start_.time || ++seen_at_start_ > start_.count;
  }
  void pass(const Event& event) {
    if (event.time == position_.time)
      ++position_.count;
    else
      position_ = Position{event.time, 1};
  }
  const Position& position() const { return position_; }

 private:
  const Position start_;
  Position position_;
  std::int64_t seen_at_start_ = 0;
};

struct Found {
  std::deque<Event> events;
  std::size_t text_size = 0;
  bool more = false;
};

// ConfD.log, then ConfD.1.log, ... (or ConfD.log.1, ...): newest first.
std::vector<std::string> files_of(const std::vector<std::string>& names, std::string_view service) {
  std::map<std::int64_t, std::string> found;
  for (const std::string& name : names) {
    std::string_view rest = name;
    if (!rest.starts_with(service)) continue;
    rest.remove_prefix(service.size());
    if (rest == kSuffix) {
      found.emplace(0, name);
      continue;
    }
    std::string_view digits;
    if (rest.starts_with(".log."))
      digits = rest.substr(5);
    else if (rest.starts_with(".") && rest.ends_with(kSuffix) && rest.size() > 1 + kSuffix.size())
      digits = rest.substr(1, rest.size() - 1 - kSuffix.size());
    if (const auto number = base::parse_int(digits); number && *number > 0) found.emplace(*number, name);
  }
  std::vector<std::string> files;
  for (auto& [number, name] : found) files.push_back(std::move(name));
  return files;
}

class LogReader {
 public:
  LogReader(base::FileSystem& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  base::Result<base::Value> services() const {
    const auto names = files_.list(folder_);
    if (!names) return names.error();
    std::set<std::string> services;
    for (const std::string& name : *names)
      if (name.ends_with(kSuffix)) {
        const std::string service = name.substr(0, name.find('.'));
        if (is_service_name(service)) services.insert(service);
      }
    return base::Value(base::Array(services.begin(), services.end()));
  }

  base::Result<base::Value> read(const base::Struct& params, std::stop_token stop) const {
    const std::string& service = params.find("service")->as_string();
    const auto names = files_.list(folder_);
    if (!names && names.error().code != base::Code::not_found) return names.error();
    std::vector<std::string> paths;
    if (names && is_service_name(service)) paths = files_of(*names, service);
    if (paths.empty())
      return base::Error{base::Code::not_found, "service '" + service + "' has no log in " + folder_};
    Query query;
    const base::Value* time = params.find("after")->find("time");
    const base::Value* count = params.find("after")->find("count");
    if (time == nullptr || !time->is_string() || count == nullptr || !count->is_int())
      return base::Error{base::Code::bad_parameter, "'after' must have a time and a count"};
    query.after.time = time->as_string();
    query.after.count = count->as_int();
    query.until = params.find("until")->as_string();
    query.level = params.find("level")->as_string();
    for (const base::Value& word : params.find("mentions")->as_array())
      query.mentions.push_back(word.as_string());
    query.limit = static_cast<std::size_t>(params.find("limit")->as_int());
    return params.find("oldest_first")->as_bool() ? first_events(paths, query, stop)
                                                  : last_events(paths, query, stop);
  }

 private:
  // A file that was rotated away between the listing and now is no error: it was the oldest.
  std::string text_of(const std::string& name) const {
    auto text = files_.read(base::join_path(folder_, name));
    return text ? std::move(*text) : std::string();
  }

  static base::Value render(const Found& found, const Position& position) {
    base::Array events;
    events.reserve(found.events.size());
    for (const Event& event : found.events)
      events.push_back(base::Struct{{"time", event.time}, {"level", event.level}, {"text", event.text}});
    return base::Struct{{"events", std::move(events)},
                        {"position", base::Struct{{"time", position.time}, {"count", position.count}}},
                        {"more", found.more}};
  }

  static bool begins_before(std::string_view text, const std::string& time) {
    bool before = false;
    for_each_event(text, [&](const Event& event) {
      before = event.time < time;
      return false;
    });
    return before;
  }

  // The newest events within the limits, file by file backwards, so that at most one file is in memory.
  base::Result<base::Value> last_events(const std::vector<std::string>& newest_first, const Query& query,
                                        const std::stop_token& stop) const {
    Found found;
    for (const std::string& name : newest_first) {
      if (stop.stop_requested()) return base::Error{base::Code::stopped, "reading logs was stopped"};
      const std::string text = text_of(name);
      std::deque<Event> of_file;
      std::size_t size = 0;
      const auto too_many = [&] {
        return found.events.size() + of_file.size() > query.limit || found.text_size + size > kMostText;
      };
      for_each_event(text, [&](const Event& event) {
        if (event.time < query.after.time || event.time > query.until || !wanted(query, event)) return true;
        of_file.push_back(event);
        size += event.text.size();
        while (!of_file.empty() && too_many()) {
          size -= of_file.front().text.size();
          of_file.pop_front();
          found.more = true;
        }
        return true;
      });
      found.text_size += size;
      found.events.insert(found.events.begin(), std::make_move_iterator(of_file.begin()),
                          std::make_move_iterator(of_file.end()));
      if (found.more || begins_before(text, query.after.time)) break;
    }
    return render(found, query.after);
  }

  // The oldest events behind the position, and how far that went.
  base::Result<base::Value> first_events(const std::vector<std::string>& newest_first, const Query& query,
                                         const std::stop_token& stop) const {
    std::vector<std::string> oldest_first;
    for (const std::string& name : newest_first) {
      oldest_first.insert(oldest_first.begin(), name);
      if (begins_before(text_of(name), query.after.time)) break;
    }
    Found found;
    Progress progress(query.after);
    for (const std::string& name : oldest_first) {
      if (stop.stop_requested()) return base::Error{base::Code::stopped, "reading logs was stopped"};
      const bool whole = for_each_event(text_of(name), [&](const Event& event) {
        if (!progress.behind(event)) return true;
        if (event.time > query.until) return false;
        if (wanted(query, event)) {
          if (!found.events.empty() &&
              (found.events.size() >= query.limit || found.text_size + event.text.size() > kMostText)) {
            found.more = true;
            return false;
          }
          found.text_size += event.text.size();
          found.events.push_back(event);
        }
        progress.pass(event);
        return true;
      });
      if (!whole) break;
    }
    return render(found, progress.position());
  }

  base::FileSystem& files_;
  const std::string folder_;
};

// {"TagWord": {"11 ConfD": {"time": ..., "count": 1}}}, the tag used last at the end.
class LogTags {
 public:
  LogTags(base::FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  base::Result<base::Value> read(const std::string& tag) {
    base::MutexLock lock(mutex_);
    const auto tags = load();
    if (!tags) return tags.error();
    const base::Value* positions = tags->find(tag);
    return base::Value(
        base::Struct{{"positions", positions == nullptr ? base::Value(base::Struct()) : *positions}});
  }

  // With `expected`, only when these are the positions so far: two callers of a tag must not both go on from
  // the same place.
  base::Result<base::Value> write(const std::string& tag, const base::Value* expected,
                                  const base::Value& positions) {
    base::MutexLock lock(mutex_);
    auto tags = load();
    if (!tags) return tags.error();
    const base::Value* stored = tags->find(tag);
    if (expected != nullptr && *expected != (stored == nullptr ? base::Value(base::Struct()) : *stored))
      return base::Error{base::Code::conflict, "another call has used the tag '" + tag + "' meanwhile"};
    tags->erase(tag);
    while (tags->size() >= kMostTags) tags->erase(std::string(tags->begin()->first));
    tags->append(tag, positions);
    if (auto saved = base::replace_file(files_, path_, base::render_json(*tags) + "\n", 0600); !saved.ok())
      return saved.error();
    return base::Value();
  }

 private:
  base::Result<base::Struct> load() REQUIRES_LOCK(mutex_) {
    const auto text = files_.read(path_);
    if (!text && text.error().code == base::Code::not_found) return base::Struct();
    if (!text) return text.error();
    auto value = base::parse_json(*text);
    const bool sound = value && value->is_struct() &&
                       std::all_of(value->as_struct().begin(), value->as_struct().end(),
                                   [](const auto& tag) { return tag.second.is_struct(); });
    if (!sound)
      return base::Error{base::Code::io_error, "the positions of log_collect's tags, " + path_ +
                                                   ", can't be read: delete the file to begin anew"};
    return std::move(value->as_struct());
  }

  base::FileSystem& files_;
  const std::string path_;
  base::Mutex mutex_;  // over reading, changing and writing the file; nothing else waits for it
};

}  // namespace

bool is_service_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_word(c) || c == '-'; });
}

void register_log_operations(NodeControl& control, base::FileSystem& files,
                             const std::string& root_directory) {
  const auto reader = std::make_shared<LogReader>(files, base::join_path(root_directory, "logs/logd"));
  const auto tags = std::make_shared<LogTags>(files, base::join_path(root_directory, "spool/log_tags.json"));
  using Type = base::Value::Type;
  const auto reads = [](std::vector<std::pair<std::string, Type>> params) {
    return OperationTraits{.repeatable = true, .params = std::move(params)};
  };
  control.register_operation(
      "log.services", [reader](const base::Struct&, std::stop_token) { return reader->services(); },
      reads({}));
  control.register_operation(
      "log.read",
      [reader](const base::Struct& params, std::stop_token stop) {
        return reader->read(params, std::move(stop));
      },
      reads({{"service", Type::string},
             {"after", Type::structure},
             {"until", Type::string},
             {"level", Type::string},
             {"mentions", Type::array},
             {"limit", Type::integer},
             {"oldest_first", Type::boolean}}));
  control.register_operation(
      "log_tag.read",
      [tags](const base::Struct& params, std::stop_token) {
        return tags->read(params.find("tag")->as_string());
      },
      reads({{"tag", Type::string}}));
  control.register_operation("log_tag.write",
                             [tags](const base::Struct& params, std::stop_token) {
                               return tags->write(params.find("tag")->as_string(), params.find("expected"),
                                                  *params.find("positions"));
                             },
                             {.params = {{"tag", Type::string}, {"positions", Type::structure}}});
}

}  // namespace confd::cluster
