#include <catch2/catch.hpp>

#include "auth/password.h"
#include "tests/support/job_fixture.h"

namespace confd::jobs {
namespace {

using base::Code;
using test::JobRun;
using test::JobTest;

const std::string kEve =
    R"({"username": "eve", "userid": 1100, "password": "secret", "group": "exausers", "login_enabled": true})";

// kEve with one member replaced or added, as JSON.
std::string eve_with(const std::string& name, const std::string& json) {
  base::Struct params = base::parse_json(kEve)->as_struct();
  params.set(name, *base::parse_json(json));
  return base::render_json(params);
}

}  // namespace

// --- user_create ---

TEST_CASE("user_create makes a user who can log in") {
  JobTest test;
  const JobRun run = test.run("user_create", kEve);
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "no output");
  const exaconf::User* eve = test.config().user("eve");
  REQUIRE(eve != nullptr);
  CHECK(eve->id == 1100);
  CHECK(eve->group == "exausers");
  CHECK(eve->login_enabled);
  CHECK(eve->passwd.substr(0, 3) == "$6$");
  CHECK(auth::verify_password("secret", eve->passwd));
  CHECK(eve->additional_groups.empty());
  CHECK(test.config().revision() == 4);
}

TEST_CASE("user_create takes groups by name and id, keys, and a list with one group twice") {
  JobTest test;
  std::string params = eve_with("group", "499");
  base::Struct more = base::parse_json(params)->as_struct();
  more.set("additional_groups", *base::parse_json(R"(["reporting", "exausers", "reporting", "exaadm"])"));
  more.set("authorized_keys", *base::parse_json(R"(["ssh-ed25519 AAAA eve@desk", " ssh-rsa BBBB # work "])"));
  const JobRun run = test.run_with("user_create", more);
  REQUIRE(run.text == "");
  const exaconf::User* eve = test.config().user("eve");
  REQUIRE(eve != nullptr);
  CHECK(eve->group == "exaadm");
  CHECK(eve->additional_groups == std::vector<std::string>{"reporting", "exausers"});
  REQUIRE(eve->authorized_keys.size() == 2);
  CHECK(eve->authorized_keys[0] == "ssh-ed25519 AAAA eve@desk");
}

TEST_CASE("user_create takes the id and the group's id as text") {
  JobTest test;
  REQUIRE(test.run("user_create", eve_with("userid", "\"1100\"")).ok());
  CHECK(test.config().user("eve")->id == 1100);
  REQUIRE(test.run("user_delete", R"({"username": "eve"})").ok());
  REQUIRE(test.run("user_create", eve_with("group", "\"498\"")).ok());
  CHECK(test.config().user("eve")->group == "exadbadm");
}

TEST_CASE("user_create stores an encoded password as given") {
  JobTest test;
  base::Struct params = base::parse_json(eve_with("encode_passwd", "false"))->as_struct();
  params.set("password", test::kWonderland);
  const JobRun run = test.run_with("user_create", params);
  REQUIRE(run.ok());
  CHECK(run.warnings.empty());
  CHECK(test.config().user("eve")->passwd == test::kWonderland);
}

TEST_CASE("user_create warns of a text that nobody can log in with") {
  JobTest test;
  const JobRun run = test.run("user_create", eve_with("encode_passwd", "false"));
  REQUIRE(run.ok());
  CHECK(run.warns("nobody can log in"));
  CHECK(test.config().user("eve")->passwd == "secret");
}

TEST_CASE("user_create keeps an empty password and * as no password") {
  JobTest test;
  REQUIRE(test.run("user_create", eve_with("password", "\"\"")).ok());
  CHECK(test.config().user("eve")->passwd == "");
  REQUIRE(test.run("user_delete", R"({"username": "eve"})").ok());
  REQUIRE(test.run("user_create", eve_with("password", "\"*\"")).ok());
  CHECK(test.config().user("eve")->passwd == "*");
}

TEST_CASE("user_create refuses what would not make a sound user, and changes nothing") {
  struct Case {
    std::string parameter, value;
    Code code;
    std::string text;
  };
  const Case cases[] = {
      {"username", R"("alice")", Code::exists, "'alice' exists"},
      {"username", R"("")", Code::bad_parameter, "'username'"},
      {"username", R"("1eve")", Code::bad_parameter, "a letter"},
      {"username", R"("_owner")", Code::bad_parameter, "a letter"},
      {"username", R"("eve/bob")", Code::bad_parameter, "a letter"},
      {"username", R"("e]v")", Code::bad_parameter, "a letter"},
      {"username", R"("exameta")", Code::bad_parameter, "reserved"},
      {"username", "\"" + std::string(33, 'e') + "\"", Code::bad_parameter, "32"},
      {"userid", "1001", Code::exists, "belongs to user 'alice'"},
      {"userid", "-1", Code::bad_parameter, "between 0"},
      {"userid", "2147483648", Code::bad_parameter, "between 0"},
      {"userid", "55555", Code::bad_parameter, "reserved"},
      {"userid", "\"many\"", Code::bad_parameter, "'userid': must be an integer"},
      {"userid", "true", Code::bad_parameter, "'userid': must be an integer, not a boolean"},
      {"userid", "1.5", Code::bad_parameter, "'userid': must be an integer"},
      {"group", R"("nogroup")", Code::not_found, "'nogroup'"},
      {"group", "4711", Code::not_found, "4711"},
      {"group", "[]", Code::bad_parameter, "'group': must be a string or an integer, not a list"},
      {"login_enabled", R"("true")", Code::bad_parameter, "'login_enabled': must be a boolean"},
      {"additional_groups", R"(["nogroup"])", Code::not_found, "'nogroup'"},
      {"additional_groups", R"([500])", Code::bad_parameter, "'additional_groups': member 1"},
      {"additional_groups", R"("exaadm")", Code::bad_parameter, "'additional_groups': must be a list"},
      {"authorized_keys", R"(["ssh-rsa A,B"])", Code::bad_parameter, "comma"},
      {"authorized_keys", R"(["ssh-rsa A\nssh-rsa B"])", Code::bad_parameter, "one line"},
      {"password", R"("a\nb")", Code::bad_parameter, "control characters"},
      {"password", "\"" + std::string(513, 'x') + "\"", Code::bad_parameter, "512"},
      {"encode_passwd", "1", Code::bad_parameter, "'encode_passwd': must be a boolean"},
  };
  JobTest test;
  for (const Case& item : cases) {
    CAPTURE(item.parameter, item.value);
    const JobRun run = test.run("user_create", eve_with(item.parameter, item.value));
    CHECK(run.code == item.code);
    INFO(run.text);
    CHECK(run.says(item.text));
    CHECK(run.text.find("secret") == std::string::npos);
  }
  CHECK(test.config().revision() == 3);
}

TEST_CASE("user_create is for root and administrators") {
  JobTest test;
  CHECK(test.run("user_create", kEve, "bob").code == Code::forbidden);
  CHECK(test.run("user_create", kEve, "nobody").code == Code::forbidden);
  CHECK(test.run("user_create", kEve, "alice").ok());
}

TEST_CASE("user_create masks the password in its difference") {
  JobTest test;
  const JobRun run = test.run("user_create", kEve);
  const std::string diff = base::render_json(run.diff);
  CHECK(diff.find("$6$") == std::string::npos);
  CHECK(diff.find("***") != std::string::npos);
}

TEST_CASE("A dry run of user_create shows the difference and changes nothing") {
  JobTest test;
  const JobRun run = test.run("user_create", kEve, "root", true);
  REQUIRE(run.ok());
  CHECK(base::render_json(run.diff).find("eve") != std::string::npos);
  CHECK(test.config().user("eve") == nullptr);
}

TEST_CASE("Two user_create of one name or one id, and a group_delete, keep off each other") {
  JobTest test;
  const auto locks_of = [&](const std::string& job, const std::string& params) {
    test.run(job, params, "root", true);
    return test.last_locks;
  };
  const auto meet = [](const std::vector<Lock>& a, const std::vector<Lock>& b) {
    for (const Lock& one : a)
      for (const Lock& other : b)
        if (in_conflict(one, other)) return true;
    return false;
  };
  const auto eve = locks_of("user_create", kEve);
  CHECK(meet(eve, locks_of("user_create", eve_with("userid", "1200"))));
  CHECK(meet(eve, locks_of("user_create", eve_with("username", "\"fred\""))));
  CHECK(meet(eve, locks_of("group_delete", R"({"groupname": "empty"})")));
  CHECK(meet(eve, locks_of("user_modify", R"({"username": "eve"})")));
  CHECK_FALSE(meet(eve, locks_of("user_modify", R"({"username": "alice", "group": "exaadm"})")));
  CHECK_FALSE(meet(eve, locks_of("group_create", R"({"groupname": "fresh", "groupid": 3000})")));
}

// --- user_delete ---

TEST_CASE("user_delete removes the user") {
  JobTest test;
  const JobRun run = test.run("user_delete", R"({"username": "alice"})", "alice");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == "no output");
  CHECK(test.config().user("alice") == nullptr);
}

TEST_CASE("user_delete refuses strangers, built-in users and owners") {
  JobTest test;
  CHECK(test.run("user_delete", R"({"username": "mallory"})").code == Code::not_found);
  const JobRun built_in = test.run("user_delete", R"({"username": "exadefusr"})");
  CHECK(built_in.code == Code::wrong_state);
  CHECK(built_in.says("built in"));
  CHECK(test.run("user_delete", R"({"username": "root"})").code == Code::wrong_state);
  const JobRun owner = test.run("user_delete", R"({"username": "dave"})");
  CHECK(owner.code == Code::busy);
  CHECK(owner.says("RemoteVolume : backups"));
  CHECK(test.run("user_delete").code == Code::bad_parameter);
  CHECK(test.run("user_delete", R"({"username": ["alice"]})").code == Code::bad_parameter);
  CHECK(test.run("user_delete", R"({"username": "alice"})", "bob").code == Code::forbidden);
  CHECK(test.config().revision() == 3);
}

// --- user_info, user_list ---

TEST_CASE("user_info shows a user by name, by id and by both") {
  JobTest test;
  const std::string alice =
      R"({"id":1001,"group":"exausers","login_enabled":true,"additional_groups":["exaadm","reporting"],)"
      R"("authorized_keys":["ssh-ed25519 AAAAC3Nza alice@desk"]})";
  CHECK(test.run("user_info", R"({"username": "alice"})").output_json() == alice);
  CHECK(test.run("user_info", R"({"userid": 1001})").output_json() == alice);
  CHECK(test.run("user_info", R"({"userid": "1001"})").output_json() == alice);
  CHECK(test.run("user_info", R"({"userid": 1001, "username": "alice"})").output_json() == alice);
  CHECK(test.run("user_info", R"({"username": "bob"})").output_json() ==
        R"({"id":1002,"group":"exausers","login_enabled":false,"additional_groups":[]})");
}

TEST_CASE("user_info refuses strangers, contradictions and nothing at all") {
  JobTest test;
  CHECK(test.run("user_info", R"({"username": "mallory"})").code == Code::not_found);
  CHECK(test.run("user_info", R"({"userid": 4711})").code == Code::not_found);
  const JobRun both = test.run("user_info", R"({"userid": 1002, "username": "alice"})");
  CHECK(both.code == Code::bad_parameter);
  CHECK(both.says("'userid'"));
  const JobRun none = test.run("user_info");
  CHECK(none.code == Code::bad_parameter);
  CHECK(none.says("'username': is missing"));
  CHECK(none.says("or 'userid'"));
  CHECK(test.run("user_info", R"({"username": "alice"})", "bob").code == Code::forbidden);
}

TEST_CASE("user_list shows all users without passwords") {
  JobTest test;
  const JobRun run = test.run("user_list", "{}", "alice");
  REQUIRE(run.ok());
  CHECK(run.output->as_struct().size() == test.config().users().size());
  CHECK(base::render_json(*run.output->find("dave")) ==
        R"({"id":1004,"group":"exadbadm","login_enabled":true,"additional_groups":[]})");
  CHECK(run.output_json().find("$5$") == std::string::npos);
  CHECK(test.run("user_list", "{}", "dave").code == Code::forbidden);
}

// --- user_modify ---

TEST_CASE("user_modify changes what is given and keeps the rest") {
  JobTest test;
  REQUIRE(test.run("user_modify", R"({"username": "alice", "login_enabled": false})").ok());
  const exaconf::User* alice = test.config().user("alice");
  CHECK_FALSE(alice->login_enabled);
  CHECK(alice->additional_groups == std::vector<std::string>{"exaadm", "reporting"});
  CHECK(alice->passwd == test::kWonderland);

  REQUIRE(test.run("user_modify",
                   R"({"username": "alice", "group": "exabfsadm", "additional_groups": ["exastoradm"]})")
              .ok());
  alice = test.config().user("alice");
  CHECK(alice->group == "exabfsadm");
  CHECK(alice->additional_groups == std::vector<std::string>{"exastoradm"});
  CHECK(alice->authorized_keys.size() == 1);

  REQUIRE(test.run("user_modify", R"({"username": "alice", "additional_groups": [], "authorized_keys": []})")
              .ok());
  alice = test.config().user("alice");
  CHECK(alice->additional_groups.empty());
  CHECK(alice->authorized_keys.empty());
}

TEST_CASE("user_modify of nothing, or to what is already so, makes no revision") {
  JobTest test;
  CHECK(test.run("user_modify", R"({"username": "alice"})").ok());
  CHECK(test.run("user_modify", R"({"username": "alice", "login_enabled": true})").ok());
  CHECK(test.config().revision() == 3);
}

TEST_CASE("user_modify refuses strangers, unknown groups and wrong types") {
  JobTest test;
  CHECK(test.run("user_modify", R"({"username": "mallory"})").code == Code::not_found);
  CHECK(test.run("user_modify", R"({"username": "alice", "group": "nogroup"})").code == Code::not_found);
  const JobRun type = test.run("user_modify", R"({"username": "alice", "login_enabled": "no"})");
  CHECK(type.code == Code::bad_parameter);
  CHECK(type.says("'login_enabled'"));
  CHECK(test.run("user_modify", R"({"username": "bob", "group": "exaadm"})", "bob").code == Code::forbidden);
  CHECK(test.config().revision() == 3);
}

// --- user_passwd ---

TEST_CASE("user_passwd sets a password") {
  JobTest test;
  const JobRun run = test.run("user_passwd", R"({"username": "carol", "password": "new one"})");
  REQUIRE(run.text == "");
  CHECK(auth::verify_password("new one", test.config().user("carol")->passwd));
  CHECK(run.output_json() == "no output");
}

TEST_CASE("Everybody may change his own password, and only that") {
  JobTest test;
  CHECK(test.run("user_passwd", R"({"username": "dave", "password": "mine"})", "dave").ok());
  CHECK(auth::verify_password("mine", test.config().user("dave")->passwd));
  const JobRun other = test.run("user_passwd", R"({"username": "alice", "password": "x"})", "dave");
  CHECK(other.code == Code::forbidden);
  CHECK(other.says("the user concerned"));
  CHECK(test.run("user_passwd", R"({"username": "root", "password": "x"})", "alice").ok());
}

TEST_CASE("user_passwd refuses strangers and missing parameters") {
  JobTest test;
  CHECK(test.run("user_passwd", R"({"username": "mallory", "password": "x"})").code == Code::not_found);
  CHECK(test.run("user_passwd", R"({"username": "alice"})").says("'password': is missing"));
  CHECK(test.run("user_passwd", R"({"password": "x"})").says("'username': is missing"));
}

TEST_CASE("A number given as a password is its text") {
  JobTest test;
  REQUIRE(test.run("user_passwd", R"({"username": "carol", "password": 12345})").ok());
  CHECK(auth::verify_password("12345", test.config().user("carol")->passwd));
}

}  // namespace confd::jobs
