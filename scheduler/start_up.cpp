// The part of the Scheduler that starts it: takes stock of what a former process left
// (docs/stages-and-recovery.md).
#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "auth/identity.h"
#include "exaconf/config.h"
#include "jobs/catalogue.h"
#include "jobs/permission.h"
#include "scheduler/job.h"
#include "scheduler/recovery.h"
#include "scheduler/scheduler.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

namespace {

// EXAConf and its history, as far as they can be read.
std::vector<RevisionOnDisk> revisions_on_disk(base::FileSystem& files, const std::string& path) {
  std::vector<RevisionOnDisk> found;
  std::vector<std::string> paths{path};
  for (int i = 0; i < exaconf::Store::kHistory; ++i) paths.push_back(path + "." + std::to_string(i));
  for (const std::string& candidate : paths) {
    const auto text = files.read(candidate);
    if (!text) continue;
    const auto document = exaconf::Document::parse(*text);
    if (!document) continue;
    const exaconf::Section* global = document->root.section("Global");
    if (!global) continue;
    const std::string revision = global->value_or("Revision", "0");
    found.push_back({std::strtoll(revision.c_str(), nullptr, 10), global->value_or("Checksum", "")});
  }
  return found;
}

}  // namespace

Result<std::unique_ptr<Scheduler>> Scheduler::open(SchedulerOptions options, std::string directory,
                                                   exaconf::Store& store, const std::string& exaconf_path,
                                                   jobs::JobServices& services, base::Log& log, Hooks hooks) {
  std::unique_ptr<Scheduler> s(new Scheduler(std::move(options), store, services, log, std::move(hooks)));
  if (Status done = services.files.make_directories(directory, 0700); !done) return done.error();
  auto recovered = Journal::recover(services.files, directory);
  if (!recovered) return recovered.error();

  std::uint64_t highest = 0;
  std::int64_t first_free = store.current()->revision() + 1;
  for (const JobRecord& record : recovered->records) {
    highest = std::max(highest, record.id.number);
    if (record.published) first_free = std::max(first_free, record.published->written_revision + 1);
  }
  // next.id is durable before a number is given, so it is above all of them, unless somebody deleted it.
  const std::string counter = base::join_path(directory, "next.id");
  auto files = JobFiles::open(services.files, directory, s->options_.retention, services.clock, highest + 1);
  if (!files) return files.error();
  s->files_ = std::move(*files);
  auto ids = IdCounter::open(services.files, counter, std::max(highest, s->files_->highest_number()) + 1);
  if (!ids) return ids.error();
  s->ids_ = std::move(*ids);

  auto journal = Journal::open(services.files, directory, recovered->next_segment);
  if (!journal) return journal.error();
  s->journal_ = std::move(*journal);
  if (recovered->torn_lines > 0)
    log.warn("the job journal had " + std::to_string(recovered->torn_lines) +
             " line(s) that were cut off in the middle by a crash; nobody had been told of them");

  if (s->hooks_.board)
    s->notes_ = std::make_unique<JobNotes>(*s->hooks_.board, services.nodes.own_node(), services.clock, log,
                                           [raw = s.get()](JobId id) {
                                             MutexLock lock(raw->mutex_);
                                             return raw->live_.contains(id);
                                           });
  cluster::Publisher::Hooks publishing;
  publishing.sync_records = [raw = s.get()] { return raw->sync_publications(); };
  publishing.on_edit = [&log](const exaconf::Store::Edit& edit) {
    if (edit.taken)
      log.notice(edit.text);
    else
      log.err(edit.text);
  };
  publishing.on_revision = s->hooks_.on_revision;
  publishing.look_every = s->options_.look_every;
  if (s->hooks_.agree)
    publishing.agree = [raw = s.get()](const exaconf::Config& base, const exaconf::Config& next) {
      raw->publishing_bytes_ = 0;
      return raw->hooks_.agree(base, next, std::exchange(raw->publishing_ends_, {}));
    };
  if (s->hooks_.propose)
    publishing.propose = [raw = s.get()](const exaconf::Config& base,
                                         exaconf::ConfigPtr next) -> Result<exaconf::ConfigPtr> {
      if (auto there = raw->hooks_.propose(base, *next)) return std::move(*there);
      if (const Status agreed = raw->hooks_.agree(base, *next, {}); !agreed) return agreed.error();
      return next;
    };
  publishing.when_held = s->hooks_.when_held;
  publishing.on_problem = [&log](const Error& problem) { log.err(problem.text); };
  s->publisher_ = std::make_unique<cluster::Publisher>(store, first_free, std::move(publishing));
  services.publish = [raw = s.get()](exaconf::Transaction edits) {
    return raw->publish_early(std::move(edits));
  };
  s->askers_ = std::make_unique<WorkerPool>(4);
  s->readers_ = std::make_unique<WorkerPool>(2);
  s->historians_ = std::make_unique<WorkerPool>(1);
  // One more than may run: declined jobs are recorded there too, and must not wait for long ones.
  s->workers_ = std::make_unique<WorkerPool>(s->options_.limits.modifies + 1);
  s->read_workers_ = std::make_unique<WorkerPool>(s->options_.limits.reads, usable_processors());
  const std::uint64_t old_segments_below = recovered->next_segment;
  if (Status done = s->recover_jobs(std::move(*recovered), exaconf_path); !done) return done.error();
  if (old_segments_below > 1) {
    // All of the former process's jobs are decided and in files or in the new segment: its journal can go.
    Status done = s->files_->checkpoint();
    if (done) done = s->journal_->retire(old_segments_below);
    if (!done) return done.error();
  }
  s->time_keeper_ = std::thread([raw = s.get()] { raw->keep_time(); });
  s->housekeeper_ = std::thread([raw = s.get()] { raw->keep_house(); });
  std::vector<JobPtr> starting;
  {
    MutexLock lock(s->mutex_);
    starting = s->plan_now();
  }
  s->start_planned(std::move(starting));
  return s;
}

Status Scheduler::recover_jobs(Journal::Recovered recovered, const std::string& exaconf_path) {
  // A killed confd may have renamed EXAConf and not synced the folder: what is called committed here must
  // not go with the next power cut.
  if (Status done = services_.files.sync_directory(base::parent_directory(exaconf_path)); !done) return done;
  const std::vector<RevisionOnDisk> on_disk = revisions_on_disk(services_.files, exaconf_path);
  std::set<JobId> journaled;
  for (const JobRecord& record : recovered.records) journaled.insert(record.id);
  // A file in queue/ or run/ whose job the journal does not know: a read job's line was lost in a power cut,
  // or somebody removed the journal. It can't be started again either.
  for (const JobId& id : files_->left_over()) {
    if (journaled.contains(id)) continue;
    auto record = files_->find(id);
    if (!record) {
      log_.warn("the file of job " + id.text() +
                " was cut off by a crash and is removed: " + record.error().text);
      files_->forget(id);
      continue;
    }
    JobRecord copy = **record;
    if (copy.stage == Stage::submitted) copy.reach(Stage::scheduled, services_.clock.now());
    recovered.records.push_back(std::move(copy));
  }
  std::atomic<bool> lost = false;
  const auto record_it = [&](const JobRecord& record) {
    journal_->append(record, Durability::power, [&lost](Status written) {
      if (!written) lost = true;
    });
  };
  for (JobRecord& record : recovered.records) {
    // It was told a failure, and yet the disk took the revision: neither the sync of the folder nor the way
    // back had worked. The record says what is so.
    if (const auto doubtful = recovered.doubtful.find(record.id);
        doubtful != recovered.doubtful.end() && is_on_disk(on_disk, doubtful->second)) {
      record.published = doubtful->second;
      record.code = Code::ok;
      record.warnings.push_back("this job was told to have failed (" + record.text +
                                "), but its revision is on disk");
      record.text = "Success";
      record.reach(Stage::committed, services_.clock.now());
      record_it(record);
    }
    if (record.ended) {
      // What its file holds was not synced: after a power cut it may be empty or old.
      files_->update(std::make_shared<const JobRecord>(record),
                     files_->is_archived(record.id) ? Folder::archive : Folder::finish);
      continue;
    }
    const bool is_noted = notes_ && record.kind == jobs::JobKind::modify && !record.dry_run;
    if (is_noted)
      if (auto elsewhere = notes_->find_end(record.id)) {
        // The next master ended it while this node was away.
        record_it(*elsewhere);
        files_->update(std::make_shared<const JobRecord>(std::move(*elsewhere)), Folder::finish);
        continue;
      }
    Recovery decided = scheduler::recover(record, on_disk, hooks_.was_published);
    // Its client has gone to the next master long since, and may have done the same there.
    if (hooks_.agree && decided.verdict == Verdict::start_again)
      decided = {Verdict::interrupted,
                 "confd ended on this node before the job was started; nothing was changed, submit it again"};
    if (decided.verdict == Verdict::start_again) {
      if (JobPtr job = revive(record)) {
        record_it(record);
        files_->update(std::make_shared<const JobRecord>(job->record), Folder::queue);
        MutexLock lock(mutex_);
        ++queued_;
        ++queued_by_user_[record.user];
        live_[record.id] = job;
        queue(job);
        continue;
      }
      record.code = Code::interrupted;
      record.text =
          "confd was restarted before this job was started, and it may not be run any more: its job, its "
          "user or its permission is gone";
      record.reach(Stage::finished, services_.clock.now());
    } else if (decided.verdict == Verdict::committed) {
      record.reach(Stage::committed, services_.clock.now());
      record.warnings.push_back("confd was restarted between the last work of this job and its end");
    } else {
      record.code = decided.verdict == Verdict::unknown ? Code::unknown_outcome : Code::interrupted;
      record.text = decided.text;
      record.output.reset();
      record.published.reset();
      record.diff = base::Value();
      record.times[static_cast<std::size_t>(Stage::committed)] = {};
      record.reach(Stage::finished, services_.clock.now());
    }
    record.ended = true;
    log_.notice("job " + record.id.text() + " (" + record.job + ") had not ended when confd did: " +
                (record.code == Code::ok ? std::string("its work was done") : record.text));
    record_it(record);
    files_->update(std::make_shared<const JobRecord>(record), Folder::finish);
    if (is_noted) notes_->end(record, false, [](std::optional<JobRecord>) {});
  }
  const Status done = journal_->sync();
  if (!done) return done;
  if (lost) return Error{Code::io_error, "the jobs of the former confd could not be written to the journal"};
  return {};
}

Scheduler::JobPtr Scheduler::revive(const JobRecord& record) {
  const jobs::JobDescriptor* descriptor = jobs::find_job(record.job);
  if (!descriptor) return nullptr;
  const exaconf::ConfigPtr config = store_.current();
  if (!config->user(record.user) && record.user != "root") return nullptr;
  auto job = std::make_shared<Job>();
  job->descriptor = descriptor;
  job->caller = std::make_shared<const auth::Identity>(auth::identify(*config, record.user, record.login));
  if (!jobs::check_permission(*descriptor, *job->caller, record.params, *config)) return nullptr;
  auto checked = jobs::check_params(*descriptor, record.params);
  if (!checked) return nullptr;
  job->params = std::move(checked->params);
  job->record = record;
  if (!name_locks(*job)) return nullptr;
  job->record.scheduling = "started again after a restart of confd";
  return job;
}

}  // namespace confd::scheduler
