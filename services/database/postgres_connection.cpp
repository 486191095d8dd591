#include "services/database/postgres_connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/text.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

PGconn* of(void* connection) {
  return static_cast<PGconn*>(connection);
}

std::string message(const PGconn* connection) {
  return std::string(base::trim(PQerrorMessage(connection)));
}

class StopEvent {
 public:
  explicit StopEvent(const std::stop_token& stop)
      : file_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(stop, Wake{file_}) {}
  ~StopEvent() { ::close(file_); }
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;
  int file() const { return file_; }

 private:
  struct Wake {
    int file;
    void operator()() const {
      const std::uint64_t one = 1;
      (void)!::write(file, &one, sizeof one);
    }
  };
  const int file_;
  std::stop_callback<Wake> callback_;
};

// Until the connection's socket can be read or written. Errors: Code::timeout, Code::stopped.
Status wait_for(const PGconn* connection, short events, const SqlLimits& limits, const StopEvent& stopped) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(limits.until - std::chrono::steady_clock::now()).count();
  if (limits.stop.stop_requested()) return Error{Code::stopped, "stopped while waiting for the database"};
  if (left <= 0) return Error{Code::timeout, "the database did not answer in time"};
  pollfd files[2] = {{PQsocket(connection), events, 0}, {stopped.file(), POLLIN, 0}};
  ::poll(files, 2, static_cast<int>(std::min<decltype(left)>(left, 60'000)));
  return {};
}

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using SqlResult = std::unique_ptr<PGresult, ClearResult>;

void cancel(PGconn* connection) {
  if (PGcancel* request = PQgetCancel(connection)) {
    char problem[256];
    PQcancel(request, problem, sizeof problem);
    PQfreeCancel(request);
  }
}

SqlRows rows_of(const PGresult* result) {
  SqlRows rows(static_cast<std::size_t>(PQntuples(result)));
  for (int row = 0; row < PQntuples(result); ++row)
    for (int column = 0; column < PQnfields(result); ++column)
      rows[static_cast<std::size_t>(row)].push_back(
          PQgetisnull(result, row, column)
              ? std::nullopt
              : std::optional<std::string>(std::in_place, PQgetvalue(result, row, column),
                                           static_cast<std::size_t>(PQgetlength(result, row, column))));
  return rows;
}

}  // namespace

void PostgresConnection::Close::operator()(void* connection) const {
  PQfinish(of(connection));
}

Result<PostgresConnection> PostgresConnection::open(const std::string& socket_folder, int port,
                                                    const std::string& database, const SqlLimits& limits) {
  const std::string port_text = std::to_string(port);
  const char* const names[] = {"host", "port", "user", "dbname", "application_name", "client_encoding",
                               nullptr};
  const char* const values[] = {
      socket_folder.c_str(), port_text.c_str(), "sys", database.c_str(), "confd", "UTF8", nullptr};
  PostgresConnection opened(PQconnectStartParams(names, values, 0));
  PGconn* connection = of(opened.connection_.get());
  if (connection == nullptr) return Error{Code::internal, "no memory for a connection"};
  const StopEvent stopped(limits.stop);
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;
       next = PQconnectPoll(connection)) {
    if (next == PGRES_POLLING_FAILED || PQstatus(connection) == CONNECTION_BAD)
      return Error{Code::io_error, message(connection)};
    if (Status ready =
            wait_for(connection, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, limits, stopped);
        !ready)
      return ready.error();
  }
  return opened;
}

Result<SqlRows> PostgresConnection::query(const std::string& statement, const SqlLimits& limits) {
  PGconn* connection = of(connection_.get());
  if (PQsendQuery(connection, statement.c_str()) == 0) return Error{Code::io_error, message(connection)};
  const StopEvent stopped(limits.stop);
  SqlRows rows;
  std::optional<Error> problem;
  for (;;) {
    while (PQisBusy(connection) != 0) {
      if (Status ready = wait_for(connection, POLLIN, limits, stopped); !ready) {
        cancel(connection);
        return ready.error();
      }
      if (PQconsumeInput(connection) == 0) return Error{Code::io_error, message(connection)};
    }
    const SqlResult result(PQgetResult(connection));
    if (!result) break;
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK)
      rows = rows_of(result.get());
    else if (status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY && !problem)
      problem = Error{PQstatus(connection) == CONNECTION_OK ? Code::job_error : Code::io_error,
                      std::string(base::trim(PQresultErrorMessage(result.get())))};
  }
  if (problem) return *problem;
  return rows;
}

std::string PostgresConnection::quoted_name(const std::string& name) const {
  char* text = PQescapeIdentifier(of(connection_.get()), name.data(), name.size());
  std::string quoted = text == nullptr ? "" : text;
  PQfreemem(text);
  return quoted;
}

std::string PostgresConnection::quoted_text(const std::string& text) const {
  char* literal = PQescapeLiteral(of(connection_.get()), text.data(), text.size());
  std::string quoted = literal == nullptr ? "" : literal;
  PQfreemem(literal);
  return quoted;
}

}  // namespace confd::services
