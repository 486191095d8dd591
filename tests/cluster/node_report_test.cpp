#include "cluster/node_report.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "tests/support/fake_file_system.h"

namespace confd::cluster {

TEST_CASE("The boot time is btime of /proc/stat") {
  CHECK(*parse_boot_time("cpu 1 2\nctxt 5\nbtime 1594131247\nprocesses 3\n") == 1594131247);
  CHECK(parse_boot_time("cpu 1 2\n").error().code == base::Code::internal);
  CHECK_FALSE(parse_boot_time("btime soon\n").ok());
  CHECK_FALSE(parse_boot_time("").ok());
}

TEST_CASE("Memory is given in bytes, and a missing figure is named") {
  const std::string text =
      "MemTotal: 10 kB\nMemFree: 4 kB\nMemAvailable:  6 kB\nSwapTotal: 2 kB\nSwapFree: 1 kB\n";
  CHECK(base::render_json(*parse_memory(text)) ==
        R"({"total":10240,"free":4096,"available":6144,"swap_total":2048,"swap_free":1024})");
  const auto missing = parse_memory(text.substr(0, text.find("SwapFree")));
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().text.find("SwapFree") != std::string::npos);
}

TEST_CASE("The kernel of this machine is understood") {
  NodeControl control(11);
  register_node_operations(control, {base::system_file_system(), "/tmp"});
  const auto report = control.run(11, "node.report", {}, {});
  if (!report) FAIL(report.error().text);
  CHECK(report->find("boot_time")->as_int() > 1'000'000'000);
  CHECK(report->find("uptime")->as_int() > 0);
  CHECK(report->find("cores")->as_int() >= 1);
  CHECK(report->find("memory")->find("total")->as_int() >
        report->find("memory")->find("available")->as_int());
  CHECK(report->find("confd_version")->as_string() == CONFD_VERSION);
}

TEST_CASE("The boot time is read once") {
  test::FakeFileSystem files;
  files.put("/proc/stat", "btime 1000\n");
  NodeControl control(11);
  register_node_operations(control, {files, "/root"});
  CHECK(control.run(11, "node.boot_time", {}, {})->find("boot_time")->as_int() == 1000);
  files.put("/proc/stat", "btime 2000\n");
  CHECK(control.run(11, "node.boot_time", {}, {})->find("boot_time")->as_int() == 1000);
}

TEST_CASE("A boot time that can't be read is asked for again") {
  test::FakeFileSystem files;
  NodeControl control(11);
  register_node_operations(control, {files, "/root"});
  CHECK_FALSE(control.run(11, "node.boot_time", {}, {}).ok());
  files.put("/proc/stat", "btime 1000\n");
  CHECK(control.run(11, "node.boot_time", {}, {}).ok());
}

TEST_CASE("A root folder that is gone is an error, not a full disk") {
  NodeControl control(11);
  register_node_operations(control, {base::system_file_system(), "/nowhere/at/all"});
  const auto report = control.run(11, "node.report", {}, {});
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().text.find("/nowhere/at/all") != std::string::npos);
}

}  // namespace confd::cluster
