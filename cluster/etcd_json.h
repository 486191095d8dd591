// The JSON forms of etcd 3.4's gateway (/v3/...): bodies of requests, answers, messages of a watch, errors.
// Bytes are base64, numbers of 64 bits are strings, what is 0 or empty is left out. Used by EtcdClient.
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "cluster/etcd_client.h"

namespace confd::cluster::etcd_json {

std::string range_request(const std::string& key, const std::string& range_end, bool serializable);
std::string oldest_request(const std::string& key, const std::string& range_end, int most);
std::string transaction_request(const std::vector<EtcdCompare>& compares,
                                const std::vector<EtcdOperation>& then,
                                const std::vector<EtcdOperation>& otherwise);
// `range_end` empty: the one key. Progress notifications are asked for.
std::string watch_request(const std::string& key, const std::string& range_end, std::int64_t from_revision);

// Answers. Error: Code::io_error, what does not look as etcd says it.
base::Result<std::vector<KeyValue>> key_values(const base::Value& answer);
base::Result<EtcdTransactionResult> transaction_result(const base::Value& answer);
base::Result<std::vector<EtcdMember>> members(const base::Value& answer);
EtcdMember member(const base::Value& value);
std::int64_t header_revision(const base::Value& answer);

// A member of 64 bits; absent or null is 0. Both "12" and 12 are read.
std::int64_t number(const base::Value& structure, std::string_view name);
std::uint64_t unsigned_number(const base::Value& structure, std::string_view name);

struct WatchMessage {
  bool created = false;
  bool canceled = false;
  std::int64_t compact_revision = 0;  // canceled because of this
  std::string cancel_reason;
  std::int64_t revision = 0;  // all events up to here have come
  std::vector<EtcdClient::Event> events;
};
// One line of the stream. Error: etcd's own, or Code::io_error.
base::Result<WatchMessage> watch_message(std::string_view line);

// What etcd says when it does not do something.
struct Refusal {
  base::Error error;
  bool may_have_happened = true;  // false: it was refused before anything was done
};
// `body` of an answer with another status than 200, or a stream's message with a member "error".
Refusal refusal(unsigned status, std::string_view body);
// The same for etcd's bare text.
Refusal refusal_of(const std::string& text, std::int64_t grpc_code = 0);

}  // namespace confd::cluster::etcd_json
