#include "scheduler/recovery.h"

#include <catch2/catch.hpp>

namespace confd::scheduler {
namespace {

using jobs::JobKind;

JobRecord record(JobKind kind, Stage stage) {
  JobRecord r;
  r.id = {11, 1};
  r.kind = kind;
  r.stage = stage;
  return r;
}

const std::vector<RevisionOnDisk> kOnDisk{{18, "c18"}, {17, "c17"}};

// The table of docs/stages-and-recovery.md.
TEST_CASE("A job that was not started is started again, unless its secrets are gone") {
  for (const JobKind kind : {JobKind::read, JobKind::modify}) {
    JobRecord r = record(kind, Stage::submitted);
    CHECK(recover(r, kOnDisk).verdict == Verdict::start_again);
    r.params_masked = true;
    const Recovery decided = recover(r, kOnDisk);
    CHECK(decided.verdict == Verdict::interrupted);
    CHECK(decided.text.find("submit it again") != std::string::npos);
  }
}

TEST_CASE("A job that was started is never started again") {
  for (const JobKind kind : {JobKind::read, JobKind::modify})
    for (const Stage stage : {Stage::scheduled, Stage::executed, Stage::finished, Stage::committed}) {
      CAPTURE(stage_name(stage));
      CHECK(recover(record(kind, stage), kOnDisk).verdict == Verdict::interrupted);
    }
}

TEST_CASE("An interrupted modify job says that EXAConf is as before and its commands perhaps are not") {
  const Recovery modify = recover(record(JobKind::modify, Stage::scheduled), kOnDisk);
  CHECK(modify.text.find("EXAConf was not changed by it") != std::string::npos);
  CHECK(modify.text.find("carried out in part") != std::string::npos);
  const Recovery read = recover(record(JobKind::read, Stage::scheduled), kOnDisk);
  CHECK(read.text == "confd ended while this job ran; submit it again");
  JobRecord dry = record(JobKind::modify, Stage::scheduled);
  dry.dry_run = true;
  CHECK(recover(dry, kOnDisk).text == read.text);
}

TEST_CASE("A job that puts edits in force before it ends does not claim that EXAConf is as before") {
  JobRecord r = record(JobKind::modify, Stage::scheduled);
  r.job = "infra_instances_add";
  Recovery decided = recover(r, kOnDisk);
  CHECK(decided.verdict == Verdict::interrupted);
  CHECK(decided.text.find("its changes of EXAConf and its commands may have been") != std::string::npos);
  CHECK(decided.text.find("not changed") == std::string::npos);
  r.stage = Stage::finished;
  r.published = PublishedAs{18, 19, 19, "c19"};
  decided = recover(r, kOnDisk);
  CHECK(decided.text.find("only what this job had put in force earlier is there") != std::string::npos);
  CHECK(decided.text.find("not changed") == std::string::npos);
}

TEST_CASE("A job whose write is on disk is committed, whichever job wrote it") {
  for (const Stage stage : {Stage::executed, Stage::finished, Stage::committed}) {
    JobRecord r = record(JobKind::modify, stage);
    r.published = PublishedAs{15, 16, 17, "c17"};  // 16 shared the write of 17
    CHECK(recover(r, kOnDisk).verdict == Verdict::committed);
  }
}

TEST_CASE("A job whose write is not on disk did not change EXAConf") {
  JobRecord r = record(JobKind::modify, Stage::finished);
  SECTION("no such revision") {
    r.published = PublishedAs{18, 19, 19, "c19"};
  }
  SECTION("that revision is another text") {
    r.published = PublishedAs{16, 17, 17, "other"};
  }
  const Recovery decided = recover(r, kOnDisk);
  CHECK(decided.verdict == Verdict::interrupted);
  CHECK(decided.text.find("EXAConf was not changed by this job") != std::string::npos);
}

}  // namespace
}  // namespace confd::scheduler
