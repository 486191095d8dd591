#include "scheduler/journal.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>

#include "tests/support/eventually.h"
#include "tests/support/fake_file_system.h"

namespace confd::scheduler {
namespace {

using base::Status;
using test::Answer;

const std::string kDirectory = "/exa/spool/jobs";

// Counts writes and syncs, and can hold a sync until a gate opens.
class WatchedFiles : public test::FakeFileSystem {
 public:
  base::Result<std::unique_ptr<base::File>> create(const std::string& path, std::uint32_t mode) override {
    auto file = FakeFileSystem::create(path, mode);
    if (!file) return file;
    return std::unique_ptr<base::File>(std::make_unique<Watched>(*this, std::move(*file)));
  }
  std::atomic<int> writes{0};
  std::atomic<int> syncs{0};
  test::Gate* hold_sync = nullptr;  // set while no journal is open

 private:
  class Watched : public base::File {
   public:
    Watched(WatchedFiles& files, std::unique_ptr<base::File> file) : files_(files), file_(std::move(file)) {}
    Status append(std::string_view bytes) override {
      ++files_.writes;
      return file_->append(bytes);
    }
    Status sync() override {
      ++files_.syncs;
      if (files_.hold_sync) files_.hold_sync->pass();
      return file_->sync();
    }

   private:
    WatchedFiles& files_;
    std::unique_ptr<base::File> file_;
  };
};

struct Fixture {
  WatchedFiles files;
  std::unique_ptr<Journal> journal;

  Fixture() { REQUIRE(files.make_directories(kDirectory, 0700).ok()); }
  void open(std::uint64_t segment = 1) {
    auto opened = Journal::open(files, kDirectory, segment);
    if (!opened) FAIL(opened.error().text);
    journal = std::move(*opened);
  }
  Journal::Recovered recover() {
    auto recovered = Journal::recover(files, kDirectory);
    if (!recovered) FAIL(recovered.error().text);
    return std::move(*recovered);
  }
  static JobRecord record(std::uint64_t number, Stage stage = Stage::submitted) {
    JobRecord r;
    r.id = {11, number};
    r.job = "user_create";
    r.stage = stage;
    return r;
  }
  std::string segment(int number) { return kDirectory + "/journal." + std::to_string(number); }
};

TEST_CASE_METHOD(Fixture, "An empty folder is an empty journal") {
  const auto recovered = recover();
  CHECK(recovered.records.empty());
  CHECK(recovered.next_segment == 1);
}

TEST_CASE_METHOD(Fixture, "What was synced survives a power cut, what was only written survives a kill") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::power).ok());
  REQUIRE(journal->append_and_wait(record(2), Durability::process).ok());
  SECTION("kill") {
    files.kill();
    CHECK(recover().records.size() == 2);
  }
  SECTION("power cut") {
    files.power_cut();
    const auto recovered = recover();
    REQUIRE(recovered.records.size() == 1);
    CHECK(recovered.records[0].id == JobId{11, 1});
    CHECK(recovered.next_segment == 2);
  }
}

TEST_CASE_METHOD(Fixture, "The latest stage counts, whatever the order of lines") {
  open();
  JobRecord published = record(1, Stage::finished);
  published.published = PublishedAs{3, 4, 4, "abc"};
  JobRecord failed = record(2, Stage::finished);
  failed.ended = true;
  failed.code = base::Code::io_error;
  JobRecord was_published = record(2, Stage::finished);
  was_published.published = PublishedAs{3, 4, 4, "abc"};
  for (const JobRecord& r :
       {published, record(1), record(1, Stage::scheduled), failed, was_published, record(2)})
    REQUIRE(journal->append_and_wait(r, Durability::power).ok());
  const auto recovered = recover();
  REQUIRE(recovered.records.size() == 2);
  CHECK(recovered.records[0].stage == Stage::finished);
  CHECK(recovered.records[0].published->written_checksum == "abc");
  CHECK(recovered.records[1].ended);
  CHECK(recovered.records[1].code == base::Code::io_error);
}

TEST_CASE_METHOD(Fixture, "A line that was cut off or altered is counted and left out") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::power).ok());
  REQUIRE(journal->append_and_wait(record(2), Durability::power).ok());
  journal.reset();
  std::string text = *files.read(segment(1));
  SECTION("cut off") {
    files.put(segment(1), text.substr(0, text.size() - 7));
  }
  SECTION("cut off before its line break") {
    files.put(segment(1), text.substr(0, text.size() - 1));
  }
  SECTION("one bit is wrong") {
    text[text.size() - 20] ^= 1;
    files.put(segment(1), text);
  }
  const auto recovered = recover();
  CHECK(recovered.torn_lines == 1);
  REQUIRE(recovered.records.size() == 1);
  CHECK(recovered.records[0].id == JobId{11, 1});
}

TEST_CASE_METHOD(Fixture, "Those who wait at the same time share one write and one sync") {
  test::Gate gate;
  files.hold_sync = &gate;
  open();
  std::vector<Answer<Status>> answers(21);
  journal->append(record(1), Durability::power, answers[0].callback());
  REQUIRE(test::eventually([&] { return gate.came() == 1; }));  // the first one's sync takes a while
  for (std::uint64_t i = 1; i <= 20; ++i)
    journal->append(record(i + 1), i % 2 ? Durability::power : Durability::process, answers[i].callback());
  gate.open();
  for (const auto& answer : answers) CHECK(answer.get().ok());
  CHECK(files.writes == 2);
  CHECK(files.syncs == 2);
  files.power_cut();
  CHECK(recover().records.size() == 21);
}

TEST_CASE_METHOD(Fixture, "Lines that need not survive a power cut cost no sync") {
  open();
  for (std::uint64_t i = 1; i <= 10; ++i)
    REQUIRE(journal->append_and_wait(record(i), Durability::process).ok());
  CHECK(files.syncs == 0);
}

TEST_CASE_METHOD(Fixture, "After a failed write the journal goes on in a new file") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::power).ok());
  files.fail_at(files.calls() + 1);
  CHECK_FALSE(journal->append_and_wait(record(2), Durability::power).ok());
  REQUIRE(journal->append_and_wait(record(3), Durability::power).ok());
  files.power_cut();
  const auto recovered = recover();
  REQUIRE(recovered.records.size() == 2);
  CHECK(recovered.records[0].id.number == 1);
  CHECK(recovered.records[1].id.number == 3);
  CHECK(recovered.next_segment == 3);
}

TEST_CASE_METHOD(Fixture, "After a failed sync the same holds") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::power).ok());
  files.fail_at(files.calls() + 2);
  CHECK_FALSE(journal->append_and_wait(record(2), Durability::power).ok());
  REQUIRE(journal->append_and_wait(record(3), Durability::power).ok());
  journal.reset();
  CHECK(files.read(segment(2)).ok());
  files.power_cut();
  std::vector<std::uint64_t> numbers;
  for (const JobRecord& r : recover().records) numbers.push_back(r.id.number);
  // The refused one may be there: its line was whole, only its sync failed.
  CHECK((numbers == std::vector<std::uint64_t>{1, 3} || numbers == std::vector<std::uint64_t>{1, 2, 3}));
}

TEST_CASE_METHOD(Fixture, "A line that was only written gets its sync when the file after it breaks") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::process).ok());
  files.fail_at(files.calls() + 1);
  CHECK_FALSE(journal->append_and_wait(record(2), Durability::power).ok());
  REQUIRE(journal->append_and_wait(record(3), Durability::power).ok());
  files.power_cut();
  CHECK(recover().records.size() == 2);
}

TEST_CASE_METHOD(Fixture, "A disk that stays full fills the folder with no more than one file") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::power).ok());
  for (std::uint64_t i = 2; i < 30; ++i) {
    // A new file can be made, but nothing gets into it.
    files.fail_at(files.calls() + (i == 2 ? 1 : 4));
    CHECK_FALSE(journal->append_and_wait(record(i), Durability::power).ok());
  }
  CHECK(files.list(kDirectory)->size() == 2);
  files.fail_at(0);
  REQUIRE(journal->append_and_wait(record(30), Durability::power).ok());
  files.power_cut();
  CHECK(recover().records.size() == 2);
}

TEST_CASE_METHOD(Fixture, "A new segment takes what follows, and the old one goes when told") {
  open();
  REQUIRE(journal->append_and_wait(record(1), Durability::process).ok());
  CHECK(journal->size() > 100);
  const auto second = journal->start_segment();
  REQUIRE(second.ok());
  CHECK(*second == 2);
  CHECK(journal->size() == 0);
  REQUIRE(journal->append_and_wait(record(2), Durability::power).ok());
  CHECK(recover().records.size() == 2);
  REQUIRE(journal->retire(*second).ok());
  files.power_cut();
  const auto recovered = recover();
  REQUIRE(recovered.records.size() == 1);
  CHECK(recovered.records[0].id.number == 2);
}

TEST_CASE_METHOD(Fixture, "When no new segment can be started the old one goes on") {
  open();
  files.fail_from(files.calls() + 2);  // after the sync of the old one
  CHECK_FALSE(journal->start_segment().ok());
  files.kill();
  REQUIRE(journal->append_and_wait(record(1), Durability::power).ok());
  files.power_cut();
  CHECK(recover().records.size() == 1);
}

TEST_CASE_METHOD(Fixture,
                 "What is acknowledged as synced is there, whichever call fails and is followed by a cut") {
  for (int fail = 1; fail < 25; ++fail) {
    CAPTURE(fail);
    Fixture fixture;
    fixture.open();
    fixture.files.fail_at(fixture.files.calls() + fail);
    std::vector<std::uint64_t> acknowledged;
    for (std::uint64_t i = 1; i <= 6; ++i) {
      if (fixture.journal->append_and_wait(record(i), Durability::power)) acknowledged.push_back(i);
      if (i == 3) (void)fixture.journal->start_segment().ok();
    }
    CHECK(acknowledged.size() >= 5);
    fixture.files.power_cut();
    std::vector<std::uint64_t> found;
    for (const JobRecord& r : fixture.recover().records) found.push_back(r.id.number);
    CHECK(std::includes(found.begin(), found.end(), acknowledged.begin(), acknowledged.end()));
  }
}

}  // namespace
}  // namespace confd::scheduler
