// A folder, an owner and an engine for tests with a real PostgreSQL server. As root the server runs as the
// user that Debian's package makes, else as this one.
#pragma once

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "services/database/postgres_engine.h"
#include "tests/support/temporary_folder.h"

namespace confd::test {

inline base::OsUser database_owner() {
  if (::geteuid() != 0) return base::own_os_user();
  const passwd* user = ::getpwnam("postgres");
  REQUIRE(user != nullptr);
  return {user->pw_uid, user->pw_gid};
}

class PostgresSite {
 public:
  // The owner gets through to its own folders, and to the guard, wherever this was built.
  PostgresSite() : engine({"", folder / "confd_guard"}) {
    REQUIRE(::chmod(folder.path().c_str(), 0711) == 0);
    std::filesystem::copy_file(CONFD_BINARY_DIR "/bin/confd_guard", folder / "confd_guard");
    REQUIRE(::chmod((folder / "confd_guard").c_str(), 0755) == 0);
    for (const char* name : {"segment", "run"}) REQUIRE(::mkdir((folder / name).c_str(), 0711) == 0);
    spec.database = "DB1";
    spec.folder = folder / "segment";
    spec.run_folder = folder / "run";
    spec.log_folder = folder / "log";
    spec.owner = database_owner();
    spec.memory = 64u << 20;
    // Ports of tests must not meet; the address is one of our own.
    spec.addresses = {"127." + std::to_string(1 + ::getpid() % 250) + ".23.11"};
    spec.port = 20000 + ::getpid() % 10000;
    REQUIRE(services::write_lease(spec.run_folder, std::nullopt).ok());
  }
  ~PostgresSite() {
    // Whatever the test did not come to.
    (void)engine.stop(spec, services::StopMode::immediate, limits()).ok();
  }
  static services::EngineLimits limits() { return {std::chrono::seconds(60), {}}; }

  TemporaryFolder folder;
  services::PostgresEngine engine;
  services::InstanceSpec spec;
};

}  // namespace confd::test
