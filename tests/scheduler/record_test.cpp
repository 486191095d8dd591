#include "scheduler/record.h"

#include <catch2/catch.hpp>

#include "base/json.h"
#include "base/yaml.h"

namespace confd::scheduler {
namespace {

using base::Code;
using base::Struct;
using base::Value;
using base::WallTime;

WallTime at(int micros) {
  return WallTime(std::chrono::seconds(1'594'131'247)) + std::chrono::microseconds(micros);
}

JobRecord full_record() {
  JobRecord r;
  r.id = {12, 345};
  r.job = "user_modify";
  r.kind = jobs::JobKind::modify;
  r.user = "alice";
  r.login = "basic";
  r.dry_run = true;
  r.is_volatile = true;
  r.params = Struct{{"username", "bob"}, {"password", "***"}, {"n", 7}, {"list", base::Array{1, "two"}}};
  r.params_masked = true;
  r.request = Struct{{"path", "/RPC2"}, {"method", "job_start"}, {"remote", "127.0.0.1"}, {"agent", "x"}};
  for (int i = 0; i < kStages; ++i) r.reach(static_cast<Stage>(i), at(i * 1000 + 1));
  r.locks = {"account:bob", "account:exausers (shared)"};
  r.scheduling = "waited for account:bob held by 12.344";
  r.progress = "copied 3 of 8 GiB";
  r.percent = 37;
  jobs::CommandRecord command;
  command.name = "node.report";
  command.node = 11;
  command.arguments = Struct{{"a", "b"}};
  command.started = at(5);
  command.ended = at(6);
  command.exit = 10;
  command.output = "line one\nline two: \xC3\xA4";
  r.commands.push_back(command);
  r.warnings = {"unknown parameter 'x'"};
  r.published = PublishedAs{16, 17, 18, "8b9c"};
  r.diff = base::Array{Struct{{"section", "Users/bob"}, {"key", "Group"}, {"old", "a"}, {"new", "b"}}};
  r.ended = true;
  r.code = Code::wrong_state;
  r.text = "no: that's not it";
  r.output = Struct{{"answer", 42}, {"none", nullptr}, {"yes", true}};
  return r;
}

void check_equal(const JobRecord& a, const JobRecord& b) {
  CHECK(a.id == b.id);
  CHECK(a.job == b.job);
  CHECK(a.kind == b.kind);
  CHECK(a.user == b.user);
  CHECK(a.login == b.login);
  CHECK(a.dry_run == b.dry_run);
  CHECK(a.is_volatile == b.is_volatile);
  CHECK(a.params == b.params);
  CHECK(a.params_masked == b.params_masked);
  CHECK(a.request == b.request);
  CHECK(a.stage == b.stage);
  CHECK(a.times == b.times);
  CHECK(a.locks == b.locks);
  CHECK(a.scheduling == b.scheduling);
  CHECK(a.progress == b.progress);
  CHECK(a.percent == b.percent);
  REQUIRE(a.commands.size() == b.commands.size());
  for (std::size_t i = 0; i < a.commands.size(); ++i) {
    CHECK(a.commands[i].name == b.commands[i].name);
    CHECK(a.commands[i].node == b.commands[i].node);
    CHECK(a.commands[i].arguments == b.commands[i].arguments);
    CHECK(a.commands[i].started == b.commands[i].started);
    CHECK(a.commands[i].ended == b.commands[i].ended);
    CHECK(a.commands[i].exit == b.commands[i].exit);
    CHECK(a.commands[i].output == b.commands[i].output);
  }
  CHECK(a.warnings == b.warnings);
  REQUIRE(a.published.has_value() == b.published.has_value());
  if (a.published) {
    CHECK(a.published->base_revision == b.published->base_revision);
    CHECK(a.published->revision == b.published->revision);
    CHECK(a.published->written_revision == b.published->written_revision);
    CHECK(a.published->written_checksum == b.published->written_checksum);
  }
  CHECK(a.diff == b.diff);
  CHECK(a.ended == b.ended);
  CHECK(a.code == b.code);
  CHECK(a.text == b.text);
  REQUIRE(a.output.has_value() == b.output.has_value());
  if (a.output) CHECK(*a.output == *b.output);
}

JobRecord read_back(const Value& value) {
  auto record = from_value(value);
  if (!record) FAIL(record.error().text);
  return std::move(*record);
}

TEST_CASE("A record comes back whole from its value, from JSON and from YAML") {
  const JobRecord record = full_record();
  const Value value = to_value(record);
  check_equal(read_back(value), record);
  check_equal(read_back(*base::parse_json(base::render_json(value))), record);
  check_equal(read_back(*base::parse_yaml(base::dump_yaml_in_order(value))), record);
}

TEST_CASE("The journal's text of a record is the JSON of its value") {
  const auto text = [](const JobRecord& record) {
    std::string json;
    append_record_json(json, record);
    return json;
  };
  JobRecord record = full_record();
  CHECK(text(record) == base::render_json(to_value(record)));
  record.params.set("a \"quoted\" name", "and \n text");
  record.ended = false;
  record.published.reset();
  record.warnings.clear();
  CHECK(text(record) == base::render_json(to_value(record)));
  CHECK(text(JobRecord()) == base::render_json(to_value(JobRecord())));
}

TEST_CASE("A record of a job that has just come comes back as well") {
  JobRecord record;
  record.id = {11, 1};
  record.job = "node_list";
  record.reach(Stage::submitted, at(0));
  check_equal(read_back(to_value(record)), record);
  check_equal(read_back(*base::parse_yaml(base::dump_yaml_in_order(to_value(record)))), record);
}

TEST_CASE("Texts that look like something else stay texts in YAML") {
  JobRecord record = full_record();
  for (const char* text :
       {"no", "1.5", "0x1f", "~", "", "2020-07-07", "a: b", "- x", "'", "\"", "# c", "1:30"}) {
    CAPTURE(text);
    record.text = text;
    record.published->written_checksum = text;
    check_equal(read_back(*base::parse_yaml(base::dump_yaml_in_order(to_value(record)))), record);
  }
}

TEST_CASE("Something else is no record") {
  CHECK_FALSE(from_value(Value()).ok());
  CHECK_FALSE(from_value(Struct{{"job_id", "11.1"}}).ok());
  CHECK_FALSE(from_value(Struct{{"job_id", "11.x"}, {"stage", "submitted"}}).ok());
  CHECK_FALSE(from_value(Struct{{"job_id", "11.1"}, {"stage", "asleep"}}).ok());
}

TEST_CASE("The envelope of a job that succeeded has its revision and its output") {
  JobRecord r = full_record();
  r.code = Code::ok;
  r.text = "Success";
  CHECK(envelope(r) == Value(Struct{{"result_code", 0},
                                    {"result_name", "OK"},
                                    {"result_desc", "Success"},
                                    {"result_jobid", "12.345"},
                                    {"result_revision", 17},
                                    {"result_output", *r.output}}));
}

TEST_CASE("The envelope of a job that has not ended is NotFinished and tells the stage") {
  JobRecord r = full_record();
  r.ended = false;
  r.stage = Stage::scheduled;
  const Value value = envelope(r);
  CHECK(*value.find("result_code") == Value(5));
  CHECK(*value.find("result_name") == Value("NotFinished"));
  CHECK(*value.find("result_desc") == Value("Job 12.345 has not finished yet, it is scheduled"));
  CHECK(value.find("result_output") == nullptr);
  CHECK(value.find("result_revision") == nullptr);
}

TEST_CASE("The envelope of a job without output has no result_output, a failed one no revision") {
  JobRecord r = full_record();
  r.output.reset();
  r.stage = Stage::finished;
  const Value value = envelope(r);
  CHECK(value.find("result_output") == nullptr);
  CHECK(value.find("result_revision") == nullptr);
  CHECK(*value.find("result_desc") == Value("no: that's not it"));
}

TEST_CASE("A job id is what was given out, in no other spelling") {
  CHECK(JobId{11, 89}.text() == "11.89");
  CHECK(JobId::parse("11.89") == JobId{11, 89});
  CHECK(JobId::parse("11.18446744073709551615") == JobId{11, 18446744073709551615ull});
  for (const char* text : {"", ".", "11", "11.", ".89", "011.89", "11.089", "11.89 ", " 11.89", "+11.8",
                           "-1.8", "11.-8", "11.8.9", "11.18446744073709551616", "99999999999.1", "a.b"}) {
    CAPTURE(text);
    CHECK_FALSE(JobId::parse(text).has_value());
  }
}

}  // namespace
TEST_CASE("A result with secrets is shown to its caller alone") {
  JobRecord r = full_record();
  r.job = "remote_volume_list_details";
  r.output = base::Array{Struct{{"name", "backup"}, {"password", "hunter2"}, {"owner", base::Array{0, 0}}}};
  CHECK(base::render_json(*envelope(r).find("result_output")) ==
        R"([{"name":"backup","password":"hunter2","owner":[0,0]}])");
  const std::string shown = R"([{"name":"backup","password":"***","owner":[0,0]}])";
  CHECK(base::render_json(*to_value(r).find("result")->find("result_output")) == shown);
  CHECK(base::render_json(*envelope_for_others(r).find("result_output")) == shown);
  std::string line;
  append_record_json(line, r);
  CHECK(line.find(shown) != std::string::npos);
  CHECK(line.find("hunter2") == std::string::npos);
}

}  // namespace confd::scheduler
