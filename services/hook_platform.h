// HookPlatform: the provider `hook`, an operator's program that is run once for each action. Its protocol is
// docs/platform.md §Hook; an example is packaging/examples/platform-hook-terraform.
//
//   hook start_nodes  <{"action": "start_nodes", "protocol": 1, "cluster": "...", "nodes": [...]}  >{...}
//
// The action is its one argument, the rest comes by standard input; the answer is a JSON object on standard
// output (or nothing), standard error goes into the job's record. Exit 0: done. 3: it can't do this, 4: not
// now; nothing was changed by both. Others: it failed. Thread-safety: any thread; actions that change
// something run one after the other.
#pragma once

#include <set>
#include <string>

#include "services/platform.h"
#include "services/turn.h"

namespace confd::services {

class HookPlatform : public Platform {
 public:
  struct Options {
    std::string path;               // absolute
    std::string setting;            // how the operator named it, for texts: "platform: hook"
    std::string cluster;            // name, passed on
    std::string directory;          // it runs there
    std::set<PlatformAction> only;  // empty: all
    std::chrono::milliseconds longest_look{std::chrono::seconds(60)};  // for `nodes` and `metadata`
    std::chrono::milliseconds grace{std::chrono::seconds(10)};         // between SIGTERM and SIGKILL
  };
  explicit HookPlatform(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "hook"; }
  base::Status check(PlatformAction action) const override;
  PlatformAnswer run(PlatformAction action, const base::Struct& request,
                     const PlatformLimits& limits) override;

 private:
  const Options options_;
  Turn turn_;
};

}  // namespace confd::services
