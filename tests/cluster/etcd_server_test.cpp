// EtcdServer: one real etcd (apt-get install etcd-server) that is started, dies, outlives its starter.
#include "cluster/etcd_server.h"

#include <signal.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "auth/cluster_authority.h"
#include "cluster/etcd_client.h"
#include "rpc/https_client.h"
#include "tests/support/etcd_process.h"
#include "tests/support/eventually.h"
#include "tests/support/temporary_folder.h"

using namespace confd;
using namespace confd::cluster;
using namespace std::chrono_literals;
using confd::test::eventually;
using confd::test::TemporaryFolder;

namespace {

struct Machine {
  TemporaryFolder root;
  base::FileSystem& files = base::system_file_system();
  std::unique_ptr<base::Log> log;
  EtcdServerSettings settings;
  EtcdBirth birth;

  Machine() {
    base::Log::Options options;
    options.path = root / "confd.log";
    log = std::move(*base::Log::open(options));
    const auto now = std::chrono::system_clock::now();
    const auto authority = auth::make_cluster_authority("test", now);
    REQUIRE(authority);
    const auto node = auth::issue_node_certificate(*authority, 11, {"127.0.0.1"}, now);
    REQUIRE(node);
    settings.authority = root.write("ca.crt", authority->certificate_pem);
    settings.certificate = root.write("node.crt", node->certificate_pem);
    settings.key = root.write("node.key", node->key_pem);
    settings.data = root / "data/etcd";
    settings.log = root / "logs/etcd.log";
    settings.record = root / "etcd.pid";
    settings.node = 11;
    settings.address = "127.0.0.1";
    settings.client_port = test::free_port();
    settings.peer_port = test::free_port();
    birth.members = {{"node-11", etcd_url(settings.address, settings.peer_port)}};
  }
  ~Machine() {
    // A failed test must not leave it behind.
    EtcdServer last(settings, files, *log);
    last.adopt();
    last.stop();
  }

  std::unique_ptr<EtcdServer> server() { return std::make_unique<EtcdServer>(settings, files, *log); }
  // Until it answers.
  void wait(EtcdServer& server) {
    const auto tls = rpc::ClientTls::create(
        {root.read("node.crt"), root.read("node.key"), root.read("ca.crt"), std::string()});
    REQUIRE(tls);
    EtcdClient client(*tls, {{settings.address, settings.client_port}});
    const bool answers = eventually([&] {
      return !server.runs() || client.members({std::chrono::steady_clock::now() + 2s, {}}).ok();
    });
    INFO(root.read("logs/etcd.log"));
    REQUIRE(answers);
    REQUIRE(server.runs());
  }
};

void kill_hard(pid_t pid) {
  REQUIRE(::kill(pid, SIGKILL) == 0);
}

}  // namespace

TEST_CASE("a member is started, dies, and is started again on its data") {
  Machine machine;
  auto server = machine.server();
  CHECK_FALSE(server->has_data());
  CHECK_FALSE(server->runs());
  REQUIRE(server->keep_running(machine.birth));
  machine.wait(*server);
  CHECK(server->has_data());
  struct stat data {};
  REQUIRE(::stat(machine.settings.data.c_str(), &data) == 0);
  CHECK((data.st_mode & 0777) == 0700);

  const pid_t first = *server->pid();
  REQUIRE(server->keep_running({}));
  CHECK(*server->pid() == first);  // it runs: nothing is done

  kill_hard(first);
  REQUIRE(eventually([&] { return !server->runs(); }));
  CHECK(server->early_deaths() == 1);
  REQUIRE(server->keep_running({}));
  CHECK_FALSE(server->runs());  // not at once: one that can't start would do nothing else
  REQUIRE(eventually([&] { return server->keep_running({}) && server->runs(); }));
  CHECK(*server->pid() != first);
  machine.wait(*server);

  server->stop();
  CHECK_FALSE(server->runs());
  CHECK(eventually([&] { return ::kill(first, 0) != 0; }));  // whoever inherited it has buried it
  CHECK_FALSE(machine.files.status(machine.settings.record));
}

TEST_CASE("a member outlives confd and is found again, never started twice") {
  Machine machine;
  pid_t first = 0;
  {
    auto server = machine.server();
    REQUIRE(server->keep_running(machine.birth));
    machine.wait(*server);
    first = *server->pid();
  }  // as after kill -9 of confd: nothing stops it
  REQUIRE(::kill(first, 0) == 0);

  SECTION("by its record") {
    CHECK(machine.root.read("etcd.pid") == std::to_string(first) + "\n");
  }
  SECTION("without a record, by its data folder") {
    REQUIRE(machine.files.remove(machine.settings.record));
  }
  SECTION("a record that names somebody else's process") {
    machine.root.write("etcd.pid", std::to_string(::getpid()) + "\n");
  }
  auto server = machine.server();
  server->adopt();
  REQUIRE(server->runs());
  CHECK(*server->pid() == first);
  CHECK(machine.root.read("etcd.pid") == std::to_string(first) + "\n");
  REQUIRE(server->keep_running({}));
  CHECK(*server->pid() == first);

  // Death of an adopted one is noticed as well.
  kill_hard(first);
  REQUIRE(eventually([&] { return server->keep_running({}) && server->runs() && *server->pid() != first; }));
  machine.wait(*server);
}

TEST_CASE("a member of another folder is not taken for ours") {
  Machine machine, other;
  auto server = machine.server();
  REQUIRE(server->keep_running(machine.birth));
  const pid_t first = *server->pid();
  other.root.write("etcd.pid", std::to_string(first) + "\n");
  auto others = other.server();
  others->adopt();
  CHECK_FALSE(others->runs());
}

TEST_CASE("an adopted member with other settings is started anew") {
  Machine machine;
  {
    auto server = machine.server();
    REQUIRE(server->keep_running(machine.birth));
    machine.wait(*server);
  }
  machine.settings.heartbeat = 200ms;
  machine.settings.election = 2000ms;
  auto server = machine.server();
  server->adopt();
  const pid_t first = *server->pid();
  REQUIRE(server->keep_running({}));
  CHECK(*server->pid() != first);
  machine.wait(*server);
}

TEST_CASE("a program that is not there is named, and tried again later") {
  Machine machine;
  machine.settings.executable = "/usr/bin/etcd-that-is-not-there";
  auto server = machine.server();
  const auto refused = server->keep_running(machine.birth);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("/usr/bin/etcd-that-is-not-there") != std::string::npos);
}

TEST_CASE("the data of a removed member is kept beside, once") {
  Machine machine;
  auto server = machine.server();
  for (const std::string text : {"first", "second"}) {
    REQUIRE(machine.files.make_directories(machine.settings.data + "/member/wal", 0700));
    machine.root.write("data/etcd/member/wal/0.wal", text);
    CHECK(server->has_data());
    REQUIRE(server->set_aside());
    CHECK_FALSE(server->has_data());
    CHECK(machine.root.read("data/etcd.removed/member/wal/0.wal") == text);
  }
}

TEST_CASE("a folder without a log is no data") {
  Machine machine;
  REQUIRE(machine.files.make_directories(machine.settings.data + "/member/snap", 0700));
  CHECK_FALSE(machine.server()->has_data());
}

TEST_CASE("etcd's log stays bounded") {
  Machine machine;
  auto server = machine.server();
  REQUIRE(server->keep_running(machine.birth));
  machine.wait(*server);
  const std::string line(1023, 'x');
  {
    std::ofstream more(machine.settings.log, std::ios::app);
    for (int i = 0; i < 5000; ++i) more << line << "\n";
  }
  server->bound_log();
  CHECK(machine.root.read("logs/etcd.log").size() < 100'000);
  CHECK(machine.root.read("logs/etcd.log.1").size() > 5'000'000);
  // etcd goes on at the beginning of the file.
  const pid_t killed = *server->pid();
  kill_hard(killed);
  REQUIRE(eventually([&] { return server->keep_running({}) && server->runs() && *server->pid() != killed; }));
  machine.wait(*server);
  CHECK(machine.root.read("logs/etcd.log").size() < 200'000);
}

TEST_CASE("arguments carry paths and figures only, and TLS both ways") {
  Machine machine;
  const auto all = etcd_arguments(machine.settings, machine.birth);
  const auto has = [&](const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  CHECK(has("--client-cert-auth=true"));
  CHECK(has("--peer-client-cert-auth=true"));
  CHECK(has("--key-file=" + machine.settings.key));
  CHECK(has("--initial-cluster-state=new"));
  for (const std::string& each : all) CHECK(each.find("PRIVATE") == std::string::npos);
  CHECK(etcd_url("::1", 2379) == "https://[::1]:2379");
}
