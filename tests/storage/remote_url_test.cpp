// Addresses of remote volumes: the forms of the specification, and what is none of them.
#include "storage/remote_url.h"

#include <catch2/catch.hpp>
#include <random>

#include "base/text.h"

namespace confd::storage {
namespace {

using base::Code;

// "https hosts:port bucket=... folder=... region=... account=... home", what is there.
std::string parsed(RemoteType type, const std::string& text, const std::string& endpoint = {}) {
  const auto url = parse_remote_url(type, text, endpoint);
  if (!url) return "refused: " + url.error().text;
  std::string shown = url->scheme + " " + base::join(url->hosts, "|");
  if (url->port != 0) shown += ":" + std::to_string(url->port);
  for (const auto& [name, value] : {std::pair("bucket", url->bucket), std::pair("folder", url->folder),
                                    std::pair("region", url->region), std::pair("account", url->account)})
    if (!value.empty()) shown += std::string(" ") + name + "=" + value;
  return shown + (url->at_home ? " home" : "");
}

void check_refused(RemoteType type, const std::string& text, const std::string& part,
                   Code code = Code::bad_parameter) {
  CAPTURE(text);
  const auto url = parse_remote_url(type, text);
  REQUIRE_FALSE(url.ok());
  CAPTURE(url.error().text);
  CHECK(url.error().code == code);
  CHECK(url.error().text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("types are known by name") {
  for (const auto* name : {"smb", "ftp", "sftp", "webhdfs", "webdav", "file", "s3", "gs", "azure"})
    CHECK(remote_type_name(*parse_remote_type(name)) == name);
  CHECK(parse_remote_type("S3").error().text ==
        "'S3' is no type of a remote volume; there are smb, ftp, sftp, webhdfs, webdav, file, s3, gs, azure");
}

TEST_CASE("addresses of S3 name bucket, folder and region") {
  const RemoteType s3 = RemoteType::s3;
  CHECK(parsed(s3, "http://bucketname.s3.amazonaws.com") ==
        "http bucketname.s3.amazonaws.com bucket=bucketname home");
  CHECK(parsed(s3, "https://bucket.s3.eu-central-1.amazonaws.com/") ==
        "https bucket.s3.eu-central-1.amazonaws.com bucket=bucket region=eu-central-1 home");
  CHECK(parsed(s3, "https://bucket.s3-eu-west-1.amazonaws.com/dir/sub/") ==
        "https bucket.s3-eu-west-1.amazonaws.com bucket=bucket folder=dir/sub region=eu-west-1 home");
  CHECK(parsed(s3, "https://my.own.bucket.s3.eu-west-1.amazonaws.com.cn") ==
        "https my.own.bucket.s3.eu-west-1.amazonaws.com.cn bucket=my.own.bucket region=eu-west-1 home");
  CHECK(parsed(s3, "https://s3.s3.amazonaws.com") == "https s3.s3.amazonaws.com bucket=s3 home");
  CHECK(parsed(s3, "https://s3.eu-west-1.amazonaws.com/bucket/dir") ==
        "https s3.eu-west-1.amazonaws.com bucket=bucket folder=dir region=eu-west-1 home");
  CHECK(parsed(s3, "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/") ==
        "https bucket.s3.dualstack.eu-west-1.amazonaws.com bucket=bucket region=eu-west-1 home");
  // What is no host of AWS has its bucket in the path, or before the option's endpoint.
  CHECK(parsed(s3, "https://10.0.0.1:9000/bucket/a%20b") == "https 10.0.0.1:9000 bucket=bucket folder=a b");
  CHECK(parsed(s3, "https://10.0.0.1:9000/bucket", "https://10.0.0.1") ==
        "https 10.0.0.1:9000 bucket=bucket");
  CHECK(parsed(s3, "https://backup.minio.example.com/dir", "https://minio.example.com:9000") ==
        "https backup.minio.example.com bucket=backup folder=dir");
  CHECK(parsed(s3, "https://[::1]:9000/bucket") == "https ::1:9000 bucket=bucket");
  check_refused(s3, "https://minio.example.com/", "names no bucket");
  check_refused(s3, "https://s3.amazonaws.com", "names no bucket");
  check_refused(s3, "s3://bucket/dir", "must begin with https:// or http://");
}

TEST_CASE("addresses of Azure and Google name container and bucket") {
  CHECK(parsed(RemoteType::azure, "https://account.blob.core.windows.net/container") ==
        "https account.blob.core.windows.net bucket=container account=account home");
  CHECK(parsed(RemoteType::azure, "https://account.blob.core.chinacloudapi.cn/container/a/b/") ==
        "https account.blob.core.chinacloudapi.cn bucket=container folder=a/b account=account");
  check_refused(RemoteType::azure, "https://account.blob.core.windows.net/", "names no container");
  check_refused(RemoteType::azure, "https://localhost/container", "must begin with the account");
  CHECK(parsed(RemoteType::gs, "https://bucket.storage.googleapis.com") ==
        "https bucket.storage.googleapis.com bucket=bucket home");
  CHECK(parsed(RemoteType::gs, "https://storage.googleapis.com/bucket/dir") ==
        "https storage.googleapis.com bucket=bucket folder=dir home");
  CHECK(parsed(RemoteType::gs, "https://10.0.0.1:4443/bucket") == "https 10.0.0.1:4443 bucket=bucket");
}

TEST_CASE("addresses of file servers name hosts, port and folder") {
  CHECK(parsed(RemoteType::ftp, "ftp://ftpserver:12345/optional-directory/") ==
        "ftp ftpserver:12345 folder=optional-directory");
  CHECK(parsed(RemoteType::ftp, "ftps://ftpserver") == "ftps ftpserver");
  CHECK(parsed(RemoteType::ftp, "FTP://10.0.0.1..3:2021/v0002") ==
        "ftp 10.0.0.1|10.0.0.2|10.0.0.3:2021 folder=v0002");
  CHECK(parsed(RemoteType::ftp, "ftp://a,b, 10.0.0.8..9/") == "ftp a|b|10.0.0.8|10.0.0.9");
  CHECK(parsed(RemoteType::sftp, "sftp://host:2022/a//b/") == "sftp host:2022 folder=a/b");
  CHECK(parsed(RemoteType::smb, "smb:////host/share") == "smb host bucket=share");
  CHECK(parsed(RemoteType::smb, "smb://host:4450/share/dir") == "smb host:4450 bucket=share folder=dir");
  CHECK(parsed(RemoteType::webdav, "https://host/webdav/data/") == "https host folder=webdav/data");
  CHECK(parsed(RemoteType::webhdfs, "hdfs://namenode:8020/backup") == "hdfs namenode:8020 folder=backup");
  CHECK(parsed(RemoteType::file, "file:///mnt/backup/") == "file  folder=mnt/backup");
  CHECK(parsed(RemoteType::file, "/mnt/back%20up") == "file  folder=mnt/back up");
}

TEST_CASE("an address that is none is refused with the reason") {
  check_refused(RemoteType::ftp, "", "must not be empty");
  check_refused(RemoteType::ftp, "ftpserver/dir", "must begin with a scheme");
  check_refused(RemoteType::ftp, "sftp://host/", "must begin with ftp:// or ftps://");
  check_refused(RemoteType::ftp, "ftp:///dir", "must name a host");
  check_refused(RemoteType::ftp, "ftp://ho st/", "must name a host");
  check_refused(RemoteType::ftp, "ftp://-host/", "must name a host");
  check_refused(RemoteType::ftp, "ftp://host:/", "without a port");
  check_refused(RemoteType::ftp, "ftp://host:70000/", "between 1 and 65535");
  check_refused(RemoteType::ftp, "ftp://host:port/", "between 1 and 65535");
  check_refused(RemoteType::ftp, "ftp://10.0.0.5..1/", "range of hosts");
  check_refused(RemoteType::ftp, "ftp://10.0.0.1..999/", "range of hosts");
  check_refused(RemoteType::ftp, "ftp://10.0.0.1..99/", "more than 64 hosts");
  check_refused(RemoteType::ftp, "ftp://host/a/../b", "'.' or '..'");
  check_refused(RemoteType::ftp, "ftp://host/a/%2e%2e/b", "'.' or '..'");
  check_refused(RemoteType::ftp, "ftp://host/%zz", "two hex digits");
  check_refused(RemoteType::ftp, "ftp://host/a%0Ab", "control characters");
  check_refused(RemoteType::ftp, "ftp://host/%ff", "UTF-8");
  check_refused(RemoteType::ftp, "ftp://host/a#b", "'?' or '#'");
  check_refused(RemoteType::sftp, "sftp://a,b/dir", "only ftp takes several");
  check_refused(RemoteType::smb, "smb://host/", "names no share");
  check_refused(RemoteType::file, "file://host/dir", "must not name a host");
  check_refused(RemoteType::file, "file:///", "a folder below /");
  check_refused(RemoteType::file, "dir", "must begin with a scheme");
  check_refused(RemoteType::webdav, "https://[::1/", "without ']'");
  check_refused(RemoteType::webhdfs, "https://namenode:50070/webhdfs/v1/", "WebHDFS", Code::unsupported);
  // The reason does not repeat the password.
  const auto url = parse_remote_url(RemoteType::ftp, "ftp://me:hunter2@host/");
  REQUIRE_FALSE(url.ok());
  CHECK(url.error().text ==
        "the URL of the volume must not hold credentials; give them as username and password");
}

TEST_CASE("whatever is typed as an address is refused or has a place that is meant") {
  std::mt19937 random(20260711);
  const std::string letters = "ab19.:/@[]%#?-_~,\\ \n\xc3\xa4*";
  // In order of RemoteType.
  const std::vector<std::string> starts = {"smb://",  "ftp://",   "sftp://",  "hdfs://", "https://",
                                           "file://", "https://", "https://", "https://"};
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    const std::size_t number = random() % starts.size();
    const auto type = static_cast<RemoteType>(number);
    std::string text = starts[random() % 8 == 0 ? random() % starts.size() : number];
    for (std::size_t i = random() % 12; i > 0; --i) text += letters[random() % letters.size()];
    const auto url = parse_remote_url(type, text);
    if (!url) continue;
    ++accepted;
    CAPTURE(text);
    REQUIRE((type == RemoteType::file || !url->hosts.empty()));
    for (const std::string& host : url->hosts)
      REQUIRE(host.find_first_of("/@%#?\\ \n*~") == std::string::npos);
    for (const std::string& part : base::split(url->folder, '/')) REQUIRE((part != ".." && part != "."));
    REQUIRE(url->folder.find('\n') == std::string::npos);
    REQUIRE(url->bucket.find('/') == std::string::npos);
    if (type == RemoteType::s3 || type == RemoteType::smb) REQUIRE_FALSE(url->bucket.empty());
    REQUIRE((url->port >= 0 && url->port <= 65535));
  }
  CHECK(accepted > 300);
}

}  // namespace confd::storage
