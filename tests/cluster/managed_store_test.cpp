// Where nodes seek the managed store: by EXAConf alone, so that a node that starts finds it.
#include "cluster/managed_store.h"

#include <catch2/catch.hpp>

#include "tests/support/node_config_text.h"

using namespace confd;
using namespace confd::cluster;

namespace {

// "127.0.0.12:2379" -> "12"; in order.
std::string sought(int own, int nodes, const std::vector<int>& seen = {}) {
  std::string sections;
  for (int id = 12; id < 11 + nodes; ++id) sections += test::node_section(id);
  const auto config = exaconf::Config::load(test::config_with(sections));
  REQUIRE(config);
  ManagedStore::Options options;
  options.server.node = own;
  options.server.client_port = 2379;
  std::string all;
  for (const auto& each : ManagedStore::endpoints(**config, options, seen)) {
    CHECK(each.port == 2379);
    all += (all.empty() ? "" : " ") + each.host.substr(each.host.rfind('.') + 1);
  }
  return all;
}

}  // namespace

TEST_CASE("a node asks its own member first, then the others, then whoever else there is") {
  CHECK(sought(11, 1) == "11");
  CHECK(sought(11, 3) == "11 12 13");
  CHECK(sought(12, 3) == "12 11 13");
  CHECK(sought(14, 4) == "11 12 13 14");  // a client
  CHECK(sought(15, 6) == "15 11 12 13 14 16");
  // One that has a member still, though it shall not: two nodes, one of them wanted.
  CHECK(sought(12, 2, {11, 12}) == "12 11");
  CHECK(sought(12, 2) == "11 12");
}

TEST_CASE("members that were seen come before nodes that have none, and not too many are asked") {
  CHECK(sought(20, 12, {11, 18, 19}) == "11 12 13 14 15 18 19 16 17");
  CHECK(sought(11, 3, {99}) == "11 12 13");  // not in EXAConf any more
}
