// TemporaryFolder: a real folder for tests that need real files or programs; gone with its object.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace confd::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/confd-test-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  // All these return the path of the file.
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string path = *this / name;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    REQUIRE(file.good());
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
  std::string script(const std::string& name, const std::string& body) const {
    return write(name, "#!/bin/sh\n" + body, 0700);
  }
  // Empty when there is none.
  std::string read(const std::string& name) const {
    std::ifstream file(*this / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  std::string path_;
};

}  // namespace confd::test
