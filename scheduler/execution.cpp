// The part of the Scheduler that carries one job through its stages.
#include <algorithm>
#include <utility>

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

// The last stage, and one that names a revision, are told when they are on record.
void Scheduler::reach(const JobPtr& job, Stage stage, bool is_last) {
  {
    MutexLock lock(mutex_);
    job->record.reach(stage, services_.clock.now());
    if (is_last) settle(*job);
  }
  if (hooks_.on_stage && !is_last && !job->record.published) hooks_.on_stage(job->record);
}

void Scheduler::run_job(const JobPtr& job) {
  reach(job, Stage::scheduled);
  if (is_journaled(*job)) {
    if (!job->waited) files_->update(std::make_shared<const JobRecord>(job->record), Folder::run);
    // On disk before anything is done: whatever happens from here on, this job is never started again.
    if (Status done = journal_->append_and_wait(job->record, durability(*job)); !done)
      return fail(job, Code::io_error,
                  "The job could not be recorded and was not started: " + done.error().text);
    MutexLock lock(mutex_);
    job->recorded = Stage::scheduled;
  }
  CONFD_FAILPOINT("scheduler.scheduled");
  if (notes_ && durability(*job) == Durability::power) notes_->post_later(job->record);
  execute(job);
}

// A job that waited while this node handed mastership over is carried out by the new master: nobody's request
// fails because of that. True: it has ended.
bool Scheduler::run_elsewhere(const JobPtr& job) {
  if (!hooks_.run_elsewhere || durability(*job) != Durability::power) return false;
  auto there = hooks_.run_elsewhere(job->record, job->params, job->stop.get_token());
  if (!there) return false;
  if (!*there) {
    fail(job, there->error().code, there->error().text);
    return true;
  }
  const JobRecord& other = **there;
  {
    MutexLock lock(mutex_);
    job->record.commands = other.commands;
    job->record.output = other.output;
    job->record.published = other.published;
    job->record.diff = other.diff;
    job->record.code = other.code;
    job->record.text = other.text;
    job->record.warnings = other.warnings;
    job->record.warnings.push_back("carried out as job " + other.id.text() + ", because node " +
                                   std::to_string(other.id.node) + " had become master");
  }
  const bool commits = other.stage == Stage::committed;
  reach(job, Stage::finished, !commits);
  if (commits) reach(job, Stage::committed, true);
  end(job);
  return true;
}

void Scheduler::execute(const JobPtr& job) {
  if (run_elsewhere(job)) return;
  jobs::JobContext context(job->params, *job->caller, store_.current(), services_, job->stop.get_token(),
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
  if (code == Code::ok && job->record.dry_run && changes) {
    // Published it would be checked as a whole: a dry run that says less than that is worth nothing.
    const exaconf::Transaction& edits = context.transaction();
    if (auto sealed = exaconf::seal(edits.document(), edits.base()->revision() + 1); !sealed) {
      code = sealed.error().code;
      text = "EXAConf would not be changed: " + sealed.error().text;
    }
  }
  if (code != Code::ok) return fail(job, code, std::move(text));
  reach(job, Stage::executed);
  CONFD_FAILPOINT("scheduler.executed");

  if (changes && !job->record.dry_run) return publish(job, context.take_transaction());
  {
    MutexLock lock(mutex_);
    if (job->record.dry_run && job->record.kind == jobs::JobKind::modify) {
      job->record.diff = changes ? context.transaction().diff() : Value(base::Array());
      base::Array locks;
      for (const std::string& name : job->record.locks) locks.emplace_back(name);
      job->record.output =
          base::Struct{{"dry_run", true}, {"locks", std::move(locks)}, {"changes", job->record.diff}};
    }
  }
  const bool commits = job->record.kind == jobs::JobKind::modify && !job->record.dry_run;
  reach(job, Stage::finished, !commits);
  if (commits) reach(job, Stage::committed, true);  // nothing to publish: all nodes hold it already
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
    if (notes_) note_publication(job);
    journal_->append(job->record, Durability::power, [this, job](Status written) {
      {
        MutexLock lock(mutex_);
        if (written)
          job->recorded = Stage::finished;
        else
          lost_publication_ = written.error();
      }
      if (written && hooks_.on_stage) hooks_.on_stage(job->record);
    });
  };
  request.done = [this, job](Result<cluster::Publication> published) {
    CONFD_FAILPOINT("scheduler.published");
    if (!published) job->end_put = false;
    if (!published && published.error().code == Code::unknown_outcome)
      return fail(job, Code::unknown_outcome, published.error().text);
    if (!published) {
      {
        MutexLock lock(mutex_);
        job->record.published.reset();
        job->record.diff = Value();
        job->record.times[static_cast<std::size_t>(Stage::committed)] = {};
      }
      return fail(job, published.error().code, "EXAConf was not changed: " + published.error().text);
    }
    if (!published->behind.empty()) {
      MutexLock lock(mutex_);
      for (const int node : published->behind)
        job->record.warnings.push_back("node " + std::to_string(node) +
                                       " did not hold this revision in time; it catches up by itself");
    }
    reach(job, Stage::committed, true);
    end(job);
  };
  publisher_->publish(std::move(request));
}

// Edits of a job that goes on. Its record at `scheduled` is durable, and what recovery says of such a job
// (descriptor: publishes_early) does not claim that EXAConf is as it was.
Result<exaconf::ConfigPtr> Scheduler::publish_early(exaconf::Transaction transaction) {
  struct Outcome {
    base::Mutex mutex;
    base::CondVar came;
    std::optional<Result<cluster::Publication>> publication;
  };
  const auto outcome = std::make_shared<Outcome>();
  cluster::PublishRequest request{std::move(transaction), [](const cluster::Publication&) {}, {}};
  request.done = [outcome](Result<cluster::Publication> published) {
    MutexLock lock(outcome->mutex);
    outcome->publication = std::move(published);
    outcome->came.notify_all();
  };
  publisher_->publish(std::move(request));
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(10);
  MutexLock lock(outcome->mutex);
  while (!outcome->publication)
    if (outcome->came.wait_until(outcome->mutex, until) == std::cv_status::timeout && !outcome->publication)
      return Error{Code::unknown_outcome,
                   "it was not told within 10 minutes whether EXAConf was changed; see settings_list"};
  if (!outcome->publication->ok())
    return Error{outcome->publication->error().code,
                 "EXAConf was not changed: " + outcome->publication->error().text};
  exaconf::ConfigPtr config = store_.current();
  if (config->revision() < (*outcome->publication)->revision)
    return Error{Code::io_error, "revision " + std::to_string((*outcome->publication)->revision) +
                                     " of EXAConf is in force, but this node could not write it yet"};
  return config;
}

// The end that the other nodes get to see, in the transaction that makes it true. The time of the commit is
// told beforehand: whoever tells it later, this node or the next master, tells the same.
void Scheduler::note_publication(const JobPtr& job) {
  // Below what etcd takes in one transaction; the others follow by themselves.
  constexpr std::size_t kMost = 50, kBytes = 256u << 10;
  JobRecord end = job->record;
  end.reach(Stage::committed, services_.clock.now());
  end.ended = true;
  {
    MutexLock lock(mutex_);
    job->record.times[static_cast<std::size_t>(Stage::committed)] = end.time(Stage::committed);
  }
  if (publishing_ends_.size() >= kMost || publishing_bytes_ >= kBytes) return;
  cluster::JobNote note{end.id.text(), {}, end.time(Stage::committed)};
  append_record_json(note.text, end);
  publishing_bytes_ += note.text.size();
  publishing_ends_.push_back(std::move(note));
  job->end_put = true;
}

// Nothing may be published whose record is not durable: recovery would call it "not changed".
Status Scheduler::sync_publications() {
  Status done = journal_->sync();  // the appends before it have been answered when it returns
  MutexLock lock(mutex_);
  const std::optional<Error> lost = std::exchange(lost_publication_, std::nullopt);
  if (done && lost) return *lost;
  return done;
}

// The record's last words, before it gets its result.
void Scheduler::settle(Job& job) {
  for (const std::string& by : job.stop_asked_by) job.record.warnings.push_back("stop asked for by " + by);
  job.stop_asked_by.clear();
  job.record.ended = true;
}

void Scheduler::fail(const JobPtr& job, Code code, std::string text) {
  {
    MutexLock lock(mutex_);
    job->record.code = code;
    job->record.text = std::move(text);
    job->record.output.reset();
  }
  reach(job, Stage::finished, true);
  end(job);
}

// Puts the record where it lasts, before anybody hears of the result. Error: it is not there (yet).
Status Scheduler::record_end(const JobPtr& job) {
  const JobRecord& record = job->record;
  const RecordPtr shared(job, &job->record);
  Status recorded;
  if (!job->declined && is_journaled(*job)) {
    if (recorded = journal_->append_and_wait(record, durability(*job)); !recorded) {
      log_.err("the end of job " + record.id.text() + " could not be recorded yet: " + recorded.error().text);
      MutexLock lock(mutex_);
      job->record.warnings.push_back("this result could not be written to the job journal at once (" +
                                     recorded.error().text +
                                     "); if confd ends before it is, the job counts as interrupted");
      lock.unlock();
      record_later(shared);
    }
    // Before the job leaves the memory: a checkpoint that does not find it there finds it here.
    files_->update(shared, job->waited ? Folder::archive : Folder::finish);
  } else if (!record.is_volatile) {
    if (recorded = files_->append_read(record); !recorded)
      log_.err("job " + record.id.text() + " could not be recorded: " + recorded.error().text);
  }
  CONFD_FAILPOINT("scheduler.ended");
  return recorded;
}

// Lets its locks go and tells those who wait. REQUIRES: record_end(); nobody writes the record any more.
void Scheduler::release(const JobPtr& job, bool is_on_file) {
  const RecordPtr record(job, &job->record);
  if (hooks_.on_stage) hooks_.on_stage(*record);
  std::vector<JobPtr> starting;
  std::vector<Job::Waiter> waiters;
  std::function<void(RecordPtr)> ended;
  {
    MutexLock lock(mutex_);
    live_.erase(record->id);
    // A read job whose caller gets the result in this moment is hardly ever asked for again; then its file
    // does, unless the file lacks what is secret in the result.
    if (is_journaled(*job) || !is_on_file || (job->descriptor && job->descriptor->secret_result))
      keep(record);
    ++ended_;
    ++telling_;
    waiters.swap(job->waiters);
    for (const Job::Waiter& waiter : waiters) deadlines_.erase(waiter.deadline);
    ended = std::move(job->ended);
    job->params = {};  // secrets in the clear
    if (job->running) {
      job->running = false;
      --(record->kind == jobs::JobKind::read ? running_.reads : running_.modifies);
      if (!job->locks.empty())
        std::erase_if(running_.held, [&](const Running::Held& held) { return held.by == record->id; });
      starting = plan_now();
    }
  }
  for (Job::Waiter& waiter : waiters) waiter.done(true);
  if (ended) ended(record);
  {
    MutexLock lock(mutex_);
    --telling_;
    if (draining_) idle_.notify_all();
  }
  start_planned(std::move(starting));
}

void Scheduler::keep(const RecordPtr& record) {
  recent_.emplace(record->id, record);
  recent_order_.push_back(record->id);
  if (recent_order_.size() <= options_.recent_jobs) return;
  recent_.erase(recent_order_.front());
  recent_order_.pop_front();
}

void Scheduler::end(const JobPtr& job) {
  const bool is_revision = job->record.stage == Stage::committed && job->record.published;
  if (notes_ && !job->declined && durability(*job) == Durability::power) {
    if (is_revision && job->end_put) {
      notes_->forget(job->record.id);
    } else {
      // With another node that ended it meanwhile there is one truth: what the board says.
      const bool must_know = job->record.code == Code::unknown_outcome;
      return notes_->end(job->record, must_know, [this, job](std::optional<JobRecord> other) {
        if (other) {
          MutexLock lock(mutex_);
          other->warnings.insert(other->warnings.end(), job->record.warnings.begin(),
                                 job->record.warnings.end());
          job->record = std::move(*other);
        }
        end_recorded(job);
      });
    }
  }
  end_recorded(job);
}

void Scheduler::end_recorded(const JobPtr& job) {
  if (job->record.stage == Stage::committed && job->record.published) return end_committed(job);
  const Status recorded = record_end(job);  // the record and the log say when it failed
  release(job, recorded.ok() && !job->record.is_volatile);
}

// Its revision is on disk already and recovery finds it there, so the line needs no sync and the publisher
// does not wait for it. But nobody hears of the end before the line is written: recovery would give another
// time.
void Scheduler::end_committed(const JobPtr& job) {
  journal_->append(job->record, Durability::process, [this, job](Status written) {
    const RecordPtr shared(job, &job->record);
    if (!written) record_later(shared);
    // Before the job leaves the memory: a checkpoint that does not find it there finds it here.
    files_->update(shared, job->waited ? Folder::archive : Folder::finish);
    CONFD_FAILPOINT("scheduler.ended");
    release(job, true);
  });
}

}  // namespace confd::scheduler
