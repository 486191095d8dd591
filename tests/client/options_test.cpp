#include "daemon/client/options.h"

#include <catch2/catch.hpp>

#include "daemon/client/history.h"
#include "daemon/client/output.h"
#include "daemon/client/waiting.h"

using namespace confd::client;
using confd::base::Array;
using confd::base::Struct;
using confd::base::Value;

namespace {

using Words = std::vector<std::string>;

std::string refusal(const Words& arguments) {
  try {
    parse_options(arguments);
    return "taken";
  } catch (const UsageError& error) {
    return error.text;
  }
}

}  // namespace

TEST_CASE("options and parameters mix in any order") {
  for (const Words& line :
       {Words{"db_info", "db_name:", "MYDB", "-j"}, Words{"-j", "db_info", "db_name:", "MYDB"},
        Words{"db_info", "-j", "db_name:", "MYDB"}, Words{"--json", "db_info", "db_name:", "MYDB"},
        Words{"db_info", "db_name:", "-j", "MYDB"}, Words{"-c", "db_info", "db_name:", "MYDB", "--json"},
        Words{"db_name:", "MYDB", "-jc", "db_info"}, Words{"-cdb_info", "--js", "db_name:", "MYDB"},
        Words{"--command=db_info", "-j", "--", "db_name:", "MYDB"}}) {
    const Options options = parse_options(line);
    CHECK(options.command == "db_info");
    CHECK(options.words == Words{"db_name:", "MYDB"});
    CHECK(options.format == Format::json);
  }
}

TEST_CASE("options take their values as shells pass them") {
  const Options options = parse_options(
      {"-s", "REF", "-R", "eu", "-p", "AWS", "-c",     "cert_update", "-a", "{cert: \"{< /p}\"}", "-A", "{}",
       "-u", "ann", "-v", "-d", "-J", "-S",  "--root", "/srv/n11",    "-P"});
  CHECK(options.platform_reference == "REF");
  CHECK(options.command == "cert_update");
  CHECK(options.params == "{cert: \"{< /p}\"}");
  CHECK(options.params_json == "{}");
  CHECK(options.user == "ann");
  CHECK((options.verbose && options.dry_run && options.is_volatile && options.start));
  CHECK(options.root == "/srv/n11");
  CHECK(options.format == Format::python);
  CHECK(parse_options({"x", "-a{db_name: Exasol}"}).params == "{db_name: Exasol}");
  CHECK(parse_options({"x", "--params={a: -j}"}).params == "{a: -j}");
}

TEST_CASE("numbers, a lone dash and texts with blanks are parameters") {
  CHECK(parse_options({"x", "level:", "-1", "f:", "-1.5", "d:", "-"}).words ==
        Words{"level:", "-1", "f:", "-1.5", "d:", "-"});
  CHECK(parse_options({"x", "key:", "{<", "-}"}).words == Words{"key:", "{<", "-}"});
  CHECK(parse_options({"x", "p:", "-x b"}).words == Words{"p:", "-x b"});
}

TEST_CASE("wrong command lines say what is wrong") {
  CHECK(refusal({"db_list", "-x"}).starts_with("there is no option -x"));
  CHECK(refusal({"db_list", "--nope"}).starts_with("there is no option --nope"));
  CHECK(refusal({"db_list", "-j", "-P"}) == "only one of -j, -P and --flat can be chosen");
  CHECK(refusal({"db_list", "-a"}).starts_with("option --params wants a value"));
  CHECK(refusal({"-c", "-j"}).starts_with("option --command wants a value"));
  CHECK(refusal({"db_list", "--st"}).starts_with("ambiguous option --st"));
  CHECK(refusal({"db_list", "--json=1"}) == "--json takes no value");
  CHECK(refusal({"-j"}).starts_with("which command?"));
  CHECK(refusal({"db_list", "--since", "1d"}) == "option --since belongs to the command history");
  CHECK(refusal({"--completion=fish"}).find("fish") != std::string::npos);
  CHECK(refusal({}) == "taken");
}

TEST_CASE("option --user is a filter for history and the caller everywhere else") {
  const Options history = parse_options({"--user", "ann", "history", "-u", "bob", "--state", "failed"});
  CHECK(history.history.user == "ann");
  CHECK(history.user == "bob");
  CHECK(history.history.state == "failed");
  CHECK(parse_options({"db_list", "--user", "ann"}).user == "ann");
}

TEST_CASE("the usage line is that of the original") {
  CHECK(
      help_text().starts_with("usage: confd_client [-h] [-c COMMAND] [--completion] [-a PARAMS] [-A "
                              "PARAMS_JSON] [-s PLATFORM_REFERENCE]\n"
                              "                    [-R REGION] [-p PLATFORM] [-S] [-j | -P | --flat] [-u "
                              "USER] [-v] [-d] [-J] [cmd] [pars ...]\n"));
  for (const OptionDescription& option : option_descriptions())
    CHECK(help_text().find(option.name) != std::string::npos);
  for (const BuiltIn& command : built_in_commands())
    CHECK(help_text().find("\n  " + std::string(command.name)) != std::string::npos);
}

TEST_CASE("each output format") {
  const Value value = Struct{{"state", "running"}, {"nodes", Array{"n11", "n12"}},
                             {"empty", Array{}},   {"size", 5},
                             {"on", true},         {"none", nullptr}};
  CHECK(render(value, Format::yaml) ==
        "empty: []\nnodes:\n- n11\n- n12\nnone: null\n'on': true\nsize: 5\nstate: running\n");
  CHECK(render(value, Format::python) ==
        "{'state': 'running', 'nodes': ['n11', 'n12'], 'empty': [], 'size': 5, 'on': True, 'none': None}\n");
  CHECK(render(value, Format::flat) ==
        "state: running\nnodes.0: n11\nnodes.1: n12\nempty: []\nsize: 5\non: true\nnone: null\n");
  CHECK(render(Array{Struct{{"a", Struct{{"b", "two\nlines"}}}}}, Format::flat) ==
        "0.a.b: \"two\\nlines\"\n");
  CHECK(render("setup", Format::flat) == "setup\n");
  CHECK(render("running", Format::json) == "\"running\"\n");
  CHECK(render("running", Format::yaml) == "running\n...\n");
  CHECK(render_ok(Format::yaml) == "OK\n");
  CHECK(render_ok(Format::json) == "\"OK\"\n");
  CHECK(render_ok(Format::python) == "'OK'\n");
  CHECK(render_text("11.89", Format::yaml) == "11.89\n");
}

TEST_CASE("history turns ages and dates into times") {
  const confd::base::WallTime now =
      std::chrono::system_clock::from_time_t(1795310000);  // 2026-11-22 01:13:20 UTC
  HistoryFilter filter;
  filter.since = "2h";
  filter.until = "2026-11-22T01:00";
  filter.limit = "5";
  CHECK(history_request(filter, now) ==
        Struct{{"since", "2026-11-21 23:13:20"}, {"until", "2026-11-22 01:00:00"}, {"limit", 5}});
  for (const char* wrong : {"yesterday", "2x", "-1h", "2026-13-01", "99999999999w"}) {
    filter.since = wrong;
    CHECK_THROWS_AS(history_request(filter, now), UsageError);
  }
  filter.since = "2026-11-20 10:00:00.5Z";
  CHECK(history_request(filter, now).find("since")->as_string() == "2026-11-20 10:00:00");
  filter.limit = "0";
  CHECK_THROWS_AS(history_request(filter, now), UsageError);
}

TEST_CASE("the table of history lines up") {
  CHECK(history_table(Array{Struct{{"job_id", "11.10"},
                                   {"job", "user_create"},
                                   {"user", "root"},
                                   {"stage", "committed"},
                                   {"submitted", "2026-11-22T01:00:00.100000Z"},
                                   {"ended", "2026-11-22T01:00:01.350000Z"},
                                   {"result_name", "OK"}},
                            Struct{{"job_id", "11.9"},
                                   {"job", "db_start"},
                                   {"user", "jürg"},
                                   {"stage", "executed"},
                                   {"submitted", "2026-11-22T00:59:00.000000Z"}},
                            Struct{{"job_id", "11.8"},
                                   {"job", "db_stop"},
                                   {"user", "root"},
                                   {"stage", "finished"},
                                   {"submitted", "2026-11-22T00:50:00.000000Z"},
                                   {"ended", "2026-11-22T00:52:05.000000Z"},
                                   {"result_name", "JobError"},
                                   {"result_desc", "no\nluck"}}}) ==
        "ID     JOB          USER  STAGE      SUBMITTED (UTC)      DURATION   RESULT\n"
        "11.10  user_create  root  committed  2026-11-22T01:00:00  1.250 s    OK\n"
        "11.9   db_start     jürg  executed   2026-11-22T00:59:00\n"
        "11.8   db_stop      root  finished   2026-11-22T00:50:00  2 min 5 s  JobError: no luck\n");
}

TEST_CASE("the waiting line shows stage, progress and time") {
  CHECK(status_line("db_start", Struct{{"job_id", "11.5"}, {"stage", "scheduled"}}, 7) ==
        "db_start 11.5: scheduled, 7 s");
  CHECK(status_line("db_restore",
                    Struct{{"job_id", "11.6"},
                           {"stage", "scheduled"},
                           {"progress", Struct{{"text", "copying"}, {"percent", 37}}}},
                    75) == "db_restore 11.6: scheduled, copying (37%), 1 min 15 s");
}
