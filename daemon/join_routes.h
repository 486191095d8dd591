// JoinRoutes: how a new node comes into the cluster. POST /join, for whoever proves to hold a join token (the
// proof: auth/join_proof.h): signs his certificate and hands over the authority, EXAConf and the settings of
// the store. POST /join_token at the local socket, for root and the user confd runs as: makes a token.
//
// Only the master answers; others name it. Before the proof nobody learns anything: one refusal for all,
// bodies of 16 KiB, 8 requests at once, 20 refusals a minute and address. Thread-safety: any thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "auth/join_proof.h"
#include "auth/join_tokens.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/log.h"
#include "base/mutex.h"
#include "daemon/membership.h"
#include "daemon/root.h"
#include "exaconf/config.h"
#include "rpc/http_server.h"
#include "scheduler/worker_pool.h"

namespace confd::daemon {

inline constexpr std::string_view kJoinPath = "/join";
inline constexpr std::string_view kJoinTokenPath = "/join_token";
// Beyond it a certificate could begin in the future of one of the two, and logs could not be compared.
inline constexpr std::chrono::seconds kLargestSkew{300};

class JoinRoutes {
 public:
  struct Limits {
    std::size_t at_once = 8;
    std::uint64_t body = 16 << 10;
    std::size_t refusals = 20;  // of one address, within `window`
    std::chrono::seconds window{60};
    std::size_t addresses = 1000;  // remembered
  };
  struct Cluster {
    std::function<exaconf::ConfigPtr()> config;
    std::function<MasterView()> master;
    std::string settings;  // section `cluster:` for the new node; empty: EXAConf is kept on one node
    int port = 0;          // of the listeners
  };
  JoinRoutes(Limits limits, Cluster cluster, const Root& root, base::FileSystem& files,
             auth::JoinTokens& tokens, base::Clock& clock, base::Log& log);

  static bool owns(std::string_view path);
  // For paths that it owns.
  rpc::HeaderDecision on_header(const rpc::HttpRequest& head) EXCLUDES(mutex_);
  void on_request(rpc::HttpRequest request, std::shared_ptr<void> context, rpc::Responder responder);

 private:
  struct Arrival;
  rpc::HttpResponse answer_join(const rpc::HttpRequest& request) EXCLUDES(mutex_);
  base::Result<auth::Proven<auth::JoinAnswer>> admit(const auth::Proven<auth::JoinRequest>& request,
                                                     const rpc::HttpRequest& carrier);
  base::Result<auth::JoinAnswer> answer_for(const auth::JoinRequest& request,
                                            const auth::JoinTokens::Grant& grant) const;
  rpc::HttpResponse answer_token(const rpc::HttpRequest& request);
  // Where the master is, when it is not here.
  std::optional<rpc::HttpResponse> elsewhere(std::string_view path) const;
  base::Status can_admit(int node) const;
  void note_refusal(const std::string& address) EXCLUDES(mutex_);

  const Limits limits_;
  const Cluster cluster_;
  const Root root_;
  base::FileSystem& files_;
  auth::JoinTokens& tokens_;
  base::Clock& clock_;
  base::Log& log_;
  base::Mutex mutex_;
  std::size_t running_ GUARDED_BY(mutex_) = 0;
  struct Refusals {
    base::SteadyTime since;
    std::size_t count = 0;
  };
  std::map<std::string, Refusals> refusals_ GUARDED_BY(mutex_);  // by address
  scheduler::WorkerPool worker_{1};                              // last: its tasks use all of the above
};

}  // namespace confd::daemon
