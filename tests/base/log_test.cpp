#include "base/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "base/text.h"

namespace confd::base {
namespace {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("log_test." + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file() const { return path / "ConfD.log"; }
  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(file()).rdbuf();
    return out.str();
  }
  std::unique_ptr<Log> open(LogLevel level = LogLevel::info) const {
    auto log = Log::open({.path = file(), .level = level});
    REQUIRE(log);
    return std::move(*log);
  }
};

}  // namespace

TEST_CASE("A line has time, level and text, and stays one line") {
  Folder folder;
  auto log = folder.open();
  log->warn("two\nlines\tand a \x01 byte");
  const std::string text = folder.text();
  REQUIRE(text.size() > 36);
  CHECK(text.substr(4, 1) == "-");
  CHECK(text.substr(26, 9) == "Z WARN   ");
  CHECK(text.substr(35) == "two lines and a   byte\n");
  struct stat status {};
  REQUIRE(::stat(folder.file().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("What matters is in the file at once, with all that came before; the rest soon") {
  Folder folder;
  auto log = folder.open();
  log->info("first");
  log->notice("second");
  CHECK(split(folder.text(), '\n').size() == 3);
  log->info("third");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (folder.text().find("third") == std::string::npos && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(folder.text().find("third") != std::string::npos);
}

TEST_CASE("Lines below the level are dropped, endless ones cut, the last ones written at the end") {
  Folder folder;
  auto log = folder.open();
  log->debug("unseen");
  log->info(std::string(5000, 'x'));
  log->set_level(LogLevel::warn);
  log->info("unseen");
  log.reset();
  const std::string text = folder.text();
  CHECK(text.find("unseen") == std::string::npos);
  CHECK(text.size() == 35 + 4096 + std::string("... (5000 bytes)\n").size());
}

TEST_CASE("Lines of many threads are all there, each whole, each thread's in order") {
  Folder folder;
  auto log = folder.open();
  constexpr int kThreads = 4, kLines = 3000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&log, t] {
      for (int i = 0; i < kLines; ++i)
        log->write(i % 500 == 0 ? LogLevel::notice : LogLevel::info,
                   std::to_string(t) + " " + std::to_string(i));
    });
  for (std::thread& thread : threads) thread.join();
  log->flush();
  std::vector<int> next(kThreads, 0);
  int lines = 0;
  for (const std::string& line : split(folder.text(), '\n')) {
    if (line.empty()) continue;
    ++lines;
    std::istringstream words(line.substr(35));
    int thread = -1, number = -1;
    words >> thread >> number;
    REQUIRE((thread >= 0 && thread < kThreads));
    CHECK(next[static_cast<std::size_t>(thread)]++ == number);
  }
  CHECK(lines == kThreads * kLines);
}

}  // namespace confd::base
