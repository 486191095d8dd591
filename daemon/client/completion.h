// Shell completion: the scripts for bash and zsh, and the words that `confd_client --complete WORDS...`
// offers. Job and parameter names come from the running confd; without one only options and built-in commands
// are offered. Thread-safety: one thread.
#pragma once

#include <string>

#include "daemon/client/options.h"

namespace confd::client {

// Code to be sourced or evaluated; "" takes the shell of $SHELL. Throws UsageError.
std::string completion_script(const std::string& shell);

// One candidate a line for the last of the words. Never fails: no candidates instead.
std::string complete(const Options& options);

}  // namespace confd::client
