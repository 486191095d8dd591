// The JSON forms of etcd's gateway.
#include "cluster/etcd_json.h"

#include <catch2/catch.hpp>

#include "base/json.h"

using namespace confd;
using namespace confd::cluster;
using base::Code;

namespace {

base::Value json(const std::string& text) {
  auto value = base::parse_json(text);
  REQUIRE(value.ok());
  return *value;
}

}  // namespace

TEST_CASE("etcd's requests: bytes are base64, numbers are strings") {
  CHECK(etcd_json::range_request("foo", "", false) == R"({"key":"Zm9v"})");
  CHECK(etcd_json::range_request("foo", "fop", true) ==
        R"({"key":"Zm9v","range_end":"Zm9w","serializable":true})");
  CHECK(etcd_json::range_request(std::string(1, '\0'), std::string(1, '\0'), false) ==
        R"({"key":"AA==","range_end":"AA=="})");
  CHECK(etcd_json::watch_request("foo", "", 9007199254740993) ==
        R"({"create_request":{"key":"Zm9v","start_revision":"9007199254740993","progress_notify":true}})");
}

TEST_CASE("a transaction says what is compared even when it is nothing") {
  using Field = EtcdCompare::Field;
  using Is = EtcdCompare::Is;
  using Kind = EtcdOperation::Kind;
  CHECK(etcd_json::transaction_request({}, {}, {}) == R"({"compare":[],"success":[],"failure":[]})");
  CHECK(
      etcd_json::transaction_request({{Field::mod_revision, Is::equal, "foo", 0, ""},
                                      {Field::create_revision, Is::greater, "foo", 7, ""},
                                      {Field::version, Is::less, "foo", 2, ""},
                                      {Field::value, Is::not_equal, "foo", 0, ""},
                                      {Field::lease, Is::equal, "foo", 5, ""}},
                                     {{Kind::put, "foo", "", "bar", 12}, {Kind::remove, "foo", "fop", "", 0}},
                                     {{Kind::range, "foo", "", "", 0}}) ==
      R"({"compare":[{"target":"MOD","result":"EQUAL","key":"Zm9v","mod_revision":"0"},)"
      R"({"target":"CREATE","result":"GREATER","key":"Zm9v","create_revision":"7"},)"
      R"({"target":"VERSION","result":"LESS","key":"Zm9v","version":"2"},)"
      R"({"target":"VALUE","result":"NOT_EQUAL","key":"Zm9v","value":""},)"
      R"({"target":"LEASE","result":"EQUAL","key":"Zm9v","lease":"5"}],)"
      R"("success":[{"request_put":{"key":"Zm9v","value":"YmFy","lease":"12"}},)"
      R"({"request_delete_range":{"key":"Zm9v","range_end":"Zm9w"}}],)"
      R"("failure":[{"request_range":{"key":"Zm9v"}}]})");
}

TEST_CASE("numbers of 64 bits are read from strings, absent is 0") {
  const base::Value value = json(R"({"a":"9223372036854775807","b":"18446744073709551615","c":3,"d":"x"})");
  CHECK(etcd_json::number(value, "a") == 9223372036854775807);
  CHECK(etcd_json::unsigned_number(value, "b") == 18446744073709551615u);
  CHECK(etcd_json::number(value, "c") == 3);
  CHECK(etcd_json::number(value, "d") == 0);
  CHECK(etcd_json::number(value, "absent") == 0);
}

TEST_CASE("etcd's answers are read") {
  const auto result = etcd_json::transaction_result(json(
      R"({"header":{"revision":"2"},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}},
      {"response_range":{"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"4",
      "value":"/wA=","lease":"5"}],"count":"1"}},{"response_range":{"header":{}}},{"response_delete_range":{}}]})"));
  REQUIRE(result.ok());
  CHECK(result->succeeded);
  CHECK(result->revision == 2);
  REQUIRE(result->ranges.size() == 2);
  REQUIRE(result->ranges[0].size() == 1);
  const KeyValue& value = result->ranges[0][0];
  CHECK(value.key == "foo");
  CHECK(value.value == std::string("\xff\0", 2));
  CHECK(value.create_revision == 2);
  CHECK(value.mod_revision == 3);
  CHECK(value.version == 4);
  CHECK(value.lease == 5);
  CHECK(result->ranges[1].empty());

  CHECK_FALSE(etcd_json::transaction_result(json(R"({"header":{"revision":"2"}})"))->succeeded);
  CHECK(etcd_json::transaction_result(json("{}")).error().code == Code::io_error);
  CHECK(etcd_json::key_values(json(R"({"kvs":[{"key":"not base64!"}]})")).error().text.find("base64") !=
        std::string::npos);
}

TEST_CASE("members are read") {
  const auto members = etcd_json::members(
      json(R"({"members":[{"ID":"11474789679860133653","name":"n11","peerURLs":["https://127.0.0.11:2380"],
      "clientURLs":["https://127.0.0.11:2379"]},{"ID":"7","peerURLs":["p"],"isLearner":true}]})"));
  REQUIRE(members.ok());
  REQUIRE(members->size() == 2);
  CHECK((*members)[0].id == 11474789679860133653u);
  CHECK((*members)[0].name == "n11");
  CHECK((*members)[0].peer_urls == std::vector<std::string>{"https://127.0.0.11:2380"});
  CHECK_FALSE((*members)[0].is_learner);
  CHECK((*members)[1].is_learner);
  CHECK((*members)[1].client_urls.empty());
  CHECK_FALSE(etcd_json::members(json("{}")).ok());
}

TEST_CASE("messages of a watch are read") {
  const auto created = etcd_json::watch_message(R"({"result":{"header":{"revision":"9"},"created":true}})");
  REQUIRE(created.ok());
  CHECK(created->created);
  CHECK(created->revision == 9);
  CHECK(created->events.empty());

  // The header says how far the store is, the last event how far we have seen.
  const auto events = etcd_json::watch_message(
      R"({"result":{"header":{"revision":"9"},"events":[{"kv":{"key":"Zm9v","mod_revision":"4","value":"YmFy"}},
      {"type":"DELETE","kv":{"key":"Zm9v","mod_revision":"5"}}]}})");
  REQUIRE(events.ok());
  CHECK(events->revision == 5);
  REQUIRE(events->events.size() == 2);
  CHECK_FALSE(events->events[0].removed);
  CHECK(events->events[0].value.value == "bar");
  CHECK(events->events[1].removed);
  CHECK(events->events[1].value.key == "foo");

  const auto compacted = etcd_json::watch_message(R"({"result":{"canceled":true,"compact_revision":"7"}})");
  REQUIRE(compacted.ok());
  CHECK(compacted->canceled);
  CHECK(compacted->compact_revision == 7);

  const auto failed = etcd_json::watch_message(
      R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})");
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == Code::no_quorum);
  CHECK(failed.error().text == "etcd answers: etcdserver: no leader");
  CHECK(etcd_json::watch_message("<html>").error().code == Code::io_error);
}

TEST_CASE("etcd's refusals get codes, and whether something may have happened") {
  const auto refused = [](const std::string& text, int code) {
    return etcd_json::refusal(503, "{\"error\":\"" + text + "\",\"message\":\"" + text +
                                       "\",\"code\":" + std::to_string(code) + "}");
  };
  CHECK(refused("etcdserver: no leader", 14).error.code == Code::no_quorum);
  CHECK_FALSE(refused("etcdserver: no leader", 14).may_have_happened);
  CHECK(refused("etcdserver: request timed out, possibly due to connection lost", 14).error.code ==
        Code::no_quorum);
  CHECK(refused("etcdserver: request timed out", 14).may_have_happened);
  CHECK(refused("etcdserver: leader changed", 14).may_have_happened);
  CHECK(refused("etcdserver: too many requests", 8).error.code == Code::timeout);
  CHECK_FALSE(refused("etcdserver: too many requests", 8).may_have_happened);
  CHECK(refused("etcdserver: requested lease not found", 5).error.code == Code::not_found);
  CHECK(refused("etcdserver: mvcc: database space exceeded", 8).error.text.find("defragment") !=
        std::string::npos);
  CHECK(refused("transport is closing", 14).error.code == Code::no_quorum);
  CHECK(refused("transport is closing", 14).may_have_happened);
  CHECK(refused("anything else", 2).error.code == Code::io_error);
  CHECK(etcd_json::refusal(404, "Not Found").error.text == "etcd answers: status 404, Not Found");
}
