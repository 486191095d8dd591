// What a job costs the scheduler alone, without TLS, HTTP and codecs.
//
//   bench_scheduler read DIR [jobs] [outstanding]     job_exec of node_state: CPU and wall time a job
//   bench_scheduler modify DIR [jobs] [outstanding]   job_exec of user_modify: jobs a second, latencies
//   bench_scheduler replace DIR [count]               plain durable replacements of a file, for comparison
//
// DIR is emptied of nothing: give a new folder on the disk in question.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <string>

#include "exaconf/initial.h"
#include "scheduler/scheduler.h"
#include "tests/support/fake_members.h"

namespace {

using namespace confd;
using Clock = std::chrono::steady_clock;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void give_up(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(1);
}

int replace(const std::string& folder, int count, const std::string& text) {
  base::FileSystem& files = base::system_file_system();
  const auto start = Clock::now();
  for (int i = 0; i < count; ++i)
    if (auto done = base::replace_file(files, folder + "/file", text, 0600); !done)
      give_up(done.error().text);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("%d replacements of %zu bytes: %.0f /s, %.2f ms each\n", count, text.size(), count / seconds,
              1e3 * seconds / count);
  return 0;
}

// Keeps `outstanding` jobs going until `jobs` have ended.
class Load {
 public:
  Load(scheduler::Scheduler& scheduler, bool modify, int jobs)
      : scheduler_(scheduler), modify_(modify), jobs_(jobs), latencies_(static_cast<std::size_t>(jobs)) {
    caller_ = std::make_shared<const auth::Identity>(auth::identify(*scheduler.config(), "root", "basic"));
  }

  void run(int outstanding) {
    for (int i = 0; i < outstanding; ++i) submit();
    base::MutexLock lock(mutex_);
    while (ended_ < jobs_) done_.wait(mutex_);
  }
  int failed() const { return failed_; }
  double percentile(double p) {
    std::sort(latencies_.begin(), latencies_.end());
    return latencies_[static_cast<std::size_t>(p * static_cast<double>(latencies_.size() - 1))];
  }

 private:
  void submit() {
    const int number = started_++;
    if (number >= jobs_) return;
    scheduler::Submission submission;
    submission.job = modify_ ? "user_modify" : "node_state";
    if (modify_)
      submission.params = base::Struct{{"username", "u" + std::to_string(number % 64)},
                                       {"login_enabled", number / 64 % 2 == 0}};
    submission.caller = caller_;
    submission.request =
        base::Struct{{"path", "/RPC2"}, {"method", "job_exec"}, {"remote", "127.0.0.1"}, {"agent", "bench"}};
    const auto start = Clock::now();
    scheduler_.submit(
        std::move(submission), [](base::Result<scheduler::JobId>) {},
        [this, start, number](scheduler::RecordPtr record) {
          latencies_[static_cast<std::size_t>(number)] =
              std::chrono::duration<double, std::milli>(Clock::now() - start).count();
          if (record->code != base::Code::ok && failed_++ == 0)
            std::fprintf(stderr, "%s\n", record->text.c_str());
          submit();
          base::MutexLock lock(mutex_);
          if (++ended_ == jobs_) done_.notify_all();
        });
  }

  scheduler::Scheduler& scheduler_;
  const bool modify_;
  const int jobs_;
  auth::IdentityPtr caller_;
  std::vector<double> latencies_;
  std::atomic<int> started_{0};
  std::atomic<int> failed_{0};
  base::Mutex mutex_;
  base::CondVar done_;
  int ended_ GUARDED_BY(mutex_) = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) give_up("usage: bench_scheduler read|modify|replace DIR [count] [outstanding]");
  const std::string mode = argv[1];
  const std::string root = argv[2];
  const int count = argc > 3 ? static_cast<int>(std::strtol(argv[3], nullptr, 10)) : 20'000;
  const int outstanding = argc > 4 ? static_cast<int>(std::strtol(argv[4], nullptr, 10)) : 16;

  base::FileSystem& files = base::system_file_system();
  if (auto done = files.make_directories(root + "/etc", 0700); !done) give_up(done.error().text);
  exaconf::InitialSettings settings;
  settings.root_directory = root;
  settings.admin_passwd_hash = "*";
  auto text = exaconf::initial_exaconf(settings, base::system_random());
  if (!text) give_up(text.error().text);
  if (mode == "replace") return replace(root + "/etc", count, *text);
  if (auto done = base::replace_file(files, root + "/etc/EXAConf", *text, 0600); !done)
    give_up(done.error().text);
  auto store = exaconf::Store::open(files, root + "/etc/EXAConf");
  if (!store) give_up(store.error().text);

  cluster::NodeControl nodes(11);
  nodes.register_operation("node.boot_time",
                           [](const base::Struct&, std::stop_token) -> base::Result<base::Value> {
                             return base::Value(base::Struct{{"boot_time", 1'594'131'247}});
                           });
  test::FakeMembers members;
  jobs::JobServices services{nodes, members, base::system_clock(), files, base::system_random(), root};
  auto log = base::Log::open({});
  auto opened = scheduler::Scheduler::open({}, root + "/spool/jobs", **store, root + "/etc/EXAConf", services,
                                           **log, {});
  if (!opened) give_up(opened.error().text);
  scheduler::Scheduler& scheduler = **opened;

  if (mode == "modify") {
    const auto caller =
        std::make_shared<const auth::Identity>(auth::identify(*scheduler.config(), "root", "basic"));
    for (int i = 0; i < 64; ++i) {
      scheduler::Submission submission;
      submission.job = "user_create";
      submission.params = base::Struct{{"username", "u" + std::to_string(i)},
                                       {"userid", 3000 + i},
                                       {"password", "*"},
                                       {"encode_passwd", false},
                                       {"group", "exausers"},
                                       {"login_enabled", false}};
      submission.caller = caller;
      std::promise<base::Code> code;
      scheduler.submit(
          std::move(submission), [](base::Result<scheduler::JobId>) {},
          [&code](scheduler::RecordPtr record) { code.set_value(record->code); });
      if (const base::Code made = code.get_future().get(); made != base::Code::ok)
        give_up("user_create: " + std::string(base::code_name(made)));
    }
  }

  Load load(scheduler, mode == "modify", count);
  const double cpu = cpu_seconds();
  const auto start = Clock::now();
  load.run(outstanding);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double used = cpu_seconds() - cpu;
  std::printf("%s: %d jobs, %d outstanding, %d failed: %.0f jobs/s, CPU %.2f us a job, wall %.2f us a job\n",
              mode.c_str(), count, outstanding, load.failed(), count / seconds, 1e6 * used / count,
              1e6 * seconds / count);
  std::printf("latency ms: p50 %.3f  p99 %.3f  max %.3f\n", load.percentile(0.5), load.percentile(0.99),
              load.percentile(1));
  return load.failed() == 0 ? 0 : 1;
}
