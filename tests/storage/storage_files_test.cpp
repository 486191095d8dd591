// The operating system's StorageFiles, with real files.
#include "storage/storage_files.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "storage/superblock.h"
#include "tests/support/temporary_folder.h"

namespace confd::storage {
namespace {

using base::Code;
using test::TemporaryFolder;
namespace fs = std::filesystem;

StorageFiles& files() {
  return system_storage_files();
}

TEST_CASE("a device is written in place, with and without direct I/O") {
  TemporaryFolder folder;
  const std::string path = folder.write("dev.1", "");
  REQUIRE(::truncate(path.c_str(), 64 << 20) == 0);
  for (const bool direct : {false, true}) {
    auto device = files().open_device(path, {.write = true, .direct = direct});
    REQUIRE(device);
    CHECK(*(*device)->size() == 64u << 20);
    CHECK((*device)->write_at(8192, std::string(4096, 'x')).ok());
    CHECK((*device)->sync().ok());
    CHECK(*(*device)->read_at(4096, 12288) ==
          std::string(4096, '\0') + std::string(4096, 'x') + std::string(4096, '\0'));
    CHECK((*device)->read_at(64 << 20, 4096).error().code == Code::io_error);
    Superblock superblock;
    superblock.geometry = *device_geometry(64 << 20, 4096, true);
    REQUIRE(write_new(**device, superblock).ok());
    CHECK(read_region(**device)->superblock == superblock);
  }
  CHECK(fs::file_size(path) == 64u << 20);
}

TEST_CASE("a device that is not there is not made, and a folder is none") {
  TemporaryFolder folder;
  CHECK(files().open_device(folder / "dev.1", {}).error().code == Code::not_found);
  CHECK_FALSE(fs::exists(folder / "dev.1"));
  CHECK(files().open_device(folder.path(), {}).error().text.find("neither a file nor a block device") !=
        std::string::npos);
  const std::string path = folder.write("dev.2", "text");
  const auto before = files().identity(path);
  REQUIRE(before);
  fs::remove(path);
  CHECK(files().identity(path).error().code == Code::not_found);
}

TEST_CASE("segment folders are made, measured, cleared and removed") {
  TemporaryFolder folder;
  const std::string segment = folder / "dev.1.d/3/0.1";
  CHECK_FALSE(*files().has_folder(segment));
  CHECK(files().folders_in(folder / "dev.1.d")->empty());
  REQUIRE(files().make_folder(segment).ok());
  REQUIRE(files().make_folder(segment).ok());
  CHECK(*files().has_folder(segment));
  CHECK(*files().folders_in(folder / "dev.1.d") == std::vector<std::string>{"3"});
  CHECK(*files().usage(segment, {}) == 0);

  REQUIRE(files().make_folder(segment + "/b").ok());
  folder.write("dev.1.d/3/0.1/a", std::string(10000, 'a'));
  folder.write("dev.1.d/3/0.1/b/c", std::string(6000, 'c'));
  // 3 and 2 blocks of 4 KiB on usual file systems; a second name counts once.
  const std::uint64_t used = *files().usage(segment, {});
  CHECK(used >= 16000);
  REQUIRE(::link((segment + "/a").c_str(), (segment + "/z").c_str()) == 0);
  CHECK(*files().usage(segment, {}) == used);
  CHECK(*files().free_bytes(segment) > 0);

  REQUIRE(files().zero_front(segment, 12000, {}).ok());
  CHECK(folder.read("dev.1.d/3/0.1/a") == std::string(10000, '\0'));
  CHECK(folder.read("dev.1.d/3/0.1/b/c") == std::string(2000, '\0') + std::string(4000, 'c'));

  REQUIRE(files().empty_folder(segment, {}).ok());
  CHECK(fs::is_empty(segment));
  folder.write("dev.1.d/3/0.1/a", "a");
  REQUIRE(files().remove_folder(segment, {}).ok());
  REQUIRE(files().remove_folder(segment, {}).ok());
  CHECK_FALSE(fs::exists(segment));
  CHECK(files().empty_folder(segment, {}).error().code == Code::not_found);
  CHECK(files().usage(segment, {}).error().code == Code::not_found);
}

TEST_CASE("links are removed, never followed") {
  TemporaryFolder folder;
  REQUIRE(files().make_folder(folder / "elsewhere").ok());
  folder.write("elsewhere/precious", std::string(1 << 20, 'p'));
  REQUIRE(files().make_folder(folder / "segment").ok());
  fs::create_directory_symlink(folder / "elsewhere", folder / "segment/tablespace");
  fs::create_symlink(folder / "elsewhere/precious", folder / "segment/file");
  CHECK(*files().usage(folder / "segment", {}) == 0);
  REQUIRE(files().zero_front(folder / "segment", 1 << 20, {}).ok());
  REQUIRE(files().remove_folder(folder / "segment", {}).ok());
  CHECK(folder.read("elsewhere/precious") == std::string(1 << 20, 'p'));
  fs::create_directory_symlink(folder / "elsewhere", folder / "link");
  CHECK_FALSE(*files().has_folder(folder / "link"));
  CHECK_FALSE(files().remove_folder(folder / "link", {}).ok());
  CHECK(fs::exists(folder / "elsewhere/precious"));
}

TEST_CASE("work on a folder can be stopped") {
  TemporaryFolder folder;
  REQUIRE(files().make_folder(folder / "segment").ok());
  folder.write("segment/file", "text");
  std::stop_source stop;
  stop.request_stop();
  CHECK(files().usage(folder / "segment", stop.get_token()).error().code == Code::stopped);
  CHECK(files().remove_folder(folder / "segment", stop.get_token()).error().code == Code::stopped);
  CHECK(fs::exists(folder / "segment/file"));
}

}  // namespace
}  // namespace confd::storage
