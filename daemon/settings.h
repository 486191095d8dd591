// Settings: our own settings in <root>/etc/confd.yaml. Every key has a default; packaging/confd.yaml.sample
// is made from the same table.
//
// An absent file means all defaults. An unknown key, a wrong type, a value out of range is an Error that
// names file and key. Thread-safety: a plain value.
#pragma once

#include <string>

#include "auth/login.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/result.h"
#include "rpc/http_server.h"
#include "scheduler/scheduler.h"

namespace confd::daemon {

struct Settings {
  std::string store = "local";
  bool is_cluster() const { return store != "local"; }
  bool is_managed() const { return store == "managed"; }
  std::string etcd_endpoints;  // "host:port, host:port"
  std::string etcd_prefix = "/confd/";
  std::string etcd_authority, etcd_certificate, etcd_key;  // paths; empty: this node's own of the cluster
  std::chrono::milliseconds lease{3000};
  // The managed store's.
  std::string etcd_program = "/usr/bin/etcd";
  int etcd_members = 0;  // cluster/etcd_roster.h wanted_members()
  std::uint16_t etcd_client_port = 2379, etcd_peer_port = 2380;
  std::chrono::milliseconds etcd_heartbeat{100}, etcd_election{1000};
  std::string platform = "none";  // the provider: none, local or hook
  std::string platform_hook, update_hook;
  std::string nodes_folder;  // empty: the one the root is in
  std::chrono::seconds update_timeout{3600}, return_timeout{900};
  base::Log::Options log;
  rpc::HttpServerOptions http;
  std::uint64_t body_limit = 64u << 20;  // after the login
  std::uint64_t rpc_depth = 64;
  std::uint64_t rpc_values = 1'000'000;
  std::uint64_t login_threads = 2;
  std::uint64_t login_queue = 500;
  std::uint64_t login_queue_per_address = 50;
  auth::LoginOptions login;
  std::chrono::seconds token_lifetime{12 * 3600};
  scheduler::SchedulerOptions scheduler;
  std::chrono::seconds stop_deadline{30};
  std::uint64_t subscriptions_per_user = 16;
};

base::Result<Settings> load_settings(base::FileSystem& files, const std::string& path);
base::Result<Settings> parse_settings(std::string_view yaml, const std::string& name);

// What `settings` says of a section beyond the defaults, as YAML that parse_settings() reads; for a new node.
std::string changed_settings(const Settings& settings, std::string_view section);

// Text of packaging/confd.yaml.sample: every key with its meaning and its default, commented out.
std::string settings_sample();

}  // namespace confd::daemon
