#include "exaconf/config.h"

#include <catch2/catch.hpp>

#include "exaconf/initial.h"
#include "tests/exaconf/samples.h"
#include "tests/support/fake_random.h"

using namespace confd;
using namespace confd::exaconf;

namespace {

const std::string kGlobal = "[Global]\n    Revision = 1\n    Checksum = NONE\n    Networks = private\n";

std::string error_of(const std::string& text) {
  const auto config = Config::load(text);
  REQUIRE_FALSE(config.ok());
  CHECK(config.error().code == base::Code::invalid_config);
  return config.error().text;
}

}  // namespace

TEST_CASE("typed look-ups of a real file") {
  const auto config = *Config::load(test::sample_file("ref-8.20.0-docker-4node.conf"));
  CHECK(config->revision() == 21);
  CHECK(config->xmlrpc_port() == 443);
  CHECK(config->nodes().at(12).private_ip == "10.0.0.12");
  CHECK(config->nodes().at(12).affinity == 12);
  CHECK(config->user("root")->login_enabled);
  CHECK(config->user_by_id(500)->name == "exadefusr");
  CHECK_FALSE(config->user("nobody"));
  CHECK(config->group("exaadm")->id == 499);
  CHECK(config->group_by_id(495)->name == "exasaasadm");
  CHECK(config->groups_of("exasaasusr") == std::vector<std::string>{"exausers", "exasaasadm"});
  CHECK(config->groups_of("nobody").empty());
  CHECK(config->ids("EXAVolume") == std::vector<std::string>{"DataVolume1", "ArchiveVolume1"});
  CHECK(config->section("DB", "DB1")->find("Port") != nullptr);
  CHECK_FALSE(config->section("DB", "DB2"));
  CHECK(*config->get("Global", "Timezone") == "Europe/Berlin");
  CHECK_FALSE(config->get("Global", "Nothing"));
  CHECK_FALSE(config->get("Nothing", "Timezone"));
}

TEST_CASE("every rule that makes a file invalid names the place") {
  const std::string node = "[Node : 11]\n    Name = n11\n    PrivateNet = 10.0.0.11/24\n";
  CHECK_THAT(error_of("[Users]\n"), Catch::Contains("no section [Global]"));
  CHECK_THAT(error_of("[Global]\n    Checksum = NONE\n    Networks = private\n"),
             Catch::Contains("Revision is missing"));
  CHECK_THAT(error_of("[Global]\n    Checksum = NONE\n    Revision = 1\n    Networks = public\n"),
             Catch::Contains("line 4: ") && Catch::Contains("'private'"));
  CHECK_THAT(error_of(kGlobal + "    Platform = Docker\n"), Catch::Contains("[Docker]"));
  CHECK_THAT(error_of(kGlobal + "    XMLRPCPort = 70000\n"), Catch::Contains("XMLRPCPort"));
  CHECK_THAT(error_of(kGlobal + "    Platform = docker\n[Docker]\n" + node),
             Catch::Contains("DockerVolume is missing"));
  CHECK_THAT(error_of(kGlobal + "[Node : x]\n"), Catch::Contains("decimal number"));
  CHECK_THAT(error_of(kGlobal + "[Node : 11]\n    PrivateNet = 10.0.0.11/24\n"),
             Catch::Contains("Name is missing"));
  CHECK_THAT(error_of(kGlobal + "[Node : 11]\n    Name = n11\n"), Catch::Contains("PrivateNet is missing"));
  CHECK_THAT(error_of(kGlobal + "[Node : 11]\n    Name = n11\n    PrivateNet = here\n"),
             Catch::Contains("'here' in section 'Node : 11'"));
  CHECK_THAT(error_of(kGlobal + node + "[Node:11]\n"), Catch::Contains("names the same"));
  CHECK_THAT(error_of(kGlobal + node + "[Node : 12]\n    Name = n12\n    PrivateNet = 10.0.0.11/24\n"),
             Catch::Contains("line 10: PrivateNet '10.0.0.11/24'"));
  CHECK_THAT(error_of(kGlobal + node +
                      "    [[Disk : a]]\n        Devices = d1, d2\n    [[Disk : b]]\n        Devices = d2\n"),
             Catch::Contains("device 'd2'"));
  CHECK_THAT(error_of(kGlobal + "[Users]\n    [[u]]\n        ID = x\n"), Catch::Contains("ID of user 'u'"));
  CHECK_THAT(error_of(kGlobal + "[Users]\n    [[u]]\n        ID = 1\n        LoginEnabled = perhaps\n"),
             Catch::Contains("LoginEnabled of user 'u'"));
  CHECK_THAT(error_of(kGlobal + "[Groups]\n    [[g]]\n"), Catch::Contains("ID of group 'g'"));
  const std::string networks =
      "[Global]\n    Revision = 1\n    Checksum = NONE\n    Networks = private, public\n";
  CHECK_THAT(error_of(networks + node), Catch::Contains("PublicNet is missing"));
}

TEST_CASE("a checksum that is no known word does not match") {
  CHECK_THAT(error_of("[Global]\n    Revision = 1\n    Checksum = LATER\n    Networks = private\n"),
             Catch::StartsWith("EXAConf: Integrity check failed! The stored checksum 'LATER'"));
}

TEST_CASE("a new root's file is valid, has the built-in accounts and the administrator") {
  test::FakeRandom random;
  InitialSettings settings;
  settings.root_directory = "/srv/n11";
  settings.admin_passwd_hash = "$6$salt$hash";
  const auto text = initial_exaconf(settings, random);
  REQUIRE(text.ok());
  const auto config = *Config::load(*text);
  CHECK(config->revision() == 1);
  CHECK(config->text() == *text);
  CHECK(config->checksum() == config->document().checksum());
  CHECK(config->xmlrpc_port() == 20003);
  CHECK(config->nodes().at(11).private_net == "127.0.0.11/8");
  CHECK(config->nodes().at(11).uuid.size() == 40);
  CHECK(config->groups().size() == 7);
  CHECK(config->users().size() == 4);
  CHECK(config->user("admin")->passwd == "$6$salt$hash");
  CHECK(config->user("admin")->login_enabled);
  CHECK(config->groups_of("admin")[0] == "exaadm");
  CHECK_FALSE(config->user("exadefusr")->login_enabled);
  CHECK(*config->get("SSL", "Cert") == "/srv/n11/etc/ssl/ssl.crt");
  CHECK(*config->get("EXAVolume : DataVolume1", "Size") == "4 GiB");
}

TEST_CASE("settings of a new root that make no sense are refused by name") {
  test::FakeRandom random;
  const auto refused = [&](auto change, const std::string& text) {
    InitialSettings settings;
    change(settings);
    const auto made = initial_exaconf(settings, random);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().code == base::Code::bad_parameter);
    CHECK_THAT(made.error().text, Catch::Contains(text));
  };
  refused([](auto& s) { s.node_id = 10; }, "node id 10");
  refused([](auto& s) { s.private_net = "here"; }, "private net 'here'");
  refused([](auto& s) { s.xmlrpc_port = 0; }, "port 0");
  refused([](auto& s) { s.admin_name = "root"; }, "'root' is built in");
  refused([](auto& s) { s.admin_name = "a]b"; }, "admin name");
  refused([](auto& s) { s.admin_name = ""; }, "admin name");
  refused([](auto& s) { s.admin_passwd_hash = "a#b"; }, "password hash");
  refused([](auto& s) { s.root_directory = "/a#b"; }, "root directory");
  refused([](auto& s) { s.device_size = "big"; }, "device size 'big'");
  refused([](auto& s) { s.data_volume_size = "0"; }, "data volume size");
  refused([](auto& s) { s.archive_volume_size = "5 GiB"; }, "do not fit");
}
