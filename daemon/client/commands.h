// What confd_client does for each command: the built-in ones and, for every other name, the job of that name.
// Thread-safety: one thread.
#pragma once

#include <string>

#include "daemon/client/options.h"

namespace confd::client {

// The folder of the node: --root, else CONFD_ROOT, else /exa.
std::string root_of(const Options& options);

// Runs the command; prints to stdout and stderr; gives the exit code. Throws UsageError and Failure.
int run_command(const Options& options);

// The whole program: options, command, error texts.
int run_program(const std::vector<std::string>& arguments);

}  // namespace confd::client
