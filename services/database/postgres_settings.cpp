#include "services/database/postgres_settings.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"

namespace confd::services {

using base::Code;
using base::Error;
using base::Result;

namespace {

struct Own {
  std::string_view name;
  std::string_view way_out;
};
// What confd answers for, and what sets it.
constexpr std::array<Own, 18> kOwn = {{
    {"archive_cleanup_command", "backups take care of it"},
    {"archive_command", "backups take care of it"},
    {"config_file", "confd writes it"},
    {"data_directory", "it is in the data volume"},
    {"external_pid_file", "confd finds its servers itself"},
    {"hba_file", "confd writes it"},
    {"ident_file", "confd writes it"},
    {"listen_addresses", "parameter interfaces of db_configure sets it"},
    {"port", "parameter port of db_configure sets it"},
    {"primary_conninfo", "confd leads standbys to their primary"},
    {"primary_slot_name", "confd leads standbys to their primary"},
    {"recovery_target_timeline", "confd leads standbys to their primary"},
    {"restore_command", "backups take care of it"},
    {"ssl", "section [SSL] of EXAConf sets it"},
    {"ssl_cert_file", "section [SSL] of EXAConf sets it"},
    {"ssl_key_file", "section [SSL] of EXAConf sets it"},
    {"synchronous_standby_names", "the redundancy of the data volume sets it"},
    {"unix_socket_directories", "confd logs in there"},
}};

constexpr std::uint64_t kMiB = 1u << 20;

bool is_name(std::string_view name) {
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '.';
         });
}

std::string quoted(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += c;
    text += c;
  }
  return text + "'";
}

std::string line(std::string_view name, std::string_view value) {
  return std::string(name) + " = " + quoted(value) + "\n";
}

std::string mib(std::uint64_t bytes) {
  return std::to_string(bytes / kMiB) + "MB";
}

// A quarter for the server's own cache and the rest for sessions and the kernel's, as PostgreSQL's manual
// advises for a machine of that size.
std::string memory_lines(std::uint64_t memory) {
  return line("shared_buffers", mib(std::max(memory / 4, 16 * kMiB))) +
         line("effective_cache_size", mib(std::max(memory / 4 * 3, 16 * kMiB))) +
         line("maintenance_work_mem", mib(std::clamp(memory / 16, 16 * kMiB, 2048 * kMiB))) +
         line("work_mem", mib(std::clamp(memory / 256, 4 * kMiB, 1024 * kMiB)));
}

}  // namespace

std::string socket_folder(const InstanceSpec& spec) {
  return spec.run_folder + "/socket";
}

Result<std::pair<std::string, std::string>> parse_parameter(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (!text.starts_with('-') || equals == std::string::npos || !is_name(text.substr(1, equals - 1)))
    return Error{Code::bad_parameter, "database parameter '" + text + "' is not of the form -name=value"};
  std::string name = text.substr(1, equals - 1), value = text.substr(equals + 1);
  if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }))
    return Error{Code::bad_parameter, "database parameter '-" + name +
                                          "' has a line break or another "
                                          "control character in its value"};
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  const std::string lower = base::to_lower(name);
  for (const Own& own : kOwn)
    if (lower == own.name)
      return Error{Code::bad_parameter,
                   "database parameter '-" + name + "' can't be set: " + std::string(own.way_out)};
  return std::pair(std::move(name), std::move(value));
}

Result<PostgresFiles> postgres_files(const InstanceSpec& spec, const std::string& owner_name) {
  const bool has_tls = !spec.certificate_path.empty();
  PostgresFiles files;
  std::string& text = files.server;
  text = "# Written by confd at every start.\n" + line("port", std::to_string(spec.port)) +
         line("listen_addresses", base::join(spec.addresses, ",")) +
         line("hba_file", spec.run_folder + "/pg_hba.conf") +
         line("ident_file", spec.run_folder + "/pg_ident.conf") +
         line("unix_socket_directories", socket_folder(spec)) + line("unix_socket_permissions", "0700") +
         memory_lines(spec.memory) + line("wal_level", "replica") + line("hot_standby", "on") +
         line("max_wal_senders", "16") + line("max_replication_slots", "32") +
         line("password_encryption", "scram-sha-256") + line("ssl", has_tls ? "on" : "off");
  if (has_tls)
    text += line("ssl_cert_file", spec.certificate_path) + line("ssl_key_file", spec.key_path) +
            line("ssl_min_protocol_version", "TLSv1.2");
  text += line("log_destination", "stderr") + line("logging_collector", "on") +
          line("log_directory", spec.log_folder) + line("log_filename", "server-%Y-%m-%d.log") +
          line("log_file_mode", "0640") + line("log_rotation_age", "1d") + line("log_rotation_size", "0") +
          line("log_timezone", "UTC") + line("log_line_prefix", "%m [%p] %q%u@%d %r ");
  if (spec.auditing)
    text += line("log_statement", "all") + line("log_connections", "on") + line("log_disconnections", "on");
  for (const std::string& parameter : spec.parameters) {
    const auto parsed = parse_parameter(parameter);
    if (!parsed) return parsed.error();
    text += line(parsed->first, parsed->second);
  }
  const std::string network = has_tls ? "hostssl" : "host";
  files.access = "# Written by confd at every start.\nlocal all sys peer map=confd\n" + network +
                 " all all all scram-sha-256\n";
  files.names = "# Written by confd at every start.\nconfd root sys\n";
  if (owner_name != "root") files.names += "confd \"" + owner_name + "\" sys\n";
  return files;
}

}  // namespace confd::services
