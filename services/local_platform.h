// LocalPlatform: the provider `local`: the nodes are confd processes on this machine, 127.0.0.<id> or other
// addresses of it, each with a root of its own: <folder>/n<id>, and this node's own.
//
// A node is started detached, in a session of its own (by systemd as a transient unit when systemd runs), and
// outlives the confd that started it. It is found again by run/confd.pid of its root, when that process runs
// the same executable with this --root; confd's own lock keeps a second one out of a root. Roots made here
// carry the mark etc/made_by_platform; only these are deleted. Thread-safety: any thread; actions that change
// something run one after the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/program.h"
#include "services/platform.h"
#include "services/turn.h"

namespace confd::services {

class LocalPlatform : public Platform {
 public:
  struct Options {
    int own_node = 0;
    std::string own_root;
    std::string folder;                            // of the other roots
    std::string program;                           // this confd's executable
    std::optional<int> port;                       // told to the nodes when this one was told one
    int join_port = 0;                             // where this node listens
    bool can_join = false;                         // nodes can join this one's cluster
    std::string settings;                          // etc/confd.yaml of a new node, but for what --join adds
    std::string systemd_run;                       // the program, when systemd runs; empty: plain processes
    std::vector<std::string> systemd_environment;  // what it needs to find its bus
    std::chrono::milliseconds start_patience{std::chrono::seconds(60)};
  };
  explicit LocalPlatform(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "local"; }
  base::Status check(PlatformAction action) const override;
  PlatformAnswer run(PlatformAction action, const base::Struct& request,
                     const PlatformLimits& limits) override;

 private:
  std::string root_of(int node) const;
  bool is_node_root(const std::string& root) const;
  std::optional<base::ProcessHandle> process_of(int node) const;
  base::Struct states(const std::vector<int>& asked) const;
  base::Status start(int node, const PlatformLimits& limits);
  base::Status launch(int node, const PlatformLimits& limits);
  base::Status stop(const std::vector<int>& nodes, const PlatformLimits& limits);
  base::Status add(const std::vector<int>& nodes, const base::Struct& request, const PlatformLimits& limits);
  base::Status join(int node, const std::string& address, const std::string& token,
                    const PlatformLimits& limits);
  base::Status remove(const std::vector<int>& nodes, const PlatformLimits& limits);
  base::Status change(PlatformAction action, const std::vector<int>& nodes, const base::Struct& request,
                      const PlatformLimits& limits);
  void note(const std::string& line);

  const Options options_;
  Turn turn_;
  std::string log_;  // of the action whose turn it is
};

}  // namespace confd::services
