// Remote volumes as rclone's settings, and the options of volumes.
#include "storage/rclone_remote.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "base/text.h"

namespace confd::storage {
namespace {

using base::Code;

RemoteVolume volume(const std::string& type, const std::string& url, const std::string& username = {},
                    const std::string& password = {}, const std::string& options = {}) {
  RemoteVolume made;
  made.name = "r0001";
  made.id = 10001;
  made.type = *parse_remote_type(type);
  made.url = url;
  made.username = username;
  made.password = password;
  made.options = options;
  return made;
}

// "type=s3 provider=AWS ... | root"; obscured passwords as "pass=(secret)".
std::string settings_of(const RemoteVolume& made, std::size_t host = 0, const std::string& known_hosts = {}) {
  const auto remote = rclone_remote(made, known_hosts);
  if (!remote) return "refused: " + remote.error().text;
  std::vector<std::string> shown;
  for (const RcloneSetting& setting : remote->sections.at(host))
    shown.push_back(setting.name + "=" + (setting.obscured ? "(" + setting.value + ")" : setting.value));
  return base::join(shown, " ") + " | " + remote->root;
}

void check_refused(const RemoteVolume& made, const std::string& part, Code code = Code::bad_parameter) {
  const auto remote = rclone_remote(made);
  REQUIRE_FALSE(remote.ok());
  CAPTURE(remote.error().text);
  CHECK(remote.error().code == code);
  CHECK(remote.error().text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("options are taken as a list with commas, unknown ones are kept apart") {
  const auto options = parse_remote_options(
      "cleanvolume, verbose,noverifypeer , nocompression,noresume,forcessl,earlytls,webdav,s3,timeout=60,"
      "user=me,delegation_token=t,proxy=http://p:3128,scheme=https,endpoint=https://host,"
      "s3-download-part-length=100MiB,");
  REQUIRE(options.ok());
  CHECK(options->clean_volume);
  CHECK(options->verbose);
  CHECK(options->no_verify_peer);
  CHECK(options->no_compression);
  CHECK(options->no_resume);
  CHECK(options->force_tls);
  CHECK(options->early_tls);
  CHECK(options->timeout == std::chrono::seconds(60));
  CHECK(options->user == "me");
  CHECK(options->delegation_token == "t");
  CHECK(options->proxy == "http://p:3128");
  CHECK(options->scheme == "https");
  CHECK(options->endpoint == "https://host");
  CHECK(options->ignored == std::vector<std::string>{"s3-download-part-length"});
  CHECK(parse_remote_options("")->timeout == std::chrono::seconds(30));
  for (const auto* wrong : {"timeout", "timeout=", "timeout=0", "timeout=1.5", "timeout=86401",
                            "user=", "verbose=1", "scheme=ftp", "proxy=host:3128"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_remote_options(wrong).ok());
  }
}

TEST_CASE("S3 volumes become settings of rclone") {
  CHECK(settings_of(volume("s3", "https://bucket.s3.eu-central-1.amazonaws.com/dir/", "key", "secret")) ==
        "type=s3 provider=AWS access_key_id=key secret_access_key=secret region=eu-central-1 "
        "no_check_bucket=true | bucket/dir");
  // The role of the machine.
  CHECK(settings_of(volume("s3", "https://bucket.s3.amazonaws.com")) ==
        "type=s3 provider=AWS env_auth=true no_check_bucket=true | bucket");
  CHECK(settings_of(volume("s3", "http://bucket.s3-eu-west-1.amazonaws.com", "key", "secret")) ==
        "type=s3 provider=AWS access_key_id=key secret_access_key=secret region=eu-west-1 "
        "endpoint=http://s3.eu-west-1.amazonaws.com no_check_bucket=true | bucket");
  CHECK(settings_of(volume("s3", "https://10.0.0.1:9000/bucket", "key", "secret",
                           "verbose, scheme=https, endpoint=https://10.0.0.1")) ==
        "type=s3 provider=Other access_key_id=key secret_access_key=secret endpoint=https://10.0.0.1:9000 "
        "no_check_bucket=true | bucket");
  CHECK(settings_of(volume("s3", "https://bucket.minio.example.com/dir", "key", "secret",
                           "endpoint=https://minio.example.com:9000")) ==
        "type=s3 provider=Other access_key_id=key secret_access_key=secret "
        "endpoint=https://minio.example.com:9000 no_check_bucket=true | bucket/dir");
  CHECK(settings_of(volume("s3", "http://[::1]:9000/bucket")) ==
        "type=s3 provider=Other endpoint=http://[::1]:9000 no_check_bucket=true | bucket");
  check_refused(volume("s3", "https://bucket.s3.amazonaws.com", "key"), "the secret key");
  check_refused(volume("s3", "https://bucket.s3.amazonaws.com", "", "secret"), "a username");
  CHECK(rclone_remote(volume("s3", "https://bucket.s3.amazonaws.com"))->whole_objects);
}

TEST_CASE("Google and Azure volumes become settings of rclone") {
  CHECK(settings_of(volume("gs", "https://bucket.storage.googleapis.com", "key", "secret")) ==
        "type=s3 provider=Other access_key_id=key secret_access_key=secret "
        "endpoint=https://storage.googleapis.com no_check_bucket=true | bucket");
  CHECK(settings_of(volume("gs", "https://bucket.storage.googleapis.com/dir")) ==
        "type=google cloud storage bucket_policy_only=true no_check_bucket=true | bucket/dir");
  CHECK(settings_of(
            volume("gs", "https://bucket.storage.googleapis.com", "", "{\n\"private_key\": \"x\\ny\"\n}")) ==
        "type=google cloud storage bucket_policy_only=true service_account_credentials={ \"private_key\": "
        "\"x\\ny\" } no_check_bucket=true | bucket");
  CHECK(settings_of(volume("azure", "https://account.blob.core.windows.net/container", "account", "key")) ==
        "type=azureblob account=account key=key | container");
  CHECK(settings_of(volume("azure", "https://account.blob.core.windows.net/container/dir")) ==
        "type=azureblob account=account use_msi=true | container/dir");
  CHECK(settings_of(volume("azure", "https://acc.blob.core.chinacloudapi.cn:444/c", "acc", "key")) ==
        "type=azureblob account=acc key=key endpoint=blob.core.chinacloudapi.cn:444 | c");
  check_refused(volume("azure", "http://account.blob.core.windows.net/container"), "https");
}

TEST_CASE("volumes on file servers become settings of rclone") {
  CHECK(settings_of(volume("ftp", "ftp://host:2021/v0002", "me", "pw")) ==
        "type=ftp host=host port=2021 user=me pass=(pw) disable_mlsd=true close_timeout=30s | v0002");
  CHECK(settings_of(volume("ftp", "ftp://host")) ==
        "type=ftp host=host port=21 user=anonymous pass=(anonymous) disable_mlsd=true close_timeout=30s | ");
  CHECK(settings_of(volume("ftp", "ftps://host/d", "me", "pw", "noverifypeer,timeout=5")) ==
        "type=ftp host=host port=990 user=me pass=(pw) tls=true no_check_certificate=true disable_mlsd=true "
        "close_timeout=5s | "
        "d");
  CHECK(settings_of(volume("ftp", "ftp://host/d", "me", "pw", "forcessl")) ==
        "type=ftp host=host port=21 user=me pass=(pw) explicit_tls=true disable_mlsd=true close_timeout=30s "
        "| d");
  const RemoteVolume several = volume("ftp", "ftp://10.0.0.1..2/d", "me", "pw");
  CHECK(rclone_remote(several)->sections.size() == 2);
  CHECK(settings_of(several, 1).starts_with("type=ftp host=10.0.0.2 port=21"));

  const std::string plain = " shell_type=none disable_hashcheck=true set_modtime=false | /a/b";
  CHECK(settings_of(volume("sftp", "sftp://host:2022/a/b", "me", "pw")) ==
        "type=sftp host=host port=2022 user=me pass=(pw)" + plain);
  CHECK(settings_of(volume("sftp", "sftp://host/a/b", "me", "pw"), 0, "/exa/known") ==
        "type=sftp host=host port=22 user=me pass=(pw) known_hosts_file=/exa/known" + plain);
  CHECK(settings_of(volume("sftp", "sftp://host/a/b", "me", "pw", "noverifypeer"), 0, "/exa/known") ==
        "type=sftp host=host port=22 user=me pass=(pw)" + plain);
  CHECK(settings_of(volume("sftp", "sftp://host/a/b", "me",
                           "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")) ==
        "type=sftp host=host port=22 user=me key_pem=-----BEGIN PRIVATE KEY-----\\nabc\\n-----END PRIVATE "
        "KEY-----\\n" +
            plain);
  check_refused(volume("sftp", "sftp://host/"), "a username");

  CHECK(settings_of(volume("smb", "smb:////host/share/dir", "DOMAIN\\me", "pw")) ==
        "type=smb host=host port=445 domain=DOMAIN user=me pass=(pw) | share/dir");
  CHECK(settings_of(volume("smb", "smb://host:4450/share")) ==
        "type=smb host=host port=4450 user=guest | share");
  CHECK(settings_of(volume("webdav", "https://host:8443/dav/x", "me", "pw", "webdav,noverifypeer")) ==
        "type=webdav url=https://host:8443 vendor=other user=me pass=(pw) | dav/x");
  CHECK(settings_of(volume("webdav", "http://host", "", "", "delegation_token=t")) ==
        "type=webdav url=http://host vendor=other bearer_token=t | ");
  CHECK(settings_of(volume("webhdfs", "hdfs://namenode/backup", "", "", "user=hadoop")) ==
        "type=hdfs namenode=namenode:8020 username=hadoop | /backup");
  CHECK(settings_of(volume("file", "file:///mnt/backup")) == "type=local | /mnt/backup");
  CHECK(rclone_remote(volume("file", "/mnt/backup"))->wants_root);
  CHECK_FALSE(rclone_remote(volume("file", "/mnt/backup"))->whole_objects);
  check_refused(volume("webhdfs", "https://namenode/webhdfs/v1"), "WebHDFS", Code::unsupported);
}

TEST_CASE("options reach rclone as switches and environment") {
  const auto remote = rclone_remote(volume("webdav", "https://host/", "", "",
                                           "noverifypeer,verbose,noresume,earlytls,timeout=7,"
                                           "proxy=http://me:hunter2@proxy:3128"));
  REQUIRE(remote.ok());
  CHECK(remote->flags == std::vector<std::string>{"--no-check-certificate", "--log-level=INFO"});
  CHECK(remote->environment == std::vector<std::string>{"HTTP_PROXY=http://me:hunter2@proxy:3128",
                                                        "HTTPS_PROXY=http://me:hunter2@proxy:3128",
                                                        "GODEBUG=tls10default=1"});
  CHECK(remote->timeout == std::chrono::seconds(7));
  CHECK_FALSE(remote->resumes);
  check_refused(volume("ftp", "ftp://host", "", "", "proxy=http://p:1"), "by a proxy", Code::unsupported);
}

TEST_CASE("a section holds any value on one line") {
  const auto section = [](const std::string& value) {
    const auto text = rclone_section("volume", {{"type", "s3"}, {"secret_access_key", value}});
    return text ? *text : "refused: " + text.error().text;
  };
  const std::string head = "[volume]\ntype = s3\nsecret_access_key = ";
  for (const auto* plain : {"abc", "a#b;c", "a=b:c", "\"a\"", "'", "a`b", "a\\b", "\xc3\xa4"})
    CHECK(section(plain) == head + plain + "\n");
  for (const auto* odd : {" a", "a ", "`a`", "`", "\"\"\"a\"\"\""})
    CHECK(section(odd) == head + "`" + odd + "`\n");
  CHECK(section("a\nb").starts_with("refused: rclone's setting 'secret_access_key' can't hold control"));
  CHECK(section("a%(type)s").starts_with("refused: "));
  CHECK(section("\xff").starts_with("refused: "));
  // The reason does not repeat the value.
  CHECK(section("hunter2\n").find("hunter2") == std::string::npos);
}

TEST_CASE("a volume goes to another node and back") {
  const RemoteVolume sent = volume("ftp", "ftp://host/d", "me", "pw", "timeout=5");
  const auto came = remote_volume_of(to_params(sent));
  REQUIRE(came.ok());
  CHECK(base::render_json(to_params(*came)) == base::render_json(to_params(sent)));
  base::Struct params = to_params(sent);
  params.erase("url");
  CHECK_FALSE(remote_volume_of(params).ok());
  params = to_params(sent);
  params.set("type", "tape");
  CHECK_FALSE(remote_volume_of(params).ok());
}

TEST_CASE("a password of EXAConf is base64, else itself") {
  CHECK(clear_password("c2VjcmV0") == "secret");
  CHECK(clear_password("not base64!") == "not base64!");
  CHECK(clear_password("").empty());
}

}  // namespace confd::storage
