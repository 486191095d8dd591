// ArchiveDoor: one port of an archive volume, open. HTTP and HTTPS are served here; for FTP, FTPS and SFTP a
// program (services/archive_doors, one process for each address) takes the clients and asks for the files
// over HTTP at a port of 127.0.0.1 that only it is let in to, by a secret. So every access goes one way.
//
// The programs get all they need over standard input, secrets too; they are started again when they end, and
// end with the door and with confd. Used by ArchiveAccess. Thread-safety: one thread; `serve` is called by
// many.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file_system.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/root.h"
#include "rpc/stream_server.h"
#include "rpc/tls_context.h"

namespace confd::daemon {

class ArchiveDoor final : public rpc::StreamHandler {
 public:
  struct Place {
    std::int64_t volume = 0;
    std::string kind;  // "HttpPort", "HttpsPort", "FtpPort", "FtpsPort", "SftpPort"
    int port = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct House {  // all of it outlives the door
    base::FileSystem& files;
    base::Random& random;
    base::Log& log;
    const Root& root;
    std::shared_ptr<rpc::TlsContext> tls;
    std::function<base::Result<rpc::TlsSettings>()> certificate;  // as files, for FTPS
    std::vector<std::string> addresses;                           // to listen at
  };
  // `secret`: what the door's program shows; empty: anybody may come.
  using Serve = std::function<void(rpc::StreamExchange& exchange, const std::string& secret)>;

  ArchiveDoor(const House& house, Place place, Serve serve);
  ~ArchiveDoor() override;

  // Error: the port can't be opened; why. A program's troubles with its port go to the log.
  base::Status start();
  // No new clients; what is on its way may end.
  void close();
  bool has_ended() const;
  // Is it of the certificate in force?
  bool is_current() const;

  void on_request(rpc::StreamExchange& exchange) override { serve_(exchange, secret_); }

 private:
  bool is_program() const { return place_.kind != "HttpPort" && place_.kind != "HttpsPort"; }
  base::Status start_programs();
  void keep_running(const std::string& address, const std::string& input, const std::stop_token& stop);

  const House& house_;
  const Place place_;
  const Serve serve_;
  std::string secret_, certificate_;
  std::chrono::steady_clock::time_point until_;
  std::unique_ptr<rpc::StreamServer> server_;
  std::vector<std::jthread> programs_;
};

}  // namespace confd::daemon
