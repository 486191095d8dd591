// log_collect (spec/jobs/other.yaml).
#include <time.h>

#include <algorithm>

#include "base/text.h"
#include "jobs/context.h"
#include "jobs/families.h"

namespace confd::jobs {
namespace {

constexpr std::string_view kRootUser[] = {"root"};
constexpr std::string_view kAdmins[] = {"root", "exaadm", "exadbadm"};
constexpr std::string_view kLevels[] = {"ERR", "WARN", "NOTICE", "INFO"};
constexpr std::int64_t kMostEvents = 10000;  // of one call, over all services and nodes
constexpr std::size_t kMostServices = 100;
constexpr std::chrono::minutes kDefaultInterval{10};

constexpr Param kLogParams[] = {
    {.name = "services", .types = kList, .help = "service names, such as ConfD"},
};
constexpr Param kLogOptions[] = {
    {.name = "start_time", .help = "earliest event, local time of the node: 2019-01-04 13:13:00"},
    {.name = "stop_time", .help = "latest event, same form"},
    {.name = "error_level", .help = "least severity", .choices = kLevels},
    {.name = "tag",
     .help = "name of a position: the first call makes it, each later call returns only newer events"},
    {.name = "dbs",
     .types = kList,
     .help = "databases, by name or id; only events that name one of them",
     .completion = Completion::database},
    {.name = "nodes",
     .types = kList,
     .help = "node ids",
     .default_text = "all",
     .completion = Completion::node},
    {.name = "default_interval",
     .help = "how far to look back without start_time: '<n>w <n>d <n>h <n>m <n>s' or seconds",
     .default_text = "10 minutes"},
};
// The published example says end_time where the parameter table says stop_time.
constexpr Alias kLogAliases[] = {{"stop_time", "end_time"}};
constexpr std::string_view kLogExamples[] = {
    R"({"services": ["ConfD"], "start_time": "2019-01-04 13:13:00", "stop_time": "2019-01-04 13:15:00"})",
    R"({"services": ["ConfD"], "error_level": "WARN", "tag": "TagWord"})",
};

[[noreturn]] void refuse(std::string_view parameter, const std::string& why) {
  throw JobError{base::Code::bad_parameter, "parameter '" + std::string(parameter) + "': " + why};
}

// "2019-01-04 13:13:00" in the local time of the node.
base::WallTime parse_time(std::string_view parameter, const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &parts);
  const std::tm given = parts;
  parts.tm_isdst = -1;
  const std::time_t seconds = end == nullptr || *end != '\0' ? -1 : ::mktime(&parts);
  // mktime turns 2019-02-31 into another day instead of refusing it.
  if (seconds == -1 || parts.tm_mday != given.tm_mday || parts.tm_mon != given.tm_mon)
    refuse(parameter, "'" + text + "' is no time of the form 2019-01-04 13:13:00");
  return std::chrono::system_clock::from_time_t(seconds);
}

// "1d 2h" or plain seconds (spec/exaconf.md §7 "duration").
std::optional<std::chrono::seconds> parse_interval(std::string_view text) {
  static constexpr std::pair<char, std::int64_t> kUnits[] = {
      {'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
  constexpr std::int64_t kLongest = 100LL * 366 * 86400;
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  text = base::trim(text);
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = base::parse_int(text.substr(0, digits));
    if (digits == 0 || !number || *number > kLongest) return std::nullopt;
    text = base::trim(text.substr(digits));
    std::int64_t factor = 1;
    if (text.empty()) {
      next_unit = std::size(kUnits);  // a last bare number is seconds
    } else {
      while (next_unit < std::size(kUnits) && kUnits[next_unit].first != text.front()) ++next_unit;
      if (next_unit == std::size(kUnits)) return std::nullopt;
      factor = kUnits[next_unit++].second;
      text = base::trim(text.substr(1));
    }
    total += *number * factor;
    if (total > kLongest) return std::nullopt;
  }
  return std::chrono::seconds(total);
}

std::chrono::seconds interval_of(JobContext& context) {
  if (context.param("default_interval") == nullptr) return kDefaultInterval;
  const std::string& text = context.text("default_interval");
  const auto interval = parse_interval(text);
  if (!interval)
    refuse("default_interval", "'" + text + "' is no interval such as '1d 2h', '10m' or 600 (seconds)");
  return *interval;
}

template <class T>
void add_once(std::vector<T>& list, T item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(std::move(item));
}

// Names and ids to the names that events use.
std::vector<std::string> database_names(JobContext& context) {
  std::vector<std::string> names;
  for (const std::string& given : context.texts("dbs")) {
    const std::vector<std::string> known = context.config().ids("DB");
    const auto it = std::find_if(known.begin(), known.end(), [&](const std::string& name) {
      const exaconf::Section* section = context.config().section("DB", name);
      return name == given || (section != nullptr && section->value_or("ID", "") == given);
    });
    if (it == known.end())
      throw JobError{base::Code::not_found, "database '" + given + "' does not exist; see db_list"};
    add_once(names, *it);
  }
  return names;
}

std::vector<int> node_ids(JobContext& context) {
  std::vector<int> ids;
  const base::Value* given = context.param("nodes");
  if (given == nullptr || given->as_array().empty()) {
    for (const auto& [id, node] : context.config().nodes()) ids.push_back(id);
    return ids;
  }
  for (const base::Value& item : given->as_array()) {
    const auto number = item.is_int()      ? std::optional(item.as_int())
                        : item.is_string() ? base::parse_int(item.as_string())
                                           : std::nullopt;
    if (!number) refuse("nodes", "must be a list of node ids");
    const bool fits = *number >= 0 && *number <= 2147483647;
    if (!fits || !context.config().nodes().contains(static_cast<int>(*number)))
      throw JobError{base::Code::not_found,
                     "node " + std::to_string(*number) + " does not exist; see node_list"};
    add_once(ids, static_cast<int>(*number));
  }
  return ids;
}

struct Request {
  std::vector<std::string> services;
  std::vector<int> nodes;
  base::Array databases;
  std::optional<base::WallTime> start;
  base::WallTime stop;
  std::chrono::seconds interval;
  std::string level;
  std::string tag;
};

Request read_request(JobContext& context) {
  Request request;
  for (std::string& service : context.texts("services")) add_once(request.services, std::move(service));
  if (request.services.empty() || request.services.size() > kMostServices)
    refuse("services", "must name between 1 and " + std::to_string(kMostServices) + " services");
  request.nodes = node_ids(context);
  for (std::string& name : database_names(context)) request.databases.emplace_back(std::move(name));
  if (context.param("start_time") != nullptr)
    request.start = parse_time("start_time", context.text("start_time"));
  request.stop = context.services().clock.now();
  if (context.param("stop_time") != nullptr)
    request.stop = parse_time("stop_time", context.text("stop_time")) + std::chrono::microseconds(999999);
  if (request.start && *request.start > request.stop) refuse("stop_time", "is before start_time");
  request.interval = interval_of(context);
  request.level = context.text_or("error_level", "");
  request.tag = context.text_or("tag", "");
  if (context.param("tag") != nullptr && (request.tag.empty() || request.tag.size() > 128))
    refuse("tag", "must have between 1 and 128 characters");
  return request;
}

void check_log_collect(JobContext& context) {
  read_request(context);
}

// Where to begin: behind the tag's position, if it has one; never before start_time.
base::Struct start_position(const Request& request, const base::Value* stored) {
  const bool later_call = stored != nullptr && stored->is_struct() && stored->find("time") != nullptr &&
                          stored->find("time")->is_string() && stored->find("count") != nullptr &&
                          stored->find("count")->is_int();
  const std::string start =
      base::format_utc(request.start ? *request.start : request.stop - request.interval);
  if (later_call && (!request.start || stored->find("time")->as_string() >= start))
    return stored->as_struct();
  return {{"time", start}, {"count", 0}};
}

struct Collected {
  base::Array events;
  base::Struct positions;
  bool more = false;
  bool any_log = false;
  std::vector<std::string> warnings;
};

// The events of one service on one node. A service without a log has no events, which is worth a warning.
void collect(JobContext& context, const Request& request, const std::string& service, int node,
             const base::Value* stored, Collected& collected) {
  const auto share = static_cast<std::int64_t>(request.services.size() * request.nodes.size());
  const base::Struct query{{"service", service},
                           {"after", start_position(request, stored)},
                           {"until", base::format_utc(request.stop)},
                           {"level", request.level},
                           {"mentions", request.databases},
                           {"limit", std::max<std::int64_t>(kMostEvents / share, 1)},
                           {"oldest_first", !request.tag.empty()}};
  base::Value answer;
  try {
    answer = context.run(node, "log.read", query, Recorded::size_only);
  } catch (const JobError& error) {
    if (error.code != base::Code::not_found) throw;
    collected.warnings.push_back("node " + std::to_string(node) + ": " + error.text);
    return;
  }
  collected.any_log = true;
  collected.more = collected.more || answer.find("more")->as_bool();
  collected.positions.set(std::to_string(node) + " " + service, *answer.find("position"));
  for (const base::Value& event : answer.find("events")->as_array())
    collected.events.push_back(base::Struct{{"time", *event.find("time")},
                                            {"service", service},
                                            {"node", node},
                                            {"level", *event.find("level")},
                                            {"text", *event.find("text")}});
}

// False when another call with the same tag was faster: its events are not to be returned twice.
bool keep_positions(JobContext& context, const std::string& tag, const base::Struct& before,
                    base::Struct positions) {
  try {
    context.run(context.services().nodes.own_node(), "log_tag.write",
                {{"tag", tag}, {"expected", before}, {"positions", std::move(positions)}});
  } catch (const JobError& error) {
    if (error.code != base::Code::conflict) throw;
    return false;
  }
  return true;
}

Collected collect_once(JobContext& context, const Request& request, const base::Struct& stored) {
  Collected collected;
  collected.positions = stored;
  for (const int node : request.nodes)
    for (const std::string& service : request.services)
      collect(context, request, service, node, stored.find(std::to_string(node) + " " + service), collected);
  return collected;
}

Collected collect_with_tag(JobContext& context, const Request& request) {
  const int own_node = context.services().nodes.own_node();
  for (;;) {
    context.check_stop();
    const base::Struct stored =
        context.run(own_node, "log_tag.read", {{"tag", request.tag}}).find("positions")->as_struct();
    Collected collected = collect_once(context, request, stored);
    if (!collected.any_log || context.dry_run() ||
        keep_positions(context, request.tag, stored, collected.positions))
      return collected;
  }
}

std::optional<base::Value> log_collect(JobContext& context) {
  const Request request = read_request(context);
  Collected collected =
      request.tag.empty() ? collect_once(context, request, {}) : collect_with_tag(context, request);
  for (std::string& warning : collected.warnings) context.warn(std::move(warning));
  if (!collected.any_log)
    throw JobError{base::Code::not_found,
                   "no log of " + base::join(request.services, ", ") + " on the nodes asked; ConfD has one"};
  if (collected.more)
    context.warn(request.tag.empty()
                     ? "there are more events than one call returns: the newest ones are shown; narrow the "
                       "time with start_time and stop_time"
                     : "there are more events than one call returns: the oldest ones are shown; call again "
                       "with the tag for the next ones");
  std::stable_sort(collected.events.begin(), collected.events.end(),
                   [](const base::Value& a, const base::Value& b) {
                     return a.find("time")->as_string() < b.find("time")->as_string();
                   });
  return std::move(collected.events);
}

constexpr JobDescriptor kLogJobs[] = {
    {.name = "log_collect",
     .help = "Log events of services",
     .long_help = "At most 10,000 events, shared evenly by the services and nodes asked, and 4 MiB of text "
                  "from each: the newest ones; with a tag the "
                  "oldest ones that were not returned yet, so that the next call goes on. Without start_time "
                  "the job looks back default_interval from stop_time (or now). A service without a log is "
                  "noted as a warning; when none of the services has one, the job fails.",
     .kind = JobKind::read,
     .mandatory = kLogParams,
     .optional = kLogOptions,
     .aliases = kLogAliases,
     .users = kRootUser,
     .groups = kAdmins,
     .examples = kLogExamples,
     .returns = "list of structs with time (UTC), service, node, level and text, in order of time",
     .check = &check_log_collect,
     .execute = &log_collect},
};

}  // namespace

std::span<const JobDescriptor> log_jobs() {
  return kLogJobs;
}

}  // namespace confd::jobs
