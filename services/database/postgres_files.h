// What PostgresEngine reads and writes on disk: folders with the right owner, the server's pid file, what the
// server said last. Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/program.h"
#include "base/result.h"
#include "services/database/engine.h"

namespace confd::services {

std::string data_folder(const InstanceSpec& spec);

// The name of the OS user. Errors: Code::unsupported for root; Code::not_found when this machine has no user
// of that number, Code::wrong_state when this process may not run programs as that user; with the way out.
base::Result<std::string> owner_name(const base::OsUser& owner);
// Makes the folder, or takes it as it is; it belongs to `owner` then and has that mode.
base::Status make_folder_for(const base::OsUser& owner, const std::string& path, std::uint32_t mode);
// Replaces a file of confd's that the owner's group may read.
base::Status write_for(const base::OsUser& owner, const std::string& path, const std::string& text);

struct PidFile {
  pid_t process = 0;
  std::string status;  // "starting", "ready", "standby", "stopping"; empty: not said yet
};
// Nothing when there is none, or it is not written to its end yet.
std::optional<PidFile> read_pid_file(const InstanceSpec& spec);

// Where the logs of an instance end now, and the lines that came after with what went wrong.
class LogMark {
 public:
  explicit LogMark(const InstanceSpec& spec);
  // "FATAL: could not create any TCP/IP sockets", several joined by "; ". Empty: nothing was said.
  std::string problems() const;

 private:
  std::string start_log_, log_folder_;
  std::string newest_;
  std::uint64_t newest_size_ = 0;
};

}  // namespace confd::services
