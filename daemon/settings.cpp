#include "daemon/settings.h"

#include <functional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/value.h"
#include "base/yaml.h"

namespace confd::daemon {

using base::Code;
using base::Error;
using base::Result;
using base::Value;

namespace {

// One key: how it is written, what it means, how it gets into Settings and out of it (for the sample).
struct Key {
  std::string section, name, help;
  std::function<std::string(Settings&, const Value&)> set;  // error text, or empty
  std::function<std::string(const Settings&)> show;
};

Key number(std::string section, std::string name, std::string help, std::int64_t least, std::int64_t most,
           std::function<void(Settings&, std::int64_t)> set,
           std::function<std::int64_t(const Settings&)> get) {
  return {std::move(section), std::move(name), std::move(help),
          [=](Settings& settings, const Value& value) -> std::string {
            if (!value.is_int()) return "wants a whole number";
            if (value.as_int() < least || value.as_int() > most)
              return "wants a number from " + std::to_string(least) + " to " + std::to_string(most);
            set(settings, value.as_int());
            return {};
          },
          [=](const Settings& settings) { return std::to_string(get(settings)); }};
}

Key word(std::string section, std::string name, std::string help, std::vector<std::string> words,
         std::function<void(Settings&, const std::string&)> set,
         std::function<std::string(const Settings&)> get) {
  return {std::move(section), std::move(name), std::move(help),
          [=](Settings& settings, const Value& value) -> std::string {
            if (value.is_string())
              for (const std::string& allowed : words)
                if (base::equals_ignoring_case(value.as_string(), allowed)) {
                  set(settings, allowed);
                  return {};
                }
            return "wants one of: " + base::join(words, ", ");
          },
          get};
}

Key text(std::string section, std::string name, std::string help, std::string Settings::*member) {
  return {std::move(section), std::move(name), std::move(help),
          [=](Settings& settings, const Value& value) -> std::string {
            if (value.is_null()) return {};
            if (!value.is_string()) return "wants a text";
            settings.*member = value.as_string();
            return {};
          },
          [=](const Settings& settings) {
            return (settings.*member).empty() ? std::string("''") : settings.*member;
          }};
}

constexpr std::int64_t kGiB = 1ll << 30;

#define FIELD(type, path)                                             \
  [](Settings& s, std::int64_t n) { s.path = static_cast<type>(n); }, \
      [](const Settings& s) { return static_cast<std::int64_t>(s.path); }
#define SPAN(unit, path)                                                                             \
  [](Settings& s, std::int64_t n) { s.path = std::chrono::unit(n); }, [](const Settings& s) {        \
    return static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::unit>(s.path).count()); \
  }

std::vector<Key> make_keys() {
  return {
      word(
          "cluster", "store",
          "where EXAConf is agreed on: local = one node, no other program is needed; managed = an etcd "
          "that confd starts and watches on the first nodes; etcd = the etcd at `endpoints`",
          {"local", "managed", "etcd"}, [](Settings& s, const std::string& w) { s.store = w; },
          [](const Settings& s) { return s.store; }),
      text("cluster", "endpoints", "with store: etcd: its members: host:port, host:port, ... (TLS)",
           &Settings::etcd_endpoints),
      text("cluster", "prefix", "start of the store's keys; one for each cluster that shares it",
           &Settings::etcd_prefix),
      text("cluster", "authority",
           "who signed the store's certificates; default: the cluster's own authority",
           &Settings::etcd_authority),
      text("cluster", "certificate", "shown to the store; default: this node's certificate of the cluster",
           &Settings::etcd_certificate),
      text("cluster", "key", "of that certificate", &Settings::etcd_key),
      number("cluster", "lease_seconds",
             "a master that is silent for so long is replaced; renewed three times within", 1, 60,
             SPAN(seconds, lease)),
      number("cluster", "members",
             "with store: managed: nodes that run a member of it, the first by id; an odd number: 1, 3, 5 "
             "or 7. 0: three, or five when there are five nodes or more",
             0, 7, FIELD(int, etcd_members)),
      number("cluster", "client_port",
             "with store: managed: port of a member for the nodes' confd, on the private address", 1, 65535,
             FIELD(std::uint16_t, etcd_client_port)),
      number("cluster", "peer_port", "with store: managed: port of a member for the other members", 1, 65535,
             FIELD(std::uint16_t, etcd_peer_port)),
      number("cluster", "heartbeat_ms",
             "with store: managed: how often its leader is heard; longer than the way between two nodes and "
             "back",
             10, 5000, SPAN(milliseconds, etcd_heartbeat)),
      number("cluster", "election_ms",
             "with store: managed: a leader of it that is silent for so long is replaced; at least 5 "
             "heartbeats, and at most half of lease_seconds",
             100, 50'000, SPAN(milliseconds, etcd_election)),
      text("cluster", "etcd", "with store: managed: the program", &Settings::etcd_program),
      word(
          "platform", "provider",
          "who makes, starts and stops the machines of nodes: none = nobody; local = confd itself, as "
          "processes on this machine; hook = the program `hook` (docs/platform.md)",
          {"none", "local", "hook"}, [](Settings& s, const std::string& w) { s.platform = w; },
          [](const Settings& s) { return s.platform; }),
      text("platform", "hook", "with provider: hook: the whole path of the program",
           &Settings::platform_hook),
      text(
          "platform", "nodes_folder",
          "with provider: local: where the nodes' roots are, as n12; default: the folder this node's root is "
          "in",
          &Settings::nodes_folder),
      text("platform", "update_hook",
           "the program that update_system runs for each node; default: `hook` with provider: hook",
           &Settings::update_hook),
      number("platform", "update_seconds", "time the update of one node may take", 1, 7 * 86400,
             SPAN(seconds, update_timeout)),
      number("platform", "return_seconds", "time until a node that was updated must be back", 1, 86400,
             SPAN(seconds, return_timeout)),
      word(
          "log", "level", "least severe level that is logged; SIGHUP reads it again",
          {"err", "warn", "notice", "info", "debug"},
          [](Settings& s, const std::string& w) { s.log.level = *base::parse_log_level(w); },
          [](const Settings& s) { return base::to_lower(base::log_level_name(s.log.level)); }),
      number("log", "file_bytes", "size at which logs/logd/ConfD.log is rotated", 64 << 10, kGiB,
             FIELD(std::size_t, log.file_bytes)),
      number("log", "files", "rotated files kept", 1, 100, FIELD(std::size_t, log.files)),
      number("http", "threads", "threads that serve connections", 1, 64, FIELD(unsigned, http.threads)),
      number("http", "header_limit", "bytes of a request's header", 1024, 1 << 20,
             FIELD(std::size_t, http.header_limit)),
      number("http", "body_limit_before_login",
             "bytes of a body that are read (and dropped) of a caller who is refused", 0, 16 << 20,
             FIELD(std::uint64_t, http.drain_limit)),
      number("http", "body_limit", "bytes of a body after the login", 1024, kGiB,
             FIELD(std::uint64_t, body_limit)),
      number("http", "buffered_limit", "bytes of all bodies held at the same time", 1 << 20, 64 * kGiB,
             FIELD(std::uint64_t, http.buffered_limit)),
      number("http", "connections", "connections in all", 10, 1'000'000,
             FIELD(std::size_t, http.connection_limit)),
      number("http", "connections_per_address", "connections from one address", 1, 1'000'000,
             FIELD(std::size_t, http.connections_per_address)),
      number("http", "handshake_seconds", "time for a TLS handshake", 1, 3600,
             SPAN(seconds, http.handshake_deadline)),
      number("http", "header_seconds", "time from the first byte of a request to the end of its header", 1,
             3600, SPAN(seconds, http.header_deadline)),
      number("http", "body_seconds", "time a body may make no progress", 1, 3600,
             SPAN(seconds, http.body_deadline)),
      number("http", "write_seconds", "time an answer may make no progress", 1, 3600,
             SPAN(seconds, http.write_deadline)),
      number("http", "idle_seconds",
             "time a connection may be idle between requests; one that waits for a job never is", 1, 86400,
             SPAN(seconds, http.idle_deadline)),
      number("http", "gzip_minimum",
             "smallest answer in bytes that is compressed when the client accepts gzip", 0, kGiB,
             FIELD(std::size_t, http.gzip_minimum)),
      number("rpc", "depth", "nested arrays and structs in one call", 4, 512,
             FIELD(std::uint64_t, rpc_depth)),
      number("rpc", "values", "values in one call", 100, 100'000'000, FIELD(std::uint64_t, rpc_values)),
      number("rpc", "subscriptions_per_user", "event subscriptions of one user", 1, 10'000,
             FIELD(std::uint64_t, subscriptions_per_user)),
      number("login", "threads", "threads that check passwords", 1, 64, FIELD(std::uint64_t, login_threads)),
      number("login", "queue", "logins waiting for such a thread, in all", 1, 100'000,
             FIELD(std::uint64_t, login_queue)),
      number("login", "queue_per_address", "logins waiting, from one address", 1, 100'000,
             FIELD(std::uint64_t, login_queue_per_address)),
      number("login", "remember_seconds", "time a verified login is remembered; 0 = not at all", 0, 86400,
             SPAN(seconds, login.remember)),
      number("login", "first_delay_ms",
             "an answer to the first failed login waits this long; each further one twice as long", 0, 60'000,
             SPAN(milliseconds, login.first_delay)),
      number("login", "longest_delay_ms", "but at most this long", 0, 600'000,
             SPAN(milliseconds, login.longest_delay)),
      number("login", "token_seconds", "life of a token of user_login", 60, 31'536'000,
             SPAN(seconds, token_lifetime)),
      number("scheduler", "running_read_jobs", "read jobs that run at the same time", 1, 512,
             FIELD(std::size_t, scheduler.limits.reads)),
      number("scheduler", "running_modify_jobs", "modify jobs that run at the same time", 1, 512,
             FIELD(std::size_t, scheduler.limits.modifies)),
      number("scheduler", "queued_jobs", "jobs waiting to be started", 1, 1'000'000,
             FIELD(std::size_t, scheduler.queued_jobs)),
      number("scheduler", "queued_jobs_per_user", "the same, of one user", 1, 1'000'000,
             FIELD(std::size_t, scheduler.queued_jobs_per_user)),
      number("scheduler", "recent_jobs", "ended jobs kept in memory; older ones are read from their files", 1,
             1'000'000, FIELD(std::size_t, scheduler.recent_jobs)),
      number("scheduler", "keep_hours", "age at which a job's file is deleted", 1, 24 * 3650,
             SPAN(hours, scheduler.retention.age)),
      number("scheduler", "keep_jobs", "jobs on record; the oldest go first", 100, 100'000'000,
             FIELD(std::uint64_t, scheduler.retention.jobs)),
      number("scheduler", "keep_bytes", "bytes of job files; the oldest go first", 1 << 20, 1024 * kGiB,
             FIELD(std::uint64_t, scheduler.retention.bytes)),
      number("scheduler", "unfetched_seconds",
             "time after which a job nobody asked the result of goes to the archive", 1, 31'536'000,
             SPAN(seconds, scheduler.retention.unfetched)),
      number("scheduler", "journal_bytes", "size of the job journal at which a checkpoint is taken", 64 << 10,
             kGiB, FIELD(std::uint64_t, scheduler.journal_bytes)),
      number("scheduler", "look_ms", "how often EXAConf is looked at for edits by hand", 50, 60'000,
             SPAN(milliseconds, scheduler.look_every)),
      number("scheduler", "stop_seconds", "time running jobs get to end after SIGTERM", 0, 86400,
             SPAN(seconds, stop_deadline)),
  };
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = make_keys();
  return all;
}

// What each key alone can't show. Error text, or empty.
std::string contradiction(const Settings& settings) {
  if (settings.platform == "hook" && settings.platform_hook.empty())
    return "`platform: provider` is hook, so `platform: hook` must name the program";
  for (const auto& [key, path] :
       {std::pair("hook", &settings.platform_hook), std::pair("update_hook", &settings.update_hook),
        std::pair("nodes_folder", &settings.nodes_folder)})
    if (!path->empty() && !path->starts_with('/'))
      return std::string("`platform: ") + key + "` wants the whole path";
  if (!settings.is_managed()) return {};
  const auto ms = [](std::chrono::milliseconds time) { return std::to_string(time.count()) + " ms"; };
  if (settings.etcd_members != 0 && settings.etcd_members % 2 == 0)
    return "`cluster: members` wants an odd number: " + std::to_string(settings.etcd_members) +
           " members bear no more failures than " + std::to_string(settings.etcd_members - 1);
  if (settings.etcd_client_port == settings.etcd_peer_port)
    return "`cluster: client_port` and `cluster: peer_port` want two ports";
  if (settings.etcd_election < settings.etcd_heartbeat * 5)
    return "`cluster: election_ms` of " + ms(settings.etcd_election) +
           " wants to be at least 5 times `cluster: "
           "heartbeat_ms`, " +
           ms(settings.etcd_heartbeat) + ": else one late heartbeat costs the store its leader";
  // While the store elects a leader no lease is renewed: the master would be lost with each of its leaders.
  if (settings.lease < settings.etcd_election * 2)
    return "`cluster: lease_seconds` of " + ms(settings.lease) +
           " wants to be at least twice `cluster: "
           "election_ms`, " +
           ms(settings.etcd_election) + ": else the store's election ends the master's lease";
  if (!settings.etcd_program.starts_with('/')) return "`cluster: etcd` wants the program's whole path";
  return {};
}

}  // namespace

Result<Settings> parse_settings(std::string_view yaml, const std::string& name) {
  Settings settings;
  const auto value = base::parse_yaml(yaml);
  if (!value) return Error{Code::invalid_config, name + ": " + value.error().text};
  if (value->is_null()) return settings;
  if (!value->is_struct())
    return Error{Code::invalid_config, name + ": wants sections such as `log:`, see confd.yaml.sample"};
  for (const auto& [section, members] : value->as_struct()) {
    if (members.is_null()) continue;
    if (!members.is_struct())
      return Error{Code::invalid_config, name + ": `" + section + "` is a section and wants keys below it"};
    for (const auto& [key_name, wanted] : members.as_struct()) {
      const Key* found = nullptr;
      for (const Key& key : keys())
        if (key.section == section && key.name == key_name) found = &key;
      if (!found)
        return Error{Code::invalid_config, name + ": there is no setting `" + section + ": " + key_name +
                                               "`; confd.yaml.sample lists all"};
      if (const std::string wrong = found->set(settings, wanted); !wrong.empty())
        return Error{Code::invalid_config, name + ": `" + section + ": " + key_name + "` " + wrong};
    }
  }
  if (const std::string wrong = contradiction(settings); !wrong.empty())
    return Error{Code::invalid_config, name + ": " + wrong};
  return settings;
}

Result<Settings> load_settings(base::FileSystem& files, const std::string& path) {
  const auto text = files.read(path);
  if (!text) {
    if (text.error().code == Code::not_found) return Settings();
    return text.error();
  }
  return parse_settings(*text, path);
}

std::string changed_settings(const Settings& settings, std::string_view section) {
  const Settings defaults;
  std::string text;
  for (const Key& key : keys()) {
    std::string value = key.show(settings);
    if (key.section != section || value == key.show(defaults)) continue;
    if (!base::parse_int(value)) {
      for (std::size_t at = value.find('\''); at != std::string::npos; at = value.find('\'', at + 2))
        value.insert(at, 1, '\'');
      value = "'" + value + "'";
    }
    text += "  " + key.name + ": " + value + "\n";
  }
  return text.empty() ? text : std::string(section) + ":\n" + text;
}

std::string settings_sample() {
  const Settings defaults;
  std::string text =
      "# Settings of confd itself: <root>/etc/confd.yaml. All keys with their defaults; uncomment what you "
      "change.\n"
      "# The port, the addresses and the certificate are EXAConf's. SIGHUP reads log: level again, all else "
      "needs a restart.\n";
  std::string section;
  for (const Key& key : keys()) {
    if (key.section != section) {
      section = key.section;
      text += "\n" + section + ":\n";
    }
    text += "  # " + key.help + "\n  # " + key.name + ": " + key.show(defaults) + "\n";
  }
  return text;
}

}  // namespace confd::daemon
