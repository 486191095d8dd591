// EtcdClient: what confd needs of etcd 3.4 through its JSON gateway (/v3/...), over TLS with client
// certificates. Keys and values are bytes; base64 and JSON stay inside.
//
// Several endpoints: a call goes to the one that answered last; when it can't be reached the next is tried,
// as long as the deadline allows. A transaction whose answer got lost is Code::unknown_outcome: it may or may
// not have happened, and the caller reads before it goes on. Thread-safety: any thread; each call takes a
// connection from a pool of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "rpc/https_client.h"

namespace confd::cluster {

class EtcdConnections;

struct KeyValue {
  std::string key;
  std::string value;
  std::int64_t create_revision = 0;  // etcd's counters, not EXAConf's
  std::int64_t mod_revision = 0;
  std::int64_t version = 0;
  std::int64_t lease = 0;
};

struct EtcdCompare {
  enum class Field { create_revision, mod_revision, version, value, lease } field = Field::mod_revision;
  enum class Is { equal, greater, less, not_equal } is = Is::equal;
  std::string key;
  std::int64_t number = 0;  // for all fields but value
  std::string value;
};

struct EtcdOperation {
  enum class Kind { put, remove, range } kind = Kind::put;
  std::string key;
  std::string range_end;   // remove, range: up to here, exclusive; empty: the one key
  std::string value;       // put
  std::int64_t lease = 0;  // put
};

struct EtcdTransactionResult {
  bool succeeded = false;  // all compares held
  std::int64_t revision = 0;
  std::vector<std::vector<KeyValue>> ranges;  // one an operation of kind range, in order
};

struct EtcdMember {
  std::uint64_t id = 0;
  std::string name;
  std::vector<std::string> peer_urls, client_urls;
  bool is_learner = false;
};

class EtcdClient {
 public:
  struct Endpoint {
    std::string host;
    std::uint16_t port = 2379;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };
  struct Call {
    std::chrono::steady_clock::time_point deadline;
    std::stop_token stop;
  };

  EtcdClient(std::shared_ptr<const rpc::ClientTls> tls, std::vector<Endpoint> endpoints);
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  // From now on these, in this order; connections to those that stay are kept.
  void set_endpoints(std::vector<Endpoint> endpoints);

  // Errors of all calls: Code::no_quorum (etcd answers that it has no leader, or no endpoint can be reached),
  // Code::timeout, Code::stopped, Code::io_error with etcd's own text. Calls that change something and are
  // not repeatable (transact, add_learner, promote, remove_member) also: Code::unknown_outcome. Calls to one
  // endpoint: Code::node_unreachable.
  base::Result<std::vector<KeyValue>> range(const std::string& key, const std::string& range_end,
                                            const Call& call, bool serializable = false);
  // The header's revision too: a watch goes on from there.
  struct Snapshot {
    std::vector<KeyValue> values;
    std::int64_t revision = 0;
  };
  base::Result<Snapshot> snapshot(const std::string& key, const std::string& range_end, const Call& call);
  // The `most` that were made first, oldest first, and how many there are in all.
  struct Oldest {
    std::vector<KeyValue> values;
    std::int64_t count = 0;
  };
  base::Result<Oldest> oldest(const std::string& key, const std::string& range_end, int most,
                              const Call& call);
  base::Result<EtcdTransactionResult> transact(const std::vector<EtcdCompare>& compares,
                                               const std::vector<EtcdOperation>& then,
                                               const std::vector<EtcdOperation>& otherwise, const Call& call);

  base::Result<std::int64_t> grant_lease(std::chrono::seconds time_to_live, const Call& call);
  // Seconds left; Code::not_found when the lease has ended.
  base::Result<std::chrono::seconds> keep_alive(std::int64_t lease, const Call& call);
  // ok too when it has ended already.
  base::Status revoke_lease(std::int64_t lease, const Call& call);

  struct Event {
    bool removed = false;
    KeyValue value;
  };
  // `revision`: all events up to there have been handed over, so watching goes on from the next. A progress
  // notification comes as a batch without events.
  // Blocks; hands over events from `from_revision` on as they come, in batches of one etcd revision or more,
  // until `each` returns false (ok), the stop token (Code::stopped) or the connection ends
  // (Code::node_unreachable: call again from the next revision). Code::not_found: the revision is compacted
  // away, read a snapshot first. etcd's own progress notifications keep the connection checked: `silence`
  // without any is Code::timeout.
  base::Status watch(const std::string& key, const std::string& range_end, std::int64_t from_revision,
                     const std::function<bool(std::int64_t revision, const std::vector<Event>& events)>& each,
                     std::chrono::milliseconds silence, std::stop_token stop);

  // ok too when that is done already.
  base::Status compact(std::int64_t revision, const Call& call);
  base::Status defragment(const Endpoint& endpoint, const Call& call);

  base::Result<std::vector<EtcdMember>> members(const Call& call);
  base::Result<EtcdMember> add_learner(const std::string& peer_url, const Call& call);
  base::Status promote(std::uint64_t member, const Call& call);
  base::Status remove_member(std::uint64_t member, const Call& call);
  // etcd's leader, which is at `endpoint`, hands leading over to this member.
  base::Status move_leader(const Endpoint& endpoint, std::uint64_t member, const Call& call);
  base::Status move_member(std::uint64_t member, const std::string& peer_url, const Call& call);
  struct EndpointStatus {
    std::uint64_t cluster = 0, member = 0, leader = 0;
    std::int64_t database_bytes = 0, database_bytes_in_use = 0;
    std::int64_t raft_index = 0;
    std::string version;
  };
  base::Result<EndpointStatus> status(const Endpoint& endpoint, const Call& call);
  // The store that the member with this peer address belongs to, as EndpointStatus::cluster. It tells also
  // while it has no leader, when it answers no client.
  base::Result<std::uint64_t> cluster_of(const Endpoint& peer, const Call& call);

 private:
  EtcdConnections& connections() const { return *connections_; }
  const std::unique_ptr<EtcdConnections> connections_;
};

}  // namespace confd::cluster
