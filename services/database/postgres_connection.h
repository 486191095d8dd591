// PostgresConnection: a login at a server on this machine, through its socket, as the role sys.
//
// Every call has a deadline and ends at a stop. Errors: Code::timeout, Code::stopped, Code::io_error with the
// server's text (no connection), Code::job_error with the server's text (a statement failed). Thread-safety:
// one thread at a time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace confd::services {

// Rows of text; nothing for NULL.
using SqlRows = std::vector<std::vector<std::optional<std::string>>>;

struct SqlLimits {
  std::chrono::steady_clock::time_point until;
  std::stop_token stop;
};

class PostgresConnection {
 public:
  // `socket_folder` is where the server has its socket.
  static base::Result<PostgresConnection> open(const std::string& socket_folder, int port,
                                               const std::string& database, const SqlLimits& limits);
  // Of several statements in one text the last result that has rows. At the deadline or a stop the server is
  // told to cancel.
  base::Result<SqlRows> query(const std::string& statement, const SqlLimits& limits);
  std::string quoted_name(const std::string& name) const;
  std::string quoted_text(const std::string& text) const;

 private:
  struct Close {
    void operator()(void* connection) const;
  };
  explicit PostgresConnection(void* connection) : connection_(connection) {}
  std::unique_ptr<void, Close> connection_;  // PGconn: libpq's header stays in the source file
};

}  // namespace confd::services
