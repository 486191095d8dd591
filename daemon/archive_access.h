// ArchiveAccess: the files of archive volumes for people and tools, at the ports that EXAConf gives each
// volume (HttpPort, HttpsPort, FtpPort, FtpsPort, SftpPort). Every node opens the ports of every archive
// volume on its own addresses and reaches all copies from there. docs/storage-access.md.
//
// A thread of its own follows EXAConf: ports are opened and closed while everything else goes on; one that
// can't be opened is tried again. Thread-safety: follow() from any thread; begin() and stop() once each.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "daemon/archive_door.h"
#include "daemon/login_gate.h"
#include "exaconf/config.h"
#include "rpc/stream_server.h"
#include "services/archive_rights.h"
#include "storage/archive_link.h"
#include "storage/volume.h"

namespace confd::daemon {

class ArchiveAccess {
 public:
  struct Parts {  // all of it outlives this
    storage::ArchiveLink& link;
    LoginGate& gate;
    std::function<exaconf::ConfigPtr()> config;
    ArchiveDoor::House house;
  };
  explicit ArchiveAccess(Parts parts);
  ~ArchiveAccess();

  void begin();
  // There is a new revision of EXAConf. Does not wait.
  void follow() EXCLUDES(mutex_);
  // Closes all ports and cuts what is on its way.
  void stop() EXCLUDES(mutex_);

 private:
  void run() EXCLUDES(mutex_);
  // Opens and closes what EXAConf says. True: something waits to be looked at again.
  bool reconcile();
  void open(const ArchiveDoor::Place& place, const std::string& volume);
  void serve(std::int64_t volume, rpc::StreamExchange& exchange, const std::string& secret);
  // Who calls; nothing: it was answered that he may not. `head`: the request, with the address he calls from.
  std::shared_ptr<const auth::Identity> identify(rpc::StreamExchange& exchange, const rpc::HttpRequest& head,
                                                 const std::string& volume);
  bool take_turn(const storage::Volume& volume, const std::string& user, std::string& other) EXCLUDES(mutex_);
  void end_turn(std::int64_t volume) EXCLUDES(mutex_);

  const Parts parts_;
  // The thread's own.
  std::map<ArchiveDoor::Place, std::unique_ptr<ArchiveDoor>> doors_;
  std::vector<std::unique_ptr<ArchiveDoor>> closing_;
  std::map<ArchiveDoor::Place, std::string> problems_;  // logged, and not solved yet

  base::Mutex mutex_;
  base::CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::uint64_t asked_ GUARDED_BY(mutex_) = 1;                      // counts follow()
  std::map<std::int64_t, std::string> writers_ GUARDED_BY(mutex_);  // of volumes that are not shared
  std::thread thread_;
};

}  // namespace confd::daemon
