// remote_volume_*, object_volume_*: on an EXAConf with the volume 'backups' (10001), which dave owns. What
// the nodes find at the far end is told by the tests.
#include <catch2/catch.hpp>

#include "storage/remote_volume_probe.h"
#include "tests/support/job_fixture.h"
#include "tests/support/node_config_text.h"

namespace confd::jobs {
namespace {

using base::Code;
using base::Value;
using test::JobRun;
using test::JobTest;

struct Volumes : JobTest {
  explicit Volumes(const std::string& config = test::small_config_text()) : JobTest(config) {
    nodes.register_operation("remote_volume.probe",
                             [this](const base::Struct& params, std::stop_token) -> base::Result<Value> {
                               asked.push_back(params);
                               if (failure) return *failure;
                               base::Struct answer{{"state", state}};
                               if (!reason.empty()) answer.append("reason", reason);
                               return Value(std::move(answer));
                             });
  }
  std::string value(const std::string& name, const std::string& key,
                    const std::string& kind = "RemoteVolume") const {
    const exaconf::Section* section = config().section(kind, name);
    return section == nullptr ? "no section" : section->value_or(key, "none");
  }
  // Adds one without asking for it from the nodes.
  JobRun add(const std::string& more, const std::string& user = "root") {
    return run("remote_volume_add",
               R"({"vol_type": "s3", "url": "https://b.s3.amazonaws.com", "check_access": false)" +
                   (more.empty() ? "" : ", " + more) + "}",
               user);
  }
  std::string state = "Online", reason;
  std::optional<base::Error> failure;
  std::vector<base::Struct> asked;
};

void check_refused(const JobRun& run, Code code, const std::string& part) {
  CAPTURE(run.text);
  CHECK(run.code == code);
  CHECK(run.says(part));
}

const std::string kFtp =
    R"({"vol_type": "ftp", "url": "ftp://server/dir/", "username": "me", "password": "hunter2!", "owner": [500, 500])";

}  // namespace

TEST_CASE("remote_volume_add tries the volume from the node and writes its section") {
  Volumes test;
  const JobRun run = test.run("remote_volume_add", kFtp + R"(, "options": ["verbose", "timeout=5"],
      "labels": ["a", "b"], "remote_volume_name": "archive1"})");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == R"([["archive1","exadefusr","/tmp/etc/remote_volumes/exadefusr.500.conf"]])");
  CHECK(test.value("archive1", "Type") == "ftp");
  CHECK(test.value("archive1", "ID") == "10002");
  CHECK(test.value("archive1", "URL") == "ftp://server/dir/");
  CHECK(test.value("archive1", "Owner") == "500 : 500");
  CHECK(test.value("archive1", "Username") == "me");
  CHECK(test.value("archive1", "Passwd") == "aHVudGVyMiE=");
  CHECK(test.value("archive1", "Options") == "verbose, timeout=5");
  CHECK(test.value("archive1", "Labels") == "a, b");
  REQUIRE(test.asked.size() == 1);
  CHECK(base::render_json(Value(test.asked[0])) ==
        R"({"volume":{"name":"archive1","type":"ftp","url":"ftp://server/dir/","username":"me",)"
        R"("password":"hunter2!","options":"verbose, timeout=5"},"write":true})");
  // The record and the difference tell it without its password.
  REQUIRE(run.commands.size() == 1);
  CHECK(run.commands[0].name == "remote_volume.probe");
  CHECK(run.commands[0].arguments.find("volume")->find("password")->as_string() == "***");
  const std::string diff = base::render_json(run.diff);
  CHECK(diff.find("aHVudGVyMiE=") == std::string::npos);
  CHECK(diff.find("\"key\":\"Passwd\",\"before\":null,\"after\":\"***\"") != std::string::npos);
  CHECK(test.last_locks.size() == 1);
}

TEST_CASE("remote_volume_add gives ids and names") {
  Volumes test;
  CHECK(test.add("").output_json() == R"([["r0002","root","/tmp/etc/remote_volumes/root.0.conf"]])");
  CHECK(test.add(R"("remote_volume_id": "10010")").output_json().starts_with(R"([["r0010",)"));
  CHECK(test.add(R"("remote_volume_id": 10003, "remote_volume_name": "r0012")").ok());
  // r0012 is the name of another one: its id is left out.
  CHECK(test.add("").output_json().starts_with(R"([["r0011",)"));
  CHECK(test.add("").output_json().starts_with(R"([["r0013",)"));
  CHECK(test.value("r0013", "ID") == "10013");
  CHECK(test.add(R"("remote_volume_id": 99999)").output_json().starts_with(R"([["r89999",)"));
  CHECK(test.add("").output_json().starts_with(R"([["r0004",)"));
  CHECK(test.add(R"("remote_volume_id": 10000)").output_json().starts_with(R"([["r0000",)"));
}

TEST_CASE("remote_volume_add takes keys of S3, owners by name, options as text") {
  Volumes test;
  const JobRun run = test.add(
      R"("s3_access_key": "KEY", "s3_secret_key": "no base64!", "owner": "alice:reporting",
         "remote_volume_name": "x", "options": "nocompression,s3-download-part-length=100MiB,")");
  REQUIRE(run.text == "");
  CHECK(test.value("x", "Username") == "KEY");
  CHECK(test.value("x", "Passwd") == "bm8gYmFzZTY0IQ==");
  CHECK(test.value("x", "Owner") == "1001 : 2000");
  CHECK(test.value("x", "Options") == "nocompression,s3-download-part-length=100MiB,");
  CHECK(run.warns("'s3-download-part-length' is kept and has no effect"));
  CHECK_FALSE(run.warns("s3_access_key"));
  // As the older release's example: the secret in base64.
  const JobRun encoded = test.add(
      R"("username": "KEY", "password": "c2VjcmV0", "remote_volume_name": "y", "owner": ["500", "exausers"])");
  CHECK(encoded.warns("taken as base64"));
  CHECK(test.value("y", "Passwd") == "c2VjcmV0");
  CHECK(test.value("y", "Owner") == "500 : 500");
  CHECK(test.value("x", "Labels") == "none");
  // An owner who is not given is the caller.
  CHECK(test.add("", "alice").output_json() ==
        R"([["r0004","alice","/tmp/etc/remote_volumes/alice.1001.conf"]])");
  CHECK(test.value("r0004", "Owner") == "1001 : 500");
}

TEST_CASE("remote_volume_add refuses what can't be, and changes nothing") {
  const std::pair<std::string, std::pair<Code, std::string>> refusals[] = {
      {R"("vol_type": "tape")", {Code::bad_parameter, "'tape' is none of"}},
      {R"("url": "s3://bucket")", {Code::bad_parameter, "must begin with https://"}},
      {R"("url": "https://me:hunter2@host/bucket")", {Code::bad_parameter, "must not hold credentials"}},
      {R"("vol_type": "webhdfs", "url": "https://n/webhdfs/v1")", {Code::unsupported, "WebHDFS"}},
      {R"("vol_type": "file", "url": "file:///etc/x")", {Code::bad_parameter, "a folder in /etc"}},
      {R"("vol_type": "file", "url": "file:///tmp/spool")", {Code::bad_parameter, "confd's own"}},
      {R"("remote_volume_id": 9999)", {Code::bad_parameter, "not between 10000 and 99999"}},
      {R"("remote_volume_id": "one")", {Code::bad_parameter, "must be a number"}},
      {R"("remote_volume_id": 10001)", {Code::exists, "id 10001 exists already"}},
      {R"("remote_volume_name": "backups")", {Code::exists, "[RemoteVolume : backups]"}},
      {R"("remote_volume_name": "data1")", {Code::exists, "[EXAVolume : data1]"}},
      {R"("remote_volume_name": "a/b")", {Code::bad_parameter, "can't be the name of a volume"}},
      {R"("remote_volume_name": "10005")", {Code::bad_parameter, "would be an id"}},
      {R"("owner": [500])", {Code::bad_parameter, "must be a user and a group"}},
      {R"("owner": [4711, 500])", {Code::not_found, "id 4711 does not exist"}},
      {R"("owner": [500, "nobody"])", {Code::not_found, "group 'nobody'"}},
      {R"("options": "timeout=soon")", {Code::bad_parameter, "timeout= must be a number"}},
      {R"("options": ["verbose,noresume"])", {Code::bad_parameter, "must not hold a comma"}},
      {R"("labels": ["a,b"])", {Code::bad_parameter, "must not be empty nor hold a comma"}},
      {R"("password": "alone!")", {Code::bad_parameter, "a username"}},
      {R"("username": "a\nb", "password": "x!")", {Code::bad_parameter, "control characters"}},
  };
  for (const auto& [more, refusal] : refusals) {
    CAPTURE(more);
    Volumes test;
    check_refused(test.add(more), refusal.first, refusal.second);
    CHECK(test.config().revision() == 3);
    CHECK(test.asked.empty());
  }
}

TEST_CASE("remote_volume_add refuses a volume that a node can't write and read") {
  Volumes test;
  test.state = "Connection problem";
  test.reason = "530 Login incorrect";
  const JobRun run = test.run("remote_volume_add", kFtp + "}");
  check_refused(run, Code::io_error, "node 11: Connection problem: 530 Login incorrect");
  CHECK(run.says("check_access"));
  CHECK(run.commands.at(0).output.find("reason")->as_string() == "530 Login incorrect");
  test.state = "Unmounted";
  check_refused(test.run("remote_volume_add", kFtp + "}"), Code::not_found, "node 11: Unmounted");
  test.failure = base::Error{Code::timeout, "node 11 did not answer"};
  check_refused(test.run("remote_volume_add", kFtp + "}"), Code::timeout, "node 11 did not answer");
  CHECK(test.config().revision() == 3);
}

TEST_CASE("remote_volume_add leaves out nodes that are not in service, with a warning") {
  Volumes test(test::three_nodes("    State = suspended\n"));
  test.members.cluster_on = true;
  test.members.live = {11, 12};
  const JobRun run = test.run("remote_volume_add", kFtp + "}");
  REQUIRE(run.text == "");
  CHECK(run.commands.size() == 1);
  CHECK(run.warns("node 12 is not in service"));
  CHECK(run.warns("node 13 is not in service"));
}

TEST_CASE("a dry run of remote_volume_add asks no node") {
  Volumes test;
  CHECK(test.run("remote_volume_add", kFtp + "}", "root", true).ok());
  CHECK(test.asked.empty());
  CHECK(test.config().revision() == 3);
}

TEST_CASE("remote volumes are described with the keys of the specification") {
  Volumes test;
  CHECK(test.run("remote_volume_list").output_json() == R"(["backups"])");
  const std::string described =
      R"({"name":"backups","type":"file","url":"file:///backups","owner":[1004,2001],"vid":"10001"})";
  CHECK(test.run("remote_volume_info", R"({"remote_volume_name": "backups"})").output_json() == described);
  CHECK(test.run("remote_volume_info", R"({"remote_volume_id": "10001"})").output_json() == described);
  CHECK(
      test.run("remote_volume_info", R"({"remote_volume_id": 10001, "remote_volume_name": "backups"})").ok());
  CHECK(test.run("remote_volume_list_details").output_json() == "[" + described + "]");
  REQUIRE(test.run("remote_volume_add", kFtp + R"(, "check_access": false, "labels": ["x"],
      "options": ["verbose", "noverifypeer"]})")
              .ok());
  CHECK(test.run("remote_volume_info", R"({"remote_volume_name": "r0002"})").output_json() ==
        R"({"name":"r0002","type":"ftp","url":"ftp://server/dir/","username":"me","password":"hunter2!",)"
        R"("owner":[500,500],"vid":"10002","options":"verbose, noverifypeer","labels":["x"]})");
}

TEST_CASE("a remote volume that is not there is named") {
  Volumes test;
  for (const auto* job : {"remote_volume_info", "remote_volume_remove", "remote_volume_state"}) {
    CAPTURE(job);
    check_refused(test.run(job, R"({"remote_volume_name": "none"})"), Code::not_found,
                  "'none' does not exist");
    check_refused(test.run(job, R"({"remote_volume_id": 10009})"), Code::not_found,
                  "id 10009 does not exist");
    check_refused(test.run(job, R"({"remote_volume_id": "x"})"), Code::not_found, "id 'x' does not exist");
    REQUIRE(test.add("").ok());
    check_refused(test.run(job, R"({"remote_volume_id": 10001, "remote_volume_name": "r0002"})"),
                  Code::bad_parameter, "is that of the volume 'backups'");
    REQUIRE(test.run("remote_volume_remove", R"({"remote_volume_name": "r0002"})").ok());
  }
}

TEST_CASE("the owner of a remote volume may look at it, ask for its state and remove it") {
  Volumes test;
  const std::string params = R"({"remote_volume_name": "backups"})";
  for (const auto* job : {"remote_volume_info", "remote_volume_state", "remote_volume_remove"}) {
    CAPTURE(job);
    check_refused(test.run(job, params, "carol"), Code::forbidden, "open to the owner");
    CHECK(test.run(job, R"({"remote_volume_id": "10001"})", "carol").code == Code::forbidden);
    CHECK(test.run(job, R"({"remote_volume_name": "none"})", "dave").code == Code::forbidden);
    CHECK(test.run(job, params, "dave").ok());
  }
  // All volumes are not his.
  CHECK(test.run("remote_volume_list", "{}", "dave").code == Code::forbidden);
  CHECK(test.run("remote_volume_list_details", "{}", "dave").code == Code::forbidden);
  CHECK(test.run("remote_volume_list").output_json() == "[]");
}

TEST_CASE("remote_volume_remove refuses a volume that is used") {
  const std::string schedule = "    [[Backup : daily]]\n        Volume = backups\n        Level = 0\n";
  const std::string by_id = "    [[Backup : daily]]\n        Volume = 10001\n        Level = 0\n";
  for (const std::string& section : {schedule, by_id}) {
    std::string text = test::small_config_text();
    text.insert(text.find("[BucketFS"), section);
    Volumes test(text);
    check_refused(test.run("remote_volume_remove", R"({"remote_volume_name": "backups"})"), Code::busy,
                  "backup schedule 'daily' of database 'exa'");
  }
  std::string text = test::small_config_text();
  text.replace(text.find("RemoteLogRotationVolume = None"), 30, "RemoteLogRotationVolume = backups");
  Volumes test(text);
  check_refused(test.run("remote_volume_remove", R"({"remote_volume_name": "backups"})"), Code::busy,
                "RemoteLogRotationVolume");
  CHECK(test.config().revision() == 3);
}

TEST_CASE("remote_volume_state asks every node, and keeps the reasons in the record") {
  Volumes test(test::three_nodes());
  test.state = "Connection problem";
  test.reason = "connection refused";
  const JobRun run = test.run("remote_volume_state", R"({"remote_volume_name": "backups"})");
  // The other nodes can't be reached here.
  CHECK(run.output_json() == R"(["Connection problem","Unmounted","Unmounted"])");
  REQUIRE(run.commands.size() == 3);
  CHECK(run.commands[0].node == 11);
  CHECK(run.commands[0].output.find("reason")->as_string() == "connection refused");
  CHECK(run.commands[1].node == 12);
  CHECK(run.commands[1].exit == static_cast<int>(Code::node_unreachable));
  CHECK_FALSE(test.asked.at(0).find("write")->as_bool());
}

TEST_CASE("object volumes are added, described, listed and removed") {
  Volumes test;
  const JobRun run =
      test.run("object_volume_add",
               R"({"bucket": "Bucket1", "credentials": "root", "end_point": "Name:my-endpoint-01",
      "name": "DataVolume2", "owner": "500:500", "prefix": "Europe/France", "priority": "10",
      "region": "eu-central-1", "vol_type": "s3", "shared": false, "permissions": "rwxr-x---",
      "labels": ["l"], "options": "o"})");
  REQUIRE(run.text == "");
  CHECK(run.output_json() == R"("20001")");
  CHECK(test.run("object_volume_list", "{}", "carol").output_json() == R"(["DataVolume2"])");
  const std::string described =
      R"({"name":"DataVolume2","type":"s3","bucket":"Bucket1","prefix":"Europe/France","owner":[500,500],)"
      R"("region":"eu-central-1","credentials":"root","end_point":"Name:my-endpoint-01","labels":["l"],)"
      R"("options":"o","priority":10,"shared":false,"permissions":"rwxr-x---","vid":"20001"})";
  CHECK(test.run("object_volume_info", R"({"name": "DataVolume2"})").output_json() == described);
  CHECK(test.run("object_volume_info", R"({"vol_id": 20001})").output_json() == described);
  check_refused(test.run("object_volume_info", R"({"vol_id": 20002})"), Code::not_found, "id 20002");
  check_refused(test.run("object_volume_add", R"({"vol_type": "gs", "name": "DataVolume2"})"), Code::exists,
                "[ObjectVolume : DataVolume2]");
  check_refused(test.add(R"("remote_volume_id": 20001)"), Code::exists, "id 20001");
  CHECK(test.run("object_volume_add", R"({"vol_type": "gs", "name": "b"})").output_json() == R"("20002")");
  CHECK(test.run("object_volume_remove", R"({"name": "DataVolume2"})").ok());
  CHECK(test.run("object_volume_remove", R"({"vol_id": 20002})").ok());
  CHECK(test.run("object_volume_list").output_json() == "[]");
}

TEST_CASE("object_volume_add and object_volume_remove refuse what can't be") {
  const std::pair<std::string, std::string> refusals[] = {
      {R"("vol_type": "ftp")", "'ftp' is none of"},
      {R"("credentials": "KEY:SECRET")", "must be root, IAM or MFA"},
      {R"("vol_type": "azure", "credentials": "root")", "must be ACCOUNT:KEY"},
      {R"("priority": 21)", "from 0 to 20"},
      {R"("permissions": "rw")", "is no mode"},
      {R"("permissions": "xwr")", "is no mode"},
      {R"("bucket": "a/b")", "must be a bucket's name"},
      {R"("prefix": "a\nb")", "control characters"},
      {R"("owner": {"uid": 1})", "must be"},
  };
  for (const auto& [more, part] : refusals) {
    CAPTURE(more);
    Volumes test;
    check_refused(test.run("object_volume_add", R"({"vol_type": "s3", "name": "o", )" + more + "}"),
                  Code::bad_parameter, part);
    CHECK(test.config().revision() == 3);
  }
  std::string text = test::small_config_text();
  text.replace(text.find("bucketvolume = None"), 19, "bucketvolume = o");
  Volumes test(text);
  REQUIRE(test.run("object_volume_add", R"({"vol_type": "s3", "name": "o"})").ok());
  check_refused(test.run("object_volume_remove", R"({"name": "o"})"), Code::busy,
                "bucketvolume of BucketFS 'bfsdefault'");
}

}  // namespace confd::jobs
