// The three files a PostgreSQL server is set up with, from what confd wants of it. They are written anew at
// every start; nobody edits them. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "services/database/engine.h"

namespace confd::services {

struct PostgresFiles {
  std::string server;  // postgresql.conf
  std::string access;  // pg_hba.conf
  std::string names;   // pg_ident.conf
};

// "-name=value", the form of the jobs' parameters. Errors: Code::bad_parameter for another form and for
// settings that are confd's, with the job's parameter that sets them.
base::Result<std::pair<std::string, std::string>> parse_parameter(const std::string& text);

// Where the server has its socket: in the run folder, the owner's.
std::string socket_folder(const InstanceSpec& spec);

// `owner_name`: the OS user whose processes may log in as sys through the socket, beside root.
base::Result<PostgresFiles> postgres_files(const InstanceSpec& spec, const std::string& owner_name);

}  // namespace confd::services
