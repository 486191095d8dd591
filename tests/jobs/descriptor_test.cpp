#include "jobs/descriptor.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "jobs/catalogue.h"
#include "jobs/description.h"
#include "jobs/permission.h"
#include "tests/support/config_text.h"

namespace confd::jobs {
namespace {

using base::Code;

constexpr std::string_view kColours[] = {"red", "green"};
constexpr Param kNeeded[] = {{.name = "text", .help = "some text"},
                             {.name = "count", .types = kInt, .help = "a count"}};
constexpr Param kWelcome[] = {
    {.name = "either", .types = kString | kInt, .help = "name or id"},
    {.name = "share", .types = kReal, .help = "a share"},
    {.name = "colour", .help = "a colour", .default_text = "red", .choices = kColours},
    {.name = "pin", .help = "a secret", .choices = kColours, .secret = true},
    {.name = "items", .types = kList | kString, .help = "one or more"},
};
constexpr Alias kAliases[] = {{"text", "words"}};
constexpr JobDescriptor kPaint{
    .name = "paint", .help = "Paint it", .mandatory = kNeeded, .optional = kWelcome, .aliases = kAliases};

base::Result<CheckedParams> check(const std::string& json) {
  return check_params(kPaint, *base::parse_json(json));
}

std::string checked(const std::string& more) {
  const auto result = check(R"({"text": "t", "count": 1)" + more + "}");
  return result ? base::render_json(base::Value(result->params)) : result.error().text;
}

base::Struct masked(const std::string& json) {
  return mask_secrets(nullptr, base::parse_json(json)->as_struct());
}

std::string masked_text(const std::string& text) {
  return mask_secrets(nullptr, {{"value", text}}).find("value")->as_string();
}

}  // namespace

TEST_CASE("Numbers are taken as text and text as numbers where only the other is asked") {
  CHECK(checked(R"(, "text": 5)") == R"({"text":"5","count":1})");
  CHECK(checked(R"(, "text": 1.5)") == R"({"text":"1.5","count":1})");
  CHECK(checked(R"(, "count": " 17 ")") == R"({"text":"t","count":17})");
  CHECK(checked(R"(, "either": 5)") == R"({"text":"t","count":1,"either":5})");
  CHECK(checked(R"(, "either": "5")") == R"({"text":"t","count":1,"either":"5"})");
  CHECK(checked(R"(, "share": 1)") == R"({"text":"t","count":1,"share":1.0})");
  CHECK(checked(R"(, "items": "one")") == R"({"text":"t","count":1,"items":"one"})");
}

TEST_CASE("What does not fit is refused with what came and what is wanted") {
  CHECK(checked(R"(, "count": "1x")") == "job 'paint', parameter 'count': must be an integer, not a string");
  CHECK(checked(R"(, "count": 1.0)").find("not a number with a fraction") != std::string::npos);
  CHECK(checked(R"(, "count": true)").find("not a boolean") != std::string::npos);
  CHECK(checked(R"(, "text": false)").find("must be a string, not a boolean") != std::string::npos);
  CHECK(checked(R"(, "either": 1.5)").find("must be a string or an integer") != std::string::npos);
  CHECK(checked(R"(, "share": "1")").find("must be a number, not a string") != std::string::npos);
  CHECK(checked(R"(, "items": {})").find("must be a string or a list, not a struct") != std::string::npos);
}

TEST_CASE("null is not given") {
  CHECK(checked(R"(, "either": null)") == R"({"text":"t","count":1})");
  CHECK(check(R"({"text": null, "count": 1})").error().text.find("'text': is missing") != std::string::npos);
}

TEST_CASE("Choices are checked, and a secret one is not repeated") {
  CHECK(checked(R"(, "colour": "green")").find("green") != std::string::npos);
  CHECK(checked(R"(, "colour": "blue")") == "job 'paint', parameter 'colour': 'blue' is none of red, green");
  CHECK(checked(R"(, "pin": "hunter2")").find("hunter2") == std::string::npos);
}

TEST_CASE("An alias stands for its parameter, which wins when both are given") {
  const auto alone = check(R"({"words": "w", "count": 1})");
  REQUIRE(alone.ok());
  CHECK(alone->params.find("text")->as_string() == "w");
  CHECK(alone->warnings.empty());
  const auto both = check(R"({"words": "w", "text": "t", "count": 1})");
  REQUIRE(both.ok());
  CHECK(both->params.find("text")->as_string() == "t");
  CHECK(both->warnings.size() == 1);
  CHECK(check(R"({"words": [], "count": 1})").error().text.find("'words'") != std::string::npos);
}

TEST_CASE("Unknown parameters are left out with a warning each, up to a limit") {
  base::Struct params{{"text", "t"}, {"count", 1}};
  for (int i = 0; i < 1000; ++i) params.append("extra" + std::to_string(i) + std::string(500, 'x'), i);
  const auto result = check_params(kPaint, params);
  REQUIRE(result.ok());
  CHECK(result->params.size() == 2);
  REQUIRE(result->warnings.size() == 21);
  CHECK(result->warnings.back() == "and 980 more warnings of this kind");
  CHECK(result->warnings.front().size() < 150);
}

TEST_CASE("Parameters must be a struct or nothing") {
  CHECK(check("[]").error().code == Code::bad_parameter);
  CHECK(check("\"text\"").error().text.find("must be a struct, not a string") != std::string::npos);
  CHECK(check("null").error().text.find("'text': is missing") != std::string::npos);
}

// --- secrets ---

TEST_CASE("Secrets are masked by their names, at any depth") {
  const base::Struct params = masked(
      R"({"password": "a", "read_passwd": "b", "Write-Password": "c", "s3_secret_key": "d", "key": "e",)"
      R"( "sync_key": ["f"], "token": 5, "default_sys_passwd_hash": "g", "credentials": {"x": "h"},)"
      R"( "deep": {"list": [{"sasl_password": "i"}]}, "keytab": "j", "AuthenticationToken": "k"})");
  CHECK(base::render_json(base::Value(params)) ==
        R"({"password":"***","read_passwd":"***","Write-Password":"***","s3_secret_key":"***","key":"***",)"
        R"("sync_key":["***"],"token":"***","default_sys_passwd_hash":"***","credentials":{"x":"***"},)"
        R"("deep":{"list":[{"sasl_password":"***"}]},"keytab":"***","AuthenticationToken":"***"})");
}

TEST_CASE("What is no secret stays readable") {
  const std::string plain =
      R"({"username":"alice","encode_passwd":true,"authorized_keys":["ssh-rsa AAAA"],"groupid":5,"tag":"t",)"
      R"("level":null,"share":0.5,"url":"https://host/path?a=b","keyboard":"us"})";
  CHECK(base::render_json(base::Value(masked(plain))) == plain);
}

TEST_CASE("Declared secrets are masked whatever their name is") {
  CHECK(mask_secrets(&kPaint, {{"pin", "1234"}}).find("pin")->as_string() == "***");
  CHECK(mask_secrets(nullptr, {{"pin", "1234"}}).find("pin")->as_string() == "1234");
}

TEST_CASE("Credentials inside texts are masked") {
  CHECK(masked_text("ftp://user:pass@host/dir") == "ftp://***@host/dir");
  CHECK(masked_text("a https://u:p@h and s3://k:s@b") == "a https://***@h and s3://***@b");
  CHECK(masked_text("https://u:p@ss@host") == "https://***@host");
  CHECK(masked_text("https://host/mail@example") == "https://host/mail@example");
  CHECK(masked_text("-oidcProviderClientSecret=abcd -x=1") == "-oidcProviderClientSecret=*** -x=1");
  CHECK(masked_text("password='two words', y=2") == "password=***, y=2");
  CHECK(masked_text("token=") == "token=");
  CHECK(masked_text("-----BEGIN EC PRIVATE KEY-----\nabc") == "***");
}

// --- description ---

TEST_CASE("Types are written as the documentation generator reads them") {
  CHECK(type_text(kString) == "(<class 'str'>,)");
  CHECK(type_text(kInt) == "<class 'int'>");
  CHECK(type_text(kBool) == "<class 'bool'>");
  CHECK(type_text(kDict) == "<class 'dict'>");
  CHECK(type_text(kList) == "(<class 'list'>, <class 'tuple'>)");
  CHECK(type_text(kString | kInt) == "(<class 'str'>, <class 'int'>)");
  CHECK(type_text(kInt | kList) == "(<class 'int'>, <class 'list'>, <class 'tuple'>)");
}

TEST_CASE("job_help has the layout of the original") {
  CHECK(job_help(*find_job("group_info")) ==
        "Description: 'Details of one group'\n"
        "Mandatory parameters:\n"
        "{'groupname': {'desc': 'name of the group', 'type': \"(<class 'str'>,)\"}}\n"
        "Optional parameters:\n"
        "None\n"
        "Substitute parameters:\n"
        "None\n"
        "Allowed users:['root']\n"
        "Allowed groups:['root', 'exaadm']");
}

TEST_CASE("job_desc has twelve members, with nil for what there is not") {
  const base::Value desc = job_desc(*find_job("user_info"));
  REQUIRE(desc.as_array().size() == 12);
  CHECK(base::render_json(desc.as_array()[3]) == R"({"username":["userid"],"userid":["username"]})");
  CHECK(desc.as_array()[7].as_string() == "read");
  CHECK(base::render_json(desc.as_array()[9]) == R"({"username":"user"})");
  CHECK(desc.as_array()[11].is_null());
  CHECK(base::render_json(job_desc(*find_job("user_passwd")).as_array()[4]) == R"(["root","xmlrpc user"])");
}

TEST_CASE("job_args tells what completion needs") {
  const base::Value args = job_args(*find_job("log_collect"));
  REQUIRE(args.as_array().size() == 8);
  CHECK(
      base::render_json(args.as_array()[3]) ==
      R"json({"name":"error_level","mandatory":false,"type":"(<class 'str'>,)","desc":"least severity",)json"
      R"("default":null,"choices":["ERR","WARN","NOTICE","INFO"],"completion":""})");
}

// --- permission, locks ---

TEST_CASE("A refusal says who may") {
  const auto status =
      check_permission(*find_job("user_passwd"), {"mallory", {}, "basic"}, {}, *test::small_config());
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().text ==
        "user 'mallory' may not run 'user_passwd': it is open to root, the user concerned and members of the "
        "groups root, exaadm");
}

TEST_CASE("Everybody for himself means the parameter username, as text") {
  const JobDescriptor& job = *find_job("user_passwd");
  const auth::Identity carol{"carol", {}, "basic"};
  CHECK(check_permission(job, carol, {{"username", "carol"}}, *test::small_config()).ok());
  CHECK_FALSE(check_permission(job, carol, {{"username", "alice"}}, *test::small_config()).ok());
  CHECK_FALSE(check_permission(job, carol, {{"username", 5}}, *test::small_config()).ok());
  CHECK_FALSE(check_permission(job, carol, {}, *test::small_config()).ok());
  CHECK_FALSE(
      check_permission(job, {"_self", {}, "basic"}, {{"username", "alice"}}, *test::small_config()).ok());
  CHECK(may_run(job, carol));
  CHECK_FALSE(may_run(*find_job("user_create"), carol));
}

TEST_CASE("Locks meet on the same level and name, unless both are shared") {
  const Lock alice{LockLevel::account, "alice"};
  const Lock shared_alice{LockLevel::account, "alice", true};
  const Lock all{LockLevel::account, "*"};
  CHECK(in_conflict(alice, alice));
  CHECK(in_conflict(alice, shared_alice));
  CHECK(in_conflict(shared_alice, alice));
  CHECK_FALSE(in_conflict(shared_alice, shared_alice));
  CHECK(in_conflict(alice, all));
  CHECK(in_conflict(all, shared_alice));
  CHECK_FALSE(in_conflict(alice, {LockLevel::account, "bob"}));
  CHECK_FALSE(in_conflict(alice, {LockLevel::node, "alice"}));
  CHECK_FALSE(in_conflict(all, {LockLevel::node, "alice"}));
}

}  // namespace confd::jobs
