#include "scheduler/job_files.h"

#include <catch2/catch.hpp>

#include "base/yaml.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace confd::scheduler {
namespace {

using base::Code;
using std::chrono::hours;

const std::string kDirectory = "/exa/spool/jobs";

struct Fixture {
  test::FakeFileSystem files;
  test::FakeClock clock;
  Retention retention;
  std::unique_ptr<JobFiles> store;

  void open(std::uint64_t first_number = 1) {
    store.reset();
    auto opened = JobFiles::open(files, kDirectory, retention, clock, first_number);
    if (!opened) FAIL(opened.error().text);
    store = std::move(*opened);
  }
  JobRecord record(std::uint64_t number, Stage stage = Stage::finished) {
    JobRecord r;
    r.id = {11, number};
    r.job = number % 2 ? "node_list" : "user_list";
    r.user = number % 3 ? "root" : "alice";
    for (int i = 0; i <= static_cast<int>(stage); ++i) r.reach(static_cast<Stage>(i), clock.now());
    r.ended = stage >= Stage::finished;
    return r;
  }
  RecordPtr shared(std::uint64_t number, Stage stage = Stage::finished) {
    return std::make_shared<const JobRecord>(record(number, stage));
  }
  // A job that has ended and whose result somebody has got.
  void archive(std::uint64_t number) { store->update(shared(number), Folder::archive); }
  bool is_in(const std::string& folder, std::uint64_t number) {
    return files.read(kDirectory + "/" + folder + "/11." + std::to_string(number) + ".yaml").ok();
  }
  std::vector<std::string> folders_of(std::uint64_t number) {
    std::vector<std::string> found;
    for (const char* folder : {"queue", "run", "finish", "archive"})
      if (is_in(folder, number)) found.emplace_back(folder);
    return found;
  }
  std::vector<std::uint64_t> numbers(const HistoryFilter& filter) {
    std::vector<std::uint64_t> found;
    for (const RecordPtr& r : store->history(filter, [](JobId) { return false; }))
      found.push_back(r->id.number);
    return found;
  }
  std::size_t archive_files() { return files.list(kDirectory + "/archive")->size(); }
};

using Folders = std::vector<std::string>;
using Numbers = std::vector<std::uint64_t>;

TEST_CASE_METHOD(Fixture, "The folder of a job's file says how far it is") {
  open();
  store->update(shared(1, Stage::submitted), Folder::queue);
  store->flush();
  CHECK(folders_of(1) == Folders{"queue"});
  store->update(shared(1, Stage::scheduled), Folder::run);
  store->flush();
  CHECK(folders_of(1) == Folders{"run"});
  store->update(shared(1), Folder::finish);
  store->flush();
  CHECK(folders_of(1) == Folders{"finish"});
  store->fetched(shared(1));
  store->flush();
  CHECK(folders_of(1) == Folders{"archive"});
  CHECK(from_value(*base::parse_yaml(*files.read(kDirectory + "/archive/11.1.yaml")))->stage ==
        Stage::finished);
}

TEST_CASE_METHOD(Fixture, "Of states that follow each other at once only the last one is written") {
  open();
  store->flush();
  const int calls = files.calls();
  store->update(shared(1, Stage::submitted), Folder::queue);
  store->update(shared(1, Stage::scheduled), Folder::run);
  store->update(shared(1), Folder::finish);
  store->flush();
  CHECK(folders_of(1) == Folders{"finish"});
  CHECK(files.calls() - calls <=
        3 * 3);  // create, append, rename; three times at most, should the thread be quick
}

TEST_CASE_METHOD(Fixture, "A job can be found before and after its file is written") {
  open();
  store->update(shared(1), Folder::finish);
  CHECK(store->has_file({11, 1}));
  CHECK((*store->find({11, 1}))->stage == Stage::finished);
  store->flush();
  CHECK(store->has_file({11, 1}));
  CHECK((*store->find({11, 1}))->id == JobId{11, 1});
  CHECK(store->find({11, 2}).error().code == Code::unknown_job_id);
  CHECK_FALSE(store->has_file({11, 2}));
}

TEST_CASE_METHOD(Fixture, "A fetched job goes to the archive, though its file was not written yet") {
  open();
  store->update(shared(1), Folder::finish);
  store->fetched(shared(1));
  store->flush();
  CHECK(folders_of(1) == Folders{"archive"});
}

TEST_CASE_METHOD(Fixture, "A job that is in the archive stays there when it is fetched again") {
  open();
  archive(1);
  store->flush();
  const int calls = files.calls();
  store->fetched(shared(1));
  store->flush();
  CHECK(files.calls() == calls);
}

TEST_CASE_METHOD(Fixture, "Read jobs are lines of one file, found by id") {
  open();
  const int calls = files.calls();
  for (std::uint64_t i = 1; i <= 100; ++i) REQUIRE(store->append_read(record(i)).ok());
  store->flush();
  CHECK(files.calls() - calls < 50);  // many of them in one write
  CHECK((*store->find({11, 1}))->id == JobId{11, 1});
  CHECK((*store->find({11, 57}))->id == JobId{11, 57});
  CHECK(store->find({11, 101}).error().code == Code::unknown_job_id);
  CHECK(store->find({11, 5000}).error().code == Code::unknown_job_id);
  open(20'000);
  CHECK((*store->find({11, 57}))->job == "node_list");
}

TEST_CASE_METHOD(Fixture, "A full file of read jobs is followed by a new one, and all are found") {
  open();
  for (std::uint64_t i = 1; i <= 4500; ++i) {
    REQUIRE(store->append_read(record(i)).ok());
    if (i % 1000 == 0) store->flush();
  }
  store->flush();
  CHECK(archive_files() >= 2);
  for (const std::uint64_t i : {1u, 1999u, 2000u, 2001u, 3000u, 4500u}) {
    CAPTURE(i);
    CHECK(store->find({11, i}).ok());
  }
  // A job that ran for long ends up in a later file than its number says.
  REQUIRE(store->append_read(record(4501)).ok());
}

TEST_CASE_METHOD(Fixture, "A read job that ran for long is found behind jobs that came after it") {
  open();
  for (std::uint64_t i = 2; i <= 2100; ++i) REQUIRE(store->append_read(record(i)).ok());
  store->flush();
  REQUIRE(archive_files() == 2);
  REQUIRE(store->append_read(record(1)).ok());
  CHECK(store->find({11, 1}).ok());
}

TEST_CASE_METHOD(Fixture, "A line that a full disk cut off does not swallow the next one") {
  open();
  REQUIRE(store->append_read(record(1)).ok());
  files.fail_at(files.calls() + 1);
  // Whoever writes it out, the line is kept until it can be written.
  for (std::uint64_t i = 2; i <= 40; ++i) (void)store->append_read(record(i)).ok();
  store->flush();
  for (std::uint64_t i = 1; i <= 40; ++i) {
    CAPTURE(i);
    CHECK(store->find({11, i}).ok());
  }
  CHECK(numbers({}).size() == 40);
}

TEST_CASE_METHOD(Fixture, "History is newest first out of all files, with each filter") {
  open();
  for (std::uint64_t i : {1u, 3u, 5u}) REQUIRE(store->append_read(record(i)).ok());
  clock.advance(hours(1));
  for (std::uint64_t i : {2u, 4u}) archive(i);
  store->update(shared(6, Stage::scheduled), Folder::run);
  JobRecord failed = record(7);
  failed.code = Code::not_found;
  store->update(std::make_shared<const JobRecord>(failed), Folder::finish);
  store->flush();
  CHECK(numbers({}) == Numbers{7, 6, 5, 4, 3, 2, 1});
  HistoryFilter filter;
  filter.user = "alice";
  CHECK(numbers(filter) == Numbers{6, 3});
  filter = {};
  filter.job = "user_list";
  CHECK(numbers(filter) == Numbers{6, 4, 2});
  filter = {};
  filter.state = "failed";
  CHECK(numbers(filter) == Numbers{7});
  filter.state = "running";
  CHECK(numbers(filter) == Numbers{6});
  filter.state = "finished";
  CHECK(numbers(filter) == Numbers{7, 5, 4, 3, 2, 1});
  filter = {};
  filter.since = clock.now() - std::chrono::minutes(1);
  CHECK(numbers(filter) == Numbers{7, 6, 4, 2});
  filter = {};
  filter.until = clock.now() - std::chrono::minutes(1);
  CHECK(numbers(filter) == Numbers{5, 3, 1});
  CHECK(store->history({}, [](JobId id) { return id.number > 3; }).size() == 3);
}

TEST_CASE_METHOD(Fixture, "The oldest of the archive goes by age") {
  open();
  archive(1);
  store->flush();
  clock.advance(retention.age - hours(1));
  archive(2);
  store->flush();
  CHECK(is_in("archive", 1));
  clock.advance(hours(2));
  store->flush();
  CHECK_FALSE(is_in("archive", 1));
  CHECK(is_in("archive", 2));
  CHECK(store->find({11, 1}).error().code == Code::unknown_job_id);
}

TEST_CASE_METHOD(Fixture, "The oldest of the archive goes by number of jobs") {
  retention.jobs = 5;
  open();
  for (std::uint64_t i = 1; i <= 8; ++i) archive(i);
  store->flush();
  CHECK(archive_files() == 5 + 1);  // and the file of read jobs
  CHECK_FALSE(is_in("archive", 3));
  CHECK(is_in("archive", 4));
}

TEST_CASE_METHOD(Fixture, "The oldest of the archive goes by bytes") {
  retention.bytes = 3000;
  open();
  for (std::uint64_t i = 1; i <= 40; ++i) archive(i);
  store->flush();
  std::size_t bytes = 0;
  for (const std::string& path : files.all_paths())
    if (path.find("/archive/") != std::string::npos) bytes += files.read(path)->size();
  CHECK(bytes <= 3000);
  CHECK(bytes > 1000);
  CHECK(is_in("archive", 40));
}

TEST_CASE_METHOD(Fixture, "Retention counts what an earlier life left, read jobs included") {
  retention.jobs = 3000;
  open();
  for (std::uint64_t i = 1; i <= 2000; ++i) REQUIRE(store->append_read(record(i)).ok());
  store->flush();
  open(20'000);
  for (std::uint64_t i = 20'000; i < 22'000; ++i) REQUIRE(store->append_read(record(i)).ok());
  store->flush();
  CHECK(store->find({11, 1}).error().code == Code::unknown_job_id);
  CHECK(store->find({11, 20'000}).ok());
}

TEST_CASE_METHOD(Fixture, "A result nobody fetches goes to the archive after its time") {
  open();
  store->update(shared(1), Folder::finish);
  store->flush();
  clock.advance(retention.unfetched - std::chrono::seconds(1));
  store->update(shared(2), Folder::finish);
  store->flush();
  CHECK(folders_of(1) == Folders{"finish"});
  clock.advance(std::chrono::seconds(2));
  store->flush();
  CHECK(folders_of(1) == Folders{"archive"});
  CHECK(folders_of(2) == Folders{"finish"});
  CHECK(store->find({11, 1}).ok());
}

TEST_CASE_METHOD(Fixture, "There are never more unfetched results than the archive may hold") {
  retention.jobs = 4;
  open();
  for (std::uint64_t i = 1; i <= 10; ++i) store->update(shared(i), Folder::finish);
  store->flush();
  CHECK(files.list(kDirectory + "/finish")->size() == 4);
  CHECK(folders_of(10) == Folders{"finish"});
  CHECK(folders_of(6) == Folders{"archive"});
}

TEST_CASE_METHOD(Fixture, "A file that can't be written is tried again, and no checkpoint is made before") {
  open();
  store->flush();
  files.fail_from(files.calls() + 1);
  store->update(shared(1), Folder::finish);
  store->flush();
  CHECK_FALSE(store->checkpoint().ok());
  CHECK((*store->find({11, 1}))->id == JobId{11, 1});  // known all the same
  CHECK_FALSE(store->take_problems().empty());
  CHECK(store->take_problems().empty());
  files.kill();
  CHECK(store->checkpoint().ok());
  files.power_cut();
  CHECK(folders_of(1) == Folders{"finish"});
}

TEST_CASE_METHOD(Fixture, "After a checkpoint all files survive a power cut") {
  open();
  for (std::uint64_t i = 1; i <= 3; ++i) archive(i);
  store->update(shared(4, Stage::scheduled), Folder::run);
  REQUIRE(store->append_read(record(5)).ok());
  REQUIRE(store->checkpoint().ok());
  files.power_cut();
  open(100);
  for (std::uint64_t i = 1; i <= 5; ++i) CHECK(store->find({11, i}).ok());
}

TEST_CASE_METHOD(Fixture, "Start-up tells what was left in queue and run, and keeps the later of two") {
  open();
  store->update(shared(1, Stage::submitted), Folder::queue);
  store->update(shared(2, Stage::scheduled), Folder::run);
  store->update(shared(3), Folder::finish);
  store->flush();
  const std::string text = *files.read(kDirectory + "/run/11.2.yaml");
  files.put(kDirectory + "/queue/11.2.yaml", text);  // as a crash between rename and remove leaves it
  files.put(kDirectory + "/run/11.3.yaml", text);
  files.put(kDirectory + "/run/.11.9", "cut off");
  files.put(kDirectory + "/archive/reads-500.yaml", "");
  open();
  CHECK(store->left_over() == std::vector<JobId>{{11, 1}, {11, 2}});
  CHECK(store->highest_number() == 3);
  CHECK(folders_of(2) == Folders{"run"});
  CHECK(folders_of(3) == Folders{"finish"});
  CHECK_FALSE(files.read(kDirectory + "/run/.11.9").ok());
  CHECK_FALSE(files.read(kDirectory + "/archive/reads-500.yaml").ok());
}

TEST_CASE_METHOD(Fixture, "A left-over that can't be read can be forgotten") {
  files.put(kDirectory + "/queue/11.7.yaml", "");
  open();
  CHECK(store->left_over() == std::vector<JobId>{{11, 7}});
  CHECK(store->find({11, 7}).error().code == Code::internal);
  store->forget({11, 7});
  CHECK_FALSE(store->has_file({11, 7}));
  CHECK(store->find({11, 7}).error().code == Code::unknown_job_id);
}

TEST_CASE_METHOD(Fixture, "Foreign files in the folders are left alone") {
  files.put(kDirectory + "/archive/notes.txt", "mine");
  files.put(kDirectory + "/finish/11.x.yaml", "mine");
  open();
  store->flush();
  CHECK(files.read(kDirectory + "/archive/notes.txt").ok());
  CHECK(files.read(kDirectory + "/finish/11.x.yaml").ok());
  CHECK(store->left_over().empty());
}

}  // namespace
}  // namespace confd::scheduler
