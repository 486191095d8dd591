// Jobs as the nodes of a cluster see them: the board of jobs, and what becomes of those nobody carries on.
#include <catch2/catch.hpp>

#include "tests/scheduler/scheduler_fixture.h"
#include "tests/support/fake_job_board.h"

namespace confd::scheduler {
namespace {

using base::Code;
using test::Disk;
using test::eventually;
using test::FakeJobBoard;
using test::Gate;
using test::Life;

const std::string kEve =
    R"({"username": "eve", "userid": 1234, "password": "*", "group": "exausers", "login_enabled": true,
        "encode_passwd": false})";

struct Shared {
  Disk disk;
  FakeJobBoard board;
  Gate gate;
  base::Mutex mutex;
  std::vector<cluster::JobNote> published_ends GUARDED_BY(mutex);
  base::Status agreement;                      // what the cluster says to a revision
  std::map<std::string, JobRecord> elsewhere;  // jobs of other nodes
  std::unique_ptr<Life> life_;

  Life& life() {
    if (!life_) {
      Scheduler::Hooks hooks;
      hooks.board = board.hooks();
      hooks.agree = [this](const exaconf::Config&, const exaconf::Config&,
                           const std::vector<cluster::JobNote>& ends) -> base::Status {
        if (!agreement.ok()) return agreement;
        base::MutexLock lock(mutex);
        published_ends.insert(published_ends.end(), ends.begin(), ends.end());
        for (const auto& end : ends) board.put_ended(end.id, end.text);
        return {};
      };
      hooks.find_elsewhere = [this](JobId id) -> base::Result<JobRecord> {
        if (const auto it = elsewhere.find(id.text()); it != elsewhere.end()) return it->second;
        return base::Error{Code::unknown_job_id, "nobody knows job " + id.text()};
      };
      life_ = std::make_unique<Life>(disk, SchedulerOptions(), std::move(hooks));
      if (!life_->runs()) FAIL(life_->problem.text);
    }
    return *life_;
  }
  ~Shared() {
    gate.open();
    life_.reset();
  }
};

JobRecord record_of(const std::string& id, Stage stage) {
  JobRecord record;
  record.id = *JobId::parse(id);
  record.job = "user_create";
  record.kind = jobs::JobKind::modify;
  record.user = "root";
  for (int s = 0; s <= static_cast<int>(stage); ++s)
    record.reach(static_cast<Stage>(s), base::WallTime(std::chrono::seconds(1'700'000'000 + s)));
  return record;
}

std::string text_of(const JobRecord& record) {
  std::string text;
  append_record_json(text, record);
  return text;
}

TEST_CASE_METHOD(Shared, "The end of a job comes with its revision and is what its caller is told") {
  const auto record = life().exec("user_create", kEve);
  REQUIRE(record->stage == Stage::committed);
  base::MutexLock lock(mutex);
  REQUIRE(published_ends.size() == 1);
  CHECK(published_ends[0].id == record->id.text());
  CHECK(base::parse_json(published_ends[0].text)->find("times")->find("committed")->as_string() ==
        to_value(*record).find("times")->find("committed")->as_string());
  CHECK(board.open().empty());
}

TEST_CASE_METHOD(Shared, "A job whose id is told is on the board first") {
  disk.hold_exaconf = &gate;
  agreement = {};
  const auto accepted = life().start("user_create", kEve);
  const JobId id = life().id_of(accepted);
  CHECK((board.open().contains(id.text()) || board.ended().contains(id.text())));
  gate.open();
  CHECK(life().ended(id)->code == Code::ok);
}

TEST_CASE_METHOD(Shared, "Without the board no id of a modify job is told, and nothing runs") {
  life();
  board.set_away(true);
  const auto accepted = life().start("user_create", kEve).get();
  REQUIRE_FALSE(accepted.ok());
  CHECK(accepted.error().code == Code::no_quorum);
  CHECK(life().scheduler->config()->user("eve") == nullptr);
  CHECK(life().exec("node_state")->code == Code::ok);
}

TEST_CASE_METHOD(Shared, "A failure is on the board before it is told to somebody who knows the id") {
  const JobId id = life().id_of(life().start("user_delete", R"({"username": "nobody-of-that-name"})"));
  const auto record = life().ended(id);
  REQUIRE(record->code != Code::ok);
  CHECK(board.open().empty());
  CHECK(board.ended().at(id.text()) == text_of(*record));
}

TEST_CASE_METHOD(Shared, "When another node has ended the job meanwhile, its verdict counts") {
  agreement = base::Error{Code::unknown_outcome, "no answer"};
  life();
  // The numbers of a first life are known: the board has the job's end before the job itself.
  const auto first = life().exec("node_state");
  const JobId next{first->id.node, first->id.number + 1};
  JobRecord other = record_of(next.text(), Stage::committed);
  other.ended = true;
  other.text = "told by the next master";
  board.put_ended(next.text(), text_of(other));
  const auto record = life().exec("user_create", kEve);
  REQUIRE(record->id == next);
  CHECK(record->code == Code::ok);
  CHECK(record->text == "told by the next master");
}

TEST_CASE_METHOD(Shared, "A master ends the jobs that nobody carries on") {
  board.put_open("12.7", text_of(record_of("12.7", Stage::submitted)));
  board.put_open("12.8", text_of(record_of("12.8", Stage::scheduled)));
  board.set_master(true);
  life();
  REQUIRE(eventually([&] { return board.open().empty(); }));
  const auto ended = board.ended();
  const auto queued = from_value(*base::parse_json(ended.at("12.7")));
  REQUIRE(queued.ok());
  CHECK(queued->ended);
  CHECK(queued->code == Code::interrupted);
  CHECK(queued->text.find("nothing was changed") != std::string::npos);
  const auto running = from_value(*base::parse_json(ended.at("12.8")));
  CHECK(running->code == Code::interrupted);
  CHECK(running->text.find("in part") != std::string::npos);
}

TEST_CASE_METHOD(Shared, "A job of this node that runs is not ended by it") {
  board.set_master(true);
  disk.hold_exaconf = &gate;
  const JobId id = life().id_of(life().start("user_create", kEve));
  REQUIRE(eventually([&] { return gate.came() > 0; }));
  // Two looks of the board's thread later it still runs, and ends as it would have.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2100);
  while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
  gate.open();
  CHECK(life().ended(id)->code == Code::ok);
}

TEST_CASE_METHOD(Shared, "Jobs of other nodes are found and waited for") {
  elsewhere.emplace("12.7", record_of("12.7", Stage::scheduled));
  JobRecord ended = record_of("12.8", Stage::committed);
  ended.ended = true;
  elsewhere.emplace("12.8", ended);
  CHECK((*life().find(*JobId::parse("12.7")))->stage == Stage::scheduled);
  CHECK(*life().wait(*JobId::parse("12.8")));
  CHECK_FALSE(*life().wait(*JobId::parse("12.7"), std::chrono::milliseconds(0)));
  CHECK(life().find(*JobId::parse("13.1")).error().code == Code::unknown_job_id);
  CHECK(life().wait(*JobId::parse("13.1")).error().code == Code::unknown_job_id);
}

// What a node that was killed left behind: a job that ran.
void leave_behind(Disk& disk, const JobRecord& record) {
  REQUIRE(disk.make_directories(test::kJobs, 0700).ok());
  auto journal = Journal::open(disk, test::kJobs, 1);
  REQUIRE(journal.ok());
  REQUIRE((*journal)->append_and_wait(record, Durability::power).ok());
}

// The sync of the folder failed, and so did the way back: the caller was told a failure.
TEST_CASE_METHOD(Shared, "A job that was told to have failed although its revision is on disk is committed") {
  const auto config = exaconf::Config::load(*disk.read(test::kExaconf));
  REQUIRE(config.ok());
  const auto leave = [&](const std::string& id, const std::string& checksum, std::uint64_t segment) {
    JobRecord record = record_of(id, Stage::finished);
    record.published =
        PublishedAs{(*config)->revision() - 1, (*config)->revision(), (*config)->revision(), checksum};
    REQUIRE(disk.make_directories(test::kJobs, 0700).ok());
    auto journal = Journal::open(disk, test::kJobs, segment);
    REQUIRE(journal.ok());
    REQUIRE((*journal)->append_and_wait(record, Durability::power).ok());
    record.published.reset();
    record.code = Code::io_error;
    record.text = "cannot sync the folder";
    record.ended = true;
    REQUIRE((*journal)->append_and_wait(record, Durability::power).ok());
  };
  leave("11.50", (*config)->checksum(), 1);
  leave("11.51", "another text", 2);
  const auto there = life().ended(*JobId::parse("11.50"));
  CHECK(there->code == Code::ok);
  CHECK(there->stage == Stage::committed);
  CHECK(there->published->revision == (*config)->revision());
  const auto not_there = life().ended(*JobId::parse("11.51"));
  CHECK(not_there->code == Code::io_error);
  CHECK(not_there->stage == Stage::finished);
}

TEST_CASE_METHOD(Shared, "After a restart the end counts that the next master put on the board") {
  const JobRecord left = record_of("11.50", Stage::scheduled);
  leave_behind(disk, left);
  JobRecord other = interrupted(left, 11, base::WallTime(std::chrono::seconds(1'700'000'100)));
  board.put_ended("11.50", text_of(other));
  const auto record = life().ended(left.id);
  CHECK(text_of(*record) == text_of(other));
}

TEST_CASE_METHOD(Shared, "After a restart the node's own verdict goes to the board") {
  const JobRecord left = record_of("11.50", Stage::scheduled);
  leave_behind(disk, left);
  board.put_open("11.50", text_of(left));
  const auto record = life().ended(left.id);
  CHECK(record->code == Code::interrupted);
  REQUIRE(eventually([&] { return board.ended().contains("11.50"); }));
  CHECK(board.ended().at("11.50") == text_of(*record));
}

}  // namespace
}  // namespace confd::scheduler
