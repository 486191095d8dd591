// The files in etc/remote_volumes: made from EXAConf, one for each owner, with Debian's rclone for their
// passwords.
#include "storage/remote_volume_files.h"

#include <catch2/catch.hpp>

#include "base/program.h"
#include "base/text.h"
#include "tests/support/config_text.h"
#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

namespace confd::storage {
namespace {

using test::eventually;
using test::TemporaryFolder;

// The volume 'backups' of dave (1004), and more.
exaconf::ConfigPtr config_with(const std::string& more) {
  std::string text = test::small_config_text();
  return test::load_config(text.insert(text.find("[DB : exa]"), more));
}

std::string ftp_volume(const std::string& name, int id, const std::string& owner) {
  return "[RemoteVolume : " + name + "]\n    Type = ftp\n    ID = " + std::to_string(id) +
         "\n    URL = ftp://server/dir\n    Owner = " + owner +
         "\n    Username = me\n    Passwd = aHVudGVyMiE=\n\n";
}

struct Files {
  Files() { settings.folder = folder / "run"; }
  std::unique_ptr<RemoteVolumeFiles> start() {
    return std::make_unique<RemoteVolumeFiles>(
        base::system_file_system(), place, settings,
        [this](const std::string& text) { folder.write("problem", text); });
  }
  std::vector<std::string> names() const {
    const auto found = base::system_file_system().list(place);
    std::vector<std::string> names;
    if (found)
      for (const std::string& name : *found)
        if (!name.starts_with(".")) names.push_back(name);  // one that is being written
    return names;
  }
  TemporaryFolder folder;
  const std::string place = folder / "remote_volumes";
  RcloneSettings settings;
};

}  // namespace

TEST_CASE("each owner has a file with a section for each of his volumes") {
  Files test;
  const auto files = test.start();
  files->refresh(config_with(ftp_volume("archive1", 10002, "500 : 500") +
                             ftp_volume("archive two (old)", 10003, "500 : 500") +
                             ftp_volume("lost", 10004, "4711 : 500")));
  REQUIRE(eventually([&] { return test.names().size() == 3; }));
  CHECK(test.names() == std::vector<std::string>{"4711.conf", "dave.1004.conf", "exadefusr.500.conf"});
  CHECK(test.folder.read("remote_volumes/dave.1004.conf") ==
        "# Made by confd from EXAConf; changes are lost.\n\n[backups]\ntype = alias\nremote = "
        "backups-server:/backups\n\n[backups-server]\ntype = local\n");
  const std::string path = test.place + "/exadefusr.500.conf";
  const std::string text = test.folder.read("remote_volumes/exadefusr.500.conf");
  CHECK(text.find("[archive1]\ntype = alias\nremote = archive1-server:dir\n") != std::string::npos);
  CHECK(text.find("[id-10003]\n") != std::string::npos);
  CHECK(text.find("hunter2!") == std::string::npos);
  CHECK(base::system_file_system().status(path)->mode == 0600);
  const std::size_t at = text.find("pass = ") + 7;
  const auto revealed = base::run_program(
      {{"/usr/bin/rclone", "reveal", text.substr(at, text.find('\n', at) - at)}, base::plain_environment()},
      {}, {}, {});
  REQUIRE(revealed.ok());
  CHECK(base::trim(revealed->output) == "hunter2!");
}

TEST_CASE("the files follow EXAConf, and go with the last volume of an owner") {
  Files test;
  const auto files = test.start();
  files->refresh(config_with(ftp_volume("archive1", 10002, "500 : 500")));
  REQUIRE(eventually([&] { return test.names().size() == 2; }));
  test.folder.write("remote_volumes/known_hosts", "mine");
  test.folder.write("remote_volumes/gone.1.conf", "of a volume that was removed while confd was away");
  const auto inode = [&] { return base::system_file_system().status(test.place + "/dave.1004.conf")->inode; };
  const auto before = inode();
  files->refresh(config_with(ftp_volume("archive1", 10002, "1001 : 500")));
  REQUIRE(eventually([&] {
    return test.names() == std::vector<std::string>{"alice.1001.conf", "dave.1004.conf", "known_hosts"};
  }));
  CHECK(inode() == before);  // nothing of his has changed
  files->refresh(config_with(""));
  REQUIRE(eventually([&] {
    return test.names() == std::vector<std::string>{"dave.1004.conf", "known_hosts"};
  }));
}

TEST_CASE("a volume that can't be used is a comment, and a missing rclone a problem") {
  Files test;
  test.settings.program = test.folder / "none";
  const auto files = test.start();
  files->refresh(
      config_with("[RemoteVolume : old]\n    Type = webhdfs\n    ID = 10009\n"
                  "    URL = https://namenode/\n    Owner = 1004 : 500\n\n" +
                  ftp_volume("archive1", 10002, "500 : 500")));
  REQUIRE(eventually([&] { return !test.folder.read("problem").empty(); }));
  CHECK(test.folder.read("problem").find("apt-get install rclone") != std::string::npos);
  CHECK(test.names() == std::vector<std::string>{"dave.1004.conf"});
  CHECK(test.folder.read("remote_volumes/dave.1004.conf").find("\n# old: WebHDFS can't be used") !=
        std::string::npos);
}

}  // namespace confd::storage
