#include "exaconf/transaction.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "exaconf/diff.h"
#include "tests/exaconf/samples.h"

using namespace confd;
using namespace confd::exaconf;

namespace {

ConfigPtr four_nodes() {
  const auto config = Config::load(test::sample_file("ref-8.20.0-docker-4node.conf"));
  REQUIRE(config.ok());
  return *config;
}

}  // namespace

TEST_CASE("edits show in the document, the diff and the sealed revision") {
  Transaction edit(four_nodes());
  CHECK_FALSE(edit.changed());
  REQUIRE(edit.add_section("Users/alice").ok());
  REQUIRE(edit.set("Users/alice", "ID", "600").ok());
  REQUIRE(edit.set("Users/alice", "Group", "exausers").ok());
  REQUIRE(edit.set("Users/alice", "Passwd", "$6$salt$hash").ok());
  REQUIRE(edit.set("BucketFS:bfsdefault", "HttpPort", "2600").ok());
  REQUIRE(edit.unset("Global", "MetaPackage").ok());
  CHECK(edit.changed());
  const auto sealed = seal(edit.document(), 22);
  REQUIRE(sealed.ok());
  CHECK((*sealed)->revision() == 22);
  CHECK((*sealed)->checksum() == (*sealed)->document().checksum());
  CHECK((*sealed)->user("alice")->passwd == "$6$salt$hash");
  CHECK(*(*sealed)->get("BucketFS : bfsdefault", "HttpPort") == "2600");
  CHECK(Config::load((*sealed)->text()).ok());
  CHECK(base::render_json(edit.diff()) ==
        R"([{"section":"Global","key":"MetaPackage","before":"none","after":null},)"
        R"({"section":"Users/alice","key":"","before":null,"after":""},)"
        R"({"section":"Users/alice","key":"ID","before":null,"after":"600"},)"
        R"({"section":"Users/alice","key":"Group","before":null,"after":"exausers"},)"
        R"({"section":"Users/alice","key":"Passwd","before":null,"after":"***"},)"
        R"({"section":"BucketFS : bfsdefault","key":"HttpPort","before":"2580","after":"2600"}])");
}

TEST_CASE("an edit undone is no change") {
  Transaction edit(four_nodes());
  REQUIRE(edit.set("Global", "SSHPort", "23").ok());
  REQUIRE(edit.set("Global", "SSHPort", "22").ok());
  REQUIRE(edit.add_section("Users/bob").ok());
  REQUIRE(edit.remove_section("Users/bob").ok());
  CHECK_FALSE(edit.changed());
}

TEST_CASE("a value that needs quotes gets them and comes back as it was set") {
  for (const std::string value :
       {"abc#def", "two\nlines", " blanks ", "'", "\"", "it's \"both\" # kinds", "'''", "\"\"\"", "", "x'''",
        "\"quoted\"", "\"quoted\" # and more", "Größe", "a\tb"}) {
    INFO("value: " << value);
    Transaction edit(four_nodes());
    REQUIRE(edit.set("Global", "Key", value).ok());
    const auto again = Document::parse(edit.document().text());
    REQUIRE(again.ok());
    CHECK(*again->root.section("Global")->find("Key") == value);
  }
}

TEST_CASE("what the file can't hold is refused, naming the place") {
  Transaction edit(four_nodes());
  const auto refused = [&](const base::Status& status, base::Code code) {
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == code);
    CHECK_THAT(status.error().text, Catch::StartsWith("EXAConf: ["));
  };
  using base::Code;
  refused(edit.set("Global", "Key", "''' and \"\"\""), Code::bad_parameter);
  refused(edit.set("Global", "Key", "\xff"), Code::bad_parameter);
  refused(edit.set("Global", "Key", std::string("a\0b", 3)), Code::bad_parameter);
  refused(edit.set("Global", "Key", "a\r\nb"), Code::bad_parameter);
  for (const char* key : {"", " ", "a=b", "#a", "[a]", "'a", "a\nb", " a", "\xff"})
    refused(edit.set("Global", key, "1"), Code::bad_parameter);
  refused(edit.set("Nowhere", "Key", "1"), Code::not_found);
  refused(edit.unset("Nowhere", "Key"), Code::not_found);
  refused(edit.set("Users", "root", "1"), Code::exists);
  refused(edit.add_section("Node:11"), Code::exists);
  refused(edit.add_section("Global/SSHPort"), Code::exists);
  refused(edit.add_section("Nowhere/x"), Code::not_found);
  for (const char* name : {"Users/a]b", "Users/ a", "Users/", "Users/a\nb"})
    refused(edit.add_section(name), Code::bad_parameter);
  refused(edit.add_section("New", {"two\nlines"}), Code::bad_parameter);
  refused(edit.remove_section("Nowhere"), Code::not_found);
  refused(edit.remove_section(""), Code::not_found);
  CHECK_FALSE(edit.changed());
}

TEST_CASE("a transaction is applied again to a newer revision") {
  const ConfigPtr base = four_nodes();
  Transaction mine(base);
  REQUIRE(mine.set("Users/root", "LoginEnabled", "False").ok());
  Transaction theirs(base);
  REQUIRE(theirs.set("Global", "SSHPort", "2222").ok());
  const ConfigPtr newer = *seal(theirs.document(), 22);
  const auto again = mine.rebased(newer);
  REQUIRE(again.ok());
  CHECK(again->base() == newer);
  CHECK(*again->document().root.section("Global")->find("SSHPort") == "2222");
  CHECK(*again->document().root.section("Users")->section("root")->find("LoginEnabled") == "False");

  SECTION("what is gone meanwhile is a conflict that names it") {
    Transaction removing(base);
    REQUIRE(removing.remove_section("Users/root").ok());
    const auto conflict = mine.rebased(*seal(removing.document(), 23));
    REQUIRE_FALSE(conflict.ok());
    CHECK(conflict.error().code == base::Code::conflict);
    CHECK_THAT(conflict.error().text, Catch::Contains("[Users/root]"));
  }
  SECTION("what is there already is one too") {
    Transaction first(base);
    REQUIRE(first.add_section("Users/alice").ok());
    REQUIRE(first.set("Users/alice", "ID", "600").ok());
    CHECK(first.rebased(*seal(first.document(), 23)).error().code == base::Code::conflict);
  }
}

TEST_CASE("thousands of users: each is found after others were added and removed") {
  Transaction edit(four_nodes());
  for (int i = 0; i < 3000; ++i) {
    const std::string user = "Users/u" + std::to_string(i);
    REQUIRE(edit.add_section(user).ok());
    REQUIRE(edit.set(user, "ID", std::to_string(1000 + i)).ok());
  }
  REQUIRE(edit.remove_section("Users/u0").ok());
  REQUIRE(edit.add_section("Late : 1").ok());
  for (int i = 1; i < 3000; ++i) REQUIRE(edit.set("Users/u" + std::to_string(i), "Group", "exausers").ok());
  Transaction copy = edit;
  REQUIRE(copy.set("Users/u2999", "Group", "root").ok());
  CHECK(*edit.document().root.section("Users")->section("u2999")->find("Group") == "exausers");
  const auto sealed = seal(copy.document(), 22);
  REQUIRE(sealed.ok());
  CHECK((*sealed)->user("u2999")->group == "root");
  CHECK((*sealed)->users().size() == 3002);
}

TEST_CASE("sealing makes missing keys, keeps DISABLED and refuses what is not valid") {
  const auto sealed = seal(*Document::parse("[Global]\n    Networks = private\n"), 7);
  REQUIRE(sealed.ok());
  CHECK((*sealed)->text().starts_with("[Global]\n    Revision = 7\n    Checksum = "));
  CHECK(Config::load((*sealed)->text()).ok());
  const auto disabled = seal(*Document::parse("[Global]\nChecksum = Disabled\nNetworks = private\n"), 8);
  CHECK((*disabled)->checksum() == "Disabled");
  CHECK(seal(*Document::parse("[Global]\n"), 1).error().code == base::Code::invalid_config);
  CHECK(seal(*Document::parse("A = 1\n"), 1).error().code == base::Code::invalid_config);
}

TEST_CASE("secret keys are known by their names") {
  for (const char* key :
       {"Passwd", "ReadPasswd", "Password", "SyncKey", "AuthenticationToken", "Credentials",
        "DefaultSysPasswdHash", "AdditionalSysPasswdHashes", "sasl_password", "StatusSyncToken"})
    CHECK(is_secret_key(key));
  for (const char* key : {"Name", "SyncPeriod", "AuthorizedKeys", "CertKey", "ID"})
    CHECK_FALSE(is_secret_key(key));
}
