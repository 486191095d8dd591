// EtcdConnections: which endpoint of etcd is spoken to, and the connections that are kept to it. Used by
// EtcdClient. Thread-safety: any thread; no lock is held while bytes move.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/value.h"
#include "cluster/etcd_client.h"
#include "rpc/https_client.h"

namespace confd::cluster {

class EtcdConnections {
 public:
  using Endpoint = EtcdClient::Endpoint;
  using Call = EtcdClient::Call;
  // repeatable: twice is as good as once, so another endpoint is asked when an answer gets lost. once: a lost
  // answer is Code::unknown_outcome. local: repeatable, and needs no leader (serializable reads).
  enum class Kind { repeatable, once, local };

  EtcdConnections(std::shared_ptr<const rpc::ClientTls> tls, std::vector<Endpoint> endpoints);

  // From now on these.
  void use(std::vector<Endpoint> endpoints) EXCLUDES(mutex_);

  // POST of JSON to the endpoint that answered last; the others are tried as long as the deadline allows.
  base::Result<base::Value> post(const std::string& path, const std::string& body, Kind kind,
                                 const Call& call) EXCLUDES(mutex_);
  // The same to this one alone. Code::node_unreachable when it can't be reached.
  base::Result<base::Value> post_to(const Endpoint& endpoint, const std::string& path,
                                    const std::string& body, const Call& call);

  // GET of what members tell each other, from this one's peer address; any status.
  base::Result<rpc::HttpResponse> get_from_peer(const Endpoint& peer, const std::string& path,
                                                const Call& call);

  // For a stream: a connection of its own to the endpoint that answered last, not yet made. `number` goes to
  // answered() or failed().
  rpc::HttpsClient stream_client(std::size_t& number) EXCLUDES(mutex_);
  void answered(std::size_t number) EXCLUDES(mutex_);
  // Others are asked first from now on.
  void failed(std::size_t number) EXCLUDES(mutex_);
  std::size_t size() const EXCLUDES(mutex_);

 private:
  struct Attempt;
  Attempt attempt(std::size_t number, const rpc::HttpRequest& request, Kind kind,
                  const rpc::HttpsClient::Limits& limits) EXCLUDES(mutex_);
  std::optional<rpc::HttpsClient> take_idle(std::size_t number) EXCLUDES(mutex_);
  void keep(std::size_t number, rpc::HttpsClient client) EXCLUDES(mutex_);
  // The numbers of those in use, the one that answered last first.
  std::vector<std::size_t> in_turn() const EXCLUDES(mutex_);
  Endpoint endpoint(std::size_t number) const EXCLUDES(mutex_);

  const std::shared_ptr<const rpc::ClientTls> tls_;
  mutable base::Mutex mutex_;
  // All that were ever used, so that a number means the same endpoint for good.
  std::vector<Endpoint> endpoints_ GUARDED_BY(mutex_);
  std::vector<std::vector<rpc::HttpsClient>> idle_ GUARDED_BY(mutex_);  // one list an endpoint
  std::vector<std::size_t> used_ GUARDED_BY(mutex_);                    // numbers, in order
  std::size_t preferred_ GUARDED_BY(mutex_) = 0;                        // place in used_
};

// Request as etcd's gateway wants it. `needs_leader`: a member that has lost its leader refuses at once.
rpc::HttpRequest etcd_request(const std::string& path, const std::string& body, bool needs_leader);

}  // namespace confd::cluster
