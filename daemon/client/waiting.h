// Waiting for a job: plainly, or with a line on the terminal that shows stage, progress and elapsed time; and
// what an interrupt (Ctrl-C) says meanwhile. Thread-safety: one thread.
#pragma once

#include <string>

#include "base/value.h"
#include "daemon/client/connection.h"

namespace confd::client {

// While it lives, SIGINT writes the text to stderr and ends the program with 130.
class InterruptMessage {
 public:
  explicit InterruptMessage(const std::string& text);
  ~InterruptMessage();
  InterruptMessage(const InterruptMessage&) = delete;
  InterruptMessage& operator=(const InterruptMessage&) = delete;
};

// Are there people on both ends: stdout and stderr are terminals?
bool on_terminal();

// job_exec: blocks until the job has ended. Gives the envelope.
base::Value run_job(Confd& confd, const std::string& job, const base::Struct& options);

// job_start, job_wait, job_result; after a second a status line is kept on stderr, taken away at the end.
base::Value run_job_with_display(Confd& confd, const std::string& job, const base::Struct& options);

// "executed, copying segment 3 of 8 (37%), 12 s": from the answer of job_info.
std::string status_line(const std::string& job, const base::Value& info, long seconds);

}  // namespace confd::client
