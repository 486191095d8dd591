// RcloneStore with Debian's rclone on a folder, and with a program that pretends to be rclone and tells what
// it was given.
#include "storage/rclone_store.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/json.h"
#include "base/text.h"
#include "storage/remote_volume_probe.h"
#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

namespace confd::storage {
namespace {

using base::Code;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::TemporaryFolder;

// A server that takes connections and says nothing.
class SilentServer {
 public:
  SilentServer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(socket_, 64) == 0);
    REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ::ntohs(address.sin_port);
  }
  ~SilentServer() { ::close(socket_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  int port_ = 0;
};

struct Place {
  Place() {
    settings.folder = folder / "run";
    settings.spool = folder / "spool";
    volume.name = "r0001";
    volume.type = RemoteType::file;
    volume.url = "file://" + (folder / "target");
    std::filesystem::create_directory(folder / "target");
  }
  std::unique_ptr<RcloneStore> open() {
    auto opened = try_open();
    if (!opened) FAIL(opened.error().text);
    return std::move(*opened);
  }
  base::Result<std::unique_ptr<RcloneStore>> try_open() {
    return RcloneStore::open(base::system_file_system(), base::system_random(), settings, volume, limits);
  }
  RemoteProbe probe(bool write) {
    const auto probe =
        probe_remote_volume(base::system_file_system(), base::system_random(), settings, volume, write, {});
    if (!probe) FAIL(probe.error().text);
    return *probe;
  }
  // Takes rclone's place; $log is a file for what it wants to tell.
  void pretend(const std::string& body) {
    settings.program = folder.script("rclone", "log=" + (folder / "log") + "\n" + body);
  }

  TemporaryFolder folder;
  RcloneSettings settings;
  RemoteVolume volume;
  ArchiveLimits limits{seconds(60), {}};
};

ArchiveStore::Source source_of(const std::string& text, std::size_t piece = 1000) {
  return [text, piece, at = std::size_t(0)](std::size_t most) mutable -> base::Result<std::string> {
    std::string part = text.substr(std::min(at, text.size()), std::min(piece, most));
    at += part.size();
    return part;
  };
}

std::string content(ArchiveStore& store, const std::string& path, std::uint64_t offset = 0) {
  std::string text;
  const auto taken = store.get(path, offset,
                               [&](std::string_view piece) -> base::Status {
                                 text += piece;
                                 return {};
                               },
                               {seconds(60), {}});
  if (!taken) return "failed: " + taken.error().text;
  CHECK(*taken == text.size());
  return text;
}

std::string listing(ArchiveStore& store, const std::string& folder = {}) {
  const auto files = store.list(folder, {seconds(60), {}});
  if (!files) return "failed: " + files.error().text;
  std::vector<std::string> shown;
  for (const ArchiveFile& file : *files) shown.push_back(file.path + ":" + std::to_string(file.size));
  return base::join(shown, " ");
}

}  // namespace

TEST_CASE("paths in an archive are relative and plain") {
  for (const auto* good : {"a", "db/id_1/level_0/node_0/backup_202007071405", "\xc3\xa4 b.c"})
    CHECK(check_archive_path(good).ok());
  for (const auto& bad : {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"),
                          std::string("."), std::string("a/../b"), std::string("a\nb"), std::string("\xff"),
                          std::string(256, 'x'), std::string(1025, '/')})
    CHECK(check_archive_path(bad).error().code == Code::bad_parameter);
}

TEST_CASE("files are written, listed, read and removed") {
  Place place;
  const auto store = place.open();
  CHECK(listing(*store).empty());
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "line " + std::to_string(i) + "\n";
  REQUIRE(store->put("db/id_1/backup_1", source_of(text), text.size(), place.limits).ok());
  CHECK(*store->put("db/id_1/metadata_1", source_of("small"), std::nullopt, place.limits) == 5);
  CHECK(store->put("other", source_of(""), 0, place.limits).ok());
  CHECK(listing(*store) ==
        "db/id_1/backup_1:" + std::to_string(text.size()) + " db/id_1/metadata_1:5 other:0");
  CHECK(listing(*store, "db") == "db/id_1/backup_1:" + std::to_string(text.size()) + " db/id_1/metadata_1:5");
  CHECK(listing(*store, "nothing").empty());
  CHECK(content(*store, "db/id_1/backup_1") == text);
  CHECK(content(*store, "db/id_1/metadata_1", 2) == "all");
  CHECK(content(*store, "db/id_1/metadata_1", 5).empty());
  CHECK(content(*store, "other").empty());
  CHECK((*store->find("other", place.limits))->size == 0);

  // Once more, with another content.
  REQUIRE(store->put("db/id_1/metadata_1", source_of("changed"), 7, place.limits).ok());
  CHECK(content(*store, "db/id_1/metadata_1") == "changed");
  CHECK(store->remove("db/id_1/metadata_1", place.limits).ok());
  CHECK(store->remove("db/id_1/metadata_1", place.limits).ok());
  CHECK_FALSE(store->find("db/id_1/metadata_1", place.limits)->has_value());
  CHECK(store
            ->get(
                "db/id_1/metadata_1", 0, [](auto) { return base::Status(); }, place.limits)
            .error()
            .code == Code::not_found);
  CHECK(store
            ->get(
                "db/id_1", 0, [](auto) { return base::Status(); }, place.limits)
            .error()
            .code == Code::not_found);
}

TEST_CASE("a write that fails leaves nothing, and an old file as it was") {
  Place place;
  const auto store = place.open();
  REQUIRE(store->put("file", source_of("old"), 3, place.limits).ok());
  const auto short_one = store->put("file", source_of("new"), 4, place.limits);
  REQUIRE_FALSE(short_one.ok());
  CHECK(short_one.error().text == "'file' was to have 4 bytes, but its source gave 3");
  CHECK_FALSE(store->put("file", source_of("newer"), 4, place.limits).ok());
  bool first = true;
  const auto broken = store->put(
      "file",
      [&](std::size_t) -> base::Result<std::string> {
        if (std::exchange(first, false)) return std::string("new");
        return base::Error{Code::timeout, "the database does not answer"};
      },
      std::nullopt, place.limits);
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().text == "the database does not answer");
  CHECK(content(*store, "file") == "old");
  CHECK(listing(*store) == "file:3");
  // Not even under another name.
  CHECK(base::system_file_system().list(place.folder / "target")->size() == 1);
}

TEST_CASE("a reader that wants no more ends the read") {
  Place place;
  const auto store = place.open();
  REQUIRE(store->put("file", source_of(std::string(3'000'000, 'x'), 100'000), 3'000'000, place.limits).ok());
  const auto end = store->get(
      "file", 0,
      [](auto) -> base::Status {
        return base::Error{Code::io_error, "no space here"};
      },
      place.limits);
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().text == "no space here");
}

TEST_CASE("a folder that is not there is no volume, and is not made") {
  Place place;
  std::filesystem::remove(place.folder / "target");
  const auto opened = place.try_open();
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().code == Code::not_found);
  const RemoteProbe probe = place.probe(true);
  CHECK(probe.state == "Unmounted");
  CHECK(probe.reason == "remote volume 'r0001': directory not found");
  CHECK_FALSE(std::filesystem::exists(place.folder / "target"));
}

TEST_CASE("a probe is Online when a file can be written, read and removed") {
  Place place;
  CHECK(place.probe(false).state == "Online");
  const RemoteProbe probe = place.probe(true);
  CHECK(probe.reason.empty());
  CHECK(probe.state == "Online");
  CHECK(base::system_file_system().list(place.folder / "target")->empty());
  // Its configurations are gone.
  CHECK(base::system_file_system().list(place.settings.folder)->empty());
}

TEST_CASE("a probe tells what is not there: rclone itself, a way to the server") {
  Place place;
  place.settings.program = place.folder / "none";
  RemoteProbe probe = place.probe(false);
  CHECK(probe.state == "Unmounted");
  CHECK(probe.reason.find("apt-get install rclone") != std::string::npos);
  place.settings.program = "/usr/bin/rclone";
  place.volume.type = RemoteType::ftp;
  place.volume.url = "ftp://127.0.0.1:1/";
  probe = place.probe(false);
  CHECK(probe.state == "Connection problem");
  CHECK(probe.reason.find("connection refused") != std::string::npos);
}

TEST_CASE("rclone's own reading of a configuration gives the values that were written") {
  TemporaryFolder folder;
  std::vector<RcloneSetting> settings = {{"type", "s3"}};
  for (const auto* value :
       {"abc",           "a#b;c", "a=b:c", "\"a\"", "'", "a`b", "a\\b",     " a", "a ", "`a`",  "`",
        "\"\"\"a\"\"\"", "[a]",   "#",     ";",     "%", "%%",  "\xc3\xa4", "=",  ":",  "a = b"})
    settings.push_back({"v" + std::to_string(settings.size()), value});
  const auto text = rclone_section("volume", settings);
  REQUIRE(text.ok());
  const std::string path = folder.write("rclone.conf", *text);
  const auto end = base::run_program(
      {{"/usr/bin/rclone", "--config=" + path, "config", "dump"}, base::plain_environment()}, {}, {}, {});
  REQUIRE(end.ok());
  const auto dump = base::parse_json(end->output);
  REQUIRE(dump.ok());
  const base::Value* section = dump->find("volume");
  REQUIRE(section != nullptr);
  for (const RcloneSetting& setting : settings) {
    CAPTURE(setting.name, setting.value);
    REQUIRE(section->find(setting.name) != nullptr);
    CHECK(section->find(setting.name)->as_string() == setting.value);
  }
}

TEST_CASE("no secret is an argument, and what rclone says is shown without it") {
  Place place;
  place.volume.type = RemoteType::ftp;
  place.volume.url = "ftp://127.0.0.1/dir";
  place.volume.username = "me";
  place.volume.password = "hunter2";
  place.volume.options = "timeout=7,noverifypeer";
  place.pretend(
      "if [ \"$1\" = obscure ]; then read -r password; echo \"given $password\" >> $log; echo Obscured; "
      "exit; "
      "fi\n"
      "echo \"$@\" >> $log\n"
      "config=${1#--config=}\n"
      "stat -c %a \"$config\" >> $log; cat \"$config\" >> $log\n"
      "echo '2026/11/22 09:59:05 ERROR : : error listing: 530 hunter2 is wrong' >&2\n"
      "echo '2026/11/22 09:59:05 Failed to lsf with 2 errors: last error was: login as me with hunter2: 530 "
      "no, token=abc' >&2\n"
      "exit 1\n");
  const RemoteProbe probe = place.probe(false);
  CHECK(probe.state == "Connection problem");
  CHECK(probe.reason == "remote volume 'r0001': login as me with ***: 530 no, token=***");
  const std::string log = place.folder.read("log");
  CAPTURE(log);
  const auto lines = base::split(log, '\n');
  REQUIRE(lines.size() > 4);
  CHECK(lines[0] == "given hunter2");
  CHECK(lines[1].starts_with("--config=" + place.settings.folder + "/"));
  CHECK(lines[1].ends_with(".conf --temp-dir=" + place.settings.spool +
                           " --ask-password=false --retries=1 --low-level-retries=2 --contimeout=7000ms "
                           "--timeout=7000ms --stats=0 --no-check-certificate lsf --max-depth=1 volume:dir"));
  CHECK(lines[2] == "600");
  CHECK(lines[3] == "[volume]");
  CHECK(log.find("pass = Obscured\n") != std::string::npos);
  CHECK(log.find("hunter2", 14) == std::string::npos);
  CHECK(base::system_file_system().list(place.settings.folder)->empty());
}

TEST_CASE("a server that is silent costs the time that was given, not more") {
  Place place;
  place.volume.type = RemoteType::webdav;
  place.volume.url = "http://127.0.0.1/";
  place.pretend("exec /bin/sleep 1000\n");
  place.limits.timeout = milliseconds(100);
  const auto store = place.open();
  const auto late = store->list("", place.limits);
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == Code::timeout);
  std::stop_source stop;
  stop.request_stop();
  CHECK(store->list("", {seconds(60), stop.get_token()}).error().code == Code::stopped);
}

TEST_CASE("rclone itself gives a silent server up after the volume's timeout, long before the call's") {
  const SilentServer server;
  Place place;
  place.limits.timeout = seconds(600);
  place.volume.options = "timeout=1,noresume";
  place.volume.username = "me";
  place.volume.password = "pw";
  const auto point_at = [&](RemoteType type, const std::string& scheme) {
    place.volume.type = type;
    place.volume.url = scheme + "://" + server.address() + "/dir";
  };
  point_at(RemoteType::webdav, "http");
  const auto put = place.open()->put("file", source_of("abc"), 3, place.limits);
  REQUIRE_FALSE(put.ok());
  CHECK(put.error().code == Code::io_error);
  // Two of rclone's own timers of the same length may end it: the one for the response's head ("timeout
  // awaiting response headers") or the one of the idle connection ("i/o timeout").
  CAPTURE(put.error().text);
  CHECK(put.error().text.find("timeout") != std::string::npos);
  for (const auto& [type, scheme] : {std::pair(RemoteType::ftp, "ftp"), std::pair(RemoteType::sftp, "sftp"),
                                     std::pair(RemoteType::smb, "smb")}) {
    CAPTURE(scheme);
    point_at(type, scheme);
    const auto listed = place.open()->list("", place.limits);
    REQUIRE_FALSE(listed.ok());
    CHECK(listed.error().code == Code::io_error);
    CHECK(listed.error().text.find("i/o timeout") != std::string::npos);
  }
}

TEST_CASE("of several hosts the first that answers is used") {
  Place place;
  place.volume.type = RemoteType::ftp;
  place.volume.url = "ftp://127.0.0.1..3/dir";
  place.pretend(
      "[ \"$1\" = obscure ] && echo Obscured && exit\n"
      "shift 8; echo \"$@\" >> $log\n"
      "case \"$*\" in *volume3:*) echo [] ;; *) exit 1 ;; esac\n");
  const auto store = place.open();
  CHECK(listing(*store).empty());
  CHECK(place.folder.read("log") ==
        "lsf --max-depth 1 volume:dir\nlsf --max-depth 1 volume2:dir\nlsf --max-depth 1 volume3:dir\n"
        "lsjson --recursive --files-only --no-modtime --no-mimetype --fast-list volume3:dir\n");
}

TEST_CASE("big objects are sent in parts that are big enough, under their own name") {
  Place place;
  place.volume.type = RemoteType::s3;
  place.volume.url = "https://bucket.s3.amazonaws.com/dir";
  place.pretend("shift 8; echo \"$@\" >> $log; cat > /dev/null\n");
  const auto store = place.open();
  CHECK(store->put("a", source_of("abc"), std::nullopt, place.limits).ok());
  // Its source ends too soon, but not before rclone was started.
  const auto started = [&] { return base::split(place.folder.read("log"), '\n').size() > 2; };
  const auto nothing = [&](std::size_t) -> base::Result<std::string> {
    CHECK(test::eventually(started));
    return std::string();
  };
  CHECK_FALSE(store->put("a", nothing, std::uint64_t(1) << 40, place.limits).ok());
  const auto lines = base::split(place.folder.read("log"), '\n');
  CHECK(lines.at(0) ==
        "rcat --s3-chunk-size=64Mi --s3-upload-concurrency=2 --azureblob-chunk-size=64Mi "
        "--azureblob-upload-concurrency=2 volume:bucket/dir/a");
  CHECK(lines.at(1).starts_with("rcat --size=1099511627776 --s3-chunk-size=117Mi "));
}

TEST_CASE("what a killed confd left is removed") {
  Place place;
  for (const auto* folder : {"run", "spool"}) std::filesystem::create_directory(place.folder / folder);
  place.folder.write("run/0123.conf", "[volume]\n");
  place.folder.write("spool/rclone-spool1", "half");
  remove_left_files(base::system_file_system(), place.settings);
  CHECK(base::system_file_system().list(place.settings.folder)->empty());
  CHECK(base::system_file_system().list(place.settings.spool)->empty());
}

}  // namespace confd::storage
