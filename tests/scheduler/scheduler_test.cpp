#include "scheduler/scheduler.h"

#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "tests/scheduler/scheduler_fixture.h"

namespace confd::scheduler {
namespace {

using base::Code;
using base::Value;
using test::Accepted;
using test::Answer;
using test::Disk;
using test::Gate;
using test::Life;
using Stages = std::vector<Stage>;

const std::string kEve =
    R"({"username": "eve", "userid": 1234, "password": "*", "group": "exausers", "login_enabled": true,
        "encode_passwd": false})";

std::string user(const std::string& name, int id) {
  return R"({"username": ")" + name + R"(", "userid": )" + std::to_string(id) +
         R"(, "password": "*", "group": "exausers", "login_enabled": true, "encode_passwd": false})";
}

struct Fixture {
  Disk disk;
  Gate gate;
  std::unique_ptr<Life> life_;
  Life& life(SchedulerOptions options = {}) {
    if (!life_) {
      life_ = std::make_unique<Life>(disk, options);
      if (!life_->runs()) FAIL(life_->problem.text);
    }
    return *life_;
  }
  bool is_file(const std::string& folder, JobId id) {
    return disk.read(test::kJobs + "/" + folder + "/" + id.text() + ".yaml").ok();
  }
  ~Fixture() {
    gate.open();
    life_.reset();
  }
};

TEST_CASE_METHOD(Fixture, "Nobody hears that a job is committed before its journal line is written") {
  disk.hold_ends = &gate;
  const auto accepted = life().start("user_create", kEve);
  const JobId id = life().id_of(accepted);
  REQUIRE(test::eventually([&] { return gate.came() > 0; }));
  // EXAConf holds it already; a kill now would give the job another time of its commit.
  CHECK(life().scheduler->config()->user("eve") != nullptr);
  CHECK_FALSE((*life().find(id))->ended);
  CHECK((*life().find(id))->stage == Stage::finished);
  CHECK(life().stages(id).back() == Stage::finished);
  CHECK_FALSE(*life().wait(id, std::chrono::milliseconds(0)));
  gate.open();
  CHECK(life().ended(id)->stage == Stage::committed);
  CHECK(life().stages(id).back() == Stage::committed);
}

TEST_CASE_METHOD(Fixture, "A modify job goes through all stages and becomes a revision") {
  const auto record = life().exec("user_create", kEve);
  CHECK(record->code == Code::ok);
  CHECK(record->stage == Stage::committed);
  CHECK(life().stages(record->id) ==
        Stages{Stage::submitted, Stage::scheduled, Stage::executed, Stage::finished, Stage::committed});
  REQUIRE(record->published.has_value());
  CHECK(record->published->revision == 4);
  CHECK(*envelope(*record).find("result_revision") == Value(4));
  CHECK(life().scheduler->config()->revision() == 4);
  CHECK(life().scheduler->config()->user("eve") != nullptr);
  CHECK(exaconf::Config::load(*disk.read(test::kExaconf)).value()->user("eve") != nullptr);
}

TEST_CASE_METHOD(Fixture, "A read job ends finished and changes nothing") {
  const auto record = life().exec("node_list");
  CHECK(record->code == Code::ok);
  CHECK(record->stage == Stage::finished);
  CHECK(record->output.has_value());
  CHECK(life().stages(record->id) ==
        Stages{Stage::submitted, Stage::scheduled, Stage::executed, Stage::finished});
  CHECK(life().scheduler->config()->revision() == 3);
}

TEST_CASE_METHOD(Fixture, "Every job gets the next id, also the one that is declined") {
  CHECK(life().exec("node_list")->id == JobId{11, 1});
  CHECK(life().exec("user_create", "{}")->id == JobId{11, 2});
  CHECK(life().exec("user_create", kEve)->id == JobId{11, 3});
}

TEST_CASE_METHOD(Fixture, "A job nobody knows is an error without an id") {
  const auto answer = life().start("user_creat").get();
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::unknown_job);
  CHECK(answer.error().text == "Job does not exist: 'user_creat'");
}

TEST_CASE_METHOD(Fixture, "A declined job is on record with the reason") {
  JobId id;
  Code code = Code::ok;
  SECTION("parameters") {
    id = life().id_of(life().start("user_create", R"({"username": 1})"));
    code = Code::bad_parameter;
  }
  SECTION("permission") {
    id = life().id_of(life().start("user_create", kEve, "dave"));
    code = Code::forbidden;
  }
  SECTION("volatile is for read jobs") {
    auto submission = life().submission("user_create", kEve, "root");
    submission.is_volatile = true;
    Accepted accepted;
    life().scheduler->submit(std::move(submission), accepted.callback(), {});
    id = life().id_of(accepted);
    code = Code::bad_parameter;
  }
  const auto record = life().ended(id);
  CHECK(record->code == code);
  CHECK(record->stage == Stage::finished);
  CHECK(record->scheduling == "declined");
  CHECK_FALSE(record->text.empty());
  life_.reset();
  const auto later = life().find(id);
  REQUIRE(later.ok());
  CHECK((*later)->code == code);
  CHECK(life().scheduler->config()->user("eve") == nullptr);
}

TEST_CASE_METHOD(Fixture, "A job that fails says why and leaves EXAConf alone") {
  const auto record = life().exec("user_create", user("alice", 7777));
  CHECK(record->code == Code::exists);
  CHECK(record->stage == Stage::finished);
  CHECK(record->published.has_value() == false);
  CHECK(life().scheduler->config()->revision() == 3);
}

TEST_CASE_METHOD(Fixture, "A password is in no record and no file") {
  const std::string params = R"({"username": "eve", "userid": 1234, "password": "op3nsesame",
                                 "group": "exausers", "login_enabled": true})";
  const JobId id = life().id_of(life().start("user_create", params));
  CHECK(life().ended(id)->params.find("password")->as_string() == "***");
  (void)life().find(id, true);
  life_.reset();
  for (const std::string& path : disk.all_paths()) {
    CAPTURE(path);
    CHECK(disk.read(path)->find("op3nsesame") == std::string::npos);
  }
}

TEST_CASE_METHOD(Fixture, "A job file stays in finish until somebody has fetched the result") {
  const JobId id = life().id_of(life().start("user_create", kEve));
  life().ended(id);
  CHECK(test::eventually([&] { return is_file("finish", id); }));
  (void)life().find(id, true);
  CHECK(test::eventually([&] { return is_file("archive", id) && !is_file("finish", id); }));
  CHECK_FALSE(is_file("queue", id));
  CHECK_FALSE(is_file("run", id));
}

TEST_CASE_METHOD(Fixture, "A volatile job leaves no file and is known while it is recent") {
  auto submission = life().submission("node_list", "{}", "root");
  submission.is_volatile = true;
  const auto record = life().begin(std::move(submission)).get();
  CHECK(record->code == Code::ok);
  CHECK(life().find(record->id).ok());
  life_.reset();
  CHECK(life().find(record->id).error().code == Code::unknown_job_id);
}

TEST_CASE_METHOD(Fixture, "Unknown ids are named") {
  CHECK(life().find({11, 99}).error().code == Code::unknown_job_id);
  CHECK(life().wait({11, 99}).error().code == Code::unknown_job_id);
  CHECK(life().scheduler->stop_job({11, 99}, "root").error().code == Code::unknown_job_id);
}

TEST_CASE_METHOD(Fixture, "Waiting ends with the job, or with false at the timeout") {
  life().boot_gate = &gate;
  const JobId id = life().id_of(life().start("node_state"));
  CHECK(*life().wait(id, std::chrono::milliseconds(0)) == false);
  Answer<base::Result<bool>> short_one, long_one;
  life().scheduler->wait(id, std::chrono::seconds(60), short_one.callback());
  life().scheduler->wait(id, std::chrono::milliseconds::max(), long_one.callback());
  life().clock.advance(std::chrono::seconds(61));
  CHECK(*short_one.get() == false);
  CHECK_FALSE(long_one.has_come());
  CHECK((*life().find(id))->ended == false);
  gate.open();
  CHECK(*long_one.get() == true);
  CHECK(*life().wait(id, std::chrono::milliseconds(0)) == true);
}

TEST_CASE_METHOD(Fixture, "A job that waits for a lock says whose, and starts when it is free") {
  disk.hold_exaconf = &gate;
  const Accepted first = life().start("user_modify", R"({"username": "alice", "login_enabled": false})");
  const Accepted second = life().start("user_modify", R"({"username": "alice", "login_enabled": true})");
  const Accepted other = life().start("user_modify", R"({"username": "bob", "login_enabled": true})");
  const JobId waits = life().id_of(second);
  CHECK((*life().find(waits))->stage == Stage::submitted);
  CHECK(test::eventually(
      [&] { return (*life().find(waits))->scheduling == "waited for account:user alice held by 11.1"; }));
  CHECK(test::eventually([&] { return life().stages(life().id_of(other)).size() >= 3; }));  // passes
  gate.open();
  CHECK(life().ended(life().id_of(first))->code == Code::ok);
  CHECK(life().ended(waits)->code == Code::ok);
  CHECK(life().scheduler->config()->user("alice")->login_enabled);
}

TEST_CASE_METHOD(Fixture, "Jobs that wait together share one write, and each has its own revision") {
  disk.hold_exaconf = &gate;
  const Accepted first = life().start("user_create", user("first", 2100));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  std::vector<Accepted> others;
  for (int i = 0; i < 5; ++i)
    others.push_back(life().start("user_create", user("other" + std::to_string(i), 2200 + i)));
  for (const Accepted& other : others)
    REQUIRE(test::eventually([&] { return life().stages(life().id_of(other)).size() == 3; }));  // executed
  gate.open();
  CHECK(life().ended(life().id_of(first))->published->revision == 4);
  std::set<std::int64_t> revisions;
  for (const Accepted& other : others) {
    const auto record = life().ended(life().id_of(other));
    CHECK(record->code == Code::ok);
    revisions.insert(record->published->revision);
    CHECK(record->published->written_revision == 9);
    CHECK(record->diff.is_array());
    CHECK_FALSE(record->diff.as_array().empty());
  }
  CHECK(revisions == std::set<std::int64_t>{5, 6, 7, 8, 9});
  CHECK(disk.exaconf_writes == 2);
  CHECK(life().scheduler->config()->revision() == 9);
}

TEST_CASE_METHOD(Fixture, "Reads, waits and look-ups are answered while a commit takes long") {
  disk.hold_exaconf = &gate;
  const JobId id = life().id_of(life().start("user_create", kEve));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  CHECK(life().exec("node_list")->code == Code::ok);
  CHECK(life().exec("user_list")->code == Code::ok);
  CHECK((*life().find(id))->ended == false);
  CHECK(*life().wait(id, std::chrono::milliseconds(0)) == false);
  CHECK(life().history({}).size() == 3);
  gate.open();
  CHECK(life().ended(id)->code == Code::ok);
}

TEST_CASE_METHOD(Fixture, "Read jobs start while all modify jobs that may run do") {
  SchedulerOptions options;
  options.limits.modifies = 1;
  disk.hold_exaconf = &gate;
  const Accepted first = life(options).start("user_create", user("first", 2100));
  const Accepted second = life().start("user_create", user("second", 2101));
  CHECK(test::eventually([&] {
    return (*life().find(life().id_of(second)))->scheduling ==
           "waited: 1 modify jobs ran already, which is the limit";
  }));
  CHECK(life().exec("node_list")->code == Code::ok);
  gate.open();
  CHECK(life().ended(life().id_of(second))->code == Code::ok);
}

TEST_CASE_METHOD(Fixture, "A queued job that is stopped never starts") {
  SchedulerOptions options;
  options.limits.reads = 1;
  life(options).boot_gate = &gate;
  const JobId first = life().id_of(life().start("node_state"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  const JobId second = life().id_of(life().start("node_state"));
  REQUIRE(life().scheduler->stop_job(second, "alice").ok());
  const auto record = life().ended(second);
  CHECK(record->code == Code::stopped);
  CHECK(record->warnings == std::vector<std::string>{"stop asked for by alice"});
  CHECK(life().stages(second) == Stages{Stage::submitted, Stage::finished});
  gate.open();
  CHECK(life().ended(first)->code == Code::ok);
  CHECK(life().boot_calls == 1);
  CHECK(life().scheduler->stop_job(second, "alice").error().code == Code::wrong_state);
  CHECK(life().exec("node_state")->code == Code::ok);
}

TEST_CASE_METHOD(Fixture, "A queued modify job that is stopped lets go of what it waited for") {
  disk.hold_exaconf = &gate;
  const Accepted first = life().start("user_modify", R"({"username": "alice", "login_enabled": false})");
  const JobId second = life().id_of(life().start("user_delete", R"({"username": "alice"})"));
  REQUIRE(test::eventually([&] { return !(*life().find(second))->scheduling.empty(); }));
  REQUIRE(life().scheduler->stop_job(second, "root").ok());
  gate.open();
  CHECK(life().ended(second)->code == Code::stopped);
  CHECK(life().ended(life().id_of(first))->code == Code::ok);
  CHECK(life().exec("user_modify", R"({"username": "alice", "login_enabled": true})")->code == Code::ok);
}

TEST_CASE_METHOD(Fixture, "A running job that is stopped ends stopped and says who asked") {
  life().boot_gate = &gate;
  const JobId id = life().id_of(life().start("node_state"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  REQUIRE(life().scheduler->stop_job(id, "alice").ok());
  const auto record = life().ended(id);
  CHECK(record->code == Code::stopped);
  CHECK(record->warnings == std::vector<std::string>{"stop asked for by alice"});
}

TEST_CASE_METHOD(Fixture, "A dry run shows the difference and changes nothing") {
  auto submission = life().submission("user_create", kEve, "root");
  submission.dry_run = true;
  const auto record = life().begin(std::move(submission)).get();
  CHECK(record->code == Code::ok);
  CHECK(record->stage == Stage::finished);
  CHECK(record->output->find("dry_run")->as_bool());
  CHECK_FALSE(record->output->find("changes")->as_array().empty());
  CHECK_FALSE(record->output->find("locks")->as_array().empty());
  CHECK(disk.exaconf_writes == 0);
  CHECK(life().scheduler->config()->revision() == 3);
  CHECK(life().exec("user_create", kEve)->published->revision == 4);
}

TEST_CASE_METHOD(Fixture, "A dry run fails where the job would") {
  auto submission = life().submission("user_create", user("alice", 7777), "root");
  submission.dry_run = true;
  CHECK(life().begin(std::move(submission)).get()->code == Code::exists);
}

TEST_CASE_METHOD(Fixture, "Queues have limits, for all and for one user") {
  SchedulerOptions options;
  options.limits.reads = 1;
  options.queued_jobs = 5;
  options.queued_jobs_per_user = 3;
  life(options).boot_gate = &gate;
  const JobId running = life().id_of(life().start("node_state"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  std::vector<JobId> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(life().id_of(life().start("node_state")));
  const auto refused = life().ended(life().id_of(life().start("node_state")));
  CHECK(refused->code == Code::busy);
  CHECK(refused->text == "User root has 3 jobs in the queue, which is the limit; try again later");
  for (int i = 0; i < 2; ++i) ids.push_back(life().id_of(life().start("node_state", "{}", "alice")));
  CHECK(life().ended(life().id_of(life().start("node_state", "{}", "alice")))->text ==
        "5 jobs are queued, which is the limit; try again later");
  CHECK(life().scheduler->counters().queued == 5);
  gate.open();
  CHECK(life().ended(running)->code == Code::ok);
  for (const JobId& id : ids) CHECK(life().ended(id)->code == Code::ok);
  CHECK(life().ended(life().id_of(life().start("node_state")))->code == Code::ok);
  CHECK(test::eventually([&] { return life().scheduler->counters().running == 0; }));
  CHECK(life().scheduler->counters().queued == 0);
}

TEST_CASE_METHOD(Fixture, "Queued jobs survive a stop and start with the next confd, in order") {
  SchedulerOptions options;
  options.limits.modifies = 1;
  disk.hold_exaconf = &gate;
  const JobId first = life(options).id_of(life().start("user_create", user("first", 2100)));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  std::vector<JobId> queued;
  for (const char* flag : {"false", "true", "false"})
    queued.push_back(life().id_of(
        life().start("user_modify", R"({"username": "alice", "login_enabled": )" + std::string(flag) + "}")));
  std::thread stops([&] { life().scheduler->drain(std::chrono::minutes(10)); });
  CHECK(test::eventually([&] { return life().exec("node_list")->code == Code::busy; }));
  gate.open();
  stops.join();
  life_.reset();
  CHECK(life().ended(first)->code == Code::ok);
  std::int64_t last = 4;
  for (const JobId& id : queued) {
    const auto record = life().ended(id);
    CHECK(record->code == Code::ok);
    REQUIRE(record->published.has_value());
    CHECK(record->published->revision > last);
    last = record->published->revision;
  }
  CHECK_FALSE(life().scheduler->config()->user("alice")->login_enabled);
}

TEST_CASE_METHOD(Fixture, "A stopping scheduler declines jobs and lets running ones end") {
  life().boot_gate = &gate;
  const Answer<RecordPtr> running = life().begin(life().submission("node_state", "{}", "root"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  std::thread stops([&] { life().scheduler->drain(std::chrono::minutes(10)); });
  CHECK(test::eventually([&] { return life().exec("node_list")->code == Code::busy; }));
  gate.open();
  stops.join();
  CHECK(running.get()->code == Code::ok);
}

TEST_CASE_METHOD(Fixture, "At the deadline of a stop those that run are asked to end") {
  life().boot_gate = &gate;
  const Answer<RecordPtr> running = life().begin(life().submission("node_state", "{}", "root"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  life().scheduler->drain(std::chrono::milliseconds(0));
  CHECK(running.get()->code == Code::stopped);
}

TEST_CASE_METHOD(Fixture, "A queued job whose secrets are not kept ends interrupted after a restart") {
  SchedulerOptions options;
  options.limits.modifies = 1;
  disk.hold_exaconf = &gate;
  const Accepted first = life(options).start("user_create", user("first", 2100));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  const JobId id =
      life().id_of(life().start("user_passwd", R"({"username": "bob", "password": "op3nsesame"})"));
  life().scheduler->drain(std::chrono::milliseconds(0));
  gate.open();
  life_.reset();
  const auto record = life().ended(id);
  CHECK(record->code == Code::interrupted);
  CHECK(record->text.find("secret parameters are not kept on disk") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "History is newest first, filtered and limited, in memory and on disk alike") {
  SchedulerOptions options;
  options.recent_jobs = 2;
  life(options);
  for (int i = 0; i < 3; ++i) life().exec("node_list");
  const JobId eve = life().id_of(life().start("user_create", kEve));
  life().ended(eve);
  life().exec("user_create", kEve);  // exists
  life().exec("user_list", "{}", "alice");
  const auto ids = [&](HistoryFilter filter) {
    std::vector<std::uint64_t> numbers;
    for (const RecordPtr& record : life().history(std::move(filter))) numbers.push_back(record->id.number);
    return numbers;
  };
  using Numbers = std::vector<std::uint64_t>;
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    CHECK(ids({}) == Numbers{6, 5, 4, 3, 2, 1});
    HistoryFilter filter;
    filter.limit = 4;
    CHECK(ids(filter) == Numbers{6, 5, 4, 3});
    filter = {};
    filter.job = "node_list";
    CHECK(ids(filter) == Numbers{3, 2, 1});
    filter = {};
    filter.user = "alice";
    CHECK(ids(filter) == Numbers{6});
    filter = {};
    filter.state = "failed";
    CHECK(ids(filter) == Numbers{5});
    filter.state = "committed";
    CHECK(ids(filter) == Numbers{4});
    life_.reset();
    life();
  }
}

TEST_CASE_METHOD(Fixture, "A job that can't be recorded is refused and does not run after a restart") {
  life();
  disk.fail_from(disk.calls() + 1);
  const auto answer = life().start("user_create", kEve).get();
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::io_error);
  CHECK(life().scheduler->counters().queued == 0);
  disk.kill();
  life_.reset();  // a clean stop: writes what it owes
  CHECK(life().scheduler->config()->user("eve") == nullptr);
  CHECK(life().exec("user_create", kEve)->code == Code::ok);
}

TEST_CASE_METHOD(Fixture, "A cluster hears of jobs that can't be recorded, and of nothing else") {
  std::atomic<int> told{0};
  scheduler::Scheduler::Hooks hooks;
  hooks.cannot_record = [&] { ++told; };
  Life master(disk, {}, std::move(hooks));
  REQUIRE(master.runs());
  CHECK(master.exec("user_create", kEve)->code == Code::ok);
  CHECK(master.exec("user_create", kEve)->code != Code::ok);  // it exists
  CHECK(told == 0);
  disk.fail_from(disk.calls() + 1);
  CHECK_FALSE(master.start("user_delete", R"({"username": "eve"})").get().ok());
  CHECK(test::eventually([&] { return told == 1; }));
  disk.kill();
}

TEST_CASE_METHOD(Fixture,
                 "When EXAConf can't be written the job fails, and the next one is as good as ever") {
  life();
  CHECK(life().exec("user_list")->code == Code::ok);
  disk.hold_exaconf = &gate;
  const auto running = life().begin(life().submission("user_create", kEve, "root"));
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));
  disk.fail_at(disk.calls() + 1);  // the sync of the new file
  gate.open();
  const auto record = running.get();
  CHECK(record->code == Code::io_error);
  CHECK(record->text.find("EXAConf was not changed") == 0);
  CHECK_FALSE(record->published.has_value());
  CHECK(life().scheduler->config()->user("eve") == nullptr);
  const auto again = life().exec("user_create", kEve);
  CHECK(again->code == Code::ok);
  CHECK(again->published->revision > 4);  // 4 was given to the one that failed
}

}  // namespace
}  // namespace confd::scheduler
