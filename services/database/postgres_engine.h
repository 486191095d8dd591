// PostgresEngine: databases by PostgreSQL 15 and newer as Debian packages it.
//
//   <folder>      confd's: data (the owner's), data.new while that is made, first_start until the first start
//                 has ended well
//   <run folder>  confd's: postgresql.conf, pg_hba.conf, pg_ident.conf, lease, start.log (what the server
//   says
//                 before its own log is open), socket (the owner's)
//   <log folder>  the owner's: server-<day>.log
// confd logs in as the role sys through the socket, which the kernel vouches for; no password is kept. See
// engine.h for rules and thread-safety.
#pragma once

#include <string>
#include <string_view>

#include "services/database/engine.h"

namespace confd::services {

class PostgresEngine : public Engine {
 public:
  struct Settings {
    std::string programs;  // folder of postgres, initdb, ...; empty: Debian's newest
    std::string guard;     // path of confd_guard
  };
  explicit PostgresEngine(Settings settings);

  base::Result<std::string> version() override;
  base::Status create(const InstanceSpec& spec, const EngineLimits& limits) override;
  base::Status start(const InstanceSpec& spec, const FirstSettings& first,
                     const EngineLimits& limits) override;
  base::Status stop(const InstanceSpec& spec, StopMode mode, const EngineLimits& limits) override;
  InstanceReport look(const InstanceSpec& spec) override;
  base::Status check_login(const InstanceSpec& spec, const EngineLimits& limits) override;
  base::Status remove(const InstanceSpec& spec, const EngineLimits& limits) override;

 private:
  struct Deadline;
  std::string program(std::string_view name) const { return settings_.programs + "/" + std::string(name); }
  base::Status initialise(const InstanceSpec& spec, const std::string& folder, const Deadline& deadline);
  base::Status launch(const InstanceSpec& spec, const Deadline& deadline);
  base::Status wait_until_ready(const InstanceSpec& spec, const Deadline& deadline);
  base::Status first_start(const InstanceSpec& spec, const FirstSettings& first, const Deadline& deadline);
  base::Status log_in(const InstanceSpec& spec, const Deadline& deadline);

  Settings settings_;
};

}  // namespace confd::services
