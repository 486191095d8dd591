#include "cluster/etcd_json.h"

#include <charconv>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace confd::cluster::etcd_json {

using base::Array;
using base::Code;
using base::Error;
using base::Result;
using base::Struct;
using base::Value;

namespace {

Error malformed(const std::string& what) {
  return {Code::io_error, "etcd's answer can't be understood: " + what};
}

template <class Number>
Number read_number(const Value& structure, std::string_view name) {
  const Value* value = structure.find(name);
  if (!value) return 0;
  if (value->is_int()) return static_cast<Number>(value->as_int());
  if (!value->is_string()) return 0;
  const std::string& text = value->as_string();
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

bool flag(const Value& structure, std::string_view name) {
  const Value* value = structure.find(name);
  return value && value->is_bool() && value->as_bool();
}

std::string text(const Value& structure, std::string_view name) {
  const Value* value = structure.find(name);
  return value && value->is_string() ? value->as_string() : std::string();
}

const Array& list(const Value& structure, std::string_view name) {
  static const Array kNone;
  const Value* value = structure.find(name);
  return value && value->is_array() ? value->as_array() : kNone;
}

Result<std::string> bytes(const Value& structure, std::string_view name) {
  const Value* value = structure.find(name);
  if (!value) return std::string();
  auto decoded = value->is_string() ? base::base64_decode(value->as_string()) : std::nullopt;
  if (!decoded) return malformed(std::string(name) + " is not base64");
  return std::move(*decoded);
}

Result<KeyValue> key_value(const Value& value) {
  KeyValue read;
  auto key = bytes(value, "key");
  if (!key) return key.error();
  auto content = bytes(value, "value");
  if (!content) return content.error();
  read.key = std::move(*key);
  read.value = std::move(*content);
  read.create_revision = number(value, "create_revision");
  read.mod_revision = number(value, "mod_revision");
  read.version = number(value, "version");
  read.lease = number(value, "lease");
  return read;
}

void set_bytes(Struct& to, std::string_view name, const std::string& value) {
  if (!value.empty()) to.append(std::string(name), base::base64_encode(value));
}

Struct key_range(const std::string& key, const std::string& range_end) {
  Struct range;
  set_bytes(range, "key", key);
  set_bytes(range, "range_end", range_end);
  return range;
}

Value compare(const EtcdCompare& wanted) {
  static constexpr const char* kIs[] = {"EQUAL", "GREATER", "LESS", "NOT_EQUAL"};
  struct Names {
    const char* target;
    const char* member;
  };
  static constexpr Names kFields[] = {{"CREATE", "create_revision"},
                                      {"MOD", "mod_revision"},
                                      {"VERSION", "version"},
                                      {"VALUE", "value"},
                                      {"LEASE", "lease"}};
  const Names& names = kFields[static_cast<std::size_t>(wanted.field)];
  Struct made{{"target", names.target}, {"result", kIs[static_cast<std::size_t>(wanted.is)]}};
  set_bytes(made, "key", wanted.key);
  // The member says which field is meant even when it is 0 or empty, so it is always there.
  if (wanted.field == EtcdCompare::Field::value) {
    made.append(names.member, base::base64_encode(wanted.value));
  } else {
    made.append(names.member, std::to_string(wanted.number));
  }
  return made;
}

Value operation(const EtcdOperation& wanted) {
  Struct inner = key_range(wanted.key, wanted.range_end);
  switch (wanted.kind) {
    case EtcdOperation::Kind::range:
      return Struct{{"request_range", std::move(inner)}};
    case EtcdOperation::Kind::remove:
      return Struct{{"request_delete_range", std::move(inner)}};
    case EtcdOperation::Kind::put:
      break;
  }
  inner = key_range(wanted.key, {});
  set_bytes(inner, "value", wanted.value);
  if (wanted.lease != 0) inner.append("lease", std::to_string(wanted.lease));
  return Struct{{"request_put", std::move(inner)}};
}

Array operations(const std::vector<EtcdOperation>& wanted) {
  Array made;
  made.reserve(wanted.size());
  for (const EtcdOperation& each : wanted) made.push_back(operation(each));
  return made;
}

struct KnownRefusal {
  std::string_view part;  // of etcd's text
  Code code;
  bool may_have_happened;
  std::string_view way_out;
};

// The first that fits counts. Texts: etcd's api/v3rpc errors.
constexpr KnownRefusal kRefusals[] = {
    {"etcdserver: no leader", Code::no_quorum, false, ""},
    {"etcdserver: request timed out", Code::no_quorum, true, ""},
    {"etcdserver: leader changed", Code::no_quorum, true, ""},
    {"etcdserver: unhealthy cluster", Code::no_quorum, false, ""},
    {"etcdserver: not leader", Code::no_quorum, false, ""},
    {"rpc not supported for learner", Code::no_quorum, false, ""},  // the other members do it
    {"raft proposal dropped", Code::no_quorum, false, ""},
    {"etcdserver: server stopped", Code::no_quorum, true, ""},
    {"etcdserver: too many requests", Code::timeout, false, ""},
    {"context deadline exceeded", Code::timeout, true, ""},
    {"mvcc: database space exceeded", Code::io_error, false,
     "; compact and defragment the store, then disarm the alarm NOSPACE"},
    {"mvcc: required revision has been compacted", Code::not_found, false, ""},
    {"mvcc: required revision is a future revision", Code::bad_parameter, false, ""},
    {"requested lease not found", Code::not_found, false, ""},
    {"member not found", Code::not_found, false, ""},
    {"Peer URLs already exists", Code::exists, false, ""},
    {"member ID already exist", Code::exists, false, ""},
    {"can only promote a learner member", Code::wrong_state, false, ""},
    {"re-configuration failed", Code::wrong_state, false, ""},
    {"too many learner members", Code::wrong_state, false, ""},
    {"request is too large", Code::io_error, false, ""},
    {"duplicate key given in txn request", Code::bad_parameter, false, ""},
    {"permission denied", Code::forbidden, false, ""},
};
// gRPC's numbers, for texts that are not known.
constexpr std::int64_t kGrpcDeadlineExceeded = 4, kGrpcUnavailable = 14;

}  // namespace

std::int64_t number(const Value& structure, std::string_view name) {
  return read_number<std::int64_t>(structure, name);
}
std::uint64_t unsigned_number(const Value& structure, std::string_view name) {
  return read_number<std::uint64_t>(structure, name);
}

std::string range_request(const std::string& key, const std::string& range_end, bool serializable) {
  Struct request = key_range(key, range_end);
  if (serializable) request.append("serializable", true);
  return base::render_json(request);
}

std::string oldest_request(const std::string& key, const std::string& range_end, int most) {
  Struct request = key_range(key, range_end);
  request.append("limit", std::to_string(most));
  request.append("sort_target", "CREATE");
  request.append("sort_order", "ASCEND");
  return base::render_json(request);
}

std::string transaction_request(const std::vector<EtcdCompare>& compares,
                                const std::vector<EtcdOperation>& then,
                                const std::vector<EtcdOperation>& otherwise) {
  Struct request;
  Array rendered;
  for (const EtcdCompare& each : compares) rendered.push_back(compare(each));
  request.append("compare", std::move(rendered));
  request.append("success", operations(then));
  request.append("failure", operations(otherwise));
  return base::render_json(request);
}

std::string watch_request(const std::string& key, const std::string& range_end, std::int64_t from_revision) {
  Struct create = key_range(key, range_end);
  create.append("start_revision", std::to_string(from_revision));
  create.append("progress_notify", true);
  return base::render_json(Struct{{"create_request", std::move(create)}});
}

Result<std::vector<KeyValue>> key_values(const Value& answer) {
  std::vector<KeyValue> values;
  for (const Value& each : list(answer, "kvs")) {
    auto value = key_value(each);
    if (!value) return value.error();
    values.push_back(std::move(*value));
  }
  return values;
}

Result<EtcdTransactionResult> transaction_result(const Value& answer) {
  if (!answer.find("header")) return malformed("no header in the answer to a transaction");
  EtcdTransactionResult result;
  result.succeeded = flag(answer, "succeeded");
  result.revision = header_revision(answer);
  for (const Value& each : list(answer, "responses")) {
    const Value* range = each.find("response_range");
    if (!range) continue;
    auto values = key_values(*range);
    if (!values) return values.error();
    result.ranges.push_back(std::move(*values));
  }
  return result;
}

EtcdMember member(const Value& value) {
  EtcdMember read;
  read.id = unsigned_number(value, "ID");
  read.name = text(value, "name");
  for (const Value& url : list(value, "peerURLs")) {
    if (url.is_string()) read.peer_urls.push_back(url.as_string());
  }
  for (const Value& url : list(value, "clientURLs")) {
    if (url.is_string()) read.client_urls.push_back(url.as_string());
  }
  read.is_learner = flag(value, "isLearner");
  return read;
}

Result<std::vector<EtcdMember>> members(const Value& answer) {
  std::vector<EtcdMember> all;
  for (const Value& each : list(answer, "members")) all.push_back(member(each));
  if (all.empty()) return malformed("a list of members without a member");
  return all;
}

std::int64_t header_revision(const Value& answer) {
  const Value* header = answer.find("header");
  return header ? number(*header, "revision") : 0;
}

Result<WatchMessage> watch_message(std::string_view line) {
  auto parsed = base::parse_json(line);
  if (!parsed) return malformed(parsed.error().text);
  const Value* result = parsed->find("result");
  if (!result) return refusal(200, line).error;
  WatchMessage message;
  message.created = flag(*result, "created");
  message.canceled = flag(*result, "canceled");
  message.compact_revision = number(*result, "compact_revision");
  message.cancel_reason = text(*result, "cancel_reason");
  message.revision = header_revision(*result);
  for (const Value& each : list(*result, "events")) {
    const Value* content = each.find("kv");
    if (!content) return malformed("an event without its key");
    auto value = key_value(*content);
    if (!value) return value.error();
    message.events.push_back({text(each, "type") == "DELETE", std::move(*value)});
  }
  // A watcher that catches up gets older events under a header that says how far the store is.
  if (!message.events.empty()) message.revision = message.events.back().value.mod_revision;
  return message;
}

Refusal refusal(unsigned status, std::string_view body) {
  const auto parsed = base::parse_json(body);
  std::string said;
  std::int64_t grpc_code = 0;
  if (parsed) {
    // Plain calls: {"error": text, "code": n}; streams: {"error": {"message": text, "grpc_code": n}}.
    const Value* inner = parsed->find("error");
    const bool nested = inner && inner->is_struct();
    said = nested ? text(*inner, "message") : text(*parsed, "error");
    grpc_code = nested ? number(*inner, "grpc_code") : number(*parsed, "code");
  }
  if (said.empty()) {
    said = "status " + std::to_string(status) + ", " + std::string(body.substr(0, 200));
    return {{Code::io_error, "etcd answers: " + said}, true};
  }
  return refusal_of(said, grpc_code);
}

Refusal refusal_of(const std::string& said, std::int64_t grpc_code) {
  for (const KnownRefusal& known : kRefusals) {
    if (said.find(known.part) == std::string::npos) continue;
    return {{known.code, "etcd answers: " + said + std::string(known.way_out)}, known.may_have_happened};
  }
  Code code = Code::io_error;
  if (grpc_code == kGrpcUnavailable) code = Code::no_quorum;
  if (grpc_code == kGrpcDeadlineExceeded) code = Code::timeout;
  return {{code, "etcd answers: " + said}, true};
}

}  // namespace confd::cluster::etcd_json
