// The part of the Scheduler that carries one job through its stages.
#include <algorithm>

#include "base/failpoint.h"
#include "scheduler/job.h"
#include "scheduler/scheduler.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using base::Value;

void Scheduler::reach(const JobPtr& job, Stage stage) {
  {
    MutexLock lock(mutex_);
    job->record.reach(stage, services_.clock.now());
  }
  if (hooks_.on_stage) hooks_.on_stage(job->record);
}

void Scheduler::run_job(const JobPtr& job) {
  reach(job, Stage::scheduled);
  if (is_journaled(*job)) {
    if (!job->waited) files_->update(snapshot(job), Folder::run);
    // On disk before anything is done: whatever happens from here on, this job is never started again.
    if (Status done = journal_->append_and_wait(job->record, durability(*job)); !done)
      return fail(job, Code::io_error,
                  "The job could not be recorded and was not started: " + done.error().text);
  }
  CONFD_FAILPOINT("scheduler.scheduled");
  execute(job);
}

void Scheduler::execute(const JobPtr& job) {
  jobs::JobContext context(job->params, job->caller, publisher_->current(), services_, job->stop.get_token(),
                           job->record.dry_run);
  context.on_progress = [&](const std::string& text, std::optional<int> percent) {
    MutexLock lock(mutex_);
    job->record.progress = text;
    job->record.percent = percent;
  };
  std::optional<Value> output;
  Code code = Code::ok;
  std::string text = "Success";
  try {
    context.check_stop();
    if (job->descriptor->check) job->descriptor->check(context);
    if (!job->record.dry_run || job->descriptor->config_only || job->record.kind == jobs::JobKind::read)
      output = job->descriptor->execute(context);
  } catch (const jobs::JobError& error) {
    code = error.code;
    text = error.text;
  } catch (const std::exception& problem) {
    code = Code::internal;
    text = std::string("This is a fault of confd, please report it: ") + problem.what();
    log_.err("job " + job->record.id.text() + " (" + job->record.job + "): " + problem.what());
  }
  const bool changes = code == Code::ok && context.has_transaction() && context.transaction().changed();
  {
    MutexLock lock(mutex_);
    job->record.commands = context.commands();
    for (const std::string& warning : context.warnings()) job->record.warnings.push_back(warning);
    job->record.output = std::move(output);
  }
  if (code != Code::ok) return fail(job, code, std::move(text));
  reach(job, Stage::executed);
  CONFD_FAILPOINT("scheduler.executed");

  if (job->record.dry_run) {
    const Value diff = changes ? context.transaction().diff() : Value(base::Array());
    {
      MutexLock lock(mutex_);
      job->record.diff = diff;
      if (job->record.kind == jobs::JobKind::modify) {
        base::Array locks;
        for (const std::string& name : job->record.locks) locks.emplace_back(name);
        job->record.output = base::Struct{{"dry_run", true}, {"locks", std::move(locks)}, {"changes", diff}};
      }
      job->record.ended = true;
    }
    reach(job, Stage::finished);
    return end(job);
  }
  if (changes) return publish(job, context.take_transaction());
  {
    MutexLock lock(mutex_);
    job->record.ended = true;
  }
  reach(job, Stage::finished);
  if (job->record.kind == jobs::JobKind::modify)
    reach(job, Stage::committed);  // nothing to publish: all nodes hold it already
  end(job);
}

// From here the publisher's thread has the job in hand; its locks stay held until end().
void Scheduler::publish(const JobPtr& job, exaconf::Transaction transaction) {
  cluster::PublishRequest request{std::move(transaction), {}, {}};
  request.before_write = [this, job](const cluster::Publication& publication) {
    {
      MutexLock lock(mutex_);
      job->record.published = PublishedAs{publication.base_revision, publication.revision,
                                          publication.written_revision, publication.written_checksum};
      job->record.diff = publication.diff;
    }
    reach(job, Stage::finished);
    journal_->append(job->record, Durability::power);
  };
  request.done = [this, job](Result<cluster::Publication> published) {
    CONFD_FAILPOINT("scheduler.published");
    if (!published) {
      {
        MutexLock lock(mutex_);
        job->record.published.reset();
        job->record.diff = Value();
      }
      return fail(job, published.error().code, "EXAConf was not changed: " + published.error().text);
    }
    {
      MutexLock lock(mutex_);
      job->record.ended = true;
    }
    reach(job, Stage::committed);
    end(job);
  };
  publisher_->publish(std::move(request));
}

void Scheduler::fail(const JobPtr& job, Code code, std::string text) {
  {
    MutexLock lock(mutex_);
    job->record.code = code;
    job->record.text = std::move(text);
    job->record.output.reset();
    job->record.ended = true;
  }
  reach(job, Stage::finished);
  end(job);
}

// The record is complete: put it where it lasts, then let locks go and tell those who wait.
void Scheduler::end(const JobPtr& job) {
  const RecordPtr record = snapshot(job);
  const bool declined =
      record->time(Stage::scheduled) == base::WallTime() && record->scheduling == "declined";
  if (is_journaled(*job) && !declined) {
    // A committed revision is on disk already, and recovery finds it there; every other result must be
    // durable before somebody hears of it.
    const bool found_on_disk = record->stage == Stage::committed && record->published.has_value();
    if (found_on_disk)
      journal_->append(*record, Durability::process);
    else if (Status done = journal_->append_and_wait(*record, durability(*job)); !done)
      log_.err("the result of job " + record->id.text() + " could not be recorded: " + done.error().text);
  } else if (!record->is_volatile && !declined) {
    if (Status done = files_->append_read(*record); !done)
      log_.err("job " + record->id.text() + " could not be recorded: " + done.error().text);
  }
  CONFD_FAILPOINT("scheduler.ended");

  std::vector<JobPtr> starting;
  std::vector<std::pair<std::uint64_t, std::function<void(Result<bool>)>>> waiters;
  std::function<void(RecordPtr)> ended;
  const bool in_files = is_journaled(*job) && !declined;
  {
    MutexLock lock(mutex_);
    live_.erase(record->id);
    recent_[record->id] = record;
    recent_order_.push_back(record->id);
    if (recent_order_.size() > options_.recent_jobs) {
      recent_.erase(recent_order_.front());
      recent_order_.pop_front();
    }
    if (in_files && !job->waited) unfetched_.insert(record->id);
    ++ended_;
    if (record->time(Stage::scheduled) != base::WallTime()) {
      --(record->kind == jobs::JobKind::read ? running_.reads : running_.modifies);
      std::erase_if(running_.held, [&](const Running::Held& held) { return held.by == record->id; });
      starting = plan_now();
    }
    waiters.swap(job->waiters);
    ended = std::move(job->ended);
  }
  idle_.notify_all();
  if (in_files) files_->update(record, job->waited ? Folder::archive : Folder::finish);
  start_planned(std::move(starting));
  for (auto& [id, done] : waiters) done(true);
  if (ended) ended(record);
}

void Scheduler::checkpoint_if_due() {
  if (ids_->wants_refill())
    if (Status done = ids_->refill(); !done)
      log_.err("job numbers could not be reserved: " + done.error().text);
  for (const std::string& problem : files_->take_problems()) log_.err("job files: " + problem);
  if (journal_->size() < options_.journal_bytes) return;
  const auto segment = journal_->start_segment();
  if (!segment)
    return log_.err("the job journal could not be continued in a new file: " + segment.error().text);
  // Jobs that live go into the new segment; those that ended before this point are in the files, which become
  // durable now.
  std::vector<RecordPtr> live;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, job] : live_)
      if (is_journaled(*job)) live.push_back(std::make_shared<const JobRecord>(job->record));
  }
  for (const RecordPtr& record : live) journal_->append(*record, Durability::process);
  Status done = journal_->sync();
  if (done) done = files_->checkpoint();
  if (done) done = journal_->retire(*segment);
  if (!done) log_.err("the job journal could not be cut: " + done.error().text);
}

}  // namespace confd::scheduler
