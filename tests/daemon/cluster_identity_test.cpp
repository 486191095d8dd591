#include "daemon/cluster_identity.h"

#include <catch2/catch.hpp>

#include "auth/certificate.h"
#include "auth/cluster_authority.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace confd::daemon {
namespace {

const Root kRoot("/root");
const base::WallTime kNow = test::FakeClock().now();

exaconf::ConfigPtr config_with_nodes(int count) {
  std::string text =
      "[Global]\n    Revision = 3\n    Checksum = NONE\n    ClusterName = cl4\n"
      "    Networks = private\n";
  for (int id = 11; id < 11 + count; ++id)
    text += "\n[Node : " + std::to_string(id) + "]\n    PrivateNet = 127.0.0." + std::to_string(id) +
            "/8\n    Name = n" + std::to_string(id) + "\n";
  auto config = exaconf::Config::load(text);
  if (!config) FAIL(config.error().text);
  return *config;
}

struct Fixture {
  base::Result<ClusterIdentity> ensure(int nodes = 1, int node = 11) {
    return ensure_cluster_identity(files, kRoot, *config_with_nodes(nodes), node, kNow);
  }
  ClusterIdentity made(int nodes = 1, int node = 11) {
    auto identity = ensure(nodes, node);
    if (!identity) FAIL(identity.error().text);
    return *identity;
  }
  base::Error refusal(int nodes = 1, int node = 11) {
    const auto identity = ensure(nodes, node);
    REQUIRE_FALSE(identity.ok());
    return identity.error();
  }
  test::FakeFileSystem files;
};

}  // namespace

TEST_CASE("A root of one node gets an authority and a certificate of its own, for nobody else to read") {
  Fixture test;
  const ClusterIdentity identity = test.made();
  CHECK(auth::node_of_certificate(identity.certificate_pem) == 11);
  const auto check =
      auth::check_certificate(identity.key_pem, identity.certificate_pem + identity.authority_pem,
                              identity.authority_pem, false, kNow);
  if (!check) FAIL(check.error().text);
  CHECK(check->names == std::vector<std::string>{"localhost", "127.0.0.1", "::1", "n11", "127.0.0.11",
                                                 "node-11.confd.internal"});
  CHECK(test.files.status(kRoot.cluster_directory())->mode == 0700);
  for (const std::string& path :
       {kRoot.cluster_authority(), kRoot.cluster_authority_key(), kRoot.node_certificate(), kRoot.node_key()})
    CHECK(test.files.status(path)->mode == 0600);
  CHECK(test.files.all_paths().size() == 4);
}

TEST_CASE("What is there already is used and not touched") {
  Fixture test;
  const ClusterIdentity first = test.made();
  const int calls = test.files.calls();
  const ClusterIdentity second = test.made();
  CHECK(second.certificate_pem == first.certificate_pem);
  CHECK(second.key_pem == first.key_pem);
  CHECK(test.files.calls() == calls);
  CHECK(test.made(3).certificate_pem == first.certificate_pem);
}

TEST_CASE("A node of several never makes an authority of its own") {
  Fixture test;
  const base::Error error = test.refusal(2);
  CHECK(error.code == base::Code::not_found);
  CHECK(error.text.find("--join") != std::string::npos);
  CHECK(test.files.all_paths().empty());
}

TEST_CASE("Whenever the power is cut, the next start ends with a whole identity") {
  Fixture counting;
  counting.made();
  const int steps = counting.files.calls();
  REQUIRE(steps > 12);
  for (int step = 1; step <= steps; ++step) {
    Fixture test;
    test.files.fail_from(step);
    CHECK_FALSE(test.ensure().ok());
    test.files.power_cut();
    const ClusterIdentity identity = test.made();
    CHECK(auth::check_certificate(identity.key_pem, identity.certificate_pem + identity.authority_pem,
                                  identity.authority_pem, false, kNow)
              .ok());
    CHECK(test.files.all_paths().size() == 4);
  }
}

TEST_CASE("A certificate that was taken away is made anew by the same authority") {
  Fixture test;
  const ClusterIdentity first = test.made();
  REQUIRE(test.files.remove(kRoot.node_certificate()).ok());
  const ClusterIdentity second = test.made();
  CHECK(second.authority_pem == first.authority_pem);
  CHECK(second.certificate_pem != first.certificate_pem);
}

TEST_CASE("Files that don't fit are named and left alone") {
  Fixture test;
  test.made();
  SECTION("a certificate of another node") {
    const base::Error error = test.refusal(2, 12);
    CHECK(error.code == base::Code::invalid_config);
    CHECK(error.text.find("node.crt can't be used: it is not the certificate of node 12") !=
          std::string::npos);
  }
  SECTION("a key of another certificate") {
    Fixture other;
    test.files.put(kRoot.node_key(), other.made().key_pem);
    CHECK(test.refusal().text.find("private key: it does not belong to the certificate") !=
          std::string::npos);
  }
  SECTION("no key") {
    REQUIRE(test.files.remove(kRoot.node_key()).ok());
    CHECK(test.refusal().text.find("node.key can't be used") != std::string::npos);
  }
  SECTION("an authority that is none") {
    test.files.put(kRoot.cluster_authority(), "x");
    CHECK(test.refusal().code == base::Code::invalid_config);
  }
  SECTION("an authority without its key") {
    REQUIRE(test.files.remove(kRoot.node_certificate()).ok());
    REQUIRE(test.files.remove(kRoot.cluster_authority_key()).ok());
    CHECK(test.refusal().text.find("ca.key can't be used: it is missing") != std::string::npos);
  }
  SECTION("a node that EXAConf does not have") {
    CHECK(test.refusal(1, 14).text == "EXAConf has no node 14");
  }
}

}  // namespace confd::daemon
