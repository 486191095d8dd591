// A node with a fake disk, and lives of a scheduler on it: what one life leaves the next one finds. The
// operation node.boot_time (job node_state) waits at `boot_gate` when one is set; syncs of a new EXAConf wait
// at `disk.hold_exaconf`, journal lines of committed jobs at `disk.hold_ends`. Thread-safety: the test's
// thread.
#pragma once

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "exaconf/store.h"
#include "scheduler/scheduler.h"
#include "tests/support/config_text.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_members.h"
#include "tests/support/fake_random.h"

namespace confd::test {

inline const std::string kRoot = "/exa";
inline const std::string kExaconf = "/exa/etc/EXAConf";
inline const std::string kJobs = "/exa/spool/jobs";

class Disk : public FakeFileSystem {
 public:
  Disk() { put(kExaconf, small_config_text()); }

  base::Result<std::unique_ptr<base::File>> create(const std::string& path, std::uint32_t mode) override {
    auto file = FakeFileSystem::create(path, mode);
    if (file && path.find("/jobs/journal.") != std::string::npos)
      return std::unique_ptr<base::File>(std::make_unique<Journal>(*this, std::move(*file)));
    if (!file || path.find("/etc/.EXAConf.") == std::string::npos) return file;
    ++exaconf_writes;
    return std::unique_ptr<base::File>(std::make_unique<Held>(*this, std::move(*file)));
  }

  std::atomic<Gate*> hold_exaconf{nullptr};
  std::atomic<Gate*> hold_ends{nullptr};
  std::atomic<int> exaconf_writes{0};

 private:
  class Journal : public base::File {
   public:
    Journal(Disk& disk, std::unique_ptr<base::File> file) : disk_(disk), file_(std::move(file)) {}
    base::Status append(std::string_view bytes) override {
      if (Gate* gate = disk_.hold_ends; gate && bytes.find("\"stage\":\"committed\"") != bytes.npos)
        gate->pass();
      return file_->append(bytes);
    }
    base::Status sync() override { return file_->sync(); }

   private:
    Disk& disk_;
    std::unique_ptr<base::File> file_;
  };
  class Held : public base::File {
   public:
    Held(Disk& disk, std::unique_ptr<base::File> file) : disk_(disk), file_(std::move(file)) {}
    base::Status append(std::string_view bytes) override { return file_->append(bytes); }
    base::Status sync() override {
      if (Gate* gate = disk_.hold_exaconf) gate->pass();
      return file_->sync();
    }

   private:
    Disk& disk_;
    std::unique_ptr<base::File> file_;
  };
};

inline base::Value json(const std::string& text) {
  auto value = base::parse_json(text);
  if (!value) FAIL("the test's parameters are no JSON: " << text);
  return std::move(*value);
}

using Accepted = Answer<base::Result<scheduler::JobId>>;

class Life {
 public:
  // `more`: hooks of a cluster.
  explicit Life(Disk& disk, scheduler::SchedulerOptions options = {}, scheduler::Scheduler::Hooks more = {})
      : disk_(disk) {
    log_ = std::move(*base::Log::open({}));
    // Times of the fake disk's files are ticks since 1970; retention by age has its own test.
    options.retention.age = std::chrono::hours(24 * 366 * 100);
    nodes.register_operation("node.boot_time",
                             [this](const base::Struct&, std::stop_token stop) -> base::Result<base::Value> {
                               ++boot_calls;
                               if (Gate* gate = boot_gate)
                                 if (!gate->pass([&] { return stop.stop_requested(); }))
                                   return base::Error{base::Code::stopped, "stopped by hand"};
                               return base::Value(base::Struct{{"boot_time", 1'594'131'247}});
                             });
    auto opened = exaconf::Store::open(disk, kExaconf, random);
    if (!opened) {
      problem = opened.error();
      return;
    }
    store = std::move(*opened);
    scheduler::Scheduler::Hooks hooks = std::move(more);
    hooks.on_stage = [this](const scheduler::JobRecord& record) {
      base::MutexLock lock(mutex_);
      stages_.emplace_back(record.id, record.stage);
    };
    auto made = scheduler::Scheduler::open(std::move(options), kJobs, *store, kExaconf, services, *log_,
                                           std::move(hooks));
    if (!made) {
      problem = made.error();
      return;
    }
    scheduler = std::move(*made);
  }

  bool runs() const { return scheduler != nullptr; }

  static auth::Identity caller(const exaconf::Config& config, const std::string& user) {
    return auth::identify(config, user, "basic");
  }

  scheduler::Submission submission(const std::string& job, const std::string& params,
                                   const std::string& user) {
    scheduler::Submission submission;
    submission.job = job;
    submission.params = json(params);
    submission.caller = std::make_shared<const auth::Identity>(caller(*scheduler->config(), user));
    return submission;
  }

  // job_start
  Accepted start(const std::string& job, const std::string& params = "{}", const std::string& user = "root") {
    Accepted answer;
    scheduler->submit(submission(job, params, user), answer.callback(), {});
    return answer;
  }
  scheduler::JobId id_of(const Accepted& accepted) {
    const auto id = accepted.get();
    if (!id) FAIL(id.error().text);
    return *id;
  }

  // job_exec, up to its result
  Answer<scheduler::RecordPtr> begin(scheduler::Submission submission) {
    Answer<scheduler::RecordPtr> ended;
    scheduler->submit(
        std::move(submission), [](base::Result<scheduler::JobId>) {}, ended.callback());
    return ended;
  }
  scheduler::RecordPtr exec(const std::string& job, const std::string& params = "{}",
                            const std::string& user = "root") {
    return begin(submission(job, params, user)).get();
  }

  base::Result<scheduler::RecordPtr> find(scheduler::JobId id, bool fetched = false) {
    Answer<base::Result<scheduler::RecordPtr>> answer;
    scheduler->find(id, fetched, answer.callback());
    return answer.get();
  }
  base::Result<bool> wait(scheduler::JobId id, std::chrono::milliseconds timeout = std::chrono::hours(1)) {
    Answer<base::Result<bool>> answer;
    scheduler->wait(id, timeout, answer.callback());
    return answer.get();
  }
  scheduler::RecordPtr ended(scheduler::JobId id) {
    const auto waited = wait(id);
    if (!waited) FAIL(waited.error().text);
    const auto record = find(id);
    if (!record) FAIL(record.error().text);
    REQUIRE((*record)->ended);
    return *record;
  }
  std::vector<scheduler::RecordPtr> history(scheduler::HistoryFilter filter) {
    Answer<std::vector<scheduler::RecordPtr>> answer;
    scheduler->history(std::move(filter), answer.callback());
    return answer.get();
  }
  std::vector<scheduler::Stage> stages(scheduler::JobId id) {
    base::MutexLock lock(mutex_);
    std::vector<scheduler::Stage> found;
    for (const auto& [job, stage] : stages_)
      if (job == id) found.push_back(stage);
    return found;
  }

  Disk& disk_;
  FakeClock clock;
  FakeRandom random;
  cluster::NodeControl nodes{11};
  FakeMembers members;
  jobs::JobServices services{nodes, members, clock, disk_, random, kRoot};
  std::atomic<Gate*> boot_gate{nullptr};
  std::atomic<int> boot_calls{0};
  base::Error problem;

 private:
  std::unique_ptr<base::Log> log_;
  base::Mutex mutex_;
  std::vector<std::pair<scheduler::JobId, scheduler::Stage>> stages_ GUARDED_BY(mutex_);

 public:
  std::unique_ptr<exaconf::Store> store;
  std::unique_ptr<scheduler::Scheduler> scheduler;  // ends first
};

}  // namespace confd::test
