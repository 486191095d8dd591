#include "tests/support/etcd_process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/eventually.h"
#include "tests/support/test_certificates.h"

namespace confd::test {

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  REQUIRE(file.good());
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
}

std::string etcd_program() {
  for (const char* path : {"/usr/bin/etcd", "/usr/local/bin/etcd"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  FAIL("this test needs etcd: apt-get install etcd-server");
  return {};
}

std::int64_t status_kilobytes(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(name + ":", 0) == 0) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return -1;
}

}  // namespace

std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(descriptor);
  return ntohs(address.sin_port);
}

EtcdProcess::EtcdProcess(const Options& options) : options_(options) {
  etcd_program();
  char name[] = "/tmp/confd-etcd-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  folder_ = name;
  make_certificates();
  client_port_ = free_port();
  do {
    peer_port_ = free_port();
  } while (peer_port_ == client_port_);
  start();
}

EtcdProcess::~EtcdProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void EtcdProcess::make_certificates() {
  const auto now = std::chrono::system_clock::now();
  const Certificate root = make_certificate({"etcd test authority", true}, now);
  CertificateSpec spec;
  spec.name = "etcd";
  spec.alternative_names = "DNS:localhost,IP:127.0.0.1";
  // The gateway inside etcd calls etcd itself with it: usage of servers alone would not do.
  spec.server_usage = false;
  const Certificate server = make_certificate(spec, now, &root);
  const Certificate client = make_certificate({"confd", false, "", false}, now, &root);
  authority_ = root.text;
  client_certificate_ = client.text;
  client_key_ = key_pem(client.key);
  write_file(folder_ + "/ca.crt", root.text);
  write_file(folder_ + "/server.crt", server.text);
  write_file(folder_ + "/server.key", key_pem(server.key));
  write_file(folder_ + "/client.crt", client.text);
  write_file(folder_ + "/client.key", client_key_);
}

void EtcdProcess::start() {
  REQUIRE(pid_ == -1);
  const std::string client = "https://127.0.0.1:" + std::to_string(client_port_);
  const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
  std::vector<std::string> arguments = {etcd_program(),
                                        "--name=test",
                                        "--data-dir=" + folder_ + "/data",
                                        "--listen-client-urls=" + client,
                                        "--advertise-client-urls=" + client,
                                        "--listen-peer-urls=" + peer,
                                        "--initial-advertise-peer-urls=" + peer,
                                        "--initial-cluster=test=" + peer,
                                        "--cert-file=" + folder_ + "/server.crt",
                                        "--key-file=" + folder_ + "/server.key",
                                        "--trusted-ca-file=" + folder_ + "/ca.crt",
                                        "--client-cert-auth",
                                        "--logger=zap",
                                        "--log-outputs=stderr"};
  if (!options_.durable) arguments.emplace_back("--unsafe-no-fsync");
  arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> pointers;
  for (std::string& each : arguments) pointers.push_back(each.data());
  pointers.push_back(nullptr);

  const std::string log_path = folder_ + "/log";
  const std::size_t log_before = log().size();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Not left behind when the test dies.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    const int file = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(file, 1);
    ::dup2(file, 2);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  pid_ = child;
  const bool serves = eventually([&] {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return true;
    }
    // It listens long before it has a leader.
    return log().find("serving client traffic securely", log_before) != std::string::npos;
  });
  if (pid_ == -1 || !serves) {
    const std::string text = log();
    FAIL("etcd does not serve:\n" << text.substr(text.size() - std::min<std::size_t>(text.size(), 2000)));
  }
}

void EtcdProcess::kill() {
  REQUIRE(pid_ > 0);
  REQUIRE(::kill(pid_, SIGKILL) == 0);
  REQUIRE(::waitpid(pid_, nullptr, 0) == pid_);
  pid_ = -1;
}

void EtcdProcess::freeze() {
  REQUIRE(::kill(pid_, SIGSTOP) == 0);
  // The signal is on its way when kill returns: until every thread has stopped, etcd may still answer.
  int status = 0;
  REQUIRE(::waitpid(pid_, &status, WUNTRACED) == pid_);
  REQUIRE(WIFSTOPPED(status));
}

void EtcdProcess::thaw() {
  REQUIRE(::kill(pid_, SIGCONT) == 0);
}

std::int64_t EtcdProcess::memory_bytes() const {
  return status_kilobytes(pid_, "VmRSS");
}

std::int64_t EtcdProcess::peak_memory_bytes() const {
  return status_kilobytes(pid_, "VmHWM");
}

std::int64_t EtcdProcess::data_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/data")) {
    struct stat file {};
    // Blocks, not length: etcd reserves its log in advance.
    if (entry.is_regular_file() && ::stat(entry.path().c_str(), &file) == 0) bytes += file.st_blocks * 512;
  }
  return bytes;
}

std::string EtcdProcess::log() const {
  std::ifstream file(folder_ + "/log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace confd::test
