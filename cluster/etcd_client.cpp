#include "cluster/etcd_client.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "cluster/etcd_connections.h"
#include "cluster/etcd_json.h"

namespace confd::cluster {

using base::Array;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::Struct;
using base::Value;
using Kind = EtcdConnections::Kind;

EtcdClient::EtcdClient(std::shared_ptr<const rpc::ClientTls> tls, std::vector<Endpoint> endpoints)
    : connections_(std::make_unique<EtcdConnections>(std::move(tls), std::move(endpoints))) {}
EtcdClient::~EtcdClient() = default;

void EtcdClient::set_endpoints(std::vector<Endpoint> endpoints) {
  connections().use(std::move(endpoints));
}

Result<EtcdClient::Snapshot> EtcdClient::snapshot(const std::string& key, const std::string& range_end,
                                                  const Call& call) {
  const auto answer = connections().post("/v3/kv/range", etcd_json::range_request(key, range_end, false),
                                         Kind::repeatable, call);
  if (!answer) return answer.error();
  auto values = etcd_json::key_values(*answer);
  if (!values) return values.error();
  return Snapshot{std::move(*values), etcd_json::header_revision(*answer)};
}

Result<EtcdClient::Oldest> EtcdClient::oldest(const std::string& key, const std::string& range_end, int most,
                                              const Call& call) {
  const auto answer = connections().post("/v3/kv/range", etcd_json::oldest_request(key, range_end, most),
                                         Kind::repeatable, call);
  if (!answer) return answer.error();
  auto values = etcd_json::key_values(*answer);
  if (!values) return values.error();
  return Oldest{std::move(*values), etcd_json::number(*answer, "count")};
}

Result<std::vector<KeyValue>> EtcdClient::range(const std::string& key, const std::string& range_end,
                                                const Call& call, bool serializable) {
  const auto answer =
      connections().post("/v3/kv/range", etcd_json::range_request(key, range_end, serializable),
                         serializable ? Kind::local : Kind::repeatable, call);
  if (!answer) return answer.error();
  return etcd_json::key_values(*answer);
}

Result<EtcdTransactionResult> EtcdClient::transact(const std::vector<EtcdCompare>& compares,
                                                   const std::vector<EtcdOperation>& then,
                                                   const std::vector<EtcdOperation>& otherwise,
                                                   const Call& call) {
  const auto only_reads = [](const EtcdOperation& each) { return each.kind == EtcdOperation::Kind::range; };
  const bool repeatable = std::all_of(then.begin(), then.end(), only_reads) &&
                          std::all_of(otherwise.begin(), otherwise.end(), only_reads);
  const auto answer =
      connections().post("/v3/kv/txn", etcd_json::transaction_request(compares, then, otherwise),
                         repeatable ? Kind::repeatable : Kind::once, call);
  if (!answer) return answer.error();
  return etcd_json::transaction_result(*answer);
}

Result<std::int64_t> EtcdClient::grant_lease(std::chrono::seconds time_to_live, const Call& call) {
  // A lease whose answer got lost ends by itself.
  const auto answer = connections().post(
      "/v3/lease/grant", base::render_json(Struct{{"TTL", std::to_string(time_to_live.count())}}),
      Kind::repeatable, call);
  if (!answer) return answer.error();
  const std::int64_t lease = etcd_json::number(*answer, "ID");
  if (lease == 0) return Error{Code::io_error, "etcd granted a lease without an id"};
  return lease;
}

Result<std::chrono::seconds> EtcdClient::keep_alive(std::int64_t lease, const Call& call) {
  const auto answer =
      connections().post("/v3/lease/keepalive", base::render_json(Struct{{"ID", std::to_string(lease)}}),
                         Kind::repeatable, call);
  if (!answer) return answer.error();
  const Value* result = answer->find("result");
  if (!result) return etcd_json::refusal(200, base::render_json(*answer)).error;
  const std::int64_t left = etcd_json::number(*result, "TTL");
  if (left <= 0) return Error{Code::not_found, "lease " + std::to_string(lease) + " has ended"};
  return std::chrono::seconds(left);
}

Status EtcdClient::revoke_lease(std::int64_t lease, const Call& call) {
  const auto answer = connections().post(
      "/v3/lease/revoke", base::render_json(Struct{{"ID", std::to_string(lease)}}), Kind::repeatable, call);
  // Ended is what it was to be; a first try whose answer got lost may have done it.
  if (!answer && answer.error().code != Code::not_found) return answer.error();
  return {};
}

Status EtcdClient::compact(std::int64_t revision, const Call& call) {
  const auto answer = connections().post("/v3/kv/compaction",
                                         base::render_json(Struct{{"revision", std::to_string(revision)}}),
                                         Kind::repeatable, call);
  if (!answer && answer.error().code != Code::not_found) return answer.error();
  return {};
}

Status EtcdClient::defragment(const Endpoint& endpoint, const Call& call) {
  const auto answer = connections().post_to(endpoint, "/v3/maintenance/defragment", "{}", call);
  return answer ? Status() : Status(answer.error());
}

Result<EtcdClient::EndpointStatus> EtcdClient::status(const Endpoint& endpoint, const Call& call) {
  const auto answer = connections().post_to(endpoint, "/v3/maintenance/status", "{}", call);
  if (!answer) return answer.error();
  EndpointStatus status;
  if (const Value* header = answer->find("header")) {
    status.cluster = etcd_json::unsigned_number(*header, "cluster_id");
    status.member = etcd_json::unsigned_number(*header, "member_id");
  }
  status.leader = etcd_json::unsigned_number(*answer, "leader");
  status.database_bytes = etcd_json::number(*answer, "dbSize");
  status.database_bytes_in_use = etcd_json::number(*answer, "dbSizeInUse");
  status.raft_index = etcd_json::number(*answer, "raftIndex");
  const Value* version = answer->find("version");
  if (version && version->is_string()) status.version = version->as_string();
  return status;
}

Result<std::uint64_t> EtcdClient::cluster_of(const Endpoint& peer, const Call& call) {
  const auto answer = connections().get_from_peer(peer, "/members", call);
  if (!answer) return answer.error();
  for (const auto& [name, value] : answer->headers) {
    std::uint64_t cluster = 0;
    if (base::to_lower(name) != "x-etcd-cluster-id") continue;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), cluster, 16);
    if (problem == std::errc() && end == value.data() + value.size()) return cluster;
  }
  return Error{Code::io_error,
               peer.host + ":" + std::to_string(peer.port) + " does not say which store it is of"};
}

Result<std::vector<EtcdMember>> EtcdClient::members(const Call& call) {
  const auto answer = connections().post("/v3/cluster/member/list", "{}", Kind::repeatable, call);
  if (!answer) return answer.error();
  return etcd_json::members(*answer);
}

Result<EtcdMember> EtcdClient::add_learner(const std::string& peer_url, const Call& call) {
  const auto answer = connections().post(
      "/v3/cluster/member/add",
      base::render_json(Struct{{"peerURLs", Array{Value(peer_url)}}, {"isLearner", true}}), Kind::once, call);
  if (!answer) return answer.error();
  const Value* added = answer->find("member");
  if (!added) return Error{Code::io_error, "etcd added " + peer_url + " but names no member"};
  return etcd_json::member(*added);
}

Status EtcdClient::promote(std::uint64_t member, const Call& call) {
  const auto answer =
      connections().post("/v3/cluster/member/promote",
                         base::render_json(Struct{{"ID", std::to_string(member)}}), Kind::once, call);
  return answer ? Status() : Status(answer.error());
}

Status EtcdClient::move_leader(const Endpoint& endpoint, std::uint64_t member, const Call& call) {
  const auto answer =
      connections().post_to(endpoint, "/v3/maintenance/transfer-leadership",
                            base::render_json(Struct{{"targetID", std::to_string(member)}}), call);
  return answer ? Status() : Status(answer.error());
}

Status EtcdClient::move_member(std::uint64_t member, const std::string& peer_url, const Call& call) {
  const auto answer = connections().post(
      "/v3/cluster/member/update",
      base::render_json(Struct{{"ID", std::to_string(member)}, {"peerURLs", Array{Value(peer_url)}}}),
      Kind::repeatable, call);
  return answer ? Status() : Status(answer.error());
}

Status EtcdClient::remove_member(std::uint64_t member, const Call& call) {
  const auto answer =
      connections().post("/v3/cluster/member/remove",
                         base::render_json(Struct{{"ID", std::to_string(member)}}), Kind::once, call);
  return answer ? Status() : Status(answer.error());
}

}  // namespace confd::cluster
