// The engine against a real server: Debian's PostgreSQL.
#include "services/database/postgres_engine.h"

#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>

#include "base/file_system.h"
#include "base/text.h"
#include "services/database/postgres_connection.h"
#include "services/database/postgres_settings.h"
#include "tests/services/postgres_site.h"

namespace confd::services {
namespace {

using base::Code;
using test::PostgresSite;

std::string answer_of(const InstanceSpec& spec, const std::string& statement,
                      const std::string& database = "DB1") {
  const SqlLimits limits{std::chrono::steady_clock::now() + std::chrono::seconds(60), {}};
  auto connection = PostgresConnection::open(socket_folder(spec), spec.port, database, limits);
  if (!connection) return "no connection: " + connection.error().text;
  const auto rows = connection->query(statement, limits);
  if (!rows) return rows.error().text;
  std::string text;
  for (const auto& row : *rows)
    for (const auto& field : row) text += (text.empty() ? "" : " ") + field.value_or("NULL");
  return text;
}

template <class Condition>
bool becomes_true(const Condition& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    timespec wait{0, 10'000'000};
    ::nanosleep(&wait, nullptr);
  }
  return true;
}

TEST_CASE("a database is made, started, used, stopped and removed") {
  PostgresSite site;
  const auto limits = PostgresSite::limits();
  CHECK(site.engine.version()->starts_with("PostgreSQL 1"));
  CHECK(site.engine.look(site.spec).state == InstanceState::absent);
  CHECK(site.engine.start(site.spec, {}, limits).error().code == Code::wrong_state);

  REQUIRE(site.engine.create(site.spec, limits).ok());
  CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
  CHECK(site.engine.look(site.spec).needs_first_start);
  CHECK(site.engine.create(site.spec, limits).error().code == Code::exists);

  site.spec.parameters = {"-max_connections=23", "-application_name=\"it's ours\""};
  const auto started = site.engine.start(
      site.spec, {"", {"CREATE TABLE t (n int)", "INSERT INTO t VALUES (1), (41)"}}, limits);
  CAPTURE(started.ok() ? "" : started.error().text);
  REQUIRE(started.ok());
  const InstanceReport now = site.engine.look(site.spec);
  CHECK(now.state == InstanceState::running);
  CHECK_FALSE(now.needs_first_start);
  CHECK(answer_of(site.spec, "SELECT sum(n) FROM t") == "42");
  CHECK(answer_of(site.spec, "SHOW max_connections") == "23");
  CHECK(answer_of(site.spec, "SHOW data_checksums") == "on");
  CHECK(answer_of(site.spec, "SELECT current_user") == "sys");
  CHECK(site.engine.check_login(site.spec, limits).ok());
  // Again: it is the same server.
  REQUIRE(site.engine.start(site.spec, {}, limits).ok());
  CHECK(site.engine.look(site.spec).process == now.process);
  CHECK(site.engine.remove(site.spec, limits).error().code == Code::wrong_state);

  REQUIRE(site.engine.stop(site.spec, StopMode::fast, limits).ok());
  CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
  REQUIRE(site.engine.stop(site.spec, StopMode::fast, limits).ok());
  REQUIRE(site.engine.start(site.spec, {}, limits).ok());
  CHECK(answer_of(site.spec, "SELECT sum(n) FROM t") == "42");
  REQUIRE(site.engine.stop(site.spec, StopMode::immediate, limits).ok());

  REQUIRE(site.engine.remove(site.spec, limits).ok());
  CHECK(site.engine.look(site.spec).state == InstanceState::absent);
  CHECK(base::system_file_system().list(site.spec.folder)->empty());
}

TEST_CASE("a server that does not start says why, and does not run afterwards") {
  PostgresSite site;
  const auto limits = PostgresSite::limits();
  REQUIRE(site.engine.create(site.spec, limits).ok());
  const auto refused = [&] {
    const auto started = site.engine.start(site.spec, {}, limits);
    REQUIRE_FALSE(started.ok());
    CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
    return started.error().text;
  };
  SECTION("a parameter that it does not know") {
    site.spec.parameters = {"-forceProtocolEncryption=1"};
    const std::string text = refused();
    CAPTURE(text);
    CHECK(text.find("unrecognized configuration parameter \"forceProtocolEncryption\"") != std::string::npos);
  }
  SECTION("a value that it does not take") {
    site.spec.parameters = {"-max_connections=many"};
    const std::string text = refused();
    CAPTURE(text);
    CHECK(text.find("invalid value for parameter \"max_connections\": \"many\"") != std::string::npos);
  }
  SECTION("a parameter of another form, or of confd's") {
    site.spec.parameters = {"max_connections"};
    CHECK(refused() == "database parameter 'max_connections' is not of the form -name=value");
    site.spec.parameters = {"-port=1"};
    CHECK(refused() == "database parameter '-port' can't be set: parameter port of db_configure sets it");
  }
  SECTION("an address that is not this machine's") {
    site.spec.addresses = {"192.0.2.1"};
    CHECK(refused().find("192.0.2.1") != std::string::npos);
  }
  SECTION("an initial statement that fails: the next first start begins anew") {
    const auto failed =
        site.engine.start(site.spec, {"", {"CREATE TABLE t (n int)", "CREATE TABEL u (n int)"}}, limits);
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().text.find("statement 2 of the initial SQL: ERROR:  syntax error") == 0);
    CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
    REQUIRE(site.engine.start(site.spec, {"", {"CREATE TABLE t (n int)"}}, limits).ok());
    CHECK(answer_of(site.spec, "SELECT count(*) FROM t") == "0");
  }
  SECTION("no lease") {
    REQUIRE(services::write_lease(site.spec.run_folder, boot_time_ms() - 1).ok());
    CHECK(refused().find("gives no time to run") != std::string::npos);
  }
}

TEST_CASE("a start and a stop end at their deadline, and when they are stopped") {
  PostgresSite site;
  REQUIRE(site.engine.create(site.spec, PostgresSite::limits()).ok());
  CHECK(site.engine.start(site.spec, {}, {std::chrono::milliseconds(0), {}}).error().code == Code::timeout);
  CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
  std::stop_source stop;
  stop.request_stop();
  CHECK(site.engine.start(site.spec, {}, {std::chrono::seconds(60), stop.get_token()}).error().code ==
        Code::stopped);
  CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
}

TEST_CASE("a server that was killed is found dead and recovers; it is never started twice") {
  PostgresSite site;
  const auto limits = PostgresSite::limits();
  REQUIRE(site.engine.create(site.spec, limits).ok());
  REQUIRE(site.engine.start(site.spec, {"", {"CREATE TABLE t AS SELECT 42 AS n"}}, limits).ok());
  // Another engine, as after a restart of confd, finds it.
  PostgresEngine other({"", site.folder / "confd_guard"});
  const auto process = site.engine.look(site.spec).process;
  CHECK(other.look(site.spec).process == process);
  REQUIRE(::kill(*process, SIGKILL) == 0);
  REQUIRE(becomes_true([&] { return site.engine.look(site.spec).state == InstanceState::stopped; }));
  // Its pid file is still there, and its sessions may be.
  REQUIRE(site.engine.start(site.spec, {}, limits).ok());
  CHECK(answer_of(site.spec, "SELECT n FROM t") == "42");
}

TEST_CASE("a server whose lease runs out is killed with all that belongs to it") {
  PostgresSite site;
  const auto limits = PostgresSite::limits();
  REQUIRE(site.engine.create(site.spec, limits).ok());
  REQUIRE(services::write_lease(site.spec.run_folder, boot_time_ms() + 600'000).ok());
  REQUIRE(site.engine.start(site.spec, {}, limits).ok());
  const auto server = site.engine.look(site.spec).process;
  const auto guard = base::parent_of(*server);
  const SqlLimits long_time{std::chrono::steady_clock::now() + std::chrono::seconds(60), {}};
  auto session = PostgresConnection::open(socket_folder(site.spec), site.spec.port, "DB1", long_time);
  REQUIRE(session);
  const auto backend = base::parse_int(*session->query("SELECT pg_backend_pid()", long_time)->at(0).at(0));
  // A server that hangs must not live on either.
  REQUIRE(::kill(*server, SIGSTOP) == 0);
  REQUIRE(services::write_lease(site.spec.run_folder, boot_time_ms() - 1).ok());
  for (const pid_t each : {*server, static_cast<pid_t>(*backend), *guard})
    CHECK(becomes_true([&] { return ::kill(each, 0) != 0; }));
  CHECK(site.engine.look(site.spec).state == InstanceState::stopped);
}

TEST_CASE("a server whose guard is killed ends") {
  PostgresSite site;
  const auto limits = PostgresSite::limits();
  REQUIRE(site.engine.create(site.spec, limits).ok());
  REQUIRE(site.engine.start(site.spec, {}, limits).ok());
  const auto server = site.engine.look(site.spec).process;
  REQUIRE(::kill(*base::parent_of(*server), SIGKILL) == 0);
  CHECK(becomes_true([&] { return site.engine.look(site.spec).state == InstanceState::stopped; }));
}

TEST_CASE("a making that was cut short is begun anew") {
  PostgresSite site;
  REQUIRE(::mkdir((site.spec.folder + "/data.new").c_str(), 0700) == 0);
  std::ofstream(site.spec.folder + "/data.new/PG_VERSION") << "15\n";
  CHECK(site.engine.look(site.spec).state == InstanceState::absent);
  REQUIRE(site.engine.create(site.spec, PostgresSite::limits()).ok());
  CHECK_FALSE(std::filesystem::exists(site.spec.folder + "/data.new"));
}

TEST_CASE("owners that no server can have are refused with the way out") {
  PostgresSite site;
  site.spec.owner = {0, 0};
  CHECK(site.engine.create(site.spec, PostgresSite::limits()).error().code == Code::unsupported);
  site.spec.owner = {4'000'000, 4'000'000};
  const auto unknown = site.engine.create(site.spec, PostgresSite::limits());
  CHECK(unknown.error().code == Code::not_found);
  CHECK(unknown.error().text.find("useradd --system --uid 4000000") != std::string::npos);
}

}  // namespace
}  // namespace confd::services
