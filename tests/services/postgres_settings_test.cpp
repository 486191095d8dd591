#include "services/database/postgres_settings.h"

#include <catch2/catch.hpp>

namespace confd::services {
namespace {

using base::Code;

InstanceSpec spec_of() {
  InstanceSpec spec;
  spec.database = "DB1";
  spec.run_folder = "/exa/run/db/DB1";
  spec.log_folder = "/exa/logs/db/DB1";
  spec.memory = std::uint64_t{2} << 30;
  spec.port = 8563;
  spec.addresses = {"10.50.1.11", "10.60.1.11"};
  return spec;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("the server gets its memory, port and addresses, and only confd its socket") {
  const auto files = postgres_files(spec_of(), "exadefusr");
  REQUIRE(files);
  for (const char* line :
       {"port = '8563'", "listen_addresses = '10.50.1.11,10.60.1.11'", "shared_buffers = '512MB'",
        "effective_cache_size = '1536MB'", "maintenance_work_mem = '128MB'", "work_mem = '8MB'",
        "unix_socket_directories = '/exa/run/db/DB1/socket'", "unix_socket_permissions = '0700'",
        "hba_file = '/exa/run/db/DB1/pg_hba.conf'", "ssl = 'off'"}) {
    CAPTURE(line);
    CHECK(has_line(files->server, line));
  }
  CHECK_FALSE(has_line(files->server, "log_statement = 'all'"));
  CHECK(has_line(files->access, "local all sys peer map=confd"));
  CHECK(has_line(files->access, "host all all all scram-sha-256"));
  CHECK(has_line(files->names, "confd root sys"));
  CHECK(has_line(files->names, "confd \"exadefusr\" sys"));
}

TEST_CASE("with a certificate nobody logs in without TLS") {
  InstanceSpec spec = spec_of();
  spec.certificate_path = "/exa/run/db/DB1/server.crt";
  spec.key_path = "/exa/run/db/DB1/server.key";
  spec.auditing = true;
  const auto files = postgres_files(spec, "exadefusr");
  REQUIRE(files);
  CHECK(has_line(files->server, "ssl = 'on'"));
  CHECK(has_line(files->server, "ssl_key_file = '/exa/run/db/DB1/server.key'"));
  CHECK(has_line(files->server, "log_statement = 'all'"));
  CHECK(files->access.find("\nhost ") == std::string::npos);
  CHECK(has_line(files->access, "hostssl all all all scram-sha-256"));
}

TEST_CASE("little memory is never too little for the server") {
  InstanceSpec spec = spec_of();
  spec.memory = 1;
  const auto files = postgres_files(spec, "exadefusr");
  REQUIRE(files);
  CHECK(has_line(files->server, "shared_buffers = '16MB'"));
  CHECK(has_line(files->server, "work_mem = '4MB'"));
}

TEST_CASE("parameters come after what is given, and their values are taken as they are") {
  InstanceSpec spec = spec_of();
  spec.parameters = {"-work_mem=64MB", "-app.name=\"it's a \\ \"", "-work_mem=65MB", "-search_path="};
  const auto files = postgres_files(spec, "exadefusr");
  REQUIRE(files);
  CHECK(files->server.ends_with(
      "work_mem = '64MB'\napp.name = 'it''s a \\\\ '\nwork_mem = '65MB'\nsearch_path = ''\n"));
}

TEST_CASE("parameters of another form, and those that are confd's, are refused with the way out") {
  for (const char* wrong : {"", "-", "work_mem=1", "-work_mem", "-=1", "-work mem=1", "--work_mem=1", "-1a=1",
                            "-a\n=1", "-.a=1"}) {
    CAPTURE(wrong);
    const auto parsed = parse_parameter(wrong);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::bad_parameter);
    CHECK(parsed.error().text.find("is not of the form -name=value") != std::string::npos);
  }
  CHECK(parse_parameter("-a=1\n2").error().text.find("line break") != std::string::npos);
  CHECK(parse_parameter("-Port=1").error().text ==
        "database parameter '-Port' can't be set: parameter port of db_configure sets it");
  CHECK(parse_parameter("-synchronous_standby_names=*").error().code == Code::bad_parameter);
  const auto fine = parse_parameter("-a=b=c");
  REQUIRE(fine);
  CHECK(fine->second == "b=c");
}

}  // namespace
}  // namespace confd::services
