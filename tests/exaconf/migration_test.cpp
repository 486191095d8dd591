#include "exaconf/migration.h"

#include <catch2/catch.hpp>

#include "exaconf/config.h"
#include "exaconf/diff.h"
#include "exaconf/transaction.h"
#include "exaconf/version.h"
#include "tests/exaconf/samples.h"
#include "tests/support/fake_random.h"

using namespace confd;
using namespace confd::exaconf;

namespace {

Document document(const std::string& text) {
  auto read = Document::parse(text);
  REQUIRE(read.ok());
  return *read;
}

Document migrated(const std::string& text) {
  test::FakeRandom random;
  auto done = migrate(document(text), random);
  INFO((done.ok() ? std::string() : done.error().text));
  REQUIRE(done.ok());
  return done->document;
}

}  // namespace

TEST_CASE("versions are ordered by numbers, suffix and build") {
  const char* ordered[] = {"6.0.9",       "6.1",        "6.1.14",    "6.1.14-d1", "7.2.0-dev1", "7.2.0-dev2",
                           "7.2.0_alpha", "7.2.0.beta", "7.2.0-rc1", "7.2.0",     "7.2.0-p1",   "7.10.0"};
  for (std::size_t i = 0; i + 1 < std::size(ordered); ++i) {
    INFO(ordered[i] << " and " << ordered[i + 1]);
    CHECK(*parse_version(ordered[i]) < *parse_version(ordered[i + 1]));
  }
  CHECK(*parse_version("8.32") == *parse_version("8.32.0"));
  for (const char* text : {"", "x", "8.", "8.1-foo", "8.1-d", "8.1 2"}) CHECK_FALSE(parse_version(text));
}

TEST_CASE("old templates become what the reference makes of them") {
  for (const std::string version : {"6.1.14", "6.2.17", "7.1.2"}) {
    INFO(version);
    const Document mine = migrated(test::sample_file("ref-" + version + "-docker-3node-template.conf"));
    Document expected =
        document(test::sample_file("mig-" + version + "-docker-3node-template-to-8.32.0.conf"));
    // Ids and tokens are random: their form is compared, then their value is taken over.
    Section* database = expected.find("DB : DB1");
    const std::string* id = mine.find("DB : DB1")->find("ID");
    REQUIRE(id);
    CHECK(id->size() == database->entry("ID")->value.size());
    database->entry("ID")->value = *id;
    const std::string* token = mine.root.section("Global")->find("AuthenticationToken");
    REQUIRE(token);
    CHECK(token->size() == 108);
    expected.root.section("Global")->entry("AuthenticationToken")->value = *token;
    // Everything else, comments and order included, up to Revision and Checksum.
    Document comparable = mine;
    for (const char* key : {"Revision", "Checksum"})
      comparable.root.section("Global")->entry(key)->value =
          expected.root.section("Global")->entry(key)->value;
    CHECK(comparable.text() == expected.text());
  }
}

TEST_CASE("files of 6.0 become valid configurations") {
  for (const char* name : {"scconf-6.0.0.conf", "scconf-6.0.1.conf", "itde-6.0.12-first.conf",
                           "ref-6.0.16-docker-3node-template.conf", "itde-6.1.1.conf"}) {
    INFO(name);
    const Document done = migrated(test::sample_file(name));
    const auto sealed = seal(done, 20);
    INFO((sealed.ok() ? std::string() : sealed.error().text));
    REQUIRE(sealed.ok());
    CHECK(*(*sealed)->get("Global", "ConfVersion") == "8.32.0");
    CHECK((*sealed)->users().contains("exadefusr"));
    CHECK_FALSE((*sealed)->section("BucketFS"));
    for (const auto& [id, node] : (*sealed)->nodes()) CHECK_FALSE(node.uuid.empty());
  }
}

TEST_CASE("single steps") {
  const std::string start = "[Global]\n    Networks = private\n    ConfVersion = ";
  SECTION("owners without an account get one") {
    const Document done = migrated(start + "6.1.1\n[DB : X]\n    Owner = 1000 : 1005\n");
    CHECK(*done.root.section("Users")->section("exadefusr1")->find("ID") == "1000");
    CHECK(*done.root.section("Groups")->section("exausers1")->find("ID") == "1005");
  }
  SECTION("remote passwords are encoded") {
    const Document done =
        migrated(start + "6.1.0\n[RemoteVolume : r1]\n    ID = 10001\n    Password = secret\n");
    CHECK(*done.find("RemoteVolume : r1")->find("Passwd") == "c2VjcmV0");
  }
  SECTION("a database name that is an id is kept as its id") {
    const Document done = migrated(start + "7.1.0\n[DB : MiaW4HWrT2uIDxAHbrSNRg]\n    Port = 1\n");
    CHECK(*done.root.sections.back().find("ID") == "MiaW4HWrT2uIDxAHbrSNRg");
  }
  SECTION("the cloud volume becomes two") {
    const Document done =
        migrated(start +
                 "8.12.0\n[RemoteVolume : cloud_data_remote_volume]\n    ID = 10001\n    URL = https://b\n"
                 "[Logging]\n    RemoteLogRotationVolume = cloud_data_remote_volume\n");
    CHECK(*done.find("RemoteVolume : default_logrotation_volume")->find("URL") == "https://b/logs");
    CHECK(*done.find("RemoteVolume : default_backup_volume")->find("URL") == "https://b/backup");
    CHECK(*done.find("RemoteVolume : default_backup_volume")->find("ID") == "10002");
    CHECK(*done.root.section("Logging")->find("RemoteLogRotationVolume") == "default_logrotation_volume");
  }
  SECTION("the license follows only when it was moved") {
    test::FakeRandom random;
    const std::string text = start + "8.20.0\n    LicenseFile = /exa/etc/license.xml\n";
    CHECK(*migrated(text).root.section("Global")->find("LicenseFile") == "/exa/etc/license.xml");
    const auto moved = migrate(document(text), random, {.license_moved = true});
    CHECK(*moved->document.root.section("Global")->find("LicenseFile") == "/exa/etc/license.exasol_license");
  }
}

TEST_CASE("a file of our version stays, a newer one is refused, one without version too") {
  test::FakeRandom random;
  const std::string text = test::sample_file("ref-8.20.0-docker-1node-ready.conf");
  CHECK(migrated(text).text() == text);
  const auto newer = migrate(document(test::sample_file("real-2025.1.3.conf")), random);
  REQUIRE_FALSE(newer.ok());
  CHECK(newer.error().code == base::Code::unsupported);
  CHECK_THAT(newer.error().text, Catch::Contains("newer than 8.32.0"));
  const auto none = migrate(document("[Global]\n"), random);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == base::Code::invalid_config);
}
