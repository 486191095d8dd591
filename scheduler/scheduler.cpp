#include "scheduler/scheduler.h"

#include <algorithm>

#include "base/failpoint.h"
#include "jobs/catalogue.h"
#include "jobs/permission.h"
#include "scheduler/job.h"

namespace confd::scheduler {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;
using base::Value;

Scheduler::Scheduler(SchedulerOptions options, jobs::JobServices& services, base::Log& log, Hooks hooks)
    : options_(std::move(options)), services_(services), log_(log), hooks_(std::move(hooks)) {}

Scheduler::~Scheduler() {
  drain(std::chrono::milliseconds(0));
  // What these still have in hand ends before the things it uses: workers, then the publisher, then the
  // journal, then the files.
  workers_.reset();
  publisher_.reset();
  readers_.reset();
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  time_.notify_all();
  if (time_keeper_.joinable()) time_keeper_.join();
  journal_.reset();
  files_.reset();
}

bool Scheduler::is_journaled(const Job& job) const {
  // A volatile job leaves no record; a read job of job_exec is recorded once, when it has ended.
  if (job.record.is_volatile) return false;
  return durability(job) == Durability::power || !job.waited;
}

Durability Scheduler::durability(const Job& job) const {
  return job.record.kind == jobs::JobKind::modify && !job.record.dry_run ? Durability::power
                                                                         : Durability::process;
}

void Scheduler::submit(Submission submission, std::function<void(Result<JobId>)> accepted,
                       std::function<void(RecordPtr)> ended) {
  const jobs::JobDescriptor* descriptor = jobs::find_job(submission.job);
  if (!descriptor) return accepted(Error{Code::unknown_job, "Job does not exist: '" + submission.job + "'"});
  const auto number = ids_->take();
  if (!number) return accepted(number.error());

  auto job = std::make_shared<Job>();
  job->descriptor = descriptor;
  job->caller = std::move(submission.caller);
  job->waited = ended != nullptr;
  job->ended = std::move(ended);
  JobRecord& record = job->record;
  record.id = {services_.nodes.own_node(), *number};
  record.job = submission.job;
  record.kind = descriptor->kind;
  record.user = job->caller.user;
  record.login = job->caller.method;
  record.dry_run = submission.dry_run;
  record.is_volatile = submission.is_volatile && descriptor->kind == jobs::JobKind::read;
  record.request = std::move(submission.request);
  record.reach(Stage::submitted, services_.clock.now());

  static const base::Struct kNone;
  const base::Struct& given = submission.params.is_struct() ? submission.params.as_struct() : kNone;
  record.params = jobs::mask_secrets(descriptor, given);
  if (submission.is_volatile && descriptor->kind != jobs::JobKind::read)
    return decline(job, Code::bad_parameter,
                   "volatile is for read jobs only, and " + record.job + " changes something: leave it out",
                   std::move(accepted));
  if (Status allowed = jobs::check_permission(*descriptor, job->caller, given); !allowed)
    return decline(job, allowed.error().code, allowed.error().text, std::move(accepted));
  auto checked = jobs::check_params(*descriptor, submission.params);
  if (!checked) return decline(job, checked.error().code, checked.error().text, std::move(accepted));
  job->params = std::move(checked->params);
  record.warnings = std::move(checked->warnings);
  record.params_masked = !(record.params == given);
  if (descriptor->locks && descriptor->kind == jobs::JobKind::modify && !record.dry_run) {
    job->locks = descriptor->locks(job->params);
    std::sort(job->locks.begin(), job->locks.end());
  }
  if (descriptor->locks)
    for (const jobs::Lock& lock :
         descriptor->kind == jobs::JobKind::modify ? descriptor->locks(job->params) : job->locks)
      record.locks.push_back(lock_text(lock));

  std::string refused;
  {
    MutexLock lock(mutex_);
    std::size_t& mine = queued_by_user_[record.user];
    if (draining_) {
      refused = "confd is stopping and takes no more jobs; try again when it is back";
    } else if (queue_.size() >= options_.queued_jobs) {
      refused = std::to_string(queue_.size()) + " jobs are queued, which is the limit; try again later";
    } else if (mine >= options_.queued_jobs_per_user) {
      refused = "User " + record.user + " has " + std::to_string(mine) +
                " jobs in the queue, which is the limit; try again later";
    } else {
      ++mine;
      live_[record.id] = job;
    }
    if (!refused.empty() && mine == 0) queued_by_user_.erase(record.user);
  }
  if (!refused.empty()) return decline(job, Code::busy, refused, std::move(accepted));
  if (hooks_.on_stage) hooks_.on_stage(record);

  if (!is_journaled(*job)) {
    accepted(record.id);
    return enqueue(std::move(job));
  }
  if (!job->waited) files_->update(std::make_shared<const JobRecord>(record), Folder::queue);
  journal_->append(record, durability(*job), [this, job, accepted = std::move(accepted)](Status written) {
    CONFD_FAILPOINT("scheduler.submitted");
    if (!written) {
      {
        MutexLock lock(mutex_);
        live_.erase(job->record.id);
        if (--queued_by_user_[job->record.user] == 0) queued_by_user_.erase(job->record.user);
      }
      log_.err("job " + job->record.id.text() +
               " could not be recorded and was refused: " + written.error().text);
      return accepted(Error{Code::io_error,
                            "The job could not be recorded and was not started: " + written.error().text});
    }
    accepted(job->record.id);
    enqueue(job);
  });
}

void Scheduler::decline(const JobPtr& job, Code code, std::string text,
                        std::function<void(Result<JobId>)> accepted) {
  {
    MutexLock lock(mutex_);
    live_[job->record.id] = job;
  }
  workers_->post([this, job, code, text = std::move(text), accepted = std::move(accepted)] {
    {
      MutexLock lock(mutex_);
      job->record.scheduling = "declined";
      job->record.code = code;
      job->record.text = text;
      job->record.ended = true;
      job->record.reach(Stage::finished, services_.clock.now());
    }
    if (!job->record.is_volatile)
      if (Status done = files_->append_read(job->record); !done)
        log_.err("job " + job->record.id.text() + " could not be recorded: " + done.error().text);
    accepted(job->record.id);
    end(job);
  });
}

void Scheduler::enqueue(JobPtr job) {
  std::vector<JobPtr> starting;
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(job));
    starting = plan_now();
  }
  start_planned(std::move(starting));
}

std::vector<Scheduler::JobPtr> Scheduler::plan_now() {
  std::vector<JobPtr> starting;
  if (queue_.empty() || draining_) return starting;
  std::vector<QueuedJob> view;
  view.reserve(queue_.size());
  for (const JobPtr& job : queue_) view.push_back({job->record.id, job->record.kind, job->locks});
  const Plan decided = plan(view, running_, options_.limits);
  for (const Plan::Waiting& waiting : decided.waiting)
    if (queue_[waiting.index]->record.scheduling.empty())
      queue_[waiting.index]->record.scheduling = waiting.reason;
  if (decided.start.empty()) return starting;
  for (const std::size_t index : decided.start) {
    JobPtr& job = queue_[index];
    if (job->record.scheduling.empty()) job->record.scheduling = "started at once";
    ++(job->record.kind == jobs::JobKind::read ? running_.reads : running_.modifies);
    for (const jobs::Lock& lock : job->locks) running_.held.push_back({job->record.id, lock});
    if (const auto mine = queued_by_user_.find(job->record.user);
        mine != queued_by_user_.end() && --mine->second == 0)
      queued_by_user_.erase(mine);
    starting.push_back(std::move(job));
  }
  std::erase(queue_, nullptr);
  return starting;
}

void Scheduler::start_planned(std::vector<JobPtr> starting) {
  for (JobPtr& job : starting) workers_->post([this, job = std::move(job)] { run_job(job); });
}

RecordPtr Scheduler::snapshot(const JobPtr& job) {
  MutexLock lock(mutex_);
  return std::make_shared<const JobRecord>(job->record);
}

void Scheduler::wait(JobId id, std::chrono::milliseconds timeout, std::function<void(Result<bool>)> done) {
  {
    MutexLock lock(mutex_);
    if (recent_.contains(id)) {
      lock.unlock();
      return done(true);
    }
    if (const auto it = live_.find(id); it != live_.end()) {
      const JobPtr& job = it->second;
      if (const Value* own = job->params.find("timeout"); own && own->is_int() && own->as_int() > 0)
        timeout = std::chrono::seconds(own->as_int());
      const std::uint64_t waiter = next_waiter_++;
      job->waiters.emplace_back(waiter, std::move(done));
      deadlines_.emplace(services_.clock.steady_now() + timeout, Deadline{job, waiter});
      lock.unlock();
      time_.notify_one();
      return;
    }
  }
  // Not in memory: it has ended long ago, or there is none.
  readers_->post([this, id, done = std::move(done)] {
    auto record = files_->find(id);
    if (record)
      done(true);
    else
      done(record.error());
  });
}

void Scheduler::find(JobId id, bool fetched, std::function<void(Result<RecordPtr>)> done) {
  RecordPtr record;
  bool archive = false;
  {
    MutexLock lock(mutex_);
    if (const auto it = recent_.find(id); it != recent_.end())
      record = it->second;
    else if (const auto live = live_.find(id); live != live_.end())
      record = std::make_shared<const JobRecord>(live->second->record);
    if (fetched && record && record->ended) archive = unfetched_.erase(id) > 0;
  }
  if (record) {
    if (archive) files_->update(record, Folder::archive);
    return done(std::move(record));
  }
  readers_->post([this, id, fetched, done = std::move(done)] {
    auto found = files_->find(id);
    if (found && fetched) {
      bool unfetched = false;
      {
        MutexLock lock(mutex_);
        unfetched = unfetched_.erase(id) > 0;
      }
      if (unfetched) files_->update(*found, Folder::archive);
    }
    done(std::move(found));
  });
}

void Scheduler::history(HistoryFilter filter, std::function<void(std::vector<RecordPtr>)> done) {
  readers_->post([this, filter = std::move(filter), done = std::move(done)] {
    std::vector<RecordPtr> records;
    std::set<JobId> known;
    {
      MutexLock lock(mutex_);
      for (const auto& [id, record] : recent_) {
        known.insert(id);
        if (filter.matches(*record)) records.push_back(record);
      }
      for (const auto& [id, job] : live_) {
        known.insert(id);
        if (filter.matches(job->record)) records.push_back(std::make_shared<const JobRecord>(job->record));
      }
    }
    for (RecordPtr& record : files_->history(filter, [&](JobId id) { return known.contains(id); }))
      records.push_back(std::move(record));
    std::sort(records.begin(), records.end(),
              [](const RecordPtr& a, const RecordPtr& b) { return a->id > b->id; });
    if (records.size() > filter.limit) records.resize(filter.limit);
    done(std::move(records));
  });
}

Status Scheduler::stop_job(JobId id, const std::string& by) {
  JobPtr queued;
  {
    MutexLock lock(mutex_);
    const auto it = live_.find(id);
    if (it == live_.end()) {
      if (recent_.contains(id) || files_->has_file(id))
        return Error{Code::wrong_state, "Job " + id.text() + " has ended already"};
      return Error{Code::unknown_job_id, "There is no job " + id.text() + " that could be stopped"};
    }
    const JobPtr& job = it->second;
    job->stop_requested = true;
    job->record.warnings.push_back("stop asked for by " + by);
    const auto at = std::find(queue_.begin(), queue_.end(), job);
    if (at != queue_.end()) {
      queued = *at;
      queue_.erase(at);
      if (--queued_by_user_[queued->record.user] == 0) queued_by_user_.erase(queued->record.user);
    } else {
      job->stop.request_stop();
    }
  }
  if (queued)
    workers_->post([this, queued] {
      fail(queued, Code::stopped, "The job was stopped before it had started; nothing was changed");
    });
  return {};
}

void Scheduler::drain(std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  MutexLock lock(mutex_);
  draining_ = true;
  const auto runs = [this]() REQUIRES_LOCK(mutex_) { return running_.reads + running_.modifies > 0; };
  while (runs() && std::chrono::steady_clock::now() < until) idle_.wait_until(mutex_, until);
  if (!runs()) return;
  for (const auto& [id, job] : live_) job->stop.request_stop();
  const auto grace = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (runs() && std::chrono::steady_clock::now() < grace) idle_.wait_until(mutex_, grace);
}

Scheduler::Counters Scheduler::counters() const {
  MutexLock lock(mutex_);
  return {queue_.size(), running_.reads + running_.modifies, ended_};
}

void Scheduler::keep_time() {
  MutexLock lock(mutex_);
  auto next_care = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (!stopping_) {
    std::vector<std::function<void(Result<bool>)>> late;
    const auto now = services_.clock.steady_now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      const Deadline deadline = deadlines_.begin()->second;
      deadlines_.erase(deadlines_.begin());
      const JobPtr job = deadline.job.lock();
      if (!job) continue;
      auto& waiters = job->waiters;
      const auto it = std::find_if(waiters.begin(), waiters.end(),
                                   [&](const auto& w) { return w.first == deadline.waiter; });
      if (it == waiters.end()) continue;
      late.push_back(std::move(it->second));
      waiters.erase(it);
    }
    if (!late.empty()) {
      lock.unlock();
      for (auto& done : late) done(false);
      lock.lock();
      continue;
    }
    if (std::chrono::steady_clock::now() >= next_care) {
      lock.unlock();
      checkpoint_if_due();
      lock.lock();
      next_care = std::chrono::steady_clock::now() + std::chrono::seconds(1);
      continue;
    }
    auto until = next_care;
    if (!deadlines_.empty()) until = std::min(until, deadlines_.begin()->first);
    time_.wait_until(mutex_, until);
  }
}

}  // namespace confd::scheduler
