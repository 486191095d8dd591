// JobTest: runs jobs by name on a small EXAConf, as the scheduler would (parameters, permission, check,
// execute, whole new revision), without a scheduler. The node is n11; its /proc, logs and spool are in a fake
// file system, its clock stands.
//
//   JobTest test;
//   const JobRun run = test.run("user_create", R"({"username": "eve", ...})", "alice");
//   CHECK(run.code == Code::ok);  CHECK(test.config().user("eve") != nullptr);
#pragma once

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cluster/node_report.h"
#include "jobs/catalogue.h"
#include "jobs/context.h"
#include "jobs/permission.h"
#include "services/update_record.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_members.h"
#include "tests/support/fake_random.h"

namespace confd::test {

struct JobRun {
  base::Code code = base::Code::ok;
  std::string text;  // of a failure
  std::optional<base::Value> output;
  std::vector<std::string> warnings;
  std::vector<jobs::CommandRecord> commands;
  base::Value diff = base::Array();  // what it changed in EXAConf

  bool ok() const { return code == base::Code::ok; }
  bool says(std::string_view part) const { return text.find(part) != std::string::npos; }
  bool warns(std::string_view part) const {
    for (const std::string& warning : warnings)
      if (warning.find(part) != std::string::npos) return true;
    return false;
  }
  // One line, for comparing with what is expected.
  std::string output_json() const { return output ? base::render_json(*output) : "no output"; }
};

class JobTest {
 public:
  explicit JobTest(const std::string& config_text = small_config_text(), int own_node = 11)
      : nodes(own_node), config_(load_config(config_text)) {
    files.put("/proc/stat", "cpu  1 2 3\nbtime 1594131247\nprocesses 5\n");
    files.put("/proc/uptime", "2308.64 4216.58\n");
    files.put("/proc/meminfo",
              "MemTotal:       1000 kB\nMemFree:         400 kB\nMemAvailable:    600 kB\n"
              "SwapTotal:        10 kB\nSwapFree:          5 kB\n");
    REQUIRE(files.make_directories(root + "/logs/logd", 0700).ok());
    REQUIRE(files.make_directories(root + "/spool", 0700).ok());
    cluster::register_node_operations(nodes, {files, root, "1.2.3"});
    services::register_update_record_operations(nodes, files, root);
    services_.publish = [this](const exaconf::Transaction& edits) -> base::Result<exaconf::ConfigPtr> {
      if (publish_error) return *publish_error;
      const auto rebased = edits.rebased(config_);
      if (!rebased) return rebased.error();
      auto next = exaconf::seal(rebased->document(), config_->revision() + 1);
      if (next) config_ = *next;
      return next;
    };
    nodes.register_operation(
        "certificate.install",
        [this](const base::Struct& params, std::stop_token) -> base::Result<base::Value> {
          if (install_error) return *install_error;
          installed.push_back(params);
          return base::Value();
        });
  }

  const exaconf::Config& config() const { return *config_; }

  // `params` is JSON text; `user` is one of EXAConf, or nobody.
  JobRun run(const std::string& job, const std::string& params = "{}", const std::string& user = "root",
             bool dry_run = false) {
    const auto parsed = base::parse_json(params);
    if (!parsed) FAIL("the test's parameters are no JSON: " << params);
    return run_with(job, *parsed, user, dry_run);
  }

  JobRun run_with(const std::string& job, const base::Value& params, const std::string& user = "root",
                  bool dry_run = false) {
    JobRun result;
    const jobs::JobDescriptor* descriptor = jobs::find_job(job);
    if (descriptor == nullptr) FAIL("no job " << job);
    const auth::Identity who = auth::identify(*config_, user, "basic");
    const auto checked = jobs::check_params(*descriptor, params);
    if (!checked) return failed(std::move(result), checked.error().code, checked.error().text);
    result.warnings = checked->warnings;
    if (auto allowed = jobs::check_permission(*descriptor, who, checked->params, *config_); !allowed.ok())
      return failed(std::move(result), allowed.error().code, allowed.error().text);
    if (descriptor->locks != nullptr) last_locks = descriptor->locks(checked->params);
    jobs::JobContext context(checked->params, who, config_, services_, stop.get_token(), dry_run);
    try {
      context.check_stop();
      if (descriptor->check != nullptr) {
        descriptor->check(context);
        REQUIRE(context.commands().empty());
        REQUIRE_FALSE(context.has_transaction());
      }
      if (!dry_run || descriptor->config_only || descriptor->kind == jobs::JobKind::read)
        result.output = descriptor->execute(context);
    } catch (const jobs::JobError& error) {
      result.code = error.code;
      result.text = error.text;
    }
    for (const std::string& warning : context.warnings()) result.warnings.push_back(warning);
    result.commands = context.commands();
    if (result.ok() && context.has_transaction() && context.transaction().changed())
      publish(context.take_transaction(), dry_run, result);
    return result;
  }

  const std::string root = "/tmp";  // statvfs asks the real one
  FakeFileSystem files;
  FakeClock clock;
  FakeRandom random;
  cluster::NodeControl nodes;
  FakeMembers members;
  std::stop_source stop;
  std::vector<base::Struct> installed;  // by certificate.install
  std::optional<base::Error> install_error;
  std::vector<jobs::Lock> last_locks;
  std::optional<base::Error> publish_error;  // of edits put in force before a job ends

 private:
  static JobRun failed(JobRun result, base::Code code, const std::string& text) {
    result.code = code;
    result.text = text;
    return result;
  }

  void publish(const exaconf::Transaction& edits, bool dry_run, JobRun& result) {
    result.diff = edits.diff();
    const auto rebased = edits.rebased(config_);
    REQUIRE(rebased.ok());
    auto next = exaconf::seal(rebased->document(), config_->revision() + 1);
    if (!next) {
      result.code = next.error().code;
      result.text = next.error().text;
      return;
    }
    // What is on disk must be read back as the same revision.
    const auto again = exaconf::Config::load((*next)->text());
    if (!again) FAIL("the new revision can't be read: " << again.error().text);
    if (!dry_run) config_ = *next;
  }

  exaconf::ConfigPtr config_;
  jobs::JobServices services_{nodes, members, clock, files, random, root};

 public:
  jobs::JobServices& services() { return services_; }
};

}  // namespace confd::test
