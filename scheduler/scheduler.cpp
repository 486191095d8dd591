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

Scheduler::Scheduler(SchedulerOptions options, exaconf::Store& store, jobs::JobServices& services,
                     base::Log& log, Hooks hooks)
    : options_(std::move(options)), store_(store), services_(services), log_(log), hooks_(std::move(hooks)) {}

Scheduler::~Scheduler() {
  drain(std::chrono::milliseconds(0));
  // What these still have in hand ends before the things it uses: workers, then the publisher, then the
  // journal, then the files.
  read_workers_.reset();
  workers_.reset();
  publisher_.reset();
  readers_.reset();
  historians_.reset();
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  time_.notify_all();
  house_.notify_all();
  if (time_keeper_.joinable()) time_keeper_.join();
  askers_.reset();
  if (housekeeper_.joinable()) {
    housekeeper_.join();
    // So that the next start has nothing to recover but what is queued.
    record_now();
    if (Status done = checkpoint(); !done)
      log_.err("the job journal could not be closed: " + done.error().text);
  }
  if (ids_) ids_->close();
  notes_.reset();
  journal_.reset();
  files_.reset();
}

// Error: the job's own function that names its locks can't make sense of the parameters.
Status Scheduler::name_locks(Job& job) {
  if (!job.descriptor->locks || job.record.kind != jobs::JobKind::modify) return {};
  try {
    job.locks = job.descriptor->locks(job.params);
  } catch (const jobs::JobError& error) {
    return Error{error.code, error.text};
  } catch (const std::exception& problem) {
    return Error{Code::internal,
                 std::string("This is a fault of confd, please report it: ") + problem.what()};
  }
  std::sort(job.locks.begin(), job.locks.end());
  job.record.locks.clear();
  for (const jobs::Lock& lock : job.locks) job.record.locks.push_back(lock_text(lock));
  if (job.record.dry_run) job.locks.clear();  // shown, not taken
  return {};
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
  if (*number % 1024 == 0 && ids_->wants_refill()) {
    MutexLock lock(mutex_);
    house_due_ = true;
    house_.notify_one();
  }

  auto job = std::make_shared<Job>();
  job->descriptor = descriptor;
  job->caller = std::move(submission.caller);
  job->waited = ended != nullptr;
  job->ended = std::move(ended);
  JobRecord& record = job->record;
  record.id = {services_.nodes.own_node(), *number};
  record.job = submission.job;
  record.kind = descriptor->kind;
  record.user = job->caller->user;
  record.login = job->caller->method;
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
  if (Status allowed = jobs::check_permission(*descriptor, *job->caller, given, *store_.current()); !allowed)
    return decline(job, allowed.error().code, allowed.error().text, std::move(accepted));
  auto checked = jobs::check_params(*descriptor, submission.params);
  if (!checked) return decline(job, checked.error().code, checked.error().text, std::move(accepted));
  if (hooks_.may_change && durability(*job) == Durability::power)
    if (Status may = hooks_.may_change(); !may)
      return decline(job, may.error().code, may.error().text, std::move(accepted));
  job->params = std::move(checked->params);
  record.warnings = std::move(submission.warnings);
  for (std::string& warning : checked->warnings) record.warnings.push_back(std::move(warning));
  record.params_masked = !(record.params == given);
  if (Status named = name_locks(*job); !named)
    return decline(job, named.error().code, named.error().text, std::move(accepted));

  std::string refused;
  {
    MutexLock lock(mutex_);
    const auto mine = queued_by_user_.find(record.user);
    if (draining_)
      refused = "confd is stopping and takes no more jobs; try again when it is back";
    else if (queued_ >= options_.queued_jobs)
      refused = std::to_string(queued_) + " jobs are queued, which is the limit; try again later";
    else if (mine != queued_by_user_.end() && mine->second >= options_.queued_jobs_per_user)
      refused = "User " + record.user + " has " + std::to_string(mine->second) +
                " jobs in the queue, which is the limit; try again later";
    else {
      ++queued_;
      ++queued_by_user_[record.user];
      live_.emplace(record.id, job);
    }
  }
  if (!refused.empty()) return decline(job, Code::busy, refused, std::move(accepted));
  if (hooks_.on_stage) hooks_.on_stage(record);

  if (!is_journaled(*job)) {
    accepted(record.id);
    return enqueue(std::move(job));
  }
  journal_->append(record, durability(*job), [this, job, accepted = std::move(accepted)](Status written) {
    CONFD_FAILPOINT("scheduler.submitted");
    if (!written) {
      refused_by_disk_ = true;
      refuse_unrecorded(job, written.error());
      return accepted(Error{Code::io_error,
                            "The job could not be recorded and was not started: " + written.error().text});
    }
    if (!job->waited) files_->update(std::make_shared<const JobRecord>(job->record), Folder::queue);
    if (!notes_ || job->waited || durability(*job) != Durability::power) {
      accepted(job->record.id);
      return enqueue(job);
    }
    notes_->post(job->record, [this, job, accepted](Status posted) {
      if (!posted) {
        refuse_unrecorded(job, posted.error());
        return accepted(Error{posted.error().code, "The job was not started: " + posted.error().text});
      }
      accepted(job->record.id);
      enqueue(job);
    });
  });
}

// The caller gets an error and no id. The line may be on disk all the same, and the next start would run the
// job: an end on record stands against that.
void Scheduler::refuse_unrecorded(const JobPtr& job, const Error& problem) {
  log_.err("job " + job->record.id.text() + " could not be recorded and was refused: " + problem.text);
  job->ended = nullptr;
  std::vector<Job::Waiter> waiters;
  {
    MutexLock lock(mutex_);
    leave_queue(*job);
    live_.erase(job->record.id);
    waiters.swap(job->waiters);
    for (const Job::Waiter& waiter : waiters) deadlines_.erase(waiter.deadline);
    job->record.code = Code::io_error;
    job->record.text = "The job could not be recorded and was not started: " + problem.text;
    job->record.reach(Stage::finished, services_.clock.now());
    settle(*job);
  }
  record_later(RecordPtr(job, &job->record));
  if (notes_) notes_->end(job->record, false, [](std::optional<JobRecord>) {});
  for (Job::Waiter& waiter : waiters) waiter.done(problem);
}

void Scheduler::decline(const JobPtr& job, Code code, std::string text,
                        std::function<void(Result<JobId>)> accepted) {
  job->declined = true;
  {
    MutexLock lock(mutex_);
    live_.emplace(job->record.id, job);
  }
  workers_->post([this, job, code, text = std::move(text), accepted = std::move(accepted)]() mutable {
    {
      MutexLock lock(mutex_);
      job->record.scheduling = "declined";
      job->record.code = code;
      job->record.text = std::move(text);
    }
    reach(job, Stage::finished, true);
    const Status recorded = record_end(job);
    if (!recorded) {
      // No id that is on no record.
      job->ended = nullptr;
      accepted(
          Error{code, job->record.text + " (and this could not be recorded: " + recorded.error().text + ")"});
    } else {
      accepted(job->record.id);
    }
    release(job, recorded.ok());
  });
}

void Scheduler::queue(JobPtr job) {
  if (job->record.kind == jobs::JobKind::read) return read_queue_.push_back(std::move(job));
  modify_view_.push_back({job->record.id, job->record.kind, job->locks, !job->record.scheduling.empty()});
  modify_queue_.push_back(std::move(job));
}

void Scheduler::leave_queue(const Job& job) {
  --queued_;
  if (const auto mine = queued_by_user_.find(job.record.user);
      mine != queued_by_user_.end() && --mine->second == 0)
    queued_by_user_.erase(mine);
}

void Scheduler::enqueue(JobPtr job) {
  std::vector<JobPtr> starting;
  {
    MutexLock lock(mutex_);
    if (job->stop_asked_by.empty() || draining_) {
      queue(std::move(job));
      job = nullptr;
    } else {
      leave_queue(*job);  // stopped on its way here
    }
    starting = plan_now();
  }
  start_planned(std::move(starting));
  if (job) end_unstarted(job);
}

std::vector<Scheduler::JobPtr> Scheduler::plan_now() {
  std::vector<JobPtr> starting;
  if (draining_) return starting;
  const auto start = [&](JobPtr& job) REQUIRES_LOCK(mutex_) {
    if (job->record.scheduling.empty()) job->record.scheduling = "started at once";
    job->running = true;
    leave_queue(*job);
    starting.push_back(std::move(job));
  };

  if (!read_queue_.empty()) {
    // As many as may start, and the newest, which has to be told why it waits.
    const std::size_t free = options_.limits.reads - std::min(options_.limits.reads, running_.reads);
    const std::size_t first = std::min(free, read_queue_.size());
    std::vector<QueuedJob> view;
    view.reserve(first + 1);
    for (std::size_t i = 0; i < first; ++i)
      view.push_back({read_queue_[i]->record.id, jobs::JobKind::read, {}});
    JobPtr newest = first < read_queue_.size() ? read_queue_.back() : nullptr;
    if (newest && newest->record.scheduling.empty())
      view.push_back({newest->record.id, jobs::JobKind::read, {}});
    const Plan decided = plan(view, running_, options_.limits);
    for (const Plan::Waiting& waiting : decided.waiting) newest->record.scheduling = waiting.reason;
    for (std::size_t i = 0; i < decided.start.size(); ++i) {
      ++running_.reads;
      start(read_queue_.front());
      read_queue_.pop_front();
    }
  }
  if (!modify_queue_.empty()) {
    const Plan decided = plan(modify_view_, running_, options_.limits);
    for (const Plan::Waiting& waiting : decided.waiting) {
      modify_queue_[waiting.index]->record.scheduling = waiting.reason;
      modify_view_[waiting.index].explained = true;
    }
    for (const std::size_t index : decided.start) {
      JobPtr& job = modify_queue_[index];
      ++running_.modifies;
      for (const jobs::Lock& lock : job->locks) running_.held.push_back({job->record.id, lock});
      modify_view_[index].id = {};
      start(job);
    }
    if (!decided.start.empty()) {
      std::erase(modify_queue_, nullptr);
      std::erase_if(modify_view_, [](const QueuedJob& entry) { return entry.id == JobId(); });
    }
  }
  return starting;
}

void Scheduler::start_planned(std::vector<JobPtr> starting) {
  for (JobPtr& job : starting) {
    WorkerPool& pool = job->record.kind == jobs::JobKind::read ? *read_workers_ : *workers_;
    pool.post([this, job = std::move(job)] { run_job(job); });
  }
}

// A job as others may see it: what is not on record yet has not happened.
RecordPtr Scheduler::view_of(const Job& job) const {
  auto record = std::make_shared<JobRecord>(job.record);
  record->ended = false;
  if (is_journaled(job) && record->stage > job.recorded) {
    record->stage = job.recorded;
    for (auto stage = static_cast<std::size_t>(job.recorded) + 1; stage < kStages; ++stage)
      record->times[stage] = {};
    record->published.reset();
    record->diff = Value();
  }
  if (record->stage < Stage::committed) record->times[static_cast<std::size_t>(Stage::committed)] = {};
  for (const std::string& by : job.stop_asked_by) record->warnings.push_back("stop asked for by " + by);
  return record;
}

void Scheduler::wait(JobId id, std::chrono::milliseconds timeout, std::function<void(Result<bool>)> done) {
  {
    MutexLock lock(mutex_);
    if (recent_.contains(id)) {
      lock.unlock();
      return done(true);
    }
    if (const auto it = live_.find(id); it != live_.end()) {
      Job& job = *it->second;
      // Far more than anybody waits, and far less than the clock can count.
      constexpr std::chrono::seconds kLongest = std::chrono::hours(24 * 365);
      timeout = std::clamp<std::chrono::milliseconds>(timeout, std::chrono::milliseconds(0), kLongest);
      if (const Value* own = job.params.find("timeout"); own && own->is_int() && own->as_int() > 0)
        timeout = std::chrono::seconds(std::min<std::int64_t>(own->as_int(), kLongest.count()));
      const auto deadline = deadlines_.emplace(services_.clock.steady_now() + timeout, Deadline{id});
      job.waiters.push_back({std::move(done), deadline});
      if (deadline == deadlines_.begin()) time_.notify_one();
      return;
    }
  }
  // Not in memory: it has ended long ago, is another node's, or there is none.
  readers_->post([this, id, timeout, done = std::move(done)]() mutable {
    auto record = files_->find(id);
    if (record) return done(true);
    if (!hooks_.find_elsewhere) return done(record.error());
    wait_far(id, timeout, std::move(done));
  });
}

RecordPtr Scheduler::find_in_memory(JobId id) const {
  MutexLock lock(mutex_);
  if (const auto it = recent_.find(id); it != recent_.end()) return it->second;
  if (const auto live = live_.find(id); live != live_.end()) return view_of(*live->second);
  return nullptr;
}

void Scheduler::find_here(JobId id, std::function<void(Result<RecordPtr>)> done) {
  if (RecordPtr record = find_in_memory(id)) return done(std::move(record));
  readers_->post([this, id, done = std::move(done)] { done(files_->find(id)); });
}

void Scheduler::find(JobId id, bool fetched, std::function<void(Result<RecordPtr>)> done) {
  if (RecordPtr record = find_in_memory(id)) {
    if (fetched && record->ended) files_->fetched(record);
    return done(std::move(record));
  }
  readers_->post([this, id, fetched, done = std::move(done)]() mutable {
    auto found = files_->find(id);
    if (found && fetched && (*found)->ended) files_->fetched(*found);
    if (found || !hooks_.find_elsewhere) return done(std::move(found));
    askers_->post([this, id, done = std::move(done)] {
      auto elsewhere = hooks_.find_elsewhere(id);
      if (!elsewhere) return done(elsewhere.error());
      done(RecordPtr(std::make_shared<const JobRecord>(std::move(*elsewhere))));
    });
  });
}

void Scheduler::history(HistoryFilter filter, std::function<void(std::vector<RecordPtr>)> done) {
  historians_->post([this, filter = std::move(filter), done = std::move(done)] {
    std::vector<RecordPtr> records;
    std::vector<JobId> known;
    {
      MutexLock lock(mutex_);
      known.reserve(recent_.size() + live_.size());
      for (auto it = recent_.rbegin(); it != recent_.rend(); ++it) {
        known.push_back(it->first);
        if (records.size() < filter.limit && filter.matches(*it->second)) records.push_back(it->second);
      }
      std::size_t most = records.size() + filter.limit;
      for (auto it = live_.rbegin(); it != live_.rend(); ++it) {
        known.push_back(it->first);
        if (records.size() < most && filter.matches(it->second->record))
          records.push_back(view_of(*it->second));
      }
    }
    std::sort(known.begin(), known.end());
    for (RecordPtr& record : files_->history(
             filter, [&](JobId id) { return std::binary_search(known.begin(), known.end(), id); }))
      records.push_back(std::move(record));
    std::sort(records.begin(), records.end(),
              [](const RecordPtr& a, const RecordPtr& b) { return a->id > b->id; });
    if (records.size() > filter.limit) records.resize(filter.limit);
    done(std::move(records));
  });
}

Status Scheduler::stop_job(JobId id, const std::string& by) {
  JobPtr queued;
  std::stop_source stop{std::nostopstate};
  {
    MutexLock lock(mutex_);
    const auto it = live_.find(id);
    if (it == live_.end()) {
      if (recent_.contains(id) || files_->has_file(id))
        return Error{Code::wrong_state, "Job " + id.text() + " has ended already"};
      if (id.node != services_.nodes.own_node() && hooks_.stop_elsewhere) {
        lock.unlock();
        return hooks_.stop_elsewhere(id, by);
      }
      return Error{Code::unknown_job_id, "There is no job " + id.text() + " that could be stopped"};
    }
    const JobPtr& job = it->second;
    job->stop_asked_by.push_back(by);
    stop = job->stop;
    if (const auto at = std::find(read_queue_.begin(), read_queue_.end(), job); at != read_queue_.end()) {
      queued = job;
      read_queue_.erase(at);
    } else if (const auto place = std::find(modify_queue_.begin(), modify_queue_.end(), job);
               place != modify_queue_.end()) {
      queued = job;
      modify_view_.erase(modify_view_.begin() + (place - modify_queue_.begin()));
      modify_queue_.erase(place);
    }
    if (queued) leave_queue(*queued);
  }
  stop.request_stop();  // runs what the job hung on it: not under the lock
  if (queued) end_unstarted(queued);
  return {};
}

void Scheduler::end_unstarted(const JobPtr& job) {
  workers_->post([this, job] {
    fail(job, Code::stopped, "The job was stopped before it had started; nothing was changed");
  });
}

void Scheduler::drain(std::chrono::milliseconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  MutexLock lock(mutex_);
  draining_ = true;
  // A job whose caller has not been told counts as running: the server goes right after this.
  const auto runs = [this]()
                        REQUIRES_LOCK(mutex_) { return running_.reads + running_.modifies + telling_ > 0; };
  while (runs() && std::chrono::steady_clock::now() < until) idle_.wait_until(mutex_, until);
  if (!runs()) return;
  std::vector<std::stop_source> stops;
  for (const auto& [id, job] : live_) stops.push_back(job->stop);
  lock.unlock();
  for (std::stop_source& stop : stops) stop.request_stop();
  lock.lock();
  const auto grace = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (runs() && std::chrono::steady_clock::now() < grace) idle_.wait_until(mutex_, grace);
}

Scheduler::Counters Scheduler::counters() const {
  MutexLock lock(mutex_);
  return {queued_, running_.reads + running_.modifies, ended_};
}

}  // namespace confd::scheduler
