// EtcdProcess: a real etcd of one member for tests, with TLS and certificates of clients, on free ports of
// 127.0.0.1, its data in a temporary folder. Tests whose etcd is not installed fail with a text that says so.
// Every wait ends after kDeadline. Thread-safety: one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace confd::test {

class EtcdProcess {
 public:
  struct Options {
    // "--snapshot-count=1000", ...; fsync is off unless `durable`.
    std::vector<std::string> arguments = {};
    bool durable = false;
  };
  // Starts it and waits until it serves.
  explicit EtcdProcess(const Options& options);
  EtcdProcess() : EtcdProcess(Options()) {}
  // Ends it and removes its folder.
  ~EtcdProcess();
  EtcdProcess(const EtcdProcess&) = delete;
  EtcdProcess& operator=(const EtcdProcess&) = delete;

  // SIGKILL; waits until it is gone.
  void kill();
  // Again on the same ports and data, after kill().
  void start();
  // SIGSTOP and SIGCONT.
  void freeze();
  void thaw();

  std::uint16_t client_port() const { return client_port_; }
  pid_t pid() const { return pid_; }
  const std::string& folder() const { return folder_; }  // data in "data", text of the process in "log"
  // Resident set now, and the highest so far, in bytes.
  std::int64_t memory_bytes() const;
  std::int64_t peak_memory_bytes() const;
  std::int64_t data_bytes() const;  // all files of the data folder

  // PEM. The server carries 127.0.0.1 and localhost; clients need a certificate of the same authority.
  const std::string& authority() const { return authority_; }
  const std::string& client_certificate() const { return client_certificate_; }
  const std::string& client_key() const { return client_key_; }

 private:
  void make_certificates();
  std::string log() const;

  const Options options_;
  std::string folder_;
  std::uint16_t client_port_ = 0, peer_port_ = 0;
  pid_t pid_ = -1;
  std::string authority_, client_certificate_, client_key_;
};

// A port of 127.0.0.1 that nobody listens on (just now).
std::uint16_t free_port();

}  // namespace confd::test
