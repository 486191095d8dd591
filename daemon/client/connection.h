// Confd: calls to the confd of this node over ROOT/run/confd.sock (spec/rpc.md §8, plain JSON style). The
// kernel tells confd who calls. Thread-safety: one thread at a time.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/value.h"
#include "rpc/http_client.h"

namespace confd::client {

enum ExitCode { kDone = 0, kFailed = 1, kWrongUsage = 2, kUnreachable = 3, kInterrupted = 130 };

// Ends the program with this text on stderr.
struct Failure {
  int exit_code;
  std::string text;
};

class Confd {
 public:
  // Throws Failure{kUnreachable}: the path, the reason and what to do.
  static Confd connect(const std::string& root, const std::optional<std::string>& user);

  using Deadline = std::optional<std::chrono::milliseconds>;

  // POST /jrpc {"method", "params"}. Throws Failure for HTTP errors and error answers.
  base::Value call(const std::string& method, base::Struct params, Deadline deadline = std::nullopt);
  // The same with "job": job_exec and job_start; `params` is the options struct.
  base::Value call_job(const std::string& method, const std::string& job, base::Struct options,
                       Deadline deadline = std::nullopt);
  // GET; the body without trailing white space.
  std::string get(const std::string& target);

 private:
  Confd(rpc::HttpClient client, std::string socket, std::optional<std::string> user);
  base::Value post(const base::Struct& message, Deadline deadline);
  std::string send(rpc::HttpRequest request, Deadline deadline);

  rpc::HttpClient client_;
  std::string socket_;
  std::optional<std::string> user_;
};

}  // namespace confd::client
