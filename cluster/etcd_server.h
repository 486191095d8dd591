// EtcdServer: the member of etcd that a node runs for the managed store: its folder, its argument list, and
// the process: started, found again after a kill of confd, restarted when it dies, stopped with confd.
//
// Files: <data> (0700, etcd's own), <data>.removed (what a removed member left), log and log.1 (bounded),
// record (the pid). Used by ManagedStore. Thread-safety: one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/log.h"
#include "base/program.h"
#include "base/result.h"

namespace confd::cluster {

struct EtcdServerSettings {
  std::string executable = "/usr/bin/etcd";  // no link
  std::string data, log, record;             // absolute paths
  std::string authority, certificate, key;   // the same, for clients and for other members
  int node = 0;
  std::string address;  // IP, private network
  std::uint16_t client_port = 2379, peer_port = 2380;
  std::chrono::milliseconds heartbeat{100}, election{1000};
  std::chrono::milliseconds progress_notify{1000};  // below the silence a watch bears
};

std::string etcd_url(const std::string& address, std::uint16_t port);

// What an empty member is told about the others.
struct EtcdBirth {
  bool is_new = true;  // a store of its own; else one that exists
  // Makes a new store another one than all before it (etcd's cluster id); empty: the first one here.
  std::string token = {};
  struct Peer {
    std::string name, url;
  };
  std::vector<Peer> members;  // this one included
};

std::vector<std::string> etcd_arguments(const EtcdServerSettings& settings,
                                        const std::optional<EtcdBirth>& birth);

class EtcdServer {
 public:
  EtcdServer(EtcdServerSettings settings, base::FileSystem& files, base::Log& log);

  const EtcdServerSettings& settings() const { return settings_; }
  bool has_data() const;
  bool runs();
  bool ends_within(std::chrono::milliseconds time);
  // The pid while it runs.
  std::optional<pid_t> pid() const;

  // Takes over the one that a killed confd left running; its settings are looked at by keep_running().
  void adopt();
  // Starts it when it does not run and is due (it waits longer after each early death); restarts one that
  // runs with other settings. `birth`: for an empty folder. Error: why it can't be started.
  base::Status keep_running(const std::optional<EtcdBirth>& birth);
  // Starts it as the only member of the store, whatever members its data names. REQUIRES: has_data(), !runs()
  base::Status start_alone();
  // How often it died soon after its start, without a longer life between.
  int early_deaths() const { return early_deaths_; }
  // REQUIRES: !runs(). The data becomes <data>.removed.
  base::Status set_aside();
  void stop();
  // The log stays bounded; call it now and then.
  void bound_log();

 private:
  using Clock = std::chrono::steady_clock;
  std::optional<base::ProcessHandle> find() const;
  bool has_other_settings() const;
  base::Status start(std::vector<std::string> arguments);
  base::Status record();
  void note_death();

  const EtcdServerSettings settings_;
  base::FileSystem& files_;
  base::Log& log_;
  std::optional<base::ProcessHandle> process_;
  Clock::time_point started_;
  Clock::time_point due_;
  int early_deaths_ = 0;
  std::string start_problem_;
};

}  // namespace confd::cluster
